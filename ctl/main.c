/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c -- waymarkctl: the tables of its verbs, in the order in which --help shows them.
 */
#include "ctl/ctl.h"

int main(int argc, char **argv)
{
    static const struct ctl_verb *const tables[] = {ctl_daemon_verbs, ctl_policy_verbs,
                                                    ctl_audit_verbs, ctl_shell_verbs, NULL};

    return cli_main(tables, argc, argv);
}
