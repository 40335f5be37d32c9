/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_verbs.c -- the table of the verbs that read and change the policy.
 */
#include "ctl/policy.h"

static const struct ctl_option write_options[] = {
    {"--reason", "TEXT", false, "why, for the log (policy.require-reason may demand it)"},
    {"--author", "TEXT", false, "on whose behalf; the log keeps it besides the login name"},
    {"--dry-run", NULL, false, "say what would change, and change nothing"},
    {"--if-serial", "N", false, "only if the policy is still at serial N (else exit 6)"},
    {"--yes", NULL, false, "do not ask before something is removed"},
    {0},
};
static const struct ctl_option fill_options[] = {
    {"--pool", "POOL", false, "give the hosts of this pool"},
    {"--host", "HOST", true, "give this host: FQDN[:PORT][,priority=N][,weight=N][,address=IP]..."},
    {"--network", "NAME", true, "only clients in this network"},
    {0},
};
static const struct ctl_option pool_options[] = {
    {"--allow-public", NULL, false, "hosts may have public addresses"},
    {0},
};
static const struct ctl_option rule_options[] = {
    {"--suffix", "S", true, "the suffixes: exactly these (add adds)"},
    {"--network", "NAME", true, "the networks: exactly these; any is every client"},
    {"--action", "A", false, "fill, replace, filter, deny or pass"},
    {"--when", "W,...", false, "missing, failed (fill); unapproved (replace)"},
    {"--pool", "POOL", false, "what fill and replace deliver"},
    {"--ttl", "D", false, "of the answers, 30s to 1d"},
    {"--mode", "M", false, "live, shadow or off"},
    {"--from", "T", false, "valid from; none = no limit"},
    {"--until", "T", false, "valid until; none = no limit"},
    {"--break-dnssec", "yes|no", false, "also for clients that check signatures"},
    {"--comment", "TEXT", false, "for people"},
    {0},
};
static const struct ctl_option import_options[] = {
    {"--replace", NULL, false, "the policy becomes this file"},
    {"--merge", NULL, false, "objects of the file replace those of the same name, all else stays"},
    {"--format", "FORMAT", false, "yaml or zone (default: by the name of the file)"},
    {0},
};
static const struct ctl_option export_options[] = {
    {"--format", "FORMAT", false, "yaml or zone"},
    {0},
};
static const struct ctl_option test_options[] = {
    {"--policy", "FILE", false, "try this policy instead of the present one"},
    {0},
};
static const struct ctl_option log_options[] = {
    {"--since", "T", false, "changes since then"},
    {"--rule", "NAME", false, "changes of this rule"},
    {0},
};
static const struct ctl_option show_options[] = {
    {"--limit", "N", false, "at most N rows"},
    {0},
};

#define LISTS(name, ...) static const struct ctl_option *const name[] = {__VA_ARGS__, NULL}
LISTS(write_lists, write_options);
LISTS(fill_lists, fill_options, write_options);
LISTS(pool_lists, pool_options, write_options);
LISTS(rule_lists, rule_options, write_options);
LISTS(import_lists, import_options, write_options);
LISTS(export_lists, export_options);
LISTS(test_lists, test_options);
LISTS(log_lists, log_options);
LISTS(show_lists, show_options);
static const struct ctl_option *const no_lists[] = {NULL};

const struct ctl_verb ctl_policy_verbs[] = {
    {"policy", "show", 0, 2, "[rules | networks | pools | approved | suffixes] [NAME]", show_lists,
     policy_show, "the policy; without a word, a summary"},
    {"policy", "fill", 1, -1, "SUFFIX...", fill_lists, policy_fill,
     "point clients with these suffixes to a pool or host (rule fill-POOL[-NETWORK])"},
    {"policy", "network", 2, -1, "set NAME PREFIX... | add NAME PREFIX... | drop NAME [PREFIX...]",
     write_lists, policy_network, "named sets of clients"},
    {"policy", "pool", 2, -1, "set NAME HOST... | add NAME HOST... | drop NAME [HOST...]",
     pool_lists, policy_pool,
     "named sets of KMS hosts; HOST = FQDN[:PORT][,priority=N][,weight=N][,address=IP]..."},
    {"policy", "rule", 2, -1, "set NAME | add NAME SUFFIX... | drop NAME [SUFFIX...]", rule_lists,
     policy_rule, "rules: set makes or changes one, add and drop change its suffixes"},
    {"policy", "approve", 1, -1, "HOST...", write_lists, policy_approve,
     "accept these hosts where the real DNS names them"},
    {"policy", "unapprove", 1, -1, "HOST...", write_lists, policy_unapprove, "the contrary"},
    {"policy", "edit", 0, 0, "", write_lists, policy_edit,
     "the policy's text in $VISUAL or $EDITOR"},
    {"policy", "import", 1, 1, "FILE", import_lists, policy_import,
     "a policy from a file; - is standard input"},
    {"policy", "export", 0, 0, "", export_lists, policy_export, "the policy as text"},
    {"policy", "check", 0, 1, "[FILE]", no_lists, policy_check_verb,
     "what is probably not meant, in FILE or in the present policy (exit 7)"},
    {"policy", "test", 1, 1, "FILE", test_lists, policy_test,
     "run the tests: of FILE (exit 7 when one fails)"},
    {"policy", "log", 0, 0, "", log_lists, policy_log,
     "changes: serial, time, author, reason, what"},
    {0},
};
