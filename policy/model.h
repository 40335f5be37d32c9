/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model.h -- the objects of the policy (networks, pools, rules, suffixes, actions) as values, with
 * their text. Its words are explained in waymark-policy(5).
 *
 * A struct policy is a whole policy in memory. Only the tool and the tests hold one; the daemon
 * decides from the store.
 */
#ifndef POLICY_MODEL_H
#define POLICY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/fields.h"
#include "wire/kms.h"
#include "wire/name.h"

/* clang-format off */
enum { POLICY_NAME = 64, POLICY_COMMENT = 256 };
enum { POLICY_POOL_HOSTS = 64, POLICY_HOST_ADDRESSES = 8, POLICY_RULE_NETWORKS = 64 };
enum { POLICY_PIN_CLIENTS = 25, POLICY_PIN_MAX = 50 }; /* what a KMS host needs of clients, and keeps */
enum { POLICY_TTL_DEFAULT = 300, POLICY_TTL_MIN = 30, POLICY_TTL_MAX = 86400 };

/* corp.example; *.corp.example, every name below; *, every one below the root; and . alone. */
struct suffix { bool below; struct name name; /* folded */ };

/* Stored: append only. */
enum policy_action { ACTION_FILL, ACTION_REPLACE, ACTION_FILTER, ACTION_DENY, ACTION_PASS, ACTIONS };
extern const char *const action_names[ACTIONS + 1]; /* ended by NULL */
struct policy_action_row {
    const char *verb;         /* "fills" */
    const char *deed;         /* "fills from pool ", the name of the pool follows where it has one */
    enum kms_outcome outcome; /* of a rule that acts; 0: what the real answer gives */
    bool has_pool;
    unsigned when, other;     /* words, when none are written; what may be written, too */
    const char *when_wrong;   /* what to write instead */
    int ede;                  /* RFC 8914 */
};
extern const struct policy_action_row policy_actions[ACTIONS];

/* How a pool is given. Stored: append only. */
enum policy_choice { CHOICE_ALL, CHOICE_PIN, CHOICES }; /* PIN: one until enough have it */
extern const char *const choice_names[CHOICES + 1];

struct policy_host {
    struct name target;   /* folded */
    uint16_t port;        /* as an approved host begins */
    uint16_t priority, weight;
    bool probe;           /* default true */
    uint8_t n_addresses;
    struct addr addresses[POLICY_HOST_ADDRESSES];
};
struct policy_network {
    char name[POLICY_NAME];
    struct prefix *prefixes;
    size_t n;
};
struct policy_pool {
    char name[POLICY_NAME];
    bool allow_public;
    enum policy_choice choice;
    uint8_t pin_clients;  /* so many have a host before the next is given; 0: POLICY_PIN_CLIENTS */
    struct policy_host *hosts;
    size_t n;
    bool named_after; /* its first host, by a tool: none that is there becomes other hosts by it */
};
struct policy_approved { struct name target; uint16_t port; };
struct policy_rule {
    char name[POLICY_NAME];
    /* From here to the last one, records are made of them as they are: */
    uint64_t from_ms, until_ms; /* wall clock; 0 = open */
    enum policy_action action;
    unsigned when;              /* words */
    enum kms_mode mode;
    uint32_t ttl;
    char pool[POLICY_NAME];     /* "" = none */
    char comment[POLICY_COMMENT];
    bool break_dnssec;          /* the last one */
    char (*networks)[POLICY_NAME]; /* none: every client; "any" is stored as written */
    size_t n_networks;
    struct suffix **suffixes; /* suffix_keep() made them; NULL when only the head is meant */
    size_t n_suffixes;
    unsigned line, column; /* in a file, from 1; 0 = none */
};
enum policy_kind { POLICY_NETWORK, POLICY_POOL, POLICY_APPROVED, POLICY_RULE, POLICY_KINDS };
extern const char *const policy_kind_names[POLICY_KINDS + 1]; /* "network", ..., ended by NULL */
union policy_object {
    char name[POLICY_NAME]; /* what all but an approved host begin with */
    struct policy_network network;
    struct policy_pool pool;
    struct policy_approved approved;
    struct policy_rule rule;
};
struct policy_test { /* a row of `tests:` of a file */
    unsigned line;
    struct suffix *suffix;    /* not below */
    struct addr client;
    enum kms_verdict verdict;
    struct name real_host;    /* that the real DNS names; root: an approved one */
    enum kms_outcome expect;  /* 0: any */
    struct name host;         /* must be among the delivered; root: any */
};
struct policy_list { void *at; size_t n; };
struct policy {
    union { /* all sorted by name */
        struct policy_list lists[POLICY_KINDS];
        struct {
            struct policy_network *networks; size_t n_networks;
            struct policy_pool *pools; size_t n_pools;
            struct policy_approved *approved; size_t n_approved; /* listed without being served */
            struct policy_rule *rules; size_t n_rules;
        };
    };
    uint16_t version; /* of the text form, of one that was read */
    char *file; /* that it was read from, for problems; or NULL */
    struct arena *kept; /* of the suffixes; or NULL: there are none */
    struct policy_test *tests; size_t n_tests;
};
/* clang-format on */

