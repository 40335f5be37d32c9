/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes.c -- the table of the API, and its handlers: each takes the daemon as context and
 * answers its request once. A counter of the workers, the cache or the audit is named in
 * `stats` by its row; `status` picks from these.
 */
#include "resolver/daemon.h"

#include <semaphore.h>
#include <unistd.h>

#include "resolver/explain.h"
#include "resolver/stream.h"

enum { DOWN_SHOWN = 10 };

/* clang-format off */
/* The names of the numbers of a struct, which are its first members. */
#define X(name) #name,
static const char *const worker_names[] = {WORKER_COUNTERS(X) NULL};
#undef X
#define X(name) "cache_" #name,
static const char *const cache_names[] = {CACHE_STATS(X) NULL};
#undef X
#define X(name) "audit_" #name,
static const char *const audit_names[] = {AUDIT_WRITER_STATS(X) "audit_lost", NULL};
#undef X
/* From the queries on; the last are by enum reply_kind. */
static const char *const upstream_names[] = {
    "queries",
    "replies",
    "timeouts",
    "errors",
    "positive",
    "nodata",
    "nxdomain",
    "failures",
    "failures",
    "positive",
    NULL,
};
/* clang-format on */

static json_int_t number_of(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* Adds each to what o has under its name; their owner may be at work on them. */
static void add_numbers(json_t *o, const char *const *name, const void *numbers)
{
    for (const uint64_t *n = numbers; *name; name++, n++)
        json_object_set_new(
            o, *name,
            json_integer(number_of(o, *name) + (json_int_t)__atomic_load_n(n, __ATOMIC_RELAXED)));
}

static json_t *sum_up(const struct daemon *d, struct audit_writer_stats *audit)
{
    json_t *stats = json_object();
    struct cache_stats cache;

    for (int i = 0; i <= d->n_workers; i++)
        add_numbers(stats, worker_names, &d->workers[i]->stats);
    cache_stats(d->cache, &cache);
    add_numbers(stats, cache_names, &cache);
    *audit = (struct audit_writer_stats){0};
    if (d->auditor.writer)
        audit_writer_stats(d->auditor.writer, audit);
    add_numbers(stats, audit_names, audit);
    return stats;
}

static void get_stats(void *context, struct control_request *r)
{
    struct audit_writer_stats audit;

    control_answer(r, 200, json_pack("{s:o}", "stats", sum_up(context, &audit)));
}

/* Adds a problem if there is one. */
static void PRINTF_LIKE(3, 4) problem(json_t *problems, bool is_so, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (is_so)
        json_array_append_new(problems, json_vsprintf(fmt, args));
    va_end(args);
}

/* What each output lacks, and which need a person: it failed, or took nothing for long. */
static json_t *tell_outputs(const struct daemon *d, json_t *problems)
{
    struct audit_writer *w = d->auditor.writer;
    json_t *list = w ? audit_outputs_report(audit_writer_outputs(w)) : json_array(), *p;
    size_t i;

    json_array_foreach(list, i, p)
    {
        const char *error = json_string_value(json_object_get(p, "error"));

        problem(problems, error != NULL,
                "audit: output %s: %s; it lacks %lld records, which are sent when it is back",
                json_string_value(json_object_get(p, "to")), error, number_of(p, "behind"));
    }
    return list;
}

/* The hosts that the real DNS has named within a week, and the policy did not approve: as it is now,
 * or was then and does not now. */
static void find_unapproved(const struct daemon *d, const struct policy_counts *policy,
                            json_t *list)
{
    static const char sql[] = "SELECT name,last FROM host WHERE unapproved>0 AND last>"
                              "(unixepoch()-604800)*1000 ORDER BY last DESC LIMIT 1000";
    const struct view *v = d->own->view;
    json_t *hosts = json_array(), *host;
    struct audit_store *audit = NULL;
    const char *newest = "", *name;
    struct policy_host h;
    size_t i;
    int n = 0, rc;

    if (d->auditor.writer && audit_store_open(&audit, d->auditor.dir, 0, NULL) == 0)
        (void)audit_query(audit, sql, NULL, hosts);
    audit_store_close(audit);
    json_array_foreach(hosts, i, host)
    {
        rc = 0;
        name = json_string_value(json_object_get(host, "name"));
        if (number_of(host, "last") <= (json_int_t)policy->time_ms) {
            if (host_parse(&h, name) != NULL || !view_policy(v))
                continue; /* without a policy no rule acts either */
            store_guarded(rc, v->policy->txn,
                          policy_is_approved(v->policy, &h.target, h.port, NULL));
        }
        newest = rc == 0 && n++ == 0 ? name : newest;
    }
    view_policy_end(v);
    problem(list, n > 0,
            "audit: the real DNS names %d KMS host%s that the policy does not approve, lately %s: "
            "waymarkctl audit targets --unapproved; approve them, or filter them with a rule",
            n, n > 1 ? "s" : "", newest);
    json_decref(hosts);
}

/* What is wrong with the policy store, its contents, its folder, its readers; with the audit,
 * and with what the machine tells. without: how many threads have no policy. */
static json_t *find_problems(const struct daemon *d, const struct store_health *h,
                             const struct policy_counts *policy, int policy_rc, const json_t *stats,
                             const struct audit_writer_stats *audit, json_int_t dropped,
                             int *without)
{
    const char *dir = d->newest->server.state_dir;
    const json_int_t damaged = number_of(stats, "kms_damaged") + (json_int_t)h->faults +
                               (policy_rc != 0 && policy_rc != -EUSERS);
    json_t *list = json_array();
    char full[64];
    int error = 0;

    for (int i = 0; i <= d->n_workers; i++) {
        int e = d->workers[i]->policy_error;

        error = e != 0 ? e : error;
        *without += e != 0;
    }
    problem(list, d->policy_error[0] != '\0', "policy: %s", d->policy_error);
    if (d->verifier.found[0] != '\0')
        problem(list, true, "policy: %s", d->verifier.found);
    else
        problem(list, damaged > 0,
                "policy: %s/policy/data.mdb: %lld reads since the start failed, or met a damaged "
                "record; " STORE_REMEDY,
                dir, (long long)damaged);
    problem(list, h->unlocked,
            "policy: %s/policy is read-only here: rules act, and must not be changed "
            "elsewhere; make it writable and restart waymarkd",
            dir);
    snprintf(full, sizeof full, "all %d places for readers were taken", STORE_PLACES);
    problem(list, *without > 0,
            "policy: %d of %d threads have no policy since the start: %s; end the other "
            "processes that have %s/policy/lock.mdb open (fuser) and restart waymarkd",
            *without, d->n_workers + 1, error == EUSERS ? full : strerror(error), dir);
    problem(list, d->audit_error[0] != '\0', "audit: %s", d->audit_error);
    problem(list, audit->last_error != 0,
            "audit: the last commit failed: %s; events wait in memory",
            strerror(audit->last_error));
    problem(list, dropped != 0, "audit: %lld events were dropped since the start",
            (long long)dropped);
    problem(list, d->keeper.error[0] != '\0',
            "cache: %s cannot be written: %s; a restart forgets the answers", d->keeper.path,
            d->keeper.error);
    problem(list, d->machine_error[0] != '\0', "machine: %s", d->machine_error);
    find_unapproved(d, policy, list);
    return list;
}

/* A line for each KMS host that is down, as far as a screen has room. */
static void find_down(const struct daemon *d, json_t *list)
{
    const struct health *h = d->own->health;
    size_t n = 0, left = h ? h->left : 0;
    char name[NAME_TEXT], time[NUMBER_TEXT];

    for (size_t i = 0; h && i < h->n; i++) {
        const struct health_target *t = &h->targets[i];

        if (t->is_down && n++ < DOWN_SHOWN)
            problem(list, true, "health: %s:%u has been down since %s: %s",
                    name_print(&t->target, name), (unsigned)t->port,
                    time_print_local(t->since_ms, time), health_errors[t->error]);
    }
    problem(list, n > DOWN_SHOWN,
            "health: %zu more KMS hosts are down: waymarkctl policy show pools", n - DOWN_SHOWN);
    problem(list, left > 0, "health: %zu KMS hosts are not tried: pools have more than %d", left,
            (int)HEALTH_TARGETS);
}

/* What is known of each KMS host. */
static void get_health(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct health *h = d->own->health;
    json_t *list = json_array(), *addresses;
    char text[ADDR_TEXT], name[NAME_TEXT];

    for (size_t i = 0; h && i < h->n; i++) {
        const struct health_target *t = &h->targets[i];

        addresses = json_array();
        for (int k = 0; k < t->n_addresses; k++)
            json_array_append_new(addresses, json_string(addr_print(&t->addresses[k], text)));
        json_array_append_new(
            list,
            json_pack("{s:s,s:i,s:s,s:o?,s:s?,s:o}", "host", name_print(&t->target, name), "port",
                      (int)t->port, "state",
                      t->since_ms == 0 ? "unknown"
                      : t->is_down     ? "down"
                                       : "up",
                      "since", t->since_ms > 0 ? json_integer((json_int_t)t->since_ms) : NULL,
                      "last_error", or_null(health_errors[t->error]), "addresses", addresses));
    }
    control_answer(r, 200, json_pack("{s:o}", "hosts", list));
}

static void find_failing(const struct daemon *, const json_t *stats, json_t *problems);

static void get_status(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct settings *s = d->newest;
    struct audit_writer_stats audit;
    json_t *listen = json_array(), *reverse = json_array(), *stats = sum_up(d, &audit), *problems,
           *outputs;
    struct store_health h = {.refused = true};
    struct policy_counts counts = {.time_ms = INT64_MAX}; /* without a policy all is older */
    char text[ADDR_TEXT], digest[POLICY_DIGEST_TEXT], zone[SPECIAL_TEXT];
    int without = 0, rc = 0;
    size_t at = 0;
    json_int_t dropped = number_of(stats, d->auditor.writer ? "audit_lost" : "audit_dropped"),
               waiting = number_of(stats, "kms_questions") - number_of(stats, "audit_recorded") -
                         number_of(stats, "audit_counted") - dropped;

    if (d->policy) {
        h = store_health(d->policy);
        rc = policy_store_counts(d->policy, &counts);
    }
    problems = find_problems(d, &h, &counts, rc, stats, &audit, dropped, &without);
    outputs = tell_outputs(d, problems);
    find_down(d, problems);
    find_failing(d, stats, problems);
    while (special_next_reverse(d->own->view, &at, zone))
        json_array_append_new(reverse, json_string(zone));
    for (int i = 0; i < s->server.n_listen; i++)
        json_array_append_new(listen, json_string(addr_print_port(&s->server.listen[i], text)));
    /* clang-format off */
    control_answer(r, 200, json_pack(
        "{s:s,s:s,s:i,s:i,s:I,s:I,s:o,s:i,s:{s:s,s:I,s:I},s:o,"
        "s:{s:b,s:b,s:o?,s:s,s:s?,s:I,s:I,s:i,s:I,s:I,s:I,s:I,s:I},"
        "s:{s:b,s:s?,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o},s:{s:I,s:I,s:I,s:I,s:I},"
        "s:{s:I,s:I,s:I},s:s,s:I,s:I,s:o}",
        "version", PACKAGE_VERSION, "name", s->server.name,
        "pid", (int)getpid(), "user", (int)geteuid(),
        "started", (json_int_t)d->started.wall_ms,
        "uptime_s", (json_int_t)((clock_now().mono_ms - d->started.mono_ms) / 1000),
        "listen", listen, "workers", d->n_workers,
        "settings", "file", d->settings_path ? d->settings_path : SETTINGS_DEFAULT_PATH,
                    "generation", (json_int_t)s->generation,
                    "read", (json_int_t)d->read.wall_ms,
        "local_reverse", reverse,
        "policy", "open", !h.refused && rc != -EIO,
                  "read_only", h.unlocked,
                  "serial", rc == 0 ? json_integer((json_int_t)counts.serial) : NULL,
                  "digest", policy_digest_print(counts.digest, digest),
                  "error", or_null(d->policy_error),
                  "verified", (json_int_t)d->verifier.verified_ms,
                  "faults", (json_int_t)h.faults,
                  "threads_without", without,
                  "networks", (json_int_t)counts.networks,
                  "pools", (json_int_t)counts.pools,
                  "rules", (json_int_t)counts.rules,
                  "suffixes", (json_int_t)counts.suffixes,
                  "approved", (json_int_t)counts.approved,
        "audit", "open", d->auditor.writer != NULL,
                 "error", or_null(d->audit_error),
                 "questions", number_of(stats, "kms_questions"),
                 "recorded", number_of(stats, "audit_recorded"),
                 "counted", number_of(stats, "audit_counted"),
                 "dropped", dropped,
                 "pending", waiting > 0 ? waiting : 0,
                 "bytes", number_of(stats, "audit_store_bytes"),
                 "last_commit", number_of(stats, "audit_last_commit_wall_ms"),
                 "outputs", outputs,
        "cache", "entries", number_of(stats, "cache_entries"),
                 "bytes", number_of(stats, "cache_bytes"),
                 "size", number_of(stats, "cache_size"),
                 "hits", number_of(stats, "cache_lookups_hit"),
                 "misses", number_of(stats, "cache_lookups_missed"),
        "limits", "rate_dropped", number_of(stats, "rate_dropped"),
                  "rate_slipped", number_of(stats, "rate_slipped"),
                  "large_cut", number_of(stats, "large_cut"),
        "kms_mode", mode_names[s->kms.mode],
        "queries", number_of(stats, "queries"), "kms_questions", number_of(stats, "kms_questions"),
        "problems", problems));
    /* clang-format on */
    json_decref(stats);
}

static void add_change(void *context, const char *key, const char *was, const char *is,
                       bool restart)
{
    json_array_append_new(context, json_pack("{s:s,s:s,s:s,s:b}", "key", key, "was", was, "is", is,
                                             "restart", restart));
}

static void post_reload(void *context, struct control_request *r)
{
    struct daemon *d = context;
    json_t *list = json_array();
    struct diags problems = {0};

    if (daemon_reload(d, add_change, list, &problems) == 0) {
        control_answer(r, 200,
                       json_pack("{s:o,s:I}", "changed", list, "generation",
                                 (json_int_t)d->newest->generation));
    } else {
        json_array_clear(list);
        for (size_t i = 0; i < problems.n; i++)
            json_array_append_new(list, json_string(problems.list[i]));
        control_answer(r, 400,
                       json_pack("{s:s,s:o}", "error",
                                 "the settings have problems; nothing was changed", "problems",
                                 list));
    }
    diags_fini(&problems);
}

struct cached {
    const struct settings *settings;
    struct now now;
    json_t *entries;
};

static bool add_cached(void *context, const struct cache_key *key, const struct cache_facts *f,
                       const uint8_t *image, size_t len)
{
    static const char *const kinds[VERDICTS] = {[VERDICT_PRESENT] = "positive",
                                                [VERDICT_NODATA] = "nodata",
                                                [VERDICT_NXDOMAIN] = "nxdomain"};
    const struct cached *c = context;
    const struct settings *s = c->settings;
    bool failed = (key->bits & CACHE_FAILURE) != 0 || kinds[f->verdict] == NULL;
    bool expired = f->expires_ms <= c->now.mono_ms;
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], server[ADDR_TEXT], zone[NAME_TEXT];
    const char *route = NULL;

    for (int i = 0; i < s->n_routes && route == NULL; i++)
        if (s->routes[i].id == key->scope)
            route = name_print(&s->routes[i].zone, zone);
    json_array_append_new(
        c->entries,
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:b,s:b,s:b,s:b,s:o,s:s?,s:s?}", "name",
                  name_print(key->name, name), "type", type_print(key->type, type), "rcode",
                  f->verdict == VERDICT_TIMEOUT ? "timeout" : rcode_print(f->rcode, rcode), "kind",
                  failed ? "failure" : kinds[f->verdict], "ttl_s",
                  (json_int_t)(expired ? 0 : (f->expires_ms - c->now.mono_ms) / 1000), "age_s",
                  (json_int_t)((c->now.mono_ms - f->stored_ms) / 1000), "expired", expired, "stale",
                  real_is_stale(s, key, f, c->now), "dnssec", (key->bits & CACHE_DO) != 0, "cd",
                  (key->bits & CACHE_CD) != 0, "records",
                  explain_records(image, len, SECTION_ANSWER, SECTION_ADDITIONAL), "server",
                  addr_is(&f->server, ADDR_ANY) ? NULL : addr_print_port(&f->server, server),
                  "route", route));
    return true;
}

