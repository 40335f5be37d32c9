/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes.c -- the table of the API, and its handlers: status, stats, upstreams,
 * cache, reload, explain. Each takes the daemon as context and answers its
 * request once.
 *
 * Numbers are rows: a counter of the workers, the cache or the audit is named
 * in `stats` by its row in stat_rows[], a number of `status` in status_rows[].
 */
#include "resolver/daemon.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "resolver/explain.h"
#include "resolver/special.h"
#include "wire/present.h"

enum { MAX_SERVERS = 1024, MAX_ENTRIES = 64, RECORD_TEXT = 4096 };

/* ---- numbers ---- */

struct totals {
    struct worker_stats workers; /* of all of them */
    struct cache_stats cache;
    struct audit_writer_stats audit;
    struct policy_counts policy;
    int policy_error;       /* why these cannot be read */
    uint64_t audit_dropped; /* by the writer, or by the workers when there is none */
    uint64_t audit_waiting; /* questions in rings, or for a commit */
    uint64_t policy_verified, policy_faults, policy_without;
};

struct number {
    const char *object, *name; /* object: the part of `status`; NULL: at the top */
    size_t offset;             /* of a uint64_t in struct totals */
};

#define AT(field) offsetof(struct totals, field)

/* clang-format off */
static const struct number stat_rows[] = {
#define X(name, help) {NULL, #name, AT(workers.name)},
    WORKER_COUNTERS(X)
#undef X
    {NULL, "cache_entries", AT(cache.entries)},
    {NULL, "cache_bytes", AT(cache.bytes)},
    {NULL, "cache_size", AT(cache.size)},
    {NULL, "cache_lookups_hit", AT(cache.hits)},
    {NULL, "cache_lookups_missed", AT(cache.misses)},
    {NULL, "cache_lookups_expired", AT(cache.expired)},
    {NULL, "cache_inserts", AT(cache.inserts)},
    {NULL, "cache_replaced", AT(cache.replaced)},
    {NULL, "cache_evicted", AT(cache.evicted)},
    {NULL, "cache_refused", AT(cache.refused)},
    {NULL, "cache_flushed", AT(cache.flushed)},
    {NULL, "audit_recorded", AT(audit.recorded)},
    {NULL, "audit_counted", AT(audit.counted)},
    {NULL, "audit_lost", AT(audit.dropped)},
    {NULL, "audit_repeats", AT(audit.repeats)},
    {NULL, "audit_commits", AT(audit.commits)},
    {NULL, "audit_commit_failures", AT(audit.commit_failures)},
    {NULL, "audit_pruned", AT(audit.pruned)},
    {NULL, "audit_pending", AT(audit.pending)},
    {NULL, "audit_store_bytes", AT(audit.store_bytes)},
};

static const struct number status_rows[] = {
    {NULL, "queries", AT(workers.queries)},
    {NULL, "kms_questions", AT(workers.kms_questions)},
    {"policy", "networks", AT(policy.networks)},
    {"policy", "pools", AT(policy.pools)},
    {"policy", "rules", AT(policy.rules)},
    {"policy", "suffixes", AT(policy.suffixes)},
    {"policy", "approved", AT(policy.approved)},
    {"policy", "verified", AT(policy_verified)},
    {"policy", "faults", AT(policy_faults)},
    {"policy", "threads_without", AT(policy_without)},
    {"audit", "questions", AT(workers.kms_questions)},
    {"audit", "recorded", AT(audit.recorded)},
    {"audit", "counted", AT(audit.counted)},
    {"audit", "dropped", AT(audit_dropped)},
    {"audit", "pending", AT(audit_waiting)},
    {"audit", "bytes", AT(audit.store_bytes)},
    {"audit", "last_commit", AT(audit.last_commit_wall_ms)},
    {"cache", "entries", AT(cache.entries)},
    {"cache", "bytes", AT(cache.bytes)},
    {"cache", "size", AT(cache.size)},
    {"cache", "hits", AT(cache.hits)},
    {"cache", "misses", AT(cache.misses)},
};

