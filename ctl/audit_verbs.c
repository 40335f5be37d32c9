/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_verbs.c -- the table of the audit verbs.
 */
#include "ctl/audit.h"

static const struct ctl_option filters[] = {
    {"--since", "T", false, "from this time on: 2026-11-22 09:00, 09:00, 7d (ago)"},
    {"--until", "T", false, "before this time"},
    {"--client", "IP", true, "this client, or the clients of a prefix"},
    {"--network", "NAME", true, "clients of this network, as of their question"},
    {"--suffix", "S", true, "this suffix; *.S: those below it"},
    {"--outcome", "O", true,
     "passed filled replaced filtered denied missing failed blocked update"},
    {"--rule", "NAME", true, "decided by this rule"},
    {"--target", "HOST", true, "this KMS host (:PORT) in the real or in our answer"},
    {"--sort", "COLUMN", false, "order by this column of --csv; +COLUMN rising, -COLUMN falling"},
    {"--limit", "N", false, "at most N rows; 0: all"},
    {"--names", NULL, false, "clients' names, from PTR records as of now"},
    {0},
};
static const struct ctl_option for_clients[] = {
    {"--no-host", NULL, false, "only those that asked and have no host since"}, {0}};
static const struct ctl_option for_events[] = {
    {"-f", NULL, false, "go on with new ones, until interrupted"}, {0}};

const struct ctl_verb ctl_audit_verbs[] = {
    {"audit",
     "summary",
     0,
     0,
     "",
     {filters},
     audit_run_summary,
     "how many asked, and what became of it"},
    {"audit",
     "clients",
     0,
     0,
     "",
     {for_clients, filters},
     audit_run_clients,
     "who asked for a KMS host"},
    {"audit", "client", 1, 1, "IP", {filters}, audit_run_client, "one client's story"},
    {"audit",
     "suffixes",
     0,
     0,
     "",
     {filters},
     audit_run_suffixes,
     "the suffixes that were asked for"},
    {"audit", "targets", 0, 0, "", {filters}, audit_run_targets, "the KMS hosts that were named"},
    {"audit",
     "rules",
     0,
     0,
     "",
     {filters},
     audit_run_rules,
     "the rules that decided, or would have"},
    {"audit",
     "events",
     0,
     0,
     "",
     {for_events, filters},
     audit_run_events,
     "the records; --json: one object a line"},
    {0},
};