static void get_cache(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const char *type_text = json_string_value(json_object_get(r->arguments, "type"));
    struct cached cached = {d->newest, clock_now(), json_array()};
    struct name name;
    uint16_t type = 0;

    if (name_parse(&name, r->rest) != 0) {
        control_refuse(r, 400, "not a domain name: %s", r->rest);
    } else if (type_text && type_parse(&type, type_text) != 0) {
        control_refuse(r, 400, "not a record type: %s", type_text);
    } else {
        name_fold(&name);
        cache_each(d->cache, &(struct cache_select){.name = &name, .type = type},
                   cached.now.mono_ms, add_cached, &cached);
        if (json_array_size(cached.entries) > 0)
            control_answer(r, 200, json_pack("{s:O}", "entries", cached.entries));
        else
            control_refuse(r, 404, "nothing is cached at %s", r->rest);
    }
    json_decref(cached.entries);
}

/* What there is, by kind, and how many of the questions it answered. */
static void get_cache_stats(void *context, struct control_request *r)
{
    static const struct {
        const char *kind, *entries, *bytes;
    } kinds[] = {{"positive", "cache_positive", "cache_positive_bytes"},
                 {"nodata", "cache_nodata", "cache_nodata_bytes"},
                 {"nxdomain", "cache_nxdomain", "cache_nxdomain_bytes"},
                 {"failure", "cache_failures", "cache_failures_bytes"},
                 {"decision", "cache_decisions", "cache_decisions_bytes"}};
    const struct daemon *d = context;
    const struct keeper *k = &d->keeper;
    struct audit_writer_stats audit;
    json_t *stats = sum_up(d, &audit), *list = json_array();
    json_int_t hits = number_of(stats, "cache_hits"), misses = number_of(stats, "cache_misses");
    double rate = hits > 0 ? 100.0 * (double)hits / (double)(hits + misses) : 0;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        json_array_append_new(list, json_pack("{s:s,s:I,s:I}", "kind", kinds[i].kind, "entries",
                                              number_of(stats, kinds[i].entries), "bytes",
                                              number_of(stats, kinds[i].bytes)));
    control_answer(
        r, 200,
        json_pack("{s:I,s:I,s:I,s:o,s:I,s:I,s:I,s:o?,s:{s:s?,s:o?,s:s?}}", "entries",
                  number_of(stats, "cache_entries"), "bytes", number_of(stats, "cache_bytes"),
                  "size", number_of(stats, "cache_size"), "kinds", list, "hits", hits, "misses",
                  misses, "stale", number_of(stats, "cache_stale"), "hit_rate",
                  hits + misses > 0 ? json_real((double)(int)(10 * rate + 0.5) / 10) : NULL,
                  "snapshot", "file", k->cache ? k->path : NULL, "written",
                  k->written_ms > 0 ? json_integer((json_int_t)k->written_ms) : NULL, "error",
                  or_null(k->error)));
    json_decref(stats);
}