/* clang-format on */

static void add_numbers(json_t *o, const struct totals *t, const struct number *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value;

        memcpy(&value, (const char *)t + rows[i].offset, sizeof value);
        json_object_set_new(rows[i].object != NULL ? json_object_get(o, rows[i].object) : o,
                            rows[i].name, json_integer((json_int_t)value));
    }
}

static void sum_up(struct daemon *d, struct totals *t)
{
    uint64_t *sum = (uint64_t *)(void *)&t->workers, known;

    memset(t, 0, sizeof *t);
    for (int i = 0; i <= d->n_workers; i++) {
        const struct worker *w = i < d->n_workers ? d->workers[i] : d->own;
        const uint64_t *one = (const uint64_t *)(const void *)&w->stats;

        for (size_t k = 0; k < WORKER_STATS; k++)
            sum[k] += __atomic_load_n(&one[k], __ATOMIC_RELAXED);
    }
    cache_stats(d->shared.cache, &t->cache);
    if (d->auditor != NULL)
        auditor_stats(d->auditor, &t->audit);
    if (d->shared.policy != NULL)
        t->policy_error = policy_store_counts(d->shared.policy, &t->policy);
    t->audit_dropped = d->auditor != NULL ? t->audit.dropped : t->workers.audit_dropped;
    known = t->audit.recorded + t->audit.counted + t->audit_dropped;
    t->audit_waiting = t->workers.kms_questions > known ? t->workers.kms_questions - known : 0;
}

static void get_stats(void *context, struct control_request *r)
{
    json_t *all = json_object();
    struct totals t;

    sum_up(context, &t);
    add_numbers(all, &t, stat_rows, ARRAY_LEN(stat_rows));
    control_answer(r, 200, json_pack("{s:o}", "stats", all));
}

/* ---- status ---- */

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void PRINTF_LIKE(2, 3) status_problem(json_t *problems, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    json_array_append_new(problems, json_vsprintf(fmt, args));
    va_end(args);
}

/* What is wrong with the policy store: its contents, its folder, its readers. */
static void policy_problems(struct daemon *d, struct totals *t, const struct store_health *h,
                            json_t *problems)
{
    char dir[512], full[64];
    const char *found = d->verifier.found;
    int error = 0;

    snprintf(dir, sizeof dir, "%s/policy", d->newest->settings->server.state_dir);
    t->policy_verified = d->verifier.verified_ms;
    t->policy_faults = h->faults;
    for (int i = 0; i <= d->n_workers; i++) {
        int e = (i < d->n_workers ? d->workers[i] : d->own)->policy_error;

        error = e != 0 ? e : error;
        t->policy_without += e != 0;
    }
    if (found[0] != '\0')
        status_problem(problems, "policy: %s", found);
    else if (h->faults > 0)
        status_problem(
            problems,
            "policy: %s/data.mdb: %llu reads failed since the start, since the disk failed or "
            "the file is damaged; those questions got what the real DNS said; " STORE_REMEDY,
            dir, (unsigned long long)h->faults);
    else if (t->workers.kms_damaged > 0)
        status_problem(
            problems,
            "policy: %s/data.mdb: %llu questions since the start needed a damaged record "
            "and got what the real DNS said; " STORE_REMEDY,
            dir, (unsigned long long)t->workers.kms_damaged);
    else if (t->policy_error != 0 && t->policy_error != -EUSERS)
        status_problem(problems, "policy: %s/data.mdb: its state cannot be read: %s; " STORE_REMEDY,
                       dir, strerror(-t->policy_error));
    if (h->unlocked)
        status_problem(problems,
                       "policy: %s is read-only here: rules act, and must not be changed from "
                       "elsewhere meanwhile; make it writable and restart waymarkd",
                       dir);
    if (t->policy_without == 0)
        return;
    snprintf(full, sizeof full, "all %d places for readers were taken", STORE_PLACES);
    status_problem(
        problems,
        "policy: %d of %d threads have no policy since the start: %s; no rule acts for "
        "the clients that they answer; end the other processes that have %s/lock.mdb open "
        "(fuser shows them) and restart waymarkd",
        (int)t->policy_without, d->n_workers + 1, error == EUSERS ? full : strerror(error), dir);
}

