/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes.c -- the table of the API, and what reads or changes the daemon as a
 * whole: status, stats, reload.
 */
#include "resolver/routes.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "resolver/io.h"
#include "resolver/special.h"

const struct control_route daemon_routes[] = {
    {"GET", "/v1/status", routes_status},
    {"GET", "/v1/stats", routes_stats},
    {"GET", "/v1/upstreams", routes_upstreams},
    {"GET", "/v1/cache/", routes_cache_get},
    {"GET", "/v1/explain", routes_explain},
    {"POST", "/v1/explain", routes_explain},
    {"POST", "/v1/reload", routes_reload},
    {"POST", "/v1/cache/flush", routes_cache_flush},
    {NULL, NULL, NULL},
};

static json_t *integer(uint64_t v)
{
    return json_integer((json_int_t)v);
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

void routes_sum(struct daemon *d, struct worker_stats *sum)
{
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < d->n_workers; i++)
        worker_stats_add(sum, worker_stats(d->workers[i]));
    worker_stats_add(sum, worker_stats(d->own));
}

/* Workers that have no place among the store's readers; and why the last has none. */
static int count_without(const struct daemon *d, int *error)
{
    int n = 0;

    for (int i = 0; i <= d->n_workers; i++) {
        int e = worker_policy_error(i < d->n_workers ? d->workers[i] : d->own);

        *error = e != 0 ? e : *error;
        n += e != 0;
    }
    return n;
}

/* What is wrong with the store's contents: the whole of it, or what was met on the way. */
static json_t *damage(const char *dir, const char *found, uint64_t faults, uint64_t damaged, int rc)
{
    if (found[0] != '\0')
        return json_sprintf("policy: %s", found);
    if (faults > 0)
        return json_sprintf("policy: %s/data.mdb: the disk, or damage, broke %llu reads off since "
                            "the start; those questions got what the real DNS said; " POLICY_REMEDY,
                            dir, (unsigned long long)faults);
    if (damaged > 0)
        return json_sprintf("policy: %s/data.mdb: %llu questions since the start needed a damaged "
                            "record and got what the real DNS said; " POLICY_REMEDY,
                            dir, (unsigned long long)damaged);
    return json_sprintf("policy: %s/data.mdb: its state cannot be read: %s; " POLICY_REMEDY, dir,
                        strerror(-rc));
}

static void policy_problems(struct daemon *d, json_t *o, uint64_t damaged, int rc, json_t *problems)
{
    struct policy_health h = policy_store_health(d->shared.policy);
    char dir[512], found[VERIFIER_TEXT] = "", all[64];
    int error = 0, without = count_without(d, &error);
    uint64_t verified = d->verifier != NULL ? verifier_found(d->verifier, found) : 0;

    snprintf(dir, sizeof dir, "%s/policy", d->newest->settings->server.state_dir);
    snprintf(all, sizeof all, "all %d places for readers were taken", POLICY_READERS);
    if (found[0] != '\0' || h.faults > 0 || damaged > 0 || (rc != 0 && rc != -EUSERS))
        json_array_append_new(problems, damage(dir, found, h.faults, damaged, rc));
    if (h.unlocked)
        json_array_append_new(problems,
                              json_sprintf("policy: %s is read-only here: rules act, and must not "
                                           "be changed from elsewhere meanwhile; make it writable "
                                           "and restart waymarkd",
                                           dir));
    if (without > 0)
        json_array_append_new(
            problems,
            json_sprintf("policy: %d of %d threads have no policy since the start: %s; "
                         "no rule acts for who is answered by them; end what else has "
                         "%s/lock.mdb open (fuser shows it) and restart waymarkd",
                         without, d->n_workers + 1, error == EUSERS ? all : strerror(error), dir));
    json_object_set_new(o, "open", json_boolean(!h.refused && rc != -EIO));
    json_object_set_new(o, "verified", integer(verified));
    json_object_set_new(o, "faults", integer(h.faults));
    json_object_set_new(o, "read_only", json_boolean(h.unlocked));
    json_object_set_new(o, "threads_without", json_integer(without));
}