static void post_cache_flush(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const char *text = NULL;
    int all = 0, below = 0;
    struct name name;
    size_t n;

    if (json_unpack(r->arguments, "{s?s,s?b,s?b}", "name", &text, "below", &below, "all", &all) !=
            0 ||
        (!all && (text == NULL || name_parse(&name, text) != 0))) {
        control_refuse(r, 400, "needs {\"name\": NAME, \"below\": BOOL} or {\"all\": true}");
        return;
    }
    if (!all)
        name_fold(&name);
    keeper_forget(&d->keeper);
    n = cache_flush(d->cache, all ? NULL : &name, all || below);
    control_answer(r, 200, json_pack("{s:I}", "flushed", (json_int_t)n));
}

/* What is known of a server belongs to each worker: so one after the other adds it up, in its own
 * thread, while the main thread waits. */
struct visit {
    const struct settings *generation;
    bool now; /* a server that is down and not probed any more is not known */
    json_t *routes;
    sem_t done;
};

/* What the newest error of a server was, in words. */
static const char *tell_error(const struct upstream *u, char text[ADDR_TEXT + 64])
{
    char address[ADDR_TEXT];
    int error = u->report.last_error;

    if (error >= TLS_ERRORS) {
        snprintf(text, ADDR_TEXT + 64, "TLS: %s", tls_error_text(error));
        return text;
    }
    if (error >= 1000)
        return rcode_print((uint16_t)(error - 1000), text);
    if (error != EADDRNOTAVAIL || addr_is(&u->source, ADDR_ANY))
        return strerror(abs(error));
    snprintf(text, ADDR_TEXT + 64, "%s is not an address of this machine",
             addr_print(&u->source, address));
    return text;
}