static void add_zone(void *context, const char *zone)
{
    json_array_append_new(context, json_string(zone));
}

static void get_status(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct settings *s = d->newest->settings;
    const char *file = d->settings_path != NULL ? d->settings_path : settings_default_path();
    json_t *listen = json_array(), *problems = json_array(), *reverse = json_array(), *o;
    struct store_health h = {.refused = true};
    struct totals t;
    char text[ADDR_TEXT], digest[16];

    sum_up(d, &t);
    if (d->policy_error[0] != '\0')
        status_problem(problems, "policy: %s", d->policy_error);
    if (d->shared.policy != NULL) {
        h = store_health(d->shared.policy);
        policy_problems(d, &t, &h, problems);
    }
    snprintf(digest, sizeof digest, "%08x", (unsigned)(t.policy.digest >> 32));
    special_each_reverse(d->own->listen.view, add_zone, reverse);
    for (int i = 0; i < s->server.n_listen; i++)
        json_array_append_new(listen, json_string(addr_print_port(&s->server.listen[i], text)));
    /* clang-format off */
    o = json_pack("{s:s,s:s,s:i,s:i,s:I,s:I,s:o,s:i,s:{s:o?,s:I,s:I},s:o,"
                  "s:{s:b,s:b,s:o?,s:s,s:s?},s:{s:b,s:s?},s:{},s:s}",
                  "version", PACKAGE_VERSION,
                  "name", s->server.name,
                  "pid", (int)getpid(),
                  "user", (int)geteuid(),
                  "started", (json_int_t)d->started.wall_ms,
                  "uptime_s", (json_int_t)((clock_now().mono_ms - d->started.mono_ms) / 1000),
                  "listen", listen,
                  "workers", d->n_workers,
                  "settings", "file", json_string(file),
                              "generation", (json_int_t)s->generation,
                              "read", (json_int_t)d->read.wall_ms,
                  "local_reverse", reverse,
                  "policy", "open", !h.refused && t.policy_error != -EIO,
                            "read_only", h.unlocked,
                            "serial", t.policy_error == 0 ? json_integer((json_int_t)t.policy.serial) : NULL,
                            "digest", digest,
                            "error", or_null(d->policy_error),
                  "audit", "open", d->auditor != NULL, "error", or_null(d->audit_error),
                  "cache",
                  "kms_mode", mode_names[s->kms.mode]);
    /* clang-format on */
    add_numbers(o, &t, status_rows, ARRAY_LEN(status_rows));
    if (d->audit_error[0] != '\0')
        status_problem(problems, "audit: %s", d->audit_error);
    if (t.audit.last_error != 0)
        status_problem(problems,
                       "audit: the last commit failed: %s; events wait in memory, and are dropped "
                       "and counted when it is full",
                       strerror(t.audit.last_error));
    if (t.audit_dropped != 0)
        status_problem(problems, "audit: %llu events were dropped since the start",
                       (unsigned long long)t.audit_dropped);
    if (d->machine_error[0] != '\0')
        status_problem(problems, "machine: %s", d->machine_error);
    json_object_set_new(o, "problems", problems);
    control_answer(r, 200, o);
}

/* ---- reload ---- */

static void add_change(void *context, const char *key, const char *was, const char *is,
                       bool restart)
{
    json_array_append_new(context, json_pack("{s:s,s:s,s:s,s:b}", "key", key, "was", was, "is", is,
                                             "restart", restart));
}

