/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.h -- keys and payloads of the policy store.
 *
 * A key begins with the octet of its table. Upper case tables hold the policy
 * (their records make the digest, format and log excepted); lower case ones
 * are derived from them and can be built again.
 */
#ifndef POLICY_RECORDS_H
#define POLICY_RECORDS_H

#include "policy/kv.h"
#include "policy/model.h"
#include "policy/store.h"
#include "wire/cursor.h"
#include "wire/writer.h"

enum policy_table {
    TABLE_META = 'M',    /* "format", "state" */
    TABLE_LOG = 'L',     /* serial */
    TABLE_NETWORK = 'N', /* name */
    TABLE_POOL = 'P',    /* name */
    TABLE_RULE = 'R',    /* name */
    TABLE_SUFFIX = 'S',  /* sort key, 0, kind, rule: whole names */
    TABLE_BELOW = 'W',   /* likewise: *. and *; apart, since they are few and always asked for */
    TABLE_LISTED = 'T',  /* sort key of the target, 0, port: approved by name */
    TABLE_RULE_SUFFIX = 'r', /* rule, 0, sort key, 0, kind */
    TABLE_RANGE = 'g',       /* last address of the range */
    TABLE_APPROVED = 't',    /* as LISTED: listed, or in a pool */
    TABLE_ADDRESS = 'a',     /* address of a host in a pool */
    TABLE_HOST = 'h',        /* as SUFFIX, of a target with addresses: a rule that gives its pool */
};
bool table_is_live(uint8_t table); /* counts in the digest */

/* All but key_named() and key_number() leave len 0 when the name does not fit. */
void key_named(struct kv_key *, enum policy_table, const char *name); /* name "": the table */
void key_number(struct kv_key *, enum policy_table, uint64_t);
void key_range(struct kv_key *, const uint8_t last[16]);
void key_address(struct kv_key *, const uint8_t ip[16]);
void key_target(struct kv_key *, enum policy_table, const struct name *, uint16_t port);
void key_suffix(struct kv_key *, const struct suffix *, const char *rule);
void key_host(struct kv_key *, const struct name *target, const char *rule);
void key_rule_suffix(struct kv_key *, const char *rule,
                     const struct suffix *); /* NULL: all of it */
bool key_read_name(const struct kv_bytes *, char out[POLICY_NAME]);
bool key_read_target(const struct kv_bytes *, struct policy_approved *);
bool key_read_rule_suffix(const struct kv_bytes *, char rule[POLICY_NAME], struct suffix *);
bool key_read_suffix(const struct kv_bytes *, struct suffix *, char rule[POLICY_NAME]);

/* The head of a rule as it lies in the map: what a decision reads. */
struct rule_view {
    enum policy_action action;
    enum kms_mode mode;
    unsigned when;
    bool break_dnssec;
    uint32_t ttl;
    uint64_t from_ms, until_ms;
    char pool[POLICY_NAME];
    struct kv_bytes comment;
    uint8_t n_networks;
    struct cursor networks; /* texts, for record_text() */
};
bool rule_view_read(struct rule_view *, const struct kv_bytes *value);
/* A text of 1..63 octets of its own; borrowed, not ended by NUL. */
struct kv_bytes record_text(struct cursor *);
bool record_text_is(const struct kv_bytes *, const char *);

struct policy_state { /* of the policy: "M" "state" */
    uint64_t serial, time_ms, digest, networks, pools, rules, suffixes, approved;
};
void state_key(struct kv_key *);
int state_parse(const struct kv_bytes *, struct policy_state *); /* 0, -EBADMSG */
int state_read(struct kv *, struct policy_state *);              /* 0, -errno */
int state_write(struct kv *, const struct policy_state *);
/* Read once per state; false when it is damaged. */
bool policy_reader_summary(struct policy_reader *, struct policy_state *);

/* Which names may be in TABLE_HOST: each negative answer asks. */
struct host_filter {
    bool known; /* false: not read in this state */
    uint64_t state, bits[32];
};
struct host_filter *policy_reader_hosts(struct policy_reader *); /* of the state; borrowed */
/* From a few octets of the name: a hash of all of it would cost each negative
 * answer more than the look-ups that it spares. */
static inline unsigned host_filter_bit(const struct name *n)
{
    /* Length, and first and last octet of the first label. */
    return (n->len + 64u * n->at[n->labels > 0] + 8u * n->at[n->at[0]]) % 2048;
}

enum { RECORD_POOL_MAX = 32768, RECORD_RULE_MAX = 8192 };
void rule_write(struct writer *, const struct policy_rule *);
void pool_write(struct writer *, const struct policy_pool *);
void network_write(struct writer *, const struct policy_network *);

/* From malloc; 0, -EBADMSG, -ENOMEM. The name is the caller's. */
int rule_read(struct policy_rule *, const struct kv_bytes *);
int pool_read(struct policy_pool *, const struct kv_bytes *);
int network_read(struct policy_network *, const struct kv_bytes *);
/* Without malloc: at most max hosts; how many, or -EBADMSG. */
int pool_read_hosts(const struct kv_bytes *, struct policy_host *out, int max, bool *allow_public);

#endif