/* The server was found to lack that by one of the workers. */
static void tell_habit(json_t *o, const char *habit, bool has)
{
    json_t *list = json_object_get(o, "without"), *known;
    size_t i;

    json_array_foreach(list, i, known) has = has && strcmp(json_string_value(known), habit) != 0;
    if (has)
        json_array_append_new(list, json_string(habit));
}

/* 0 is no number. */
static void put_least(json_t *o, const char *name, json_int_t number)
{
    json_int_t is = number_of(o, name);

    if (number != 0 && (is == 0 || number < is))
        json_object_set_new(o, name, json_integer(number));
}

static void tell_server(json_t *o, const struct upstream *u, uint64_t now_ms)
{
    static const char *const states[] = {"unknown", "up", "down"};
    const struct upstream_report *r = &u->report;
    const char *state = json_string_value(json_object_get(o, "state"));
    unsigned is = 0;
    char text[ADDR_TEXT + 64];

    if (state == NULL) /* out of memory */
        return;
    add_numbers(o, upstream_names, &r->queries);
    while (strcmp(state, states[is]) != 0)
        is++;
    /* A server that one worker has found up is up; and what is known, is since the first knew. */
    if (is != r->state && (r->state == UPSTREAM_UP || is == UPSTREAM_UNKNOWN)) {
        is = r->state;
        json_object_set_new(o, "since", json_integer(0));
    }
    json_object_set_new(o, "state", json_string(states[is]));
    if (is == r->state && is != UPSTREAM_UNKNOWN)
        put_least(o, "since", (json_int_t)r->since_ms);
    put_least(o, "rtt_ms", r->rtt_ms);
    if (r->last_error != 0)
        json_object_set_new(o, "last_error", json_string(tell_error(u, text)));
    tell_habit(o, "EDNS", u->no_edns.until_ms > now_ms);
    tell_habit(o, "case", u->no_case.until_ms > now_ms);
    tell_habit(o, "TLS", u->no_tls.until_ms > now_ms);
}