static void post_reload(void *context, struct control_request *r)
{
    struct daemon *d = context;
    json_t *changed = json_array(), *problems = json_array();
    struct diags diags;

    diags_init(&diags);
    if (daemon_reload(d, add_change, changed, &diags) == 0) {
        control_answer(r, 200,
                       json_pack("{s:O,s:I}", "changed", changed, "generation",
                                 (json_int_t)d->newest->settings->generation));
    } else {
        for (size_t i = 0; i < diags.n; i++) {
            char *text = diag_text(&diags.list[i]);

            json_array_append_new(problems, text != NULL ? json_string(text) : NULL);
            free(text);
        }
        control_answer(r, 400,
                       json_pack("{s:s,s:O}", "error",
                                 "the settings have problems; nothing was changed", "problems",
                                 problems));
    }
    json_decref(changed);
    json_decref(problems);
    diags_fini(&diags);
}

/* ---- cache ---- */

struct listing {
    json_t *entries;
    uint64_t now_ms;
};

static void add_cached(void *context, const struct cache_key *key, const struct cache_facts *f,
                       const uint8_t *image, size_t len)
{
    static const char *const kinds[] = {"positive", "nodata", "nxdomain", "referral", "failure"};
    struct listing *l = context;
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], server[ADDR_TEXT], text[RECORD_TEXT];
    uint64_t left_ms = f->expires_ms > l->now_ms ? f->expires_ms - l->now_ms : 0;
    const char *kind = f->reply_kind < ARRAY_LEN(kinds) ? kinds[f->reply_kind] : "other";
    json_t *records;
    struct rr_walk walk;
    struct rr rr;

    if (json_array_size(l->entries) >= MAX_ENTRIES)
        return;
    records = json_array();
    rr_walk_init(&walk, image, len);
    while (rr_walk_next(&walk, &rr))
        if (rr_print(image, len, &rr, text, sizeof text))
            json_array_append_new(records, json_string(text));
    json_array_append_new(
        l->entries,
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:b,s:o,s:s?}", "name", name_print(key->name, name),
                  "type", type_print(key->type, type), "rcode",
                  f->failure && f->rcode == RCODE_TIMEOUT ? "timeout"
                                                          : rcode_print(f->rcode, rcode),
                  "kind", f->failure ? "failure" : kind, "ttl_s", (json_int_t)(left_ms / 1000),
                  "age_s", (json_int_t)((l->now_ms - f->stored_ms) / 1000), "expired",
                  f->expires_ms <= l->now_ms, "records", records, "server",
                  addr_is_any(&f->server) ? NULL : addr_print_port(&f->server, server)));
}

static void get_cache(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const char *type_text = control_argument(r, "type");
    struct listing l = {json_array(), clock_now().mono_ms};
    struct name name;
    uint16_t type = 0;

    if (name_parse(&name, control_rest(r)) != 0) {
        control_refuse(r, 400, "not a domain name: %s", control_rest(r));
    } else if (type_text != NULL && type_parse(&type, type_text) != 0) {
        control_refuse(r, 400, "not a record type: %s", type_text);
    } else {
        name_fold(&name);
        cache_each(d->shared.cache, &name, type, l.now_ms, add_cached, &l);
        if (json_array_size(l.entries) == 0)
            control_refuse(r, 404, "nothing is cached at %s", control_rest(r));
        else
            control_answer(r, 200, json_pack("{s:O}", "entries", l.entries));
    }
    json_decref(l.entries);
}

static void post_cache_flush(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const json_t *body = control_body(r);
    const char *text = control_argument(r, "name");
    bool all = json_is_true(json_object_get(body, "all"));
    struct name name;
    size_t n;

    if (!all && (text == NULL || name_parse(&name, text) != 0)) {
        control_refuse(r, 400, "needs {\"name\": NAME, \"below\": BOOL} or {\"all\": true}");
        return;
    }
    if (!all)
        name_fold(&name);
    n = cache_flush(d->shared.cache, all ? NULL : &name,
                    all || json_is_true(json_object_get(body, "below")));
    control_answer(r, 200, json_pack("{s:I}", "flushed", (json_int_t)n));
}

/* ---- upstreams ---- */

/* What is known of a server belongs to each worker. So a job visits every worker in
 * its own thread, one after the other (no lock, no table touched by two), and comes
 * home through the main thread's worker, which answers. */
struct visit {
    struct daemon *d;
    struct control_request *request;
    struct generation *generation; /* used: its routes are listed */
    int next;                      /* worker to visit */
    int n;
    struct upstream_report reports[]; /* one for each server, routes in order */
};