static json_t *policy_status(struct daemon *d, const struct worker_stats *sum, json_t *problems)
{
    struct policy_counts c = {0};
    char digest[16];
    json_t *o = json_object();
    int rc = d->shared.policy != NULL ? policy_store_counts(d->shared.policy, &c) : 0;

    if (d->policy_error[0] != '\0')
        json_array_append_new(problems, json_sprintf("policy: %s", d->policy_error));
    json_object_set_new(o, "open", json_false());
    if (d->shared.policy != NULL)
        policy_problems(d, o, sum->kms_damaged, rc, problems);
    snprintf(digest, sizeof digest, "%08x", (unsigned)(c.digest >> 32));
    json_object_set_new(o, "serial", rc == 0 ? integer(c.serial) : json_null());
    json_object_set_new(o, "digest", json_string(digest));
    json_object_set_new(o, "networks", integer(c.networks));
    json_object_set_new(o, "pools", integer(c.pools));
    json_object_set_new(o, "rules", integer(c.rules));
    json_object_set_new(o, "suffixes", integer(c.suffixes));
    json_object_set_new(o, "approved", integer(c.approved));
    json_object_set_new(o, "error", text_or_null(d->policy_error));
    return o;
}

static json_t *audit_status(struct daemon *d, const struct worker_stats *sum, json_t *problems)
{
    struct audit_writer_stats a = {0};
    json_t *o = json_object();
    uint64_t dropped, known;

    if (d->auditor != NULL)
        auditor_stats(d->auditor, &a);
    dropped = d->auditor != NULL ? a.dropped : sum->audit_dropped;
    known = a.recorded + a.counted + dropped; /* the rest waits: in rings or for a commit */
    if (d->audit_error[0] != '\0')
        json_array_append_new(problems, json_sprintf("audit: %s", d->audit_error));
    if (a.last_error != 0)
        json_array_append_new(
            problems, json_sprintf("audit: the last commit failed: %s; events wait in memory, and "
                                   "are dropped and counted when it is full",
                                   strerror(a.last_error)));
    if (dropped != 0)
        json_array_append_new(problems,
                              json_sprintf("audit: %llu events were dropped since the start",
                                           (unsigned long long)dropped));
    json_object_set_new(o, "open", json_boolean(d->auditor != NULL));
    json_object_set_new(o, "questions", integer(sum->kms_questions));
    json_object_set_new(o, "recorded", integer(a.recorded));
    json_object_set_new(o, "counted", integer(a.counted));
    json_object_set_new(o, "dropped", integer(dropped));
    json_object_set_new(o, "pending",
                        integer(sum->kms_questions > known ? sum->kms_questions - known : 0));
    json_object_set_new(o, "bytes", integer(a.store_bytes));
    json_object_set_new(o, "last_commit", integer(a.last_commit_wall_ms));
    json_object_set_new(o, "error", text_or_null(d->audit_error));
    return o;
}

static json_t *cache_status(struct daemon *d)
{
    struct cache_stats c;
    json_t *o = json_object();

    cache_stats(d->shared.cache, &c);
    json_object_set_new(o, "entries", integer(c.entries));
    json_object_set_new(o, "bytes", integer(c.bytes));
    json_object_set_new(o, "size", integer(c.size));
    json_object_set_new(o, "hits", integer(c.hits));
    json_object_set_new(o, "misses", integer(c.misses));
    return o;
}

static json_t *settings_status(const struct daemon *d)
{
    json_t *o = json_object();

    json_object_set_new(
        o, "file",
        json_string(d->settings_path != NULL ? d->settings_path : settings_default_path()));
    json_object_set_new(o, "generation", integer(d->newest->settings->generation));
    json_object_set_new(o, "read", integer(d->read.wall_ms));
    return o;
}

static void add_zone(void *context, const char *zone)
{
    json_array_append_new(context, json_string(zone));
}

