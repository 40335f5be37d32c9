/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon_verbs.c -- the table of the verbs that talk to the daemon.
 */
#include "ctl/daemon.h"

static const struct ctl_option query_options[] = {
    {"--tcp", NULL, false, "ask over TCP"},
    {0},
};
static const struct ctl_option explain_options[] = {
    {"--client", "IP", false, "the client that asks (default: this machine)"},
    {"--verdict", "V", false,
     "suppose that the real DNS says V (nxdomain, present, timeout, ...); ask no server"},
    {0},
};
static const struct ctl_option flush_options[] = {
    {"--below", NULL, false, "NAME and all names below it"},
    {"--all", NULL, false, "everything"},
    {0},
};
static const struct ctl_option *const no_options[] = {NULL};
static const struct ctl_option *const query_lists[] = {query_options, NULL};
static const struct ctl_option *const explain_lists[] = {explain_options, NULL};
static const struct ctl_option *const flush_lists[] = {flush_options, NULL};

const struct ctl_verb ctl_daemon_verbs[] = {
    {NULL, "status", 0, 0, "", no_options, daemon_status,
     "the daemon on one screen; ! lines need a person (exit 7)"},
    {NULL, "stats", 0, 0, "", no_options, daemon_stats, "every counter"},
    {NULL, "reload", 0, 0, "", no_options, daemon_reload, "read the settings again"},
    {NULL, "query", 1, 2, "NAME [TYPE]", query_lists, daemon_query,
     "ask the daemon a real question (recorded like any other)"},
    {NULL, "explain", 1, 2, "SUFFIX | NAME TYPE", explain_lists, daemon_explain,
     "what a client would get, and why; leaves no record"},
    {NULL, "upstreams", 0, 0, "", no_options, daemon_upstreams, "routes and their servers"},
    {"cache", "get", 1, 2, "NAME [TYPE]", no_options, daemon_cache_get,
     "what the cache holds for a name"},
    {"cache", "flush", 0, 1, "NAME | --below NAME | --all", flush_lists, daemon_cache_flush,
     "forget it"},
    {0},
};
