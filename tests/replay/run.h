/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run.h -- one scenario while it runs: its world, and what the commands keep.
 */
#ifndef TESTS_REPLAY_RUN_H
#define TESTS_REPLAY_RUN_H

#include "base/compiler.h"
#include "tests/replay/text.h"
#include "tests/replay/world.h"

enum { RUN_WORDS = 16, RUN_ASKS = 64, RUN_TRIES = 64, RUN_PACKET = 4096 };

/* One command of a file: a line, and the indented lines below it. */
struct command {
    unsigned line;
    int n;
    char *word[RUN_WORDS];
    const char *block; /* without the indentation */
};

struct run {
    struct world *world;
    struct ask {
        struct client client;
        uint16_t id;
        size_t len;
        uint8_t wire[RUN_PACKET];
    } asks[RUN_ASKS];
    int n_asks;
    struct sent *tries[RUN_TRIES]; /* those that `upstream` lines have seen */
    int n_tries;
    uint8_t given[RUN_PACKET];
    size_t given_len; /* of `give whole` */
    char problem[REPLAY_TEXT + 512];
};

/* Does the command. False with a sentence in problem. */
bool run_command(struct run *, const struct command *);
/* At the end of a scenario nothing may be left that nobody expected. */
bool run_end(struct run *);

/* Writes the problem; false, so that a command can return it. */
bool run_fail(struct run *, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Is the word among the command's? / what follows "key=", or NULL. */
bool command_has(const struct command *, const char *word);
const char *command_get(const struct command *, const char *key);

/* run_server.c, run_client.c: commands of the table in run.c. */
bool run_upstream(struct run *, const struct command *);
bool run_tries(struct run *, const struct command *);
bool run_give(struct run *, const struct command *);
bool run_fail_socket(struct run *, const struct command *);
struct sent *run_next_sent(struct run *, bool probes_too);
bool run_ask(struct run *, const struct command *);
bool run_answer(struct run *, const struct command *);
bool run_event(struct run *, const struct command *);

#endif
