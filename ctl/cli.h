/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.h -- the command line: words and options in, a verb with its arguments
 * out. Everything it knows about verbs comes from their tables.
 */
#ifndef CTL_CLI_H
#define CTL_CLI_H

#include <stdio.h>

#include "ctl/ctl.h"

enum { CLI_ASSIGNS = 64, CLI_NAME = 64 };

struct cli {
    const struct ctl_verb *const *tables; /* as in verbs.h */
    const char *file;                     /* -c, or NULL */
    const char *assign[CLI_ASSIGNS + 1];  /* -o, ended by NULL */
};

/* Options that every verb takes: lists as in struct ctl_verb. */
extern const struct ctl_option cli_options[];

enum { CLI_RUN = -1 };

/* Reads the line into c (verb, argc, argv, given, format) and cli. CLI_RUN: the
 * verb is to be run; else the exit code, all that is to be said being said.
 * c->argv is to be freed either way; its texts belong to argv. */
int cli_parse(struct cli *, struct ctl *c, int argc, char **argv);
int cli_main(const struct ctl_verb *const *tables, int argc, char **argv);

/* The words that call a verb: "policy fill". */
const char *cli_name(const struct ctl_verb *, char out[CLI_NAME]);

/* ctl/cli_help.c. All verbs; those of a noun; one verb with its options. */
void cli_help(FILE *, const struct ctl_verb *const *tables);
void cli_help_noun(FILE *, const struct ctl_verb *const *tables, const char *noun);
void cli_help_verb(FILE *, const struct ctl_verb *);
bool cli_is_noun(const struct ctl_verb *const *tables, const char *word);

#endif