/* Every pointer in a struct policy is from malloc, or its arena, and owned by it. An empty one is
 * all zeroes. */
void policy_fini(struct policy *);
void policy_object_fini(enum policy_kind, void *object);

/* What reads a text returns NULL, or why it cannot be: static words that say what to write
 * instead (a whole name, a missing underscore...); then nothing is stored. */
const char *suffix_parse(struct suffix *, const char *text); /* "corp.example" "*.x.y" "*" "." */
enum { SUFFIX_TEXT = 1040 };
const char *suffix_print(const struct suffix *, char out[SUFFIX_TEXT]);
bool suffix_is_wide(const struct suffix *); /* `*`, or `*.` above one label: needs networks */
/* A copy in the arena that takes the octets of its name and no more, since a rule may have a million:
 * it is read, and never copied as a struct. NULL: out of memory. */
struct suffix *suffix_keep(struct arena *, const struct suffix *);
/* Puts a copy behind the others of the rule; without an arena makes one. 0 or -ENOMEM. */
int policy_rule_add(struct arena **, struct policy_rule *, const struct suffix *);

enum { POLICY_KMS_PORT = 1688, HOST_TEXT = 2048 };
/* FQDN[:PORT][,priority=N][,weight=N][,address=IP]...[,probe=no] */
const char *host_parse(struct policy_host *, const char *text);
const char *host_print(const struct policy_host *, char out[HOST_TEXT]); /* canonical, same form */
const char *host_target_check(const char *text, struct name *out);
const char *host_address_parse(struct addr *, const char *text);

/* A name of a network, pool or rule: 1..63 of [a-z0-9._-], begins with a letter or digit, not "any". */
const char *policy_name_check(const char *name);

/* What must be refused on entry (design: "Refused on entry"), each problem one line in d. 0 or -EINVAL. */
int policy_rule_check(const struct policy_rule *, struct diags *d);
int policy_pool_check(const struct policy_pool *, struct diags *d);
/* Clients that get one host of the pool before all are given; 0: all are at once. */
static inline uint8_t policy_pinned(const struct policy_pool *p)
{
    if (p->choice != CHOICE_PIN)
        return 0;
    return p->pin_clients != 0 ? p->pin_clients : POLICY_PIN_CLIENTS;
}
/* A rule as it is before anything is said about it: fill, missing, live, ttl 300. */
void policy_rule_init(struct policy_rule *, const char *name);

/* Total orders, for qsort(3) and bsearch(3): of suffixes and approved hosts, by labels from the
 * root, then kind or port; of networks, pools and rules, which begin with their name. */
int suffix_compare(const void *, const void *);
int policy_suffix_compare(const void *, const void *); /* of pointers to them */
int policy_approved_compare(const void *, const void *);
int policy_name_compare(const void *, const void *);
int policy_prefix_compare(const void *, const void *);
/* Sorts and drops doubles: the order that readers make and writers want. */
void policy_sort(struct policy *);
void policy_object_sort(enum policy_kind, void *object);
/* Sorts, when it is not sorted yet, and drops doubles. The new count. */
size_t policy_sort_unique(void *, size_t n, size_t size, int (*)(const void *, const void *));
/* The ith object of a kind; borrowed, NULL behind the last. */
void *policy_object(const struct policy *, enum policy_kind, size_t i);
/* One more, of zeroes, at the end; NULL: out of memory. */
void *policy_add(struct policy *, enum policy_kind);
/* The same list with room for one more behind its n, of zeroes; NULL: out of memory. It is
 * from malloc and was made by nothing else. */
void *policy_list_add(void *list, size_t n, size_t size);
/* The prefixes, hosts or suffixes of an object. */
struct policy_list *policy_members_of(enum policy_kind, const void *object);
/* In a sorted policy; borrowed, NULL when there is none. */
void *policy_find(const struct policy *, enum policy_kind, const void *name_or_approved);

const char *policy_approved_parse(struct policy_approved *, const char *text); /* FQDN[:PORT] */

/* --- policy/text.c: policies as text, the YAML form, in and out. */

/* Reads the text form; every problem goes to d with its place. 0, -EINVAL, -ENOMEM. */
int policy_text_read(struct policy *out, const char *file, const char *text, size_t len,
                     struct diags *d);
/* What a rule and a pool consist of, suffixes and hosts first; also options of `policy rule set` and
 * `policy pool set`. */
extern const struct field policy_rule_map, policy_pool_map;
/* The prefixes, hosts and suffixes of an object; the approved hosts of a policy. */
extern const struct field *const policy_lists[POLICY_KINDS];
/* Is this field of the rule not its default, so that it is written? */
bool policy_rule_says(const struct policy_rule *, const struct field *row);
/* Canonical: equal policies are equal texts. The policy is sorted. */
int policy_text_write(const struct policy *, FILE *);
/* RFC 3339, UTC, in seconds. Returns out. */
const char *policy_time_print(uint64_t wall_ms, char out[NUMBER_TEXT]);

#endif