/* Runs in each worker's thread in turn, at last in the main thread. */
static void visit(struct worker *w, void *arg)
{
    struct visit *job = arg;
    const struct settings *s = job->generation->settings;
    static const char *const states[] = {"unknown", "up", "down"};
    json_t *routes;
    char zone[NAME_TEXT], address[ADDR_TEXT], rcode[TYPE_TEXT];
    int n = 0;

    for (int i = 0; i < job->n && w->listen.forwarder != NULL; i++) {
        struct upstream_report *sum = &job->reports[i];
        const struct upstream_report *one = forwarder_upstream(w->listen.forwarder, &sum->server);

        if (one == NULL)
            continue;
        sum->queries += one->queries;
        sum->replies += one->replies;
        sum->timeouts += one->timeouts;
        sum->errors += one->errors;
        for (int k = 0; k < REPLY_KINDS; k++)
            sum->by_kind[k] += one->by_kind[k];
        if (one->state == UPSTREAM_UP || sum->state == UPSTREAM_UNKNOWN)
            sum->state = one->state;
        if (one->rtt_ms != 0 && (sum->rtt_ms == 0 || one->rtt_ms < sum->rtt_ms))
            sum->rtt_ms = one->rtt_ms;
        if (one->last_error != 0)
            sum->last_error = one->last_error;
    }
    if (w != job->d->own) {
        worker_post(job->next < job->d->n_workers ? job->d->workers[job->next++] : job->d->own,
                    visit, job);
        return;
    }
    routes = json_array();
    for (int i = 0; i < s->n_routes; i++) {
        const struct route *r = &s->routes[i];
        json_t *servers = json_array();

        for (int k = 0; k < r->n_servers && n < job->n; k++) {
            const struct upstream_report *u = &job->reports[n++];
            const uint64_t *kinds = u->by_kind;
            const char *error = u->last_error != 0 ? strerror(abs(u->last_error)) : NULL;

            if (u->last_error >= 1000)
                error = rcode_print((uint16_t)(u->last_error - 1000), rcode);
            /* clang-format off */
            json_array_append_new(servers, json_pack(
                "{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s?}",
                "address", addr_print_port(&u->server, address),
                "state", states[u->state],
                "rtt_ms", (json_int_t)u->rtt_ms,
                "queries", (json_int_t)u->queries,
                "replies", (json_int_t)u->replies,
                "positive", (json_int_t)(kinds[REPLY_POSITIVE] + kinds[REPLY_CNAME]),
                "nodata", (json_int_t)kinds[REPLY_NODATA],
                "nxdomain", (json_int_t)kinds[REPLY_NXDOMAIN],
                "failures", (json_int_t)(kinds[REPLY_FAILURE] + kinds[REPLY_REFERRAL]),
                "timeouts", (json_int_t)u->timeouts,
                "errors", (json_int_t)u->errors,
                "last_error", error));
            /* clang-format on */
        }
        json_array_append_new(routes,
                              json_pack("{s:s,s:s,s:I,s:o}", "zone", name_print(&r->zone, zone),
                                        "strategy", "ordered", "timeout_ms",
                                        (json_int_t)r->timeout_ms, "servers", servers));
    }
    control_answer(job->request, 200, json_pack("{s:o}", "routes", routes));
    generation_release(job->generation);
    free(job);
}

static void get_upstreams(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct settings *s = d->newest->settings;
    struct visit *job = calloc(1, sizeof *job + MAX_SERVERS * sizeof job->reports[0]);

    if (job == NULL) {
        control_refuse(r, 503, "out of memory");
        return;
    }
    *job = (struct visit){.d = d, .request = r, .generation = d->newest};
    for (int i = 0; i < s->n_routes; i++)
        for (int k = 0; k < s->routes[i].n_servers && job->n < MAX_SERVERS; k++)
            job->reports[job->n++].server = s->routes[i].servers[k];
    atomic_fetch_add(&d->newest->users, 1);
    worker_post(d->workers[job->next++], visit, job);
}

