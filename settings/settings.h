/* SPDX-License-Identifier: BSD-2-Clause
 *
 * settings.h -- what the administrator set: one immutable generation.
 *
 * The table of options in settings/options.c is the only place that knows an
 * option's name, type, limits, default and help; file reading, -o, --check,
 * --print-config, --print-sample and the manual's text come from it.
 */
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/diag.h"
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

/* Reads FILE and the .yaml files in conf.d beside it (in the order of their names; a list
 * in a later file replaces, a scalar overrides), then the -o assignments
 * ("section.key=value", ended by NULL). path NULL: the default file, which may
 * be missing; a named file must exist. 0 and *out, or -EINVAL/-errno with every
 * problem in d. The caller frees. */
int settings_read(struct settings **out, const char *path, const char *const *assign,
                  struct diags *d);
void settings_free(struct settings *);

/* Every option with its value in force, as YAML that reads back the same. */
void settings_print(const struct settings *, FILE *);
/* The commented sample file: every option that is used, with help and default. */
void settings_print_sample(FILE *);

/* Names of the options whose values differ, with old and new as text; restart
 * says whether the key is one of those that wait for a restart (server.*,
 * control.*, cache.size, cache.persist). */
typedef void settings_change(void *context, const char *key, const char *was, const char *is,
                             bool restart);
/* How many there are, or -ENOMEM. change may be NULL. */
int settings_compare(const struct settings *was, const struct settings *is, settings_change *,
                     void *context);

/* The same once more, in an arena of its own. 0 or -ENOMEM. */
int settings_copy(struct settings **out, const struct settings *);

/* In a new generation, gives the keys that need a restart the values that are
 * in force. 0, or -errno with every problem in d: each file may be
 * good by itself, and the mix of both break a rule between options. Then the
 * generation must not be used. */
int settings_keep(struct settings *is, const struct settings *was, struct diags *d);

/* True when a question sent there comes back to us. The machine's own
 * addresses behind a wildcard are not known here: only loopback counts. */
bool settings_listens_at(const struct settings *, const struct addr *);

/* The longest matching access rule; loopback stays allowed unless named, and
 * `machine` (the machine's own networks) is what counts when the list was not
 * given. */
enum access_action settings_access(const struct settings *, const struct access_rule *machine,
                                   int n_machine, const struct addr *client);

/* The rule that says so; NULL: none does. */
const struct access_rule *settings_access_rule(const struct settings *,
                                               const struct access_rule *machine, int n_machine,
                                               const struct addr *client);

/* Hash of zone and servers: the same over reloads and starts; never 0. */
uint32_t route_id(const struct route *);

const char *settings_default_path(void);

#endif
