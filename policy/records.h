/* SPDX-License-Identifier: BSD-2-Clause
 *
 * records.h -- the policy in its store: keys, values, what follows from them; the log; readers for
 * the daemon's workers, and the tool's reading of the whole; the networks of a client.
 *
 * Tables in lower case hold the policy. What follows from them is in upper case: each entry, a key
 * without a value, names the record that it comes from, which puts and removes it. The suffixes of
 * a rule are in the index alone. Their table is the last one: what comes in order at the end of
 * the file fills each page of it.
 */
#ifndef POLICY_RECORDS_H
#define POLICY_RECORDS_H

#include "policy/model.h"
#include "store/store.h"
#include "wire/pack.h"

/* And what their keys are made of, see struct key_parts. */
enum policy_table {
    TABLE_APPROVED = 'A',     /* domain, port, owner: the pool that it is in; none: it is listed */
    TABLE_ADDRESS = 'D',      /* ip of a host, owner: the pool */
    TABLE_HOST = 'H',         /* domain of a host with addresses, owner: the pool */
    TABLE_KEPT = 'K',         /* serial: see struct kept in change.c */
    TABLE_LOG = 'L',          /* serial */
    TABLE_NETWORK_USER = 'N', /* front: the network, owner: a rule that names it */
    TABLE_POOL_USER = 'P',    /* front: the pool, owner: a rule that names it */
    TABLE_PREFIX = 'G',       /* length, which sorts the longest first, ip, owner: a network */
    TABLE_BELOW = 'b',   /* as SUFFIX, *. and *; apart, since they are few and always asked for */
    TABLE_LISTED = 'l',  /* domain, port: approved by name */
    TABLE_NETWORK = 'n', /* owner: its name, as of the next two */
    TABLE_POOL = 'p',
    TABLE_RULE = 'r',
    TABLE_SUFFIX = 's', /* domain, owner: the rule; whole names */
};
extern const enum policy_table policy_tables[POLICY_KINDS]; /* of objects */

/* What a key is made of, in this order, as far as it is given and its table has it: less of
 * it is what several keys begin with. The front is a name, then 0; an ip has 16 octets; the
 * domain is a sort key, then 0, and then comes the number: a port; that of an ip stands in front:
 * 128 less the length. */
struct key_parts {
    const char *front;
    const uint8_t *ip;
    const struct name *domain;
    unsigned number;
    const char *owner;
};
struct policy_key { /* what was read of one */
    char owner[POLICY_NAME];
    struct suffix suffix; /* domain; below */
    struct prefix prefix;
    uint16_t port;
};
/* A domain that is too long for a key leaves len 0. */
void key_make(struct store_key *, enum policy_table, const struct key_parts *);
void key_named(struct store_key *, enum policy_table, const char *owner);
void key_suffix(struct store_key *, const struct suffix *, const char *rule);
void key_object(struct store_key *, enum policy_kind, const void *object); /* always fits */
/* False when nobody of us made it. Not for log and addresses. */
bool key_read(const struct store_bytes *, struct policy_key *);
/* What an object of the kind begins with, of its key. */
bool key_read_object(enum policy_kind, const struct store_bytes *, void *object);
/* A name that is 1..63 octets without NUL, as a text. */
bool record_name(char out[POLICY_NAME], const uint8_t *data, size_t len);

/* The first record that begins with the key (SEEK), or the next one: `rest` is what stands behind
 * it. -ENOENT: there is none, and both neighbours of its place are sound, for a key that fell over
 * looks like one that is not there; `rest` is the key before it in the table, or nothing. */
int entry_step(struct store_txn *, enum store_step, const struct store_key *,
               struct store_bytes *rest);

/* The head of a rule as it lies in the map. `networks` are borrowed; its name and all of
 * which the head says nothing stay as they were. */
bool rule_read(struct policy_rule *, const struct store_bytes *value);
/* Without malloc: into the hosts that it has, as many as the value says or POLICY_POOL_HOSTS. */
bool pool_read(struct policy_pool *, const struct store_bytes *value);

enum { RECORD_MAX = 32768 }; /* the largest value, but for networks */
/* The value of an object, in the buffer or where the object has it; of an approved host the
 * key is all, and of a rule its suffixes are records of their own. */