void routes_status(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct settings *s = d->newest->settings;
    json_t *o = json_object(), *listen = json_array(), *problems = json_array(),
           *reverse = json_array();
    struct worker_stats sum;
    char text[ADDR_TEXT];

    routes_sum(d, &sum);
    special_each_reverse(worker_view(d->own), add_zone, reverse);
    for (int i = 0; i < s->server.n_listen; i++)
        json_array_append_new(listen, json_string(addr_print_port(&s->server.listen[i], text)));
    json_object_set_new(o, "version", json_string(PACKAGE_VERSION));
    json_object_set_new(o, "name", json_string(s->server.name));
    json_object_set_new(o, "pid", json_integer(getpid()));
    json_object_set_new(o, "user", integer(geteuid()));
    json_object_set_new(o, "started", integer(d->started.wall_ms));
    json_object_set_new(o, "uptime_s", integer((clock_now().mono_ms - d->started.mono_ms) / 1000));
    json_object_set_new(o, "listen", listen);
    json_object_set_new(o, "workers", json_integer(d->n_workers));
    json_object_set_new(o, "settings", settings_status(d));
    json_object_set_new(o, "local_reverse", reverse);
    json_object_set_new(o, "policy", policy_status(d, &sum, problems));
    json_object_set_new(o, "audit", audit_status(d, &sum, problems));
    json_object_set_new(o, "cache", cache_status(d));
    json_object_set_new(o, "queries", integer(sum.queries));
    json_object_set_new(o, "kms_questions", integer(sum.kms_questions));
    json_object_set_new(o, "kms_mode", json_string(mode_names[s->kms.mode]));
    if (d->machine_error[0] != '\0')
        json_array_append_new(problems, json_sprintf("machine: %s", d->machine_error));
    json_object_set_new(o, "problems", problems);
    control_answer(r, 200, o);
}

void routes_stats(void *context, struct control_request *r)
{
    struct daemon *d = context;
    struct worker_stats sum;
    struct cache_stats c;
    struct audit_writer_stats a = {0};
    json_t *all = json_object();
    const uint64_t *at = (const uint64_t *)(const void *)&sum;

    routes_sum(d, &sum);
    cache_stats(d->shared.cache, &c);
    if (d->auditor != NULL)
        auditor_stats(d->auditor, &a);
    const struct {
        const char *name;
        uint64_t value;
    } others[] = {
        {"cache_entries", c.entries},
        {"cache_bytes", c.bytes},
        {"cache_size", c.size},
        {"cache_lookups_hit", c.hits},
        {"cache_lookups_missed", c.misses},
        {"cache_lookups_expired", c.expired},
        {"cache_inserts", c.inserts},
        {"cache_replaced", c.replaced},
        {"cache_evicted", c.evicted},
        {"cache_refused", c.refused},
        {"cache_flushed", c.flushed},
        {"audit_recorded", a.recorded},
        {"audit_counted", a.counted},
        {"audit_lost", a.dropped},
        {"audit_repeats", a.repeats},
        {"audit_commits", a.commits},
        {"audit_commit_failures", a.commit_failures},
        {"audit_pruned", a.pruned},
        {"audit_pending", a.pending},
        {"audit_store_bytes", a.store_bytes},
    };

    for (size_t i = 0; i < WORKER_STATS; i++)
        json_object_set_new(all, worker_stat_names[i].name, integer(at[i]));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        json_object_set_new(all, others[i].name, integer(others[i].value));
    control_answer(r, 200, json_pack("{s:o}", "stats", all));
}

static void add_change(void *context, const char *key, const char *was, const char *is,
                       bool restart)
{
    json_array_append_new(context, json_pack("{s:s,s:s,s:s,s:b}", "key", key, "was", was, "is", is,
                                             "restart", restart));
}

void routes_reload(void *context, struct control_request *r)
{
    struct daemon *d = context;
    json_t *changed = json_array(), *problems;
    struct diags diags;

    diags_init(&diags);
    if (daemon_reload(d, add_change, changed, &diags) == 0) {
        control_answer(r, 200,
                       json_pack("{s:o,s:I}", "changed", changed, "generation",
                                 (json_int_t)d->newest->settings->generation));
        diags_fini(&diags);
        return;
    }
    json_decref(changed);
    problems = json_array();
    for (size_t i = 0; i < diags.n; i++) {
        const struct diag *at = &diags.at[i];

        json_array_append_new(
            problems, at->line > 0
                          ? json_sprintf("%s:%u:%u: %s", at->file, at->line, at->column, at->text)
                      : at->file != NULL ? json_sprintf("%s: %s", at->file, at->text)
                                         : json_string(at->text));
    }
    diags_fini(&diags);
    control_answer(r, 400,
                   json_pack("{s:s,s:o}", "error",
                             "the settings have problems; nothing was changed", "problems",
                             problems));
}
