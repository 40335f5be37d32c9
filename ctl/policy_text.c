/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_text.c -- policies as text: `policy import`, `export` and `edit`.
 *
 * A file is read with the rights of whoever called, before anything is opened for writing.
 *
 * The text that is edited lies in a directory of its own (0700). The editor's variable may have
 * arguments, separated by blanks: the shell splits it, and evaluates nothing in it. Unless what
 * was typed was applied or left as it was, the file stays and is named.
 */
#include "ctl/policy.h"

#include <fnmatch.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"

enum { FILE_SIZE = 1 << 30, LOOKED_AT = 1 << 18 /* octets, to recognise it */, LINE = 512 };

static int read_yaml(struct import *in)
{
    int rc;

    policy_fini(in->out);
    rc = policy_text_read(in->out, in->file, in->text, in->len, false, in->problems);
    return rc == -ENOMEM ? rc : 0; /* problems are told */
}

/* clang-format off */
const struct policy_format policy_formats[] = {
    {.name = "yaml", .ends = ".yaml .yml ", .lines = {"waymark-policy*:*"},
     .is_whole = true, .read = read_yaml, .write = policy_text_write},
    {.name = "csv", .ends = ".csv .tsv ", .lines = {"sep=?", "suffix", "suffix[,;\t]*", "*[,;\t\"]suffix", "*[,;\t\"]suffix[,;\t\"]*"},
     .has_header = true, .takes_pool = true, .read = csv_read, .write = csv_write},
    {.name = "dnsmasq", .ends = "", .lines = {"*srv-host*=*"}, .read = zone_read_dnsmasq},
    {.name = "unbound", .ends = "", .lines = {"*local-data:*", "*server:*"}, .read = zone_read_unbound},
    {.name = "rpz", .ends = ".rpz ", .lines = {"*[ \t]cname*[ \t].", "*[ \t]cname*[ \t]\\*.", "*rpz-*", "*rpz*[ \t]soa[ \t]*", "$origin*rpz*"},
     .read = zone_read_rpz},
    {.name = "zone", .ends = ".zone .db .dns ", .lines = {"$origin*", "$ttl*", "*[ \t]srv[ \t]*", "*[ \t]soa[ \t]*"},
     .read = zone_read, .write = zone_write},
    {.name = "publish-list", .ends = "", .takes_pool = true, .needs_pool = true, .read = csv_read_publish_list},
    {.name = "powershell", .ends = "", .write = zone_write_powershell},
    {.name = NULL},
};
/* clang-format on */

const struct policy_format *policy_format_find(const char *name, bool writes)
{
    const char *names[ARRAY_LEN(policy_formats)] = {NULL};
    char meant[DIAG_MEANT];
    size_t n = 0;

    for (const struct policy_format *f = policy_formats; f->name; f++)
        if (writes ? f->write != NULL : f->read != NULL) {
            if (strcmp(f->name, name) == 0)
                return f;
            names[n++] = f->name;
        }
    ctl_fail(EXIT_USAGE, "--format %s is none that can be %s (--help lists them)%s", name,
             writes ? "written" : "read", diag_meant(name, names, meant));
    return NULL;
}

static bool has_line(const struct policy_format *f, const char *text)
{
    const char *at = text + (strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0), *end;
    char line[LINE];

    for (end = at; *at != '\0' && end < text + LOOKED_AT; at = end) {
        end = at + strcspn(at, "\r\n");
        snprintf(line, sizeof line, "%.*s", (int)(end - at), at);
        for (const char *const *like = f->lines; *like; like++)
            if (fnmatch(*like, line, FNM_CASEFOLD) == 0)
                return true;
        if (f->has_header && line[0] != '\0')
            return false;
        end += strspn(end, "\r\n");
    }
    return false;
}

const struct policy_format *policy_format_guess(const char *path, const char *text, bool has_pool)
{
    const struct policy_format *list = policy_formats;
    char end[16] = "-";

    if (strrchr(path, '.'))
        snprintf(end, sizeof end, "%s ", strrchr(path, '.'));
    for (const struct policy_format *f = policy_formats; f->name; f++)
        if (has_line(f, text))
            return f;
    for (const struct policy_format *f = policy_formats; f->name; f++) {
        if (strstr(f->ends, end))
            return f;
        if (has_pool && f->needs_pool)
            list = f;
    }
    return list;
}

