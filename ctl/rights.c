/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rights.c -- who the tool is: it becomes the user of waymarkd before it touches a store, so that
 * every file has one owner, and remembers who sits at the keyboard, for the log of changes.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>

#include "base/str.h"
#include "base/file.h"

int ctl_become_user(const struct ctl *c)
{
    const struct user_dir dirs[] = {{"server.state-dir", c->settings->server.state_dir}, {0}};
    const char *user = c->settings->server.user;
    struct diags d;
    int code = EXIT_DONE;

    diags_init(&d);
    if (geteuid() == 0 && *user && user_become(user, dirs, &d) < 0)
        code = ctl_fail(EXIT_FAILED, "%s", d.list[0]);
    diags_fini(&d);
    return code;
}

void ctl_author(const struct ctl *c, char out[64])
{
    /* Only root's word counts: anybody else can set the variable. */
    const char *sudo = c->uid == 0 ? getenv("SUDO_USER") : NULL;
    FILE *f = fopen("/proc/self/loginuid", "re");
    const struct passwd *pw;
    unsigned uid;
    char *clean;

    /* The kernel remembers who logged in, whatever sudo and su did since; UINT32_MAX is unset. */
    if (f == NULL || fscanf(f, "%u", &uid) != 1)
        uid = UINT32_MAX;
    if (f)
        fclose(f);
    if (uid == UINT32_MAX && sudo && *sudo) {
        clean = ctl_clean(sudo);
        snprintf(out, 64, "%s", clean);
        free(clean);
        return;
    }
    uid = uid == UINT32_MAX ? c->uid : uid;
    pw = getpwuid(uid);
    if (pw == NULL || !str_copy(out, 64, pw->pw_name))
        snprintf(out, 64, "uid %u", uid);
}

int ctl_store_error(const struct ctl *c, const char *path, int err)
{
    const char *user = c->settings->server.user;
    bool denied = abs(err) == EACCES || abs(err) == EPERM;

    if (abs(err) == ENOENT)
        return ctl_fail(
            EXIT_FAILED,
            "%s does not exist: waymarkd has not run yet, or server.state-dir is another", path);
    if (denied && c->uid == 0)
        return ctl_fail(EXIT_FAILED,
                        "cannot open %s as the user %s: its owner is another; chown -R %s: %s",
                        path, user, user, c->settings->server.state_dir);
    if (denied)
        return ctl_fail(EXIT_FAILED, "no permission for %s: sudo waymarkctl %s ...", path,
                        c->called);
    return ctl_fail(EXIT_FAILED, "cannot open %s: %s", path, strerror(abs(err)));
}
