/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl.h -- what every verb of waymarkctl shares.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/str.h"
#include "settings/settings.h"
#include "wire/message.h"

/* clang-format off */
enum exit_code { /* 0 to 7, as the manual has them */
    EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_NOT_FOUND,
    EXIT_NO_DAEMON, EXIT_INVALID, EXIT_CONFLICT, EXIT_PROBLEMS
};
/* clang-format on */
enum ctl_format { FORMAT_TABLE, FORMAT_HTML /* of what people read */, FORMAT_JSON, FORMAT_CSV };

struct ctl_option {
    const char *name;  /* "--client" */
    const char *value; /* its name for --help ("IP"), NULL for a flag */
    bool many;         /* may be repeated */
    const char *help;
};

struct ctl;

struct ctl_verb {
    const char *noun, *verb;             /* one word each; or one of them is "" */
    int least, most;                     /* arguments; most -1 = any number */
    const char *arguments;               /* "NAME [TYPE]", or "" */
    const struct ctl_option *options[4]; /* lists, shared and own ones, ended by NULL */
    int (*run)(struct ctl *);            /* returns an exit code */
    const char *help;                    /* one line */
};

struct ctl {
    const struct ctl_verb *const *tables; /* those of cli_main() */
    const struct ctl_verb *verb;
    char called[32]; /* its words: "policy fill" */
    struct settings *settings;
    struct now now;
    enum ctl_format format;
    bool colour;     /* stdout is a terminal and NO_COLOR is not set */
    bool stderr_tty; /* for progress */
    size_t width;    /* of the terminal; 0: stdout is none */
    uid_t uid;       /* who called */
    int argc;
    char **argv; /* the arguments without options, ended by NULL */
    struct {
        const char *name, *value;
        const struct ctl_option *option;
    } given[256];
    int n_given;
};

/* --- ctl/cli.c: the command line */

extern const struct ctl_option cli_options[]; /* that every verb takes */

/* Value of the first / the i-th use of an option, or NULL. A flag gives "". */
const char *ctl_option_at(const struct ctl *, const char *name, int i);
#define ctl_option(c, name) ctl_option_at(c, name, 0)
/* Reads the value of an option, if it is given: a number up to that, or (0) a time. 0, or an exit
 * code. */
int ctl_number(const struct ctl *, const char *name, uint64_t most, uint64_t *out);

/* Runs the verb that the line calls; returns the exit code. tables: ended by NULL; each ends with
 * a row without a verb. */
int cli_main(const struct ctl_verb *const *tables, int argc, char **argv);
extern const struct ctl_verb ctl_shell_verbs[]; /* completion, of all of them */

/* Run as root: opens state files as server.user from here on (makes the state directory if need
 * be); run by others: stays. Exit code 0 or a message. */
int ctl_become_user(const struct ctl *);
/* Who changes something: whoever logged in, else who called sudo, else the real user. */
void ctl_author(const struct ctl *, char out[64]);
/* Refuses --csv for a verb that has no lists: an exit code. */
int ctl_no_csv(const struct ctl *);
/* Says why a file of the state directory cannot be opened; with the sudo line when that helps. */
int ctl_store_error(const struct ctl *, const char *path, int err);

/* --- ctl/print.c: lines. What comes as text is printed so that it cannot act on a terminal: control
 * characters, marks that turn the direction of writing and octets that are not UTF-8 become \xNN. */

/* realloc(), asprintf(), open_memstream() and its fclose() that end the program without memory, as
 * NULL does. */
void *ctl_checked(void *);
void *ctl_alloc(void *old, size_t size);
char *ctl_text(const char *fmt, ...) PRINTF_LIKE(1, 2);
FILE *ctl_open(char **text);
void ctl_close(FILE *, char *const *text);
/* A text that cannot act on a terminal; the caller frees. */
char *ctl_clean(const char *text);