/* A file in that format, else (NULL) in the one that it looks like, which is said. c: NULL, or the
 * verb that imports it. */
static int read_policy(const struct ctl *c, const char *path, const struct policy_format **f,
                       bool is_whole, struct policy *out)
{
    const char *pool = c ? ctl_option(c, "--pool") : NULL;
    struct diags problems, remarks;
    struct import in = {.c = c, .pool = pool, .problems = &problems, .remarks = &remarks};
    int rc = file_read(path, FILE_SIZE, &in.text, &in.len), code = 0;

    if (rc != 0)
        return ctl_fail(rc == -ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "cannot read %s: %s", path,
                        strerror(-rc));
    in.file = strcmp(path, "-") == 0 ? "(standard input)" : path;
    if (!*f && (*f = policy_format_guess(path, in.text, pool)) != policy_formats)
        ctl_note("%s is read as %s (--format says otherwise)", in.file, (*f)->name);
    if (pool ? !(*f)->takes_pool : (*f)->needs_pool)
        code = ctl_fail(EXIT_USAGE, "%s names %s", (*f)->name,
                        pool ? "its hosts: --pool is not for it" : "no hosts: give --pool POOL");
    diags_init(&problems);
    diags_init(&remarks);
    if (code == 0)
        rc = import_read(&in, *f, out);
    if (code == 0 && rc == 0 && is_whole && (rc = policy_references(out, &problems)) != 0)
        policy_fini(out);
    if (code == 0 && rc != 0)
        code = rc == -ENOMEM ? ctl_fail(EXIT_FAILED, "out of memory") : ctl_invalid(&problems);
    for (size_t i = 0; code == 0 && i < remarks.n; i++)
        ctl_warn("%s", remarks.list[i]);
    if (code == 0 && remarks.all > remarks.n)
        ctl_warn("%zu more of these are not shown", remarks.all - remarks.n);
    if (code == 0 && in.left > 0)
        ctl_note("%zu other lines or records are left", in.left);
    if (code == 0 && out->n_rules == 0 && !(*f)->is_whole)
        ctl_warn("%s has no suffix and host of KMS in it", in.file);
    diags_fini(&problems);
    diags_fini(&remarks);
    free(in.text);
    return code;
}

int policy_file_read(const char *path, enum policy_form form, struct policy *out)
{
    return read_policy(NULL, path, &(const struct policy_format *){policy_formats},
                       form == POLICY_WHOLE, out);
}

/* The policy of the store becomes, or gets, this one. how_given: else the store must be empty. */
static int put(struct ctl *c, const uint64_t *seen, const struct policy *p, enum policy_how how,
               bool how_given)
{
    struct policy_counts n;
    struct policy_write w;
    int code = policy_begin(&w, c, seen), rc = 0;

    if (code == 0) {
        rc = policy_counts_read(w.change.txn, &n);
        if (rc == 0 && (how_given || n.networks + n.pools + n.rules + n.approved == 0))
            rc = policy_change_make(&w.change, p, how);
        else if (rc == 0)
            code = ctl_fail(
                EXIT_USAGE,
                "there is a policy already: --merge adds this file to it, --replace puts the "
                "file in its place (--dry-run shows what that would change)");
    }
    return policy_finish(&w, rc == 0 ? code : policy_failed(c, "read the policy", rc));
}

int policy_import(struct ctl *c)
{
    bool replace = ctl_option(c, "--replace"), merge = ctl_option(c, "--merge");
    const char *name = ctl_option(c, "--format");
    const struct policy_format *format = name ? policy_format_find(name, false) : NULL;
    enum policy_how how;
    struct policy p;
    int code = name && !format ? EXIT_USAGE : 0;

    if (replace && merge)
        code = ctl_fail(EXIT_USAGE, "--replace and --merge exclude each other");
    if (code == 0)
        code = read_policy(c, c->argv[0], &format, !merge, &p);
    if (code != 0)
        return code;
    how = replace ? POLICY_REPLACE : format->is_whole ? POLICY_MERGE : POLICY_JOIN;
    if (p.n_tests > 0)
        ctl_note("%zu tests are not imported: policy test %s runs them", p.n_tests, c->argv[0]);
    code = put(c, NULL, &p, how, replace || merge);
    policy_fini(&p);
    return code;
}

