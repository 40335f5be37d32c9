/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run.c -- the table of commands, and those that belong to neither side.
 */
#include "tests/replay/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

bool run_fail(struct run *r, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(r->problem, sizeof r->problem, fmt, args);
    va_end(args);
    return false;
}

bool command_has(const struct command *c, const char *word)
{
    for (int i = 1; i < c->n; i++)
        if (strcmp(c->word[i], word) == 0)
            return true;
    return false;
}

const char *command_get(const struct command *c, const char *key)
{
    size_t n = strlen(key);

    for (int i = 1; i < c->n; i++)
        if (strncmp(c->word[i], key, n) == 0 && c->word[i][n] == '=')
            return c->word[i] + n + 1;
    return NULL;
}

static bool fail_diags(struct run *r, struct diags *d, const char *what)
{
    run_fail(r, "%s: %s", what, d->n > 0 ? d->at[0].text : "refused");
    diags_fini(d);
    return false;
}

static bool run_settings(struct run *r, const struct command *c)
{
    struct diags d;

    diags_init(&d);
    if (!world_settings(r->world, c->block, &d))
        return fail_diags(r, &d, "settings");
    diags_fini(&d);
    return true;
}

static bool run_policy(struct run *r, const struct command *c)
{
    struct diags d;

    diags_init(&d);
    if (!world_policy(r->world, c->block, &d))
        return fail_diags(r, &d, "policy");
    diags_fini(&d);
    return true;
}

static bool run_wait(struct run *r, const struct command *c)
{
    uint64_t ms;

    if (c->n != 2 || duration_parse(&ms, c->word[1]) != 0)
        return run_fail(r, "wait needs a duration, like 300ms");
    io_memory_wait(&r->world->io, ms);
    return true;
}

/* The wall clock is set forward, or back; the monotonic one goes on. */
static bool run_clock(struct run *r, const struct command *c)
{
    struct now *now = &r->world->io.now;
    bool back = command_has(c, "back");
    uint64_t ms;

    if (c->n != 2 + back || duration_parse(&ms, c->word[c->n - 1]) != 0)
        return run_fail(r, "clock needs a duration, like 3h or back 3h");
    now->wall_ms = back ? now->wall_ms - ms : now->wall_ms + ms;
    return true;
}

static bool run_nothing(struct run *r, const struct command *c)
{
    const struct answered *a = r->world->io.answered;
    const struct sent *s = run_next_sent(r, false);
    char text[REPLAY_TEXT];

    (void)c;
    if (s != NULL) {
        char server[ADDR_TEXT];

        return run_fail(r, "a server was asked that should not be: %s",
                        addr_print(&s->server, server));
    }
    if (a == NULL)
        return true;
    if (!text_of_records(a->wire, a->len, text, sizeof text))
        strcpy(text, "(not a message)\n");
    return run_fail(r, "a client was answered that should not be: %s", text);
}

static bool run_count(struct run *r, const struct command *c)
{
#define X(name, help) #name,
    static const char *const names[] = {WORKER_COUNTERS(X)};
#undef X
    const uint64_t *at = (const uint64_t *)(const void *)&r->world->stats;

    for (size_t i = 0; c->n == 3 && i < WORKER_STATS; i++) {
        if (strcmp(names[i], c->word[1]) != 0)
            continue;
        if (at[i] == strtoull(c->word[2], NULL, 10))
            return true;
        return run_fail(r, "%s is %llu", c->word[1], (unsigned long long)at[i]);
    }
    return run_fail(r, "count needs the name of a counter and a number");
}

static bool run_noevent(struct run *r, const struct command *c)
{
    (void)c;
    return r->world->n_events == r->world->events_taken ||
           run_fail(r, "%d events that nobody named", r->world->n_events - r->world->events_taken);
}

static bool run_generations(struct run *r, const struct command *c)
{
    int n = world_generations(r->world);

    if (c->n == 2 && atoi(c->word[1]) == n)
        return true;
    return run_fail(r, "%d generations of settings are in use", n);
}

static bool run_state(struct run *r, const struct command *c)
{
    static const char *const names[] = {"unknown", "up", "down"};
    const struct upstream_report *report;
    enum upstream_state is;
    struct addr server;

    if (c->n != 3 || addr_parse(&server, c->word[1], 53) != 0)
        return run_fail(r, "state needs a server, and unknown, up or down");
    report = forwarder_upstream(r->world->forwarder, &server);
    is = report != NULL ? report->state : UPSTREAM_UNKNOWN;
    return strcmp(names[is], c->word[2]) == 0 || run_fail(r, "the server is %s", names[is]);
}

static const struct {
    const char *name;
    bool (*run)(struct run *, const struct command *);
} commands[] = {
    {"settings", run_settings},
    {"policy", run_policy},
    {"ask", run_ask},
    {"upstream", run_upstream},
    {"give", run_give},
    {"fail", run_fail_socket},
    {"answer", run_answer},
    {"event", run_event},
    {"noevent", run_noevent},
    {"nothing", run_nothing},
    {"wait", run_wait},
    {"count", run_count},
    {"generations", run_generations},
    {"state", run_state},
    {"tries", run_tries},
    {"clock", run_clock},
};

bool run_command(struct run *r, const struct command *c)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, c->word[0]) != 0)
            continue;
        if (r->world->n_views == 0 && commands[i].run != run_settings)
            return run_fail(r, "a scenario begins with settings");
        return commands[i].run(r, c);
    }
    return run_fail(r, "unknown command: %s", c->word[0]);
}

bool run_end(struct run *r)
{
    return run_nothing(r, NULL);
}
