/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy.h -- what the policy verbs share: the store, files, and the course of a change.
 *
 * A verb that changes something begins, makes a list of changes (policy/change.h) inside the
 * transaction, and finishes: that applies the list, commits, and says what it did. --dry-run is
 * the same without the commit. When something goes, a person is asked with no transaction open;
 * then the same list is applied again, if the serial is still the one that was seen.
 */
#ifndef CTL_POLICY_H
#define CTL_POLICY_H

#include "ctl/ctl.h"
#include "policy/change.h"

/* --- ctl/policy_change.c: the store. Exit codes; the message is printed.
 * STORE_WRITE with --dry-run where there is no store: an empty one that is nowhere. */
int policy_open(struct ctl *, enum store_access, struct store **out);
/* A new one that is nowhere, with that policy. Closing it frees all. */
int policy_open_temporary(struct ctl *, const struct policy *, struct store **out);
/* To read: the policy; or (at) that of a serial, in a store that is nowhere. */
int policy_open_at(struct ctl *, const char *at, struct store **out);
const char *policy_temporary_folder(void); /* $TMPDIR */
/* The whole policy of a serial, of a file, or (NULL) the present one, sorted. serial: or NULL. */
int policy_read(struct ctl *, const char *word, struct policy *out, uint64_t *serial);
/* "cannot WHAT: why" for an error of the store. */
int policy_failed(struct ctl *, const char *what, int err);

/* What the list of the change borrows is in its arena, or stays until the end. With problems
 * nothing is done. The question is asked before it is done ("": nothing goes). is_fill: a rule is
 * told by its clients. */
struct policy_write {
    struct ctl *c;
    struct store *store;
    struct policy_change change;
    struct diags problems;
    struct form form; /* of what the line says, as rows of the text form */
    char question[256];
    char noted[48]; /* what the log says before the rows, or "" */
    bool is_fill, dry;
    const struct policy *was; /* what the rows are told to differ from; NULL: it is a change */
};
/* An exit code; the list is made, and policy_finish() follows, anyway. */
int policy_begin(struct policy_write *, struct ctl *);
#define POLICY_CONFLICT "the policy is at serial %ju, not %ju: nothing is changed"
/* code: of what was done since; not 0, or problems: the change is given up. Frees all. */
int policy_finish(struct policy_write *, int code);

/* What an object of the kind consists of, as text. */
const char *policy_member_print(enum policy_kind, const void *, char out[HOST_TEXT]);
/* Does the rule name the network? "any": is it for every client? */
bool policy_rule_has(const struct policy_rule *, const char *network);

/* What people wrote, which may be anything, as JSON; null for nothing. */
json_t *policy_text(const char *);

struct policy_format;
/* --- ctl/policy_text.c: a file in the text form, "-" is standard input. WHOLE: what its rules name
 * must be in it. An exit code. */
enum policy_form { POLICY_PART, POLICY_WHOLE };
#define policy_file_read(path, form, out)                                                          \
    policy_file_import(NULL, path, &(const struct policy_format *){policy_formats}, form, out)
/* In that format, else (NULL) in the one that it looks like, which is said. c: NULL, or the verb that
 * imports it. */
int policy_file_import(const struct ctl *c, const char *path, const struct policy_format **,
                       enum policy_form, struct policy *out);

/* --- Policies in the forms of other programs: a reader walks the lines of its text and adds rows, of
 * which import.c makes the policy. What stands there beside KMS is counted. */
struct import_row {
    struct suffix *suffix; /* of the policy's arena */
    const struct import_text *host, *head;
};
struct import {
    const struct ctl *c; /* for progress; or NULL */
    const char *file;    /* for problems */
    char *text;          /* borrowed, and changed; ended by NUL */
    size_t len;
    char *at;         /* where the reader is */
    unsigned line;    /* where it is, from 0 */
    const char *pool; /* of rows that name neither pool nor host; or NULL */
    struct diags *problems, *remarks;
    size_t left; /* lines or records that are something else */
    /* Of import.c: */
    struct policy *out;
    void *hosts, *heads; /* trees */
    struct import_row *rows;
    size_t n;
};
struct zone;
struct policy_format {
    const char *name;
    const char *ends;            /* of files' names, each with a blank behind */
    const char *lines[6];        /* a line like one of them tells it (fnmatch(3)); ended by NULL */
    bool joins, is_rpz;          /* lines as in a zone file; of a policy zone */
    bool is_whole;               /* says all that a policy can say */
    bool takes_pool, needs_pool; /* import.pool */
    /* NULL: it is whole, or only written. Of zone_read(): reads a line; why it cannot be. */
    void (*read)(struct import *, const struct policy_format *);
    const char *(*line)(struct zone *, char *line);
    int (*write)(const struct policy *, FILE *); /* the policy is sorted; 0 or -EIO; or NULL */
};
/* ctl/policy_text.c: the first is yaml; ended by a row without a name. What a form cannot say is left
 * out with a word. */
extern const struct policy_format policy_formats[];
/* By name; NULL, and told: there is none that can be read (or written). By what stands in the text,
 * else by the end of the file's name, else yaml. */
const struct policy_format *policy_format_find(const char *name, bool writes);
const struct policy_format *policy_format_guess(const char *path, const char *text, bool has_pool);

/* --- ctl/import.c
 * Reads all of the text. 0; -EINVAL with every problem told; -ENOMEM. */
int import_read(struct import *, const struct policy_format *, struct policy *out);
/* A row, for readers. The suffix is of the policy's arena; the host may be NULL. The head is a rule
 * as far as the row tells it: name, pool, networks (sorted) and comment, each perhaps empty, and
 * line. */
void import_add(struct import *, struct suffix *, const struct policy_host *,
                const struct policy_rule *head);
void import_progress(const struct import *); /* for each line */
/* fill-POOL[-NETWORK...] for the rule; false: it is too long. */
bool import_rule_name(struct policy_rule *);
/* The name that a pool gets from its first host: the first label. */
void import_pool_name(const struct name *target, char out[POLICY_NAME]);

/* --- ctl/policy_show.c: what is suspicious in a policy, as {subject, text}; owned by the caller. */
json_t *policy_findings(const struct policy *, uint64_t now_ms);
/* Says which of the suffixes have no route, so that the default servers tell whether a record is
 * missing: a sentence that the caller frees; NULL: all have one. */
char *policy_unrouted(const struct settings *, const struct policy_rule *);

int policy_restore(struct ctl *);
int policy_diff(struct ctl *);
int policy_show(struct ctl *);
int policy_log(struct ctl *);
int policy_check(struct ctl *);
int policy_test(struct ctl *);

#endif
