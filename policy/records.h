/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.h -- keys and values of the policy in the store.
 *
 * Tables in upper case hold the policy; all of it but the log makes the digest (STORE_SUMMED).
 * Those in lower case follow from them: each entry, a key without a value, names
 * the record that it comes from, which puts and removes it (record_put, record_del).
 */
#ifndef POLICY_RECORDS_H
#define POLICY_RECORDS_H

#include "policy/model.h"
#include "store/store.h"
#include "wire/pack.h"

enum policy_table {
    TABLE_LOG = 'L',     /* serial */
    TABLE_NETWORK = 'N', /* name */
    TABLE_POOL = 'P',    /* name */
    TABLE_RULE = 'R',    /* name */
    TABLE_SUFFIX = 'S',  /* sort key, 0, kind, rule: whole names */
    TABLE_BELOW = 'W',   /* likewise: *. and *; apart, since they are few and always asked for */
    TABLE_LISTED = 'T',  /* sort key of the target, 0, port: approved by name */
    TABLE_RULE_SUFFIX = 'r', /* rule, 0, sort key, 0, kind */
    TABLE_APPROVED = 't',    /* as LISTED, then the pool that it is in; none: it is listed */
    TABLE_ADDRESS = 'a',     /* address of a host, pool */
    TABLE_HOST = 'h',        /* sort key of a target with addresses, 0, pool */
    TABLE_USER = 'u',        /* POOL or NETWORK, its name, 0, a rule that names it */
    TABLE_RANGE = 'g',       /* last address of the range; all of them follow from all networks */
};

extern const enum policy_table policy_tables[POLICY_KINDS]; /* of objects */

/* A name that is too long for a key leaves len 0. */
void key_named(struct store_key *, enum policy_table, const char *name); /* name "": the table */
void key_ip(struct store_key *, enum policy_table, const uint8_t ip[16], const char *pool);
void key_target(struct store_key *, enum policy_table, const struct name *target, uint16_t port,
                const char *pool);
void key_host(struct store_key *, const struct name *target, const char *pool);
void key_suffix(struct store_key *, const struct suffix *, const char *rule);
void key_rule_suffix(struct store_key *, const char *rule,
                     const struct suffix *); /* NULL: all of them */
void key_user(struct store_key *, enum policy_table, const char *name, const char *rule);
/* A name that is 1..63 octets without NUL, as a text. */
bool record_name(char out[POLICY_NAME], const uint8_t *data, size_t len);
bool key_read_name(const struct store_bytes *, char out[POLICY_NAME]);
bool key_read_host(const struct store_bytes *, struct name *target);
bool key_read_target(const struct store_bytes *, struct policy_approved *);
bool key_read_rule_suffix(const struct store_bytes *, char rule[POLICY_NAME], struct suffix *);
bool key_read_suffix(const struct store_bytes *, struct suffix *, char rule[POLICY_NAME]);

/* The head of a rule as it lies in the map: what a decision reads. */
struct rule_view {
    enum policy_action action;
    enum kms_mode mode;
    unsigned when;
    bool break_dnssec;
    uint32_t ttl;
    uint64_t from_ms, until_ms;
    char pool[POLICY_NAME];
    struct store_bytes comment;
    uint8_t n_networks;
    struct cursor networks; /* texts, for record_text() */
};
bool rule_view_read(struct rule_view *, const struct store_bytes *value);
/* A text of 1..63 octets of its own; borrowed, not ended by NUL. */
struct store_bytes record_text(struct cursor *);
bool record_text_is(const struct store_bytes *, const char *);
/* A text with its length in front. */
void text_write(struct writer *, const char *text, size_t size);

enum { RECORD_POOL_MAX = 32768 }; /* the largest of a fixed size */
/* A network, pool, or rule without its suffixes; of a target the key is all. Read: from
 * malloc, the name is the caller's; 0, -EBADMSG, -ENOMEM. */
void record_write(enum policy_table, const void *object, struct writer *);
int record_read(enum policy_table, void *object, const struct store_bytes *);
/* Without malloc: at most max hosts; how many, or -EBADMSG. */
int pool_read_hosts(const struct store_bytes *, struct policy_host *out, int max,
                    bool *allow_public);

/* Puts or removes a record of the policy, and the entries that follow from it. As
 * store_put() and store_del(). What followed from a damaged one is not known: then all
 * entries are made again. */
int record_put(struct store_txn *, const struct store_key *, const void *value, size_t len);
int record_del(struct store_txn *, const struct store_key *);
int record_make_entries(struct store_txn *); /* 0 or -errno */

/* One record per change: who, when, why, what. The last one tells serial and time of the policy. */
struct policy_log_entry {
    uint64_t serial, time_ms, digest;
    char author[64], claimed[64], reason[256], summary[512];
};

enum { LOG_RULES = 64 };
struct log_rules { /* whose rules moved */
    unsigned n;
    bool more; /* than fit: such an entry is shown for every rule */
    char names[LOG_RULES][POLICY_NAME];
};

int log_append(struct store_txn *, const struct policy_log_entry *,
               const struct log_rules *); /* 0, -errno */
/* Serial and time of the last entry; time 0 when it is damaged, both when there is none. 0, -errno. */
int log_last(struct store_txn *, uint64_t *serial, uint64_t *time_ms);
/* Removes entries older than that, a bounded number each time. 0, -errno. */
int log_prune(struct store_txn *, uint64_t before_ms);

/* The entries since then that concern the rule (NULL: all). Nothing is open during a visit,
 * and not 0 stops. -EBADMSG: one is damaged. */
typedef int policy_log_visit(void *context, const struct policy_log_entry *);
int policy_log_each(struct store *, uint64_t since_ms, const char *rule, policy_log_visit *,
                    void *context);

#endif
