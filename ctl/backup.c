/* SPDX-License-Identifier: BSD-2-Clause
 *
 * backup.c -- `backup`: settings, policy with its history, and audit, while all of it is in use.
 *
 *     DIR/settings/waymark.yaml, conf.d/   the files that were read, whatever the first is called
 *     DIR/state/policy/, audit/            what belongs into a state directory
 *     DIR/backup.json                      what it has; written last: without it, it is not whole
 *
 * Each of the two databases is copied in one state of its own. Root copies the settings, then goes
 * into the folder and becomes the user of the daemon, as for all that touches the state directory:
 * what that user writes need not be reached through folders above.
 */
#include "ctl/ctl.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/store.h"
#include "base/file.h"
#include "policy/records.h"

enum { SETTINGS_SIZE = 1 << 24 };

/* In the folder, or (AT_FDCWD) here. */
static int make_folder(int in, const char *path)
{
    return mkdirat(in, path, 0750) == 0
               ? 0
               : ctl_fail(EXIT_FAILED, "cannot make %s: %s", path, strerror(errno));
}

static int save_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "wxe");
    bool done = f && fchmod(fileno(f), 0640) == 0 && fwrite(text, 1, len, f) == len &&
                fflush(f) == 0 && fsync(fileno(f)) == 0;

    if (f && fclose(f) != 0)
        done = false;
    return done ? 0 : ctl_fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static int copy_settings(const struct ctl *c, int folder, json_t *all)
{
    int code = make_folder(folder, "settings"), n = 0, rc;
    char *text, *to;
    size_t len;

    code = code == 0 ? make_folder(folder, "settings/conf.d") : code;
    for (const struct settings_file *f = c->settings->files; f && code == 0; f = f->next, n++) {
        rc = file_read(f->path, SETTINGS_SIZE, &text, &len);
        if (rc != 0)
            return ctl_fail(EXIT_FAILED, "cannot read %s: %s", f->path, strerror(-rc));
        to = ctl_text("%s/settings/%s", c->argv[0],
                      f->drop_in ? strrchr(f->path, '/') - strlen("conf.d") : "waymark.yaml");
        code = save_file(to, text, len);
        free(to);
        free(text);
    }
    json_object_set_new(all, "settings", json_integer(n));
    return code;
}

/* 0 or -errno; what there is none of stays null. */
static int copy_policy(const char *path, json_t *all, struct diags *d)
{
    char digest[POLICY_DIGEST_TEXT];
    struct store *store = NULL;
    struct policy_counts n = {0};
    int rc = store_open(&store, path, STORE_READ, d);

    if (rc == 0)
        rc = store_copy(store, "state/policy");
    store_close(store);
    store = NULL;
    if (rc == 0 && (rc = store_open(&store, "state/policy", STORE_READ, d)) == 0)
        rc = policy_store_counts(store, &n); /* of the copy: the other may have changed since */
    store_close(store);
    (void)unlink("state/policy/lock.mdb");
    if (rc == 0)
        json_object_set_new(all, "policy",
                            json_pack("{s:I,s:s,s:I,s:I}", "serial", (json_int_t)n.serial, "digest",
                                      policy_digest_print(n.digest, digest), "suffixes",
                                      (json_int_t)n.suffixes, "bytes", (json_int_t)n.bytes));
    return rc;
}

static int copy_audit(struct ctl *c, const char *path, json_t *all, struct diags *d)
{
    struct audit_store *s = NULL;
    struct stat st;
    int rc = audit_store_open(&s, path, 0, d);

    if (rc == 0)
        rc = audit_store_copy(s, "state/audit/audit.db", ctl_progress, c);
    audit_store_close(s);
    if (rc == 0 && stat("state/audit/audit.db", &st) == 0)
        json_object_set_new(all, "audit", json_pack("{s:I}", "bytes", (json_int_t)st.st_size));
    return rc;
}

/* As the user of the daemon, in the folder. */
static int copy_state(struct ctl *c, json_t *all)
{
    static const char *const folders[] = {"state", "state/policy", "state/audit"};
    int code = ctl_become_user(c), rc;
    struct diags d = {0};
    char *text;

    for (size_t i = 0; i < ARRAY_LEN(folders) && code == 0; i++) {
        code = make_folder(AT_FDCWD, folders[i]);
        if (i == 0 || code != 0)
            continue;
        text = ctl_text("%s/%s", c->settings->server.state_dir, strchr(folders[i], '/') + 1);
        rc = i == 1 ? copy_policy(text, all, &d) : copy_audit(c, text, all, &d);
        if (rc != 0 && rc != -ENOENT && d.n > 0)
            code = ctl_fail(EXIT_FAILED, "%s", d.list[0]);
        else if (rc == -EACCES || rc == -EPERM)
            code = ctl_store_error(c, text, rc);
        else if (rc != 0 && rc != -ENOENT)
            code = ctl_fail(EXIT_FAILED, "cannot copy %s: %s", text, strerror(-rc));
        diags_fini(&d);
        free(text);
    }
    if (code == 0) {
        text = json_dumps(all, JSON_INDENT(2));
        code = save_file("backup.json", text, strlen(text));
        free(text);
    }
    return code;
}

int backup_run(struct ctl *c)
{
    static const struct ctl_row rows[] = {
        {"settings", NULL, "{settings} files"},
        {"policy", NULL,
         "[serial {policy.serial}, digest {policy.digest}, {policy.suffixes} suffixes, "
         "{policy.bytes:mib} MiB|there is none]"},
        {"audit", NULL, "[{audit.bytes:mib} MiB|there is none]"},
        {0},
    };
    const char *dir = c->argv[0], *user = c->settings->server.user, *file = ctl_option(c, "-c");
    const struct passwd *pw = geteuid() == 0 && *user ? getpwnam(user) : NULL;
    int code, n = 0;
    DIR *folder;
    json_t *all;

    if (file && strcmp(file, "-") == 0)
        return ctl_misused("a backup needs the settings as a file, not on standard input");
    if ((mkdir(dir, 0750) != 0 && errno != EEXIST) || !(folder = opendir(dir)))
        return ctl_fail(EXIT_FAILED, "cannot make %s: %s", dir, strerror(errno));
    while (readdir(folder)) /* . and .. */
        n++;
    all = json_pack("{s:s,s:I,s:n,s:n}", "version", PACKAGE_VERSION, "time",
                    (json_int_t)c->now.wall_ms, "policy", "audit");
    code = n > 2 ? ctl_misused("%s is not empty; a backup takes a folder of its own", dir)
                 : copy_settings(c, dirfd(folder), all);
    closedir(folder);
    if (code == 0 && (chdir(dir) != 0 || (pw && chown(".", pw->pw_uid, pw->pw_gid) != 0)))
        code = ctl_fail(EXIT_FAILED, "cannot use %s: %s", dir, strerror(errno));
    code = code == 0 ? copy_state(c, all) : code;
    if (code != 0 && n <= 2)
        ctl_note("%s is not whole: remove it", dir);
    if (code == 0 && json_is_null(json_object_get(all, "policy")) &&
        json_is_null(json_object_get(all, "audit")))
        ctl_warn("%s has neither policy nor audit: is it the right server.state-dir?",
                 c->settings->server.state_dir);
    return ctl_show_reply(c, code, all, rows);
}
