/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes_upstreams.c -- GET /v1/upstreams: routes and their servers.
 *
 * What is known of a server belongs to each worker. So a job visits every
 * worker in its own thread, one after the other (no lock, no table touched by
 * two), and comes home through the main thread's worker, which answers.
 */
#include "resolver/routes.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "wire/present.h"

enum { MAX_SERVERS = 1024 };

struct job {
    struct daemon *d;
    struct control_request *request;
    struct generation *generation; /* pinned: its routes are being told */
    int next;                      /* worker to visit */
    int n;
    struct upstream_report at[]; /* one for each server, routes in order */
};

static const char *const state_names[] = {"unknown", "up", "down"};

static void merge(struct upstream_report *sum, const struct upstream_report *one)
{
    sum->queries += one->queries;
    sum->replies += one->replies;
    sum->timeouts += one->timeouts;
    sum->errors += one->errors;
    for (int i = 0; i < REPLY_KINDS; i++)
        sum->by_kind[i] += one->by_kind[i];
    if (one->state == UPSTREAM_UP || sum->state == UPSTREAM_UNKNOWN)
        sum->state = one->state;
    if (one->rtt_ms != 0 && (sum->rtt_ms == 0 || one->rtt_ms < sum->rtt_ms))
        sum->rtt_ms = one->rtt_ms;
    if (one->last_error != 0)
        sum->last_error = one->last_error;
}

static json_t *error_text(int error)
{
    char text[TYPE_TEXT];

    if (error == 0)
        return json_null();
    if (error >= 1000)
        return json_string(rcode_print((uint16_t)(error - 1000), text));
    return json_string(strerror(error < 0 ? -error : error));
}

static json_t *server_json(const struct upstream_report *r)
{
    char text[ADDR_TEXT];

    return json_pack(
        "{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "address",
        addr_print_port(&r->server, text), "state", state_names[r->state], "rtt_ms",
        (json_int_t)r->rtt_ms, "queries", (json_int_t)r->queries, "replies", (json_int_t)r->replies,
        "positive", (json_int_t)(r->by_kind[REPLY_POSITIVE] + r->by_kind[REPLY_CNAME]), "nodata",
        (json_int_t)r->by_kind[REPLY_NODATA], "nxdomain", (json_int_t)r->by_kind[REPLY_NXDOMAIN],
        "failures", (json_int_t)(r->by_kind[REPLY_FAILURE] + r->by_kind[REPLY_REFERRAL]), "timeouts",
        (json_int_t)r->timeouts, "errors", (json_int_t)r->errors, "last_error",
        error_text(r->last_error));
}

static void answer(struct job *job)
{
    const struct settings *s = job->generation->settings;
    json_t *routes = json_array();
    char zone[NAME_TEXT];
    int at = 0;

    for (int i = 0; i < s->n_routes; i++) {
        const struct route *r = &s->routes[i];
        json_t *servers = json_array();

        for (int k = 0; k < r->n_servers && at < job->n; k++)
            json_array_append_new(servers, server_json(&job->at[at++]));
        json_array_append_new(routes,
                              json_pack("{s:s,s:s,s:I,s:o}", "zone", name_print(&r->zone, zone),
                                        "strategy", "ordered", "timeout_ms",
                                        (json_int_t)r->timeout_ms, "servers", servers));
    }
    control_answer(job->request, 200, json_pack("{s:o}", "routes", routes));
    atomic_fetch_sub(&job->generation->pins, 1);
    free(job);
}

/* Runs in each worker's thread in turn, at last in the main thread. */
static void visit(struct worker *w, void *arg)
{
    struct job *job = arg;
    bool home = w == job->d->own;

    for (int i = 0; i < job->n; i++) {
        const struct upstream_report *one =
            forwarder_upstream(worker_forwarder(w), &job->at[i].server);

        if (one != NULL)
            merge(&job->at[i], one);
    }
    if (home) {
        answer(job);
        return;
    }
    while (job->next < job->d->n_workers)
        if (worker_post(job->d->workers[job->next++], visit, job) == 0)
            return;
    (void)worker_post(job->d->own, visit, job);
}

void routes_upstreams(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const struct settings *s = d->newest->settings;
    struct job *job = calloc(1, sizeof *job + MAX_SERVERS * sizeof job->at[0]);

    if (job == NULL) {
        control_refuse(r, 503, "out of memory");
        return;
    }
    *job = (struct job){.d = d, .request = r, .generation = d->newest};
    for (int i = 0; i < s->n_routes; i++)
        for (int k = 0; k < s->routes[i].n_servers && job->n < MAX_SERVERS; k++)
            job->at[job->n++].server = s->routes[i].servers[k];
    atomic_fetch_add(&d->newest->pins, 1);
    if (worker_post(d->workers[job->next++], visit, job) != 0) {
        atomic_fetch_sub(&d->newest->pins, 1);
        free(job);
        control_refuse(r, 503, "too many requests wait; try again");
    }
}
