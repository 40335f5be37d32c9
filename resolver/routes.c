/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes.c -- the table of the API, and its handlers: each takes the daemon as context and
 * answers its request once. A counter of the workers, the cache or the audit is named in
 * `stats` by its row; `status` picks from these.
 */
#include "resolver/daemon.h"

#include <unistd.h>

#include "audit/store.h"
#include "base/str.h"
#include "resolver/explain.h"

enum { OUTPUT_IDLE_S = 30, DOWN_SHOWN = 10 };

struct number {
    const char *name;
    size_t offset; /* of a uint64_t */
};

/* clang-format off */
static const struct number worker_numbers[] = {
#define X(name) {#name, offsetof(struct worker_stats, name)},
    WORKER_COUNTERS(X)
#undef X
    {NULL, 0}};
static const struct number cache_numbers[] = {
    {"cache_entries", offsetof(struct cache_stats, entries)},
    {"cache_bytes", offsetof(struct cache_stats, bytes)},
    {"cache_size", offsetof(struct cache_stats, size)},
    {"cache_lookups_hit", offsetof(struct cache_stats, hits)},
    {"cache_lookups_missed", offsetof(struct cache_stats, misses)},
    {"cache_lookups_expired", offsetof(struct cache_stats, expired)},
    {"cache_inserts", offsetof(struct cache_stats, inserts)},
    {"cache_replaced", offsetof(struct cache_stats, replaced)},
    {"cache_evicted", offsetof(struct cache_stats, evicted)},
    {"cache_refused", offsetof(struct cache_stats, refused)},
    {"cache_flushed", offsetof(struct cache_stats, flushed)},
    {NULL, 0}};
static const struct number audit_numbers[] = {
#define X(name) {"audit_" #name, offsetof(struct audit_writer_stats, name)},
    AUDIT_WRITER_STATS(X)
#undef X
    {"audit_lost", offsetof(struct audit_writer_stats, dropped)},
    {NULL, 0}};
static const struct number upstream_numbers[] = {
#define X(name, field) {name, offsetof(struct upstream_report, field)},
    X("queries", queries) X("replies", replies)
    X("positive", by_kind[REPLY_POSITIVE]) X("positive", by_kind[REPLY_CNAME])
    X("nodata", by_kind[REPLY_NODATA]) X("nxdomain", by_kind[REPLY_NXDOMAIN])
    X("failures", by_kind[REPLY_FAILURE]) X("failures", by_kind[REPLY_REFERRAL])
    X("timeouts", timeouts) X("errors", errors)
#undef X
    {NULL, 0}};

/* clang-format on */

