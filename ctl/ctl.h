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
#include <stdio.h>
#include <sys/types.h>

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
    const char *noun, *verb;             /* noun NULL for verbs without one */
    int least, most;                     /* arguments; most -1 = any number */
    const char *arguments;               /* "NAME [TYPE]", or "" */
    const struct ctl_option *options[4]; /* lists, shared and own ones, ended by NULL */
    int (*run)(struct ctl *);            /* returns an exit code */
    const char *help;                    /* one line */
};

enum { CTL_NAME = 64 };

/* The words that call a verb: "policy fill". */
static inline const char *ctl_verb_name(const struct ctl_verb *v, char out[CTL_NAME])
{
    snprintf(out, CTL_NAME, "%s%s%s", v->noun ? v->noun : "", v->noun ? " " : "", v->verb);
    return out;
}

struct ctl {
    const struct ctl_verb *verb;
    struct settings *settings;
    struct now now;
    enum ctl_format format;
    bool colour;     /* stdout is a terminal and NO_COLOR is not set */
    bool stderr_tty; /* for progress */
    bool wide;       /* tables with all their columns */
    size_t width;    /* of the terminal; 0: stdout is none */
    bool yes;        /* --yes: ask nobody */
    uid_t uid;       /* who called */
    int argc;
    char **argv; /* the arguments without options */
    struct {
        const struct ctl_option *option;
        const char *value;
    } given[256];
    int n_given;
};

/* ctl/cli.c: value of the first / the i-th use of an option, or NULL. A flag gives "". */
const char *ctl_option(const struct ctl *, const char *name);
const char *ctl_option_at(const struct ctl *, const char *name, int i);

/* ctl/say.c. What comes as text is printed so that it cannot act on a terminal: control characters,
 * marks that turn the direction of writing and octets that are not UTF-8 become \xNN. */

/* "waymarkctl: " + text on stderr; returns the code, so that a verb can
 * `return ctl_fail(EXIT_NOT_FOUND, "...")`. */
int ctl_fail(enum exit_code, const char *fmt, ...) PRINTF_LIKE(2, 3);
void ctl_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void ctl_note(const char *fmt, ...) PRINTF_LIKE(1, 2); /* progress and remarks: stderr */
/* One line of data on stdout; the line end is added. */
void ctl_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A line of a screen of data: the label (or "": goes on from the line above) in its column, then the
 * template, expanded with fields of the object, which may be missing in another version.
 *   {a}       the text or number at key a ("-": there is none); {a.b} in an object within; {a|x} else x
 *   {a:list}  the texts of an array, by space    {a:time}  ms since 1970, local, or "never"
 *   {a:span}  seconds as "1 d 2 h"               {a:mib}   octets as "1.0"
 *   {a:s}     "" when the number is 1, else "s"
 *   [...]     is left out when a field in it is missing, null, false or empty; {?a} only asks for that */
enum { CTL_LABEL = 10 };
void ctl_show(const char *label, const json_t *object, const char *template);
/* The expanded template; the caller frees. */
char *ctl_expand(const json_t *object, const char *template);
/* "51 ms", "1.5 s", "1 d 2 h". */
void ctl_print_span(FILE *, long long ms);
/* A text without what could act on a terminal; the caller frees. */
char *ctl_clean(const char *text);
/* realloc() and asprintf() that end the program with a message when there is no memory. */
void *ctl_alloc(void *old, size_t size);
char *ctl_text(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Prints the problems; returns EXIT_INVALID. */
int ctl_invalid(const struct diags *);
bool ctl_ask(const struct ctl *,
             const char *question); /* --yes, or a terminal's y; false otherwise */

/* ctl/rights.c. Run as root: opens state files as server.user from here on (makes the state
 * directory if need be); run by others: stays. Exit code 0 or a message. */
int ctl_become_user(struct ctl *);
/* Who changes something: the login uid's name, from /proc/self/loginuid, else SUDO_USER, else the real uid. */
void ctl_author(const struct ctl *, char out[64]);
/* Says why a file of the state directory cannot be opened; with the sudo line when that helps. */
int ctl_store_error(struct ctl *, const char *path, int err);

/* ctl/api.c: the daemon. *out is the parsed body (owned by the caller) also for
 * errors of the API. 0 or an exit code, message printed. post NULL: GET. */
int ctl_api(struct ctl *, const char *path, const json_t *post, json_t **out);
/* The daemon's status, owned by the caller; NULL: it does not answer. No message. */
json_t *ctl_api_status(struct ctl *);

int query_run(struct ctl *); /* ctl/query.c: the verb query */

/* The tables of verbs, each ended by {0}. */
extern const struct ctl_verb ctl_daemon_verbs[], ctl_policy_verbs[], ctl_audit_verbs[];

#endif