struct store_bytes record_write(enum policy_kind, const void *object, uint8_t buffer[RECORD_MAX]);
/* Key and value; a rule without its suffixes. From malloc; 0, -EBADMSG, -ENOMEM. */
int record_read(enum policy_kind, const struct store_record *, void *object);

/* The object in the store, or -ENOENT, -errno. */
int record_get(struct store_txn *, enum policy_kind, const void *object, union policy_object *);
/* Puts or removes the entries that follow from an object; a failure spoils the transaction. */
void entries_set(struct store_txn *, bool put, enum policy_kind, const void *object);

/* One record per change, which is the struct as far as its last text goes: who, when, why, what.
 * The last one tells serial and time of the policy. */
struct policy_log_entry {
    uint64_t serial, time_ms, digest;
    char author[64], claimed[64], reason[256], summary[512];
    char rules[4096]; /* that moved, each between blanks; "*": more than fit, or all */
};

/* Of log and history: where the records of a serial begin; the first or last record with its serial
 * (0: there is none), whose value may be damaged: NULL. 0, -errno. */
void serial_key(struct store_key *, enum policy_table, uint64_t serial);
int serial_end(struct store_txn *, enum policy_table, bool last, uint64_t *, struct store_record *);

/* The next entry behind e->serial, since then, in which that rule moved (NULL: any). 0; -ENOENT;
 * -EBADMSG it is damaged; -errno. */
int log_next(struct store_txn *, uint64_t since_ms, const char *rule, struct policy_log_entry *e);

/* Which entries a table may have in a state: what has no bit is not there, and costs no
 * look-up. Of more than FILTER_MAX entries it is not made: then every bit is set. */
enum { FILTER_MAX = 512, FILTER_BITS = 2048 };
struct filter {
    uint64_t state, bits[FILTER_BITS / 64]; /* state 0: not known */
};
/* Of the prefixes of networks; and their lengths, the longest first. */
struct prefix_filter {
    struct filter filter;
    uint8_t n, lengths[129];
};

/* One per thread. What needs a page that cannot be had is answered as damaged. */
struct policy_reader {
    struct store_txn *txn;
    bool begun;                 /* resolver/query.h's: in this batch */
    uint64_t serial, serial_of; /* a state; 0: none */
    struct filter hosts;        /* with addresses: each negative answer asks */
    struct prefix_filter prefixes;
};
/* NULL and errno: EUSERS all places are taken, ENOMEM, ... */
struct policy_reader *policy_reader_new(struct store *);
void policy_reader_free(struct policy_reader *);
/* Between store_reader_begin() and store_end() of its txn. */
uint64_t policy_reader_serial(struct policy_reader *);

struct policy_counts {
    uint64_t serial, networks, pools, rules, suffixes, approved, bytes;
    uint64_t digest;
    uint64_t time_ms; /* 0: its entry in the log is damaged */
};
enum { POLICY_DIGEST_TEXT = 9 };
const char *policy_digest_print(uint64_t digest, char out[POLICY_DIGEST_TEXT]); /* returns out */
int policy_store_counts(struct store *, struct policy_counts *);    /* one thread at a time */
int policy_counts_read(struct store_txn *, struct policy_counts *); /* without bytes */

/* The whole policy, and its serial. */
int policy_load(struct store *, struct policy *out, uint64_t *serial);

enum { POLICY_CLIENT_NETWORKS = 16 };
#define POLICY_CLIENT_DAMAGED UINT64_MAX

/* A client as the policy sees it. */
struct policy_client {
    struct addr addr;
    uint64_t key;       /* of its networks and their lengths, for the decision cache; 0: it is in
                            none; POLICY_CLIENT_DAMAGED: policy_decide says so */
    uint8_t n_networks; /* innermost first */
    char networks[POLICY_CLIENT_NETWORKS][POLICY_NAME];
    struct prefix prefixes[POLICY_CLIENT_NETWORKS]; /* the one of each that contains the client */
};
/* May a pool give the address of a host of this name? False is certain, and almost free. */
bool policy_may_be_host(struct policy_reader *, const struct name *);
int policy_client_find(struct policy_reader *, const struct addr *,
                       struct policy_client *out); /* 0, -EBADMSG damaged */

#endif