int policy_export(struct ctl *c)
{
    struct policy p;
    const char *name = ctl_option(c, "--format");
    const struct policy_format *format = policy_format_find(name ? name : "yaml", true);
    int code = format ? 0 : EXIT_USAGE, rc;

    if (code == 0 && c->format != FORMAT_TABLE)
        code = ctl_fail(EXIT_USAGE, "policy export writes --format yaml, csv, zone or powershell; "
                                    "policy show has --json and --csv");
    if (code == 0)
        code = policy_read(c, &p, NULL);
    if (code != 0)
        return code;
    rc = format->write(&p, stdout);
    if (rc == 0 && fflush(stdout) != 0)
        rc = -errno;
    policy_fini(&p);
    return rc == 0 ? 0 : ctl_fail(EXIT_FAILED, "cannot write the policy: %s", strerror(-rc));
}

/* A file is $WAYMARK_EDITED to those that are started. */
static const char editor[] =
    "set -f; ${VISUAL:-${EDITOR:-$(command -v sensible-editor || command -v editor || "
    "command -v nano || echo vi)}} \"$WAYMARK_EDITED\"";
static const char diff[] = "diff -u --label policy --label edited - \"$WAYMARK_EDITED\"";

static char *text_of(const struct policy *p)
{
    char *text;
    FILE *f = ctl_open(&text);

    policy_text_write(p, f);
    ctl_close(f);
    return text;
}

/* The user's editor, else one that is there, until the text is a policy. */
static int edit(struct ctl *c, const char *file, struct policy *out)
{
    int code;

    setenv("WAYMARK_EDITED", file, 1);
    do {
        fflush(NULL);
        code = system(editor);
        if (code != 0)
            return ctl_fail(EXIT_FAILED, "the editor ended with status %d: nothing is changed",
                            code / 256);
        code = policy_file_read(file, POLICY_WHOLE, out);
    } while (code == EXIT_INVALID && !ctl_option(c, "--yes") && isatty(STDIN_FILENO) &&
             ctl_ask(c, "Edit again?"));
    return code;
}

int policy_edit(struct ctl *c)
{
    char *folder, *file, *text, *other = NULL;
    struct store *store;
    struct policy p;
    uint64_t serial;
    size_t len;
    FILE *f;
    int code = policy_open(c, STORE_WRITE, &store); /* who may not write it need not type */

    if (code == 0) {
        store_close(store);
        code = policy_read(c, &p, &serial);
    }
    if (code != 0)
        return code;
    text = text_of(&p);
    policy_fini(&p);
    folder = policy_make_folder("waymark-edit");
    file = ctl_text("%s/policy.yaml", folder);
    f = fopen(file, "wxe");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        code = ctl_fail(EXIT_FAILED, "cannot write %s: %s", file, strerror(errno));
    else
        code = edit(c, file, &p);
    if (code == 0) {
        other = text_of(&p);
        if (strcmp(other, text) == 0) {
            ctl_line("nothing is changed, serial %ju", (uintmax_t)serial);
        } else {
            fflush(NULL);
            signal(SIGPIPE, SIG_IGN); /* diff may be missing, which the shell tells */
            if ((f = popen(diff, "we"))) {
                fputs(text, f);
                pclose(f);
            }
            code = ctl_option(c, "--dry-run") || ctl_ask(c, "Apply this?")
                       ? put(c, &serial, &p, POLICY_REPLACE, true)
                       : ctl_fail(EXIT_FAILED, "nothing is changed");
        }
        free(other);
        policy_fini(&p);
    }
    other = NULL;
    if (code != 0 && file_read(file, SIZE_MAX / 2, &other, &len) == 0 && strcmp(other, text) != 0)
        ctl_note("your text is kept in %s", file);
    else
        unlink(file);
    rmdir(folder); /* not with a text in it */
    free(other);
    free(text);
    free(file);
    free(folder);
    return code;
}