static void visit_worker(struct worker *w, void *arg)
{
    static const struct upstream nothing;
    struct visit *v = arg;
    const struct route *r = v->generation->routes;
    const uint64_t now_ms = clock_now().mono_ms;

    for (size_t i = 0; i < json_array_size(v->routes); i++, r++)
        for (int k = 0; k < r->n_servers; k++) {
            const struct upstream *u = forwarder_upstream(w->forwarder, r, k);
            json_t *servers = json_object_get(json_array_get(v->routes, i), "servers");

            if (u == NULL ||
                (v->now && u->report.state == UPSTREAM_DOWN && u->probe_timer.at_ms == 0))
                u = &nothing;
            tell_server(json_array_get(servers, (size_t)k), u, now_ms);
        }
    sem_post(&v->done);
}

/* What the workers know of the servers of each route. */
static json_t *tell_upstreams(const struct daemon *d, bool now)
{
    struct visit v = {.generation = d->newest, .now = now, .routes = json_array()};
    const struct route *r = d->newest->routes;
    char zone[NAME_TEXT], domain[NAME_TEXT], address[ADDR_TEXT], from[ADDR_TEXT];
    struct name loop;

    for (const struct route *end = r + d->newest->n_routes; r < end; r++) {
        const char *tls = r->tls != TLS_OFF ? tls_modes[r->tls] : NULL;
        json_t *o = json_object(), *servers = json_array();

        json_object_set_new(o, "zone", json_string(name_print(&r->zone, zone)));
        json_object_set_new(o, "strategy", json_string(strategies[r->strategy]));
        json_object_set_new(o, "timeout_ms", json_integer(r->timeout_ms));
        for (int k = 0; k < r->n_servers; k++) {
            const struct addr *source = route_source(r, &r->servers[k]);
            bool loops;

            addr_print_port(&r->servers[k], address);
            if (source)
                addr_print(source, from);
            loops = (loop_look(d->loops, &r->servers[k], NULL, clock_now().mono_ms, &loop) &
                     LOOP_KNOWN) != 0;
            if (loops)
                name_print(&loop, domain);
            json_array_append_new(servers,
                                  json_pack("{s:s,s:s?,s:s?,s:s,s:n,s:i,s:n,s:s?,s:[]}", "address",
                                            address, "source", source ? from : NULL, "tls", tls,
                                            "state", "unknown", "since", "rtt_ms", 0, "last_error",
                                            "loop", loops ? domain : NULL, "without"));
        }
        json_object_set_new(o, "servers", servers);
        json_array_append_new(v.routes, o);
    }
    sem_init(&v.done, 0, 0);
    visit_worker(d->own, &v);
    for (int i = 0; i <= d->n_workers; i++) {
        while (sem_wait(&v.done) != 0) /* a signal came */
            ;
        if (i < d->n_workers)
            worker_post(d->workers[i], visit_worker, &v);
    }
    return v.routes;
}