/* One line on stdout or stderr, in the order of the calls; the line end is added. Takes the text.
 * Returns the code, so that a verb can `return ctl_fail(EXIT_NOT_FOUND, "...")`. */
int ctl_say(FILE *, const char *before, int code, char *text);
#define ctl_fail(code, ...) ctl_say(stderr, "waymarkctl: ", code, ctl_text(__VA_ARGS__))
#define ctl_misused(...) ctl_fail(EXIT_USAGE, __VA_ARGS__)
#define ctl_warn(...) ctl_say(stderr, "warning: ", EXIT_DONE, ctl_text(__VA_ARGS__))
#define ctl_note(...) ctl_say(stderr, "", EXIT_DONE, ctl_text(__VA_ARGS__)) /* remarks */
#define ctl_line(...) ctl_say(stdout, "", EXIT_DONE, ctl_text(__VA_ARGS__)) /* data */
/* Prints the problems; returns EXIT_INVALID. */
int ctl_invalid(const struct diags *);
/* --yes, or a terminal's y; false otherwise. */
bool ctl_ask(const struct ctl *, const char *question);

/* A bar on stderr, when that is a terminal, of what has lasted for a second; gone when all is
 * done. Called often, also back by those who know nothing of a struct ctl. */
void ctl_progress(const void *ctl, size_t done, size_t all);

/* A cell of CSV (RFC 4180), and its guard: a text that a spreadsheet would take for a formula, or
 * for a guarded one, gets a ' in front. */
void ctl_cell(FILE *, const char *text, bool is_text);
bool ctl_is_formula(const char *cell); /* with or without such quotes */

/* --- ctl/print.c: screens. A row is a label in its column and a template, which is expanded with
 * fields of what the row is about: an object, or each item of an array, with the label at the
 * first. A row without a text, or about what is not there, is not printed. Templates:
 *   {a}       the value at key a ("-": there is none); {a.b} in an object within; {.} the item
 *             itself; the texts of an array stand beside each other
 *   {a:time}  ms since 1970, local, or "never"    {a:span}  seconds as "1 d 2 h"
 *   {a:mib}   octets as "1.0"                     {a:lines} the texts of an array, each on a line
 *   {a:html}  a text without markup
 *   {?a}      prints nothing: is it there?        {?a=word} is it this word, or number?
 *   [x|y|...] the first of these texts in which no field is missing, null, false or empty
 *   {:20}     blanks up to column 20; a tab ends a column, as wide as the widest of the list */
struct ctl_row {
    const char *label; /* "" goes on from the line above; NULL: none */
    const char *about; /* a path in the object; NULL: the object itself */
    const char *template;
};
void ctl_show(const json_t *object, const struct ctl_row *rows); /* ended by {0} */
char *ctl_expand(const json_t *object, const char *template);    /* the caller frees */

/* --- ctl/print.c: tables. A table prints null as "-". CSV has all columns, and guards texts that
 * begin with = + - @ with a leading '. A table on a terminal that is too narrow for it leaves out
 * columns, those of the highest rank first, and says which; --wide shows all. A column with a
 * rank is also left out when no row has a value for it. */

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER, /* n */
    COLUMN_TIME,   /* time: ms since 1970; table local, else RFC 3339 UTC */
    COLUMN_LIST,   /* list: array of texts */
    COLUMN_SPAN,   /* span: in ms; table "1 d 2 h" */
    COLUMN_FLAG    /* flag: boolean */
};
enum { WIDEST = 9, COLUMNS_MOST = 64 };
struct column {
    const char *key;   /* the field in JSON, the header in CSV */
    const char *title; /* heads the table; NULL: the key in capitals */
    int kind;
    int rank; /* 0: stays; WIDEST: with --wide only */
};
/* Columns of a text, KEY[:KIND][/RANK][=TITLE] and so on with | between; ended by a row without a
 * key. The caller frees. */
struct column *table_columns(const char *text);