/* ---- explain ---- */

/* name, type (SRV), client (127.0.0.1), verdict (none: ask) and dnssec (no) come as query
 * arguments or in the body. When the real DNS must be asked, the request waits for the
 * main thread's own forwarder. */
struct waiting {
    struct daemon *daemon;
    struct control_request *request;
    struct explain explain;
};

/* The settings may have changed while it waited: all is found anew. */
static void on_reply(void *context, const struct real *came)
{
    struct waiting *w = context;
    const struct view *v = w->daemon->own->listen.view;
    json_t *explained = explain_run(&w->explain, v, came, clock_now());

    if (explained != NULL)
        control_answer(w->request, 200, explained);
    else
        control_refuse(w->request, 503,
                       "the real DNS was not asked: the daemon is busy or is stopping; try again");
    view_policy_end(v);
    free(w);
}

/* 0; else the request is answered. */
static int read_question(struct control_request *r, struct explain *e)
{
    const char *name = control_argument(r, "name"), *type = control_argument(r, "type"),
               *client = control_argument(r, "client"), *verdict = control_argument(r, "verdict"),
               *dnssec = control_argument(r, "dnssec");
    int supposed = verdict != NULL ? str_index(verdict_names, verdict) : VERDICT_NONE;

    e->dnssec = dnssec != NULL && strcmp(dnssec, "yes") == 0;
    e->supposed = (enum kms_verdict)supposed;
    if (name == NULL)
        control_refuse(r, 400, "name is missing: which question is to be explained?");
    else if (name_parse(&e->qname, name) != 0)
        control_refuse(r, 400, "not a domain name: %s", name);
    else if (type_parse(&e->qtype, type != NULL ? type : "SRV") != 0)
        control_refuse(r, 400, "not a record type: %s", type);
    else if (addr_parse(&e->client, client != NULL ? client : "127.0.0.1", 0) != 0)
        control_refuse(r, 400, "not an IP address: %s", client);
    else if (verdict != NULL && supposed <= VERDICT_NONE)
        control_refuse(
            r, 400,
            "not a verdict: %s; one of nxdomain, nodata, present, unapproved, servfail, refused, "
            "timeout, other",
            verdict);
    else if (verdict != NULL &&
             (!name_is_vlmcs(&e->qname) || (e->qtype != TYPE_SRV && e->qtype != TYPE_ANY)))
        control_refuse(r, 400, "a verdict is for discovery questions: _vlmcs._tcp.SUFFIX SRV");
    else if (dnssec != NULL && !e->dnssec && strcmp(dnssec, "no") != 0)
        control_refuse(r, 400, "dnssec is yes or no: %s", dnssec);
    else
        return 0;
    return -EINVAL;
}

static void explain_question(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct view *v = d->own->listen.view;
    struct waiting *w = malloc(sizeof *w);
    json_t *explained;

    if (w == NULL) {
        control_refuse(r, 503, "out of memory");
        return;
    }
    w->daemon = d;
    w->request = r;
    if (read_question(r, &w->explain) != 0) {
        free(w);
    } else if ((explained = explain_run(&w->explain, v, NULL, clock_now())) != NULL) {
        control_answer(r, 200, explained);
        free(w);
    } else if (forwarder_resolve(d->own->listen.forwarder, v, &w->explain.q, on_reply, w) != 0) {
        control_refuse(r, 503, "too many questions are waiting for the real DNS; try again");
        free(w);
    }
    view_policy_end(v);
}

const struct control_route daemon_routes[] = {
    {"GET", "/v1/status", get_status},
    {"GET", "/v1/stats", get_stats},
    {"GET", "/v1/upstreams", get_upstreams},
    {"GET", "/v1/cache/", get_cache},
    {"GET", "/v1/explain", explain_question},
    {"POST", "/v1/explain", explain_question},
    {"POST", "/v1/reload", post_reload},
    {"POST", "/v1/cache/flush", post_cache_flush},
    {NULL, NULL, NULL},
};