static json_int_t number_of(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

/* Adds each to what o has under its name; their owner may be at work on them. */
static void add_numbers(json_t *o, const struct number *rows, const void *from)
{
    for (; rows->name != NULL; rows++) {
        const uint64_t *n = (const void *)((const char *)from + rows->offset);

        json_object_set_new(o, rows->name,
                            json_integer(number_of(o, rows->name) +
                                         (json_int_t)__atomic_load_n(n, __ATOMIC_RELAXED)));
    }
}

static json_t *sum_up(const struct daemon *d, struct audit_writer_stats *audit)
{
    json_t *stats = json_object();
    struct cache_stats cache;

    for (int i = 0; i <= d->n_workers; i++)
        add_numbers(stats, worker_numbers, &d->workers[i]->stats);
    cache_stats(d->cache, &cache);
    add_numbers(stats, cache_numbers, &cache);
    *audit = (struct audit_writer_stats){0};
    if (d->auditor.writer != NULL)
        audit_writer_stats(d->auditor.writer, audit);
    add_numbers(stats, audit_numbers, audit);
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

/* What each output of the audit lacks, and which need a person: it failed, or took nothing for
 * long. */
static json_t *tell_outputs(const struct daemon *d, json_t *problems)
{
    struct audit_output_report out[AUDIT_OUTPUTS];
    const int n = d->auditor.writer != NULL ? audit_outputs_report(d->auditor.outputs, out) : 0;
    const uint64_t now_ms = clock_now().wall_ms;
    json_t *list = json_array();

    for (int i = 0; i < n; i++) {
        const struct audit_output_report *p = &out[i];
        const uint64_t idle_s = now_ms > p->moved_ms ? (now_ms - p->moved_ms) / 1000 : 0;

        json_array_append_new(list, json_pack("{s:s,s:I,s:s?,s:I}", "to", p->to, "behind",
                                              (json_int_t)p->behind, "error",
                                              p->error != 0 ? strerror(p->error) : NULL, "moved",
                                              (json_int_t)p->moved_ms));
        problem(problems, p->error != 0,
                "audit: output %s: %s; it lacks %llu records, which are sent when it is back",
                p->to, strerror(p->error), (unsigned long long)p->behind);
        problem(problems, p->error == 0 && p->behind > 0 && idle_s >= OUTPUT_IDLE_S,
                "audit: output %s has taken nothing for %llu s and lacks %llu records: does its "
                "receiver read?",
                p->to, (unsigned long long)idle_s, (unsigned long long)p->behind);
    }
    return list;
}

/* Is the host that the audit calls NAME:PORT approved now? Not known: yes, then no rule acts either. */
static bool is_approved(const struct view *v, const char *text)
{
    struct policy_host h;
    int rc;

    if (host_parse(&h, text) != NULL || !view_policy(v))
        return true;
    store_guarded(rc, v->policy->txn, policy_is_approved(v->policy, &h.target, h.port, NULL));
    return rc != 0;
}

/* The hosts that the real DNS has named within a week, and the policy did not approve: as it is now,
 * or was then and does not now. */
static void find_unapproved(const struct daemon *d, json_t *list)
{
    static const char sql[] = "SELECT name,last FROM host WHERE unapproved>0 AND last>?1-604800000"
                              " ORDER BY last DESC LIMIT 1000";
    const struct view *v = d->own->listen.view;
    json_t *hosts = json_array(), *host;
    struct policy_counts policy = {.time_ms = UINT64_MAX / 2};
    struct audit_store *audit = NULL;
    char now[NUMBER_TEXT];
    const char *newest = NULL, *name;
    size_t i;
    int n = 0;

    snprintf(now, sizeof now, "%llu", (unsigned long long)clock_now().wall_ms);
    if (d->auditor.writer != NULL && audit_store_open(&audit, d->auditor.dir, 0, NULL) == 0)
        (void)audit_query(audit, sql, now, hosts);
    audit_store_close(audit);
    if (d->policy != NULL)
        (void)policy_store_counts(d->policy, &policy);
    json_array_foreach(hosts, i, host)
    {
        name = json_string_value(json_object_get(host, "name"));
        if (number_of(host, "last") > (json_int_t)policy.time_ms || !is_approved(v, name)) {
            newest = newest != NULL ? newest : name;
            n++;
        }
    }
    view_policy_end(v);
    problem(list, n > 0,
            "audit: the real DNS names %d KMS host%s that the policy does not approve, lately %s: "
            "waymarkctl audit targets --unapproved; approve them, or filter them with a rule",
            n, n > 1 ? "s" : "", newest != NULL ? newest : "");
    json_decref(hosts);
}

/* What is wrong with the policy store, its contents, its folder, its readers; with the audit,
 * and with what the machine tells. damaged: decisions; without: how many threads have no policy. */
static json_t *find_problems(const struct daemon *d, const struct store_health *h, int policy_rc,
                             json_int_t damaged, const struct audit_writer_stats *audit,
                             json_int_t dropped, int *without)
{
    const char *dir = d->newest->server.state_dir;
    json_t *list = json_array();
    char full[64];
    int error = 0, n = 0;

    for (int i = 0; i <= d->n_workers; i++) {
        int e = d->workers[i]->policy_error;

        error = e != 0 ? e : error;
        n += e != 0;
    }
    *without = n;
    problem(list, d->policy_error[0] != '\0', "policy: %s", d->policy_error);
    damaged += (json_int_t)h->faults;
    if (d->verifier.found[0] != '\0')
        problem(list, true, "policy: %s", d->verifier.found);
    else if (damaged > 0)
        problem(list, true,
                "policy: %s/policy/data.mdb: %lld reads since the start failed, or met a damaged "
                "record; " STORE_REMEDY,
                dir, (long long)damaged);
    else
        problem(list, policy_rc != 0 && policy_rc != -EUSERS,
                "policy: %s/policy/data.mdb: its state cannot be read: %s; " STORE_REMEDY, dir,
                strerror(-policy_rc));
    problem(list, h->unlocked,
            "policy: %s/policy is read-only here: rules act, and must not be changed "
            "elsewhere; make it writable and restart waymarkd",
            dir);
    snprintf(full, sizeof full, "all %d places for readers were taken", STORE_PLACES);
    problem(list, n > 0,
            "policy: %d of %d threads have no policy since the start: %s; end the other "
            "processes that have %s/policy/lock.mdb open (fuser) and restart waymarkd",
            n, d->n_workers + 1, error == EUSERS ? full : strerror(error), dir);
    problem(list, d->audit_error[0] != '\0', "audit: %s", d->audit_error);
    problem(list, audit->last_error != 0,
            "audit: the last commit failed: %s; events wait in memory",
            strerror(audit->last_error));
    problem(list, dropped != 0, "audit: %lld events were dropped since the start",
            (long long)dropped);
    problem(list, d->machine_error[0] != '\0', "machine: %s", d->machine_error);
    find_unapproved(d, list);
    return list;
}

/* A line for each KMS host that is down, as far as a screen has room. */
static void find_down(const struct daemon *d, json_t *list)
{
    const struct health *h = prober_health(d->prober);
    size_t n = 0, left = h != NULL ? h->left : 0;
    char name[NAME_TEXT], time[NUMBER_TEXT];

    for (size_t i = 0; h != NULL && i < h->n; i++) {
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
    const struct health *h = prober_health(d->prober);
    json_t *list = json_array(), *addresses;
    char text[ADDR_TEXT], name[NAME_TEXT];

    for (size_t i = 0; h != NULL && i < h->n; i++) {
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

static void get_status(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct settings *s = d->newest;
    struct audit_writer_stats audit;
    json_t *listen = json_array(), *reverse = json_array(), *stats = sum_up(d, &audit), *problems,
           *outputs;
    struct store_health h = {.refused = true};
    struct policy_counts counts = {0};
    char text[ADDR_TEXT], digest[POLICY_DIGEST_TEXT], zone[SPECIAL_TEXT];
    int without, rc = 0;
    size_t at = 0;
    json_int_t dropped =
                   number_of(stats, d->auditor.writer != NULL ? "audit_lost" : "audit_dropped"),
               waiting = number_of(stats, "kms_questions") - number_of(stats, "audit_recorded") -
                         number_of(stats, "audit_counted") - dropped;

    if (d->policy != NULL) {
        h = store_health(d->policy);
        rc = policy_store_counts(d->policy, &counts);
    }
    problems = find_problems(d, &h, rc, number_of(stats, "kms_damaged"), &audit, dropped, &without);
    outputs = tell_outputs(d, problems);
    find_down(d, problems);
    while (special_next_reverse(d->own->listen.view, &at, zone))
        json_array_append_new(reverse, json_string(zone));
    for (int i = 0; i < s->server.n_listen; i++)
        json_array_append_new(listen, json_string(addr_print_port(&s->server.listen[i], text)));
    /* clang-format off */
    control_answer(r, 200, json_pack(
        "{s:s,s:s,s:i,s:i,s:I,s:I,s:o,s:i,s:{s:s,s:I,s:I},s:o,"
        "s:{s:b,s:b,s:o?,s:s,s:s?,s:I,s:I,s:i,s:I,s:I,s:I,s:I,s:I},"
        "s:{s:b,s:s?,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o},s:{s:I,s:I,s:I,s:I,s:I},s:s,s:I,s:I,s:o}",
        "version", PACKAGE_VERSION,
        "name", s->server.name,
        "pid", (int)getpid(),
        "user", (int)geteuid(),
        "started", (json_int_t)d->started.wall_ms,
        "uptime_s", (json_int_t)((clock_now().mono_ms - d->started.mono_ms) / 1000),
        "listen", listen,
        "workers", d->n_workers,
        "settings", "file", d->settings_path != NULL ? d->settings_path : SETTINGS_DEFAULT_PATH,
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
        "kms_mode", mode_names[s->kms.mode],
        "queries", number_of(stats, "queries"),
        "kms_questions", number_of(stats, "kms_questions"),
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
    struct diags problems;

    diags_init(&problems);
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

static void add_cached(void *entries, const struct cache_key *key, const struct cache_facts *f,
                       const uint8_t *image, size_t len)
{
    static const char *const kinds[VERDICTS] = {[VERDICT_PRESENT] = "positive",
                                                [VERDICT_NODATA] = "nodata",
                                                [VERDICT_NXDOMAIN] = "nxdomain"};
    const char *kind = kinds[f->verdict] != NULL ? kinds[f->verdict] : "failure";
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], server[ADDR_TEXT];
    uint64_t now_ms = clock_now().mono_ms;

    json_array_append_new(
        entries,
        json_pack(
            "{s:s,s:s,s:s,s:s,s:I,s:I,s:b,s:o,s:s?}", "name", name_print(key->name, name), "type",
            type_print(key->type, type), "rcode",
            f->verdict == VERDICT_TIMEOUT ? "timeout" : rcode_print(f->rcode, rcode), "kind", kind,
            "ttl_s", (json_int_t)(f->expires_ms > now_ms ? (f->expires_ms - now_ms) / 1000 : 0),
            "age_s", (json_int_t)((now_ms - f->stored_ms) / 1000), "expired",
            f->expires_ms <= now_ms, "records", explain_records(image, len, SECTION_ADDITIONAL),
            "server", addr_is(&f->server, ADDR_ANY) ? NULL : addr_print_port(&f->server, server)));
}

static void get_cache(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const char *type_text = json_string_value(json_object_get(r->arguments, "type"));
    json_t *entries = json_array();
    struct name name;
    uint16_t type = 0;

    if (name_parse(&name, r->rest) != 0) {
        control_refuse(r, 400, "not a domain name: %s", r->rest);
    } else if (type_text != NULL && type_parse(&type, type_text) != 0) {
        control_refuse(r, 400, "not a record type: %s", type_text);
    } else {
        name_fold(&name);
        cache_each(d->cache, &name, type, clock_now().mono_ms, add_cached, entries);
        if (json_array_size(entries) > 0)
            control_answer(r, 200, json_pack("{s:O}", "entries", entries));
        else
            control_refuse(r, 404, "nothing is cached at %s", r->rest);
    }
    json_decref(entries);
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
    n = cache_flush(d->cache, all ? NULL : &name, all || below);
    control_answer(r, 200, json_pack("{s:I}", "flushed", (json_int_t)n));
}

/* What is known of a server belongs to each worker. So a visit goes to every worker in its own
 * thread, one after the other, and comes home through the main thread's worker, which answers. */
struct visit {
    struct daemon *d;
    struct control_request *request;
    struct settings *generation;
    int next;       /* worker to visit */
    json_t *routes; /* added up on the way */
};

/* Adds to what is told of the server, the kth of a route. u: NULL, it was never asked. */
static void add_upstream(json_t *servers, size_t k, const struct addr *server,
                         const struct upstream_report *u)
{
    static const char *const states[] = {"unknown", "up", "down"};
    static const struct upstream_report nothing;
    char text[ADDR_TEXT], rcode[TYPE_TEXT];
    json_t *o = json_array_get(servers, k);
    json_int_t rtt_ms = number_of(o, "rtt_ms");

    if (o == NULL) {
        o = json_pack("{s:s,s:s,s:i,s:n}", "address", addr_print_port(server, text), "state",
                      "unknown", "rtt_ms", 0, "last_error");
        json_array_append_new(servers, o);
    }
    u = u != NULL ? u : &nothing;
    add_numbers(o, upstream_numbers, u);
    if (u->state == UPSTREAM_UP ||
        strcmp(json_string_value(json_object_get(o, "state")), "unknown") == 0)
        json_object_set_new(o, "state", json_string(states[u->state]));
    if (u->rtt_ms != 0 && (rtt_ms == 0 || u->rtt_ms < rtt_ms))
        json_object_set_new(o, "rtt_ms", json_integer(u->rtt_ms));
    if (u->last_error != 0)
        json_object_set_new(o, "last_error",
                            json_string(u->last_error >= 1000
                                            ? rcode_print((uint16_t)(u->last_error - 1000), rcode)
                                            : strerror(abs(u->last_error))));
}

/* Runs in each worker's thread in turn, at last in the main thread. */
static void visit_worker(struct worker *w, void *arg)
{
    struct visit *v = arg;
    const struct route *r = v->generation->routes;

    for (size_t i = 0; i < json_array_size(v->routes) && w->listen.forwarder != NULL; i++, r++)
        for (int k = 0; k < r->n_servers; k++)
            add_upstream(json_object_get(json_array_get(v->routes, i), "servers"), (size_t)k,
                         &r->servers[k], forwarder_upstream(w->listen.forwarder, &r->servers[k]));
    if (w != v->d->own) {
        worker_post(v->d->workers[v->next++], visit_worker, v);
        return;
    }
    control_answer(v->request, 200, json_pack("{s:o}", "routes", v->routes));
    generation_release(v->generation);
    free(v);
}

static void get_upstreams(void *context, struct control_request *r)
{
    struct daemon *d = context;
    struct visit *v = malloc(sizeof *v);
    char zone[NAME_TEXT];

    if (v == NULL) {
        control_refuse(r, 503, "out of memory");
        return;
    }
    *v = (struct visit){d, r, d->newest, 1, json_array()};
    atomic_fetch_add(&d->newest->users, 1);
    for (int i = 0; i < d->newest->n_routes; i++)
        json_array_append_new(v->routes,
                              json_pack("{s:s,s:s,s:i,s:[]}", "zone",
                                        name_print(&d->newest->routes[i].zone, zone), "strategy",
                                        "ordered", "timeout_ms",
                                        (int)d->newest->routes[i].timeout_ms, "servers"));
    worker_post(d->workers[0], visit_worker, v);
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
    struct view *v = own->listen.view;
    json_t *explained = explain_run(&w->explain, v, came, clock_now());

    view_policy_end(v);
    if (explained != NULL)
        control_answer(w->request, 200, explained);
    else if (came != NULL)
        control_refuse(w->request, 503,
                       "the real DNS was not asked: the daemon is busy or is stopping; try again");
    else if (forwarder_ask(own->listen.forwarder, v, &w->explain.q, answer_explain, w))
        return;
    else
        control_refuse(w->request, 503,
                       "too many questions are waiting for the real DNS; try again");
    free(w);
}

static void explain_question(void *context, struct control_request *r)
{
    const char *name = NULL, *type = "SRV", *client = "127.0.0.1", *verdict = NULL, *dnssec = "no";
    int rc = json_unpack(r->arguments, "{s?s,s?s,s?s,s?s,s?s}", "name", &name, "type", &type,
                         "client", &client, "verdict", &verdict, "dnssec", &dnssec),
        supposed = verdict != NULL ? str_index(verdict_names, verdict) : VERDICT_NONE;
    struct waiting *w = malloc(sizeof *w);
    struct explain *e;

    if (w == NULL) {
        control_refuse(r, 503, "out of memory");
        return;
    }
    w->daemon = context;
    w->request = r;
    e = &w->explain;
    e->supposed = (enum kms_verdict)supposed;
    if (rc != 0 || name == NULL) {
        control_refuse(r, 400, "name is missing: which question is to be explained?");
    } else if (name_parse(&e->qname, name) != 0) {
        control_refuse(r, 400, "not a domain name: %s", name);
    } else if (type_parse(&e->qtype, type) != 0) {
        control_refuse(r, 400, "not a record type: %s", type);
    } else if (addr_parse(&e->client, client, 0) != 0) {
        control_refuse(r, 400, "not an IP address: %s", client);
    } else if (verdict != NULL && supposed <= VERDICT_NONE) {
        control_refuse(r, 400,
                       "not a verdict: %s; one of nxdomain, nodata, present, unapproved, servfail, "
                       "refused, timeout, other",
                       verdict);
    } else if (verdict != NULL &&
               (!name_is_vlmcs(&e->qname) || (e->qtype != TYPE_SRV && e->qtype != TYPE_ANY))) {
        control_refuse(r, 400, "a verdict is for discovery questions: _vlmcs._tcp.SUFFIX SRV");
    } else if (bool_parse(&e->dnssec, dnssec) != 0) {
        control_refuse(r, 400, "dnssec is yes or no: %s", dnssec);
    } else {
        answer_explain(w, NULL);
        return;
    }
    free(w);
}

const struct control_route daemon_routes[] = {
    {"GET", "/v1/status", get_status},
    {"GET", "/v1/stats", get_stats},
    {"GET", "/v1/upstreams", get_upstreams},
    {"GET", "/v1/health", get_health},
    {"GET", "/v1/cache/", get_cache},
    {"GET", "/v1/explain", explain_question},
    {"POST", "/v1/explain", explain_question},
    {"POST", "/v1/reload", post_reload},
    {"POST", "/v1/cache/flush", post_cache_flush},
    {NULL, NULL, NULL},
};