static void get_upstreams(void *context, struct control_request *r)
{
    control_answer(r, 200, json_pack("{s:o}", "routes", tell_upstreams(context, false)));
}

/* Servers that ask us what we ask them, and routes of which no server is up. Where no question to a
 * server ever failed, no worker is waited for. */
static void find_failing(const struct daemon *d, const json_t *stats, json_t *problems)
{
    json_t *routes, *route, *server;
    size_t i, k;
    char time[NUMBER_TEXT];

    if (number_of(stats, "upstream_loops") + number_of(stats, "upstream_timeouts") +
            number_of(stats, "upstream_errors") ==
        0)
        return;
    routes = tell_upstreams(d, true);
    json_array_foreach(routes, i, route)
    {
        const json_t *last = NULL; /* that was up */
        bool is_down = true;

        json_array_foreach(json_object_get(route, "servers"), k, server)
        {
            const char *domain = json_string_value(json_object_get(server, "loop"));
            const char *address = json_string_value(json_object_get(server, "address"));
            const char *state = json_string_value(json_object_get(server, "state"));

            problem(problems, domain != NULL,
                    "forward: %s asks us for names of %s, for which we ask it: a loop; give this "
                    "zone a route of its own, or take it from what that server forwards",
                    address, domain);
            is_down = is_down && state && strcmp(state, "down") == 0;
            if (number_of(server, "since") > number_of(last, "since"))
                last = server;
        }
        problem(
            problems, is_down && last,
            "forward: no server of route %s has answered since %s: %s; see waymarkctl upstreams",
            json_string_value(json_object_get(route, "zone")),
            time_print_local((uint64_t)number_of(last, "since"), time),
            json_string_value(json_object_get(last, "last_error")));
    }
    json_decref(routes);
}