/* Prints rows (an array of objects; fields without a column appear in JSON only) as
 * {"plural": [...]}, CSV, a table, or its rows as markup. plural NULL: rows is one object, of which the table is lines
 * "title  value", and JSON the object itself. For JSON the times in rows become texts. */
void table_print(const struct ctl *c, const char *plural, const char *columns, json_t *rows);
void table_print_columns(const struct ctl *c, const char *plural, const struct column *,
                         json_t *rows);
#define table_print_json(value) table_dump_json(value, JSON_INDENT(2))
void table_dump_json(const json_t *, size_t flags);

/* --- ctl/daemon.c, ctl/query.c, and the tables of verbs, each ended by {0} */

/* A socket whose calls end after this time; -errno. */
int ctl_connect(const struct sockaddr *, socklen_t, int type, int timeout_s);
#define ctl_unanswered(at, err)                                                                    \
    ctl_fail(EXIT_NO_DAEMON,                                                                       \
             "waymarkd does not answer at %s: %s; start it with systemctl start waymark", at,      \
             strerror(err))
/* A part of a path of the API; a value is escaped. value NULL: the part is left out. */
struct ctl_part {
    const char *text, *value;
};
#define CTL_PATH(...) ((const struct ctl_part[]){__VA_ARGS__, {0}})
/* Asks the daemon, GET or POST of an object, without a word: the status of HTTP, or -errno; *reply
 * is the caller's, or NULL. What came of it as an exit code, the failure told; EXIT_PROBLEMS: the
 * reply has some. */
int ctl_api(const struct ctl *, const struct ctl_part *path, const json_t *post, int timeout_s,
            json_t **reply);
int ctl_api_result(const struct ctl *, int status, const json_t *reply);
/* Prints the answer that came with that code as JSON, or by its rows (NULL: that is done). Takes
 * the reply; returns the code. */
int ctl_show_reply(const struct ctl *, int code, json_t *reply, const struct ctl_row *rows);
/* What the daemon tells, owned by the caller; NULL: it does not answer. No message. */
json_t *ctl_api_get(const struct ctl *, const char *path);
/* What it knows of KMS hosts, by HOST:PORT; or NULL. */
json_t *ctl_health(const struct ctl *);
/* A question to a DNS server, and its reply as it came: over UDP unless tcp, and again over TCP when
 * the reply is truncated. 0; -ETIMEDOUT; -EBADMSG: no packet was the reply; -errno. */
struct dns_reply {
    uint8_t wire[DNS_MAX_MESSAGE];
    size_t len;
    struct message message;
    bool tcp;    /* it came over TCP */
    uint64_t ms; /* all in all */
};
int dns_look(const struct addr *server, bool tcp, const struct name *, uint16_t type, int timeout_s,
             struct dns_reply *);
/* Where the daemon answers this machine. */
void query_self(const struct ctl *, struct addr *out);
int query_run(struct ctl *);
int backup_run(struct ctl *);
/* --- ctl/explain.c, ctl/doctor.c */
extern const struct ctl_option explain_options[], doctor_options[];
int explain_verb(struct ctl *);
int doctor_run(struct ctl *);
/* What Windows shows, with its story, of an object that audit_windows_json() made. */
#define CTL_WINDOWS_ROWS(object)                                                                   \
    {"Windows", object, "[{code}, |]{text}"}, {"article", object, "{article}: {remedy}"},          \
        {"", object, "on the machine: {slmgr}"},                                                   \
    {                                                                                              \
        "", object, "or PowerShell: {powershell}"                                                  \
    }
/* Explains the discovery question of a suffix, or with a type any question, as the options of the
 * line say, into *out; an exit code. */
int explain_ask(struct ctl *, const char *suffix, const char *type, json_t **out);
extern const struct ctl_verb ctl_daemon_verbs[], ctl_policy_verbs[], ctl_audit_verbs[];

#endif
