/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- what the administrator set, one immutable generation; and one row
 * for each option of it (base/fields.h).
 */
#ifndef SETTINGS_OPTIONS_H
#define SETTINGS_OPTIONS_H

#include "base/addr.h"
#include "base/fields.h"
#include "wire/kms.h"
#include "wire/name.h"

/* clang-format off */
enum access_action { ACCESS_ALLOW, ACCESS_REFUSE, ACCESS_DROP };
struct access_rule { struct prefix net; enum access_action action; };

enum route_strategy { ROUTE_ORDERED, ROUTE_FASTEST, ROUTE_PARALLEL };
enum { ROUTE_MAX_SERVERS = 16 };
struct route {
    struct name zone; /* folded */
    const struct addr *servers; int n_servers;
    enum route_strategy strategy;
    uint32_t timeout_ms; /* of one try */
    bool trust_ad;       /* keep AD of its replies */
    bool edns;           /* ask them with EDNS */
    bool fall_back;      /* failed: try the route of `.` */
    uint32_t id;         /* hash of zone and servers, stable over reload */
};

enum client_address { CLIENT_FULL, CLIENT_PREFIX, CLIENT_HMAC };

struct settings {
    struct arena *arena; /* owns everything below */ uint64_t generation; /* set by the daemon */
    struct {
        const char *name, *user, *state_dir, *run_dir;
        const struct addr *listen; int n_listen;
        uint32_t workers;  /* 0 = one per core */
        uint32_t log_level;/* enum log_level */
        bool open_resolver, hide_identity, hide_version; /* open: the whole Internet may ask */
    } server;
    const struct access_rule *access; int n_access; /* as written, NULL: not given; longest prefix wins */
    const struct route *routes; int n_routes;   /* as written; empty: resolv.conf, done by resolver/ */
    bool routes_found; /* they are resolv.conf's */
    struct {
        uint64_t size; uint64_t min_ttl_ms, max_ttl_ms, max_negative_ttl_ms, serve_stale_ms, stale_deadline_ms;
        bool rotate, prefetch, persist;
    } cache;
    struct {
        enum kms_mode mode; uint64_t upstream_deadline_ms, max_negative_ttl_ms, probe_interval_ms, probe_timeout_ms;
        bool explain_in_edns;
    } kms;
    struct { uint64_t history_ms; bool require_reason; } policy;
    struct {
        uint64_t retention_ms, ledger_retention_ms, max_size, commit_interval_ms;
        uint32_t max_rate, max_rate_client, max_clients, max_suffixes;
        enum client_address client_address;
    } audit;
    struct {
        uint32_t client_rate, tcp_connections, tcp_per_client, in_flight; uint64_t tcp_idle_ms;
    } limits;
    struct { const char *socket; } control;
};
/* clang-format on */

enum option_flag {
    OPTION_RESTART = FIELD_FLAGS,    /* a reload keeps the value that is in force */
    OPTION_UNUSED = 2 * FIELD_FLAGS, /* read and checked; nothing uses it in this version */
};

struct option_section {
    const char *name;
    const char *help;
};

enum { OPTIONS_MAX = 64 };

/* In the order in which they are printed; both end with a row of NULL. */
extern const struct field settings_options[];
extern const struct option_section settings_sections[];

/* Is it a list of mappings, which stands beside the sections? */
static inline bool option_is_table(const struct field *o)
{
    return o->element != NULL && o->element->rows != NULL;
}
/* Why it cannot be the name of this forwarder, or NULL. */
const char *option_not_a_host(const char *text);

#endif