/* name, type (SRV), client (127.0.0.1), verdict (none: ask) and dnssec (no) come as query
 * arguments or in the body. When the real DNS must be asked, the request waits for the
 * main thread's own forwarder. */
struct waiting {
    struct daemon *daemon;
    struct control_request *request;
    struct explain explain;
};

/* came: what the servers said; NULL: they are asked if they must be. The settings may have
 * changed while it waited: all is found anew. */
static void answer_explain(void *context, const struct real *came)
{
    struct waiting *w = context;
    const struct worker *own = w->daemon->own;
    struct view *v = own->view;
    json_t *explained = explain_run(&w->explain, v, came, clock_now());

    view_policy_end(v);
    if (explained)
        control_answer(w->request, 200, explained);
    else if (came)
        control_refuse(w->request, 503,
                       "the real DNS was not asked: the daemon is busy or is stopping; try again");
    else if (forwarder_ask(own->forwarder, v, &w->explain.q, answer_explain, w))
        return;
    else
        control_refuse(w->request, 503,
                       "too many questions are waiting for the real DNS; try again");
    free(w);
}

static void explain_question(void *context, struct control_request *r)
{
    const char *name = "", *type = NULL, *client = NULL, *verdict = NULL, *dnssec = "no";
    struct waiting *w = malloc(sizeof *w);
    struct diags d = {0};

    if (w == NULL) {
        control_refuse(r, 503, "out of memory");
        return;
    }
    w->daemon = context;
    w->request = r;
    if (json_unpack(r->arguments, "{s:s,s?s,s?s,s?s,s?s}", "name", &name, "type", &type, "client",
                    &client, "verdict", &verdict, "dnssec", &dnssec) != 0)
        diags_tell(&d, "name is missing: which question is to be explained?");
    else if (explain_read(&w->explain, name, type, client, verdict, &d) == 0 &&
             bool_parse(&w->explain.dnssec, dnssec) != 0)
        diags_tell(&d, "dnssec is yes or no: %s", dnssec);
    if (d.n > 0) {
        control_refuse(r, 400, "%s", d.list[0]);
        free(w);
    } else {
        answer_explain(w, NULL);
    }
    diags_fini(&d);
}

const struct control_route daemon_routes[] = {
    {"GET", "/v1/status", get_status},
    {"GET", "/v1/stats", get_stats},
    {"GET", "/v1/upstreams", get_upstreams},
    {"GET", "/v1/health", get_health},
    {"GET", "/v1/cache", get_cache_stats},
    {"GET", "/v1/cache/", get_cache},
    {"GET", "/v1/explain", explain_question},
    {"POST", "/v1/explain", explain_question},
    {"POST", "/v1/reload", post_reload},
    {"POST", "/v1/cache/flush", post_cache_flush},
    {NULL, NULL, NULL},
};
