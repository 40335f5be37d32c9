/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.h -- the command line: words and options in, a verb with its arguments
 * out. Everything that it knows about verbs comes from their tables.
 */
#ifndef CTL_CLI_H
#define CTL_CLI_H

#include "ctl/ctl.h"

enum { CLI_ASSIGNS = 64, CLI_RUN = -1 };

struct cli {
    const struct ctl_verb *const *tables; /* ended by NULL; each ends with a row without a verb */
    const char *file;                     /* -c, or NULL */
    const char *assign[CLI_ASSIGNS + 1];  /* -o, ended by NULL */
};

/* Options that every verb takes. */
extern const struct ctl_option cli_options[];

/* Reads the line into c (verb, argc, argv, given, format) and cli. CLI_RUN: the
 * verb is to be run; else the exit code, all that is to be said being said.
 * c->argv is to be freed either way; its texts belong to argv. */
int cli_parse(struct cli *, struct ctl *c, int argc, char **argv);
int cli_main(const struct ctl_verb *const *tables, int argc, char **argv);

#endif
