/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl.h -- what every verb of waymarkctl shares: its row in the table of
 * verbs, its options, the exit codes, the way to the stores and the daemon.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/diag.h"
#include "settings/settings.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_NO_DAEMON = 4,
    EXIT_INVALID = 5,
    EXIT_CONFLICT = 6,
    EXIT_PROBLEMS = 7
};

enum ctl_format { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV };

/* One option a verb takes. An option may stand anywhere on the line. */
struct ctl_option {
    const char *name;  /* "--client" */
    const char *value; /* name of its value for --help ("IP"), NULL for a flag */
    bool many;         /* may be repeated */
    const char *help;
};

struct ctl; /* below */

struct ctl_verb {
    const char *noun, *verb; /* noun NULL for verbs without one */
    int least, most;         /* arguments; most -1 = any number */
    const char *arguments;   /* "NAME [TYPE]" */
    const struct ctl_option *const
        *options;             /* lists of options, ended by NULL: shared sets and own ones */
    int (*run)(struct ctl *); /* returns an exit code */
    const char *help;         /* one line */
};

struct ctl {
    const struct ctl_verb *verb;
    struct settings *settings;
    struct now now;
    enum ctl_format format;
    bool colour;     /* stdout is a terminal and NO_COLOR is not set */
    bool stderr_tty; /* for progress */
    int argc;
    char **argv; /* the arguments without options */
    struct {
        const struct ctl_option *option;
        const char *value;
    } given[256];
    int n_given;
};

/* Value of the first / the i-th use of an option, or NULL. A flag gives "". */
const char *ctl_option(const struct ctl *, const char *name);
const char *ctl_option_at(const struct ctl *, const char *name, int i);

/* "waymarkctl: " + text on stderr; return the code, so that a verb can
 * `return ctl_fail(EXIT_NOT_FOUND, "...")`. */
int ctl_fail(enum exit_code, const char *fmt, ...) PRINTF_LIKE(2, 3);
void ctl_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void ctl_note(const char *fmt, ...) PRINTF_LIKE(1, 2); /* progress and remarks: stderr */
/* One line of data on stdout; the line end is added. All of these write what a
 * terminal could act on (control characters, marks that turn the direction of
 * writing, octets that are not UTF-8) as \xNN. */
void ctl_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The same as a copy, which the caller frees. */
char *ctl_clean(const char *text);
/* realloc() that ends the program with a message when there is no memory. */
void *ctl_alloc(void *old, size_t size);
/* asprintf() likewise; the caller frees. */
char *ctl_text(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Prints the problems; returns EXIT_INVALID. */
int ctl_invalid(const struct diags *);

/* Run as root: opens state files as server.user from here on (makes the state
 * directory if need be); run by others: stays. Exit code 0 or a message. */
int ctl_become_user(struct ctl *);
/* Login uid's name (the author of changes), from /proc/self/loginuid, else SUDO_USER, else the real uid. */
void ctl_author(char out[64]);
/* Words that name the sudo line when errno is EACCES/EPERM/EROFS for path. */
int ctl_store_error(struct ctl *, const char *path, int err);
bool ctl_ask(struct ctl *, const char *question); /* --yes, or a terminal's y; false otherwise */

/* The daemon, ctl/api.c. *out is the parsed body (owned by the caller) also for
 * errors of the API. 0 or an exit code, message printed. */
int ctl_api_get(struct ctl *, const char *path, json_t **out);
int ctl_api_post(struct ctl *, const char *path, const json_t *body, json_t **out);
/* Is a daemon there? No message. */
bool ctl_api_alive(struct ctl *, json_t **status);

/* The sets of verbs; ctl/verbs.c joins them. Each ends with {0}. */
extern const struct ctl_verb ctl_daemon_verbs[], ctl_policy_verbs[], ctl_audit_verbs[];

#endif
