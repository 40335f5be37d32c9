/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rights.c -- who the tool is: it becomes the user of waymarkd before it
 * touches a store, so that every file has one owner, and remembers who sits at
 * the keyboard, for the log of changes.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/file.h"

int ctl_become_user(struct ctl *c)
{
    const struct user_dir dirs[] = {
        {"server.state-dir", c->settings->server.state_dir},
        {NULL, NULL},
    };
    const char *user = c->settings->server.user;
    struct diags d;
    int code = EXIT_DONE;

    if (geteuid() != 0 || user == NULL || *user == '\0')
        return EXIT_DONE;
    diags_init(&d);
    if (user_become(user, dirs, &d) < 0)
        code = ctl_fail(EXIT_FAILED, "%s", d.list[0]);
    diags_fini(&d);
    return code;
}

void ctl_author(const struct ctl *c, char out[64])
{
    const char *sudo = getenv("SUDO_USER");
    FILE *f = fopen("/proc/self/loginuid", "re");
    const struct passwd *pw;
    unsigned uid = UINT32_MAX;
    char *clean;

    /* The kernel remembers who logged in, whatever sudo and su did since; UINT32_MAX is unset. */
    if (f && fscanf(f, "%u", &uid) != 1)
        uid = UINT32_MAX;
    if (f)
        fclose(f);
    pw = getpwuid(uid == UINT32_MAX ? c->uid : uid);
    if (uid == UINT32_MAX && c->uid == 0 && sudo && *sudo) {
        /* Only root's word counts: anybody else can set the variable. */
        clean = ctl_clean(sudo);
        snprintf(out, 64, "%s", clean);
        free(clean);
    } else if (pw == NULL || !str_copy(out, 64, pw->pw_name)) {
        snprintf(out, 64, "uid %u", uid == UINT32_MAX ? c->uid : uid);
    }
}

int ctl_store_error(struct ctl *c, const char *path, int err)
{
    const char *user = c->settings->server.user;
    char name[CTL_NAME];

    switch (err < 0 ? -err : err) {
    case EROFS:
        return ctl_fail(EXIT_FAILED, "cannot write %s: the file system is read-only", path);
    case ENOENT:
        return ctl_fail(
            EXIT_FAILED,
            "%s does not exist: waymarkd has not run yet, or server.state-dir is another", path);
    case EACCES:
    case EPERM:
        if (c->uid == 0)
            return ctl_fail(EXIT_FAILED,
                            "cannot open %s as the user %s: its owner is another; chown -R %s: %s",
                            path, user, user, c->settings->server.state_dir);
        return ctl_fail(EXIT_FAILED, "no permission for %s: sudo waymarkctl %s ...", path,
                        ctl_verb_name(c->verb, name));
    default:
        return ctl_fail(EXIT_FAILED, "cannot open %s: %s", path, strerror(err < 0 ? -err : err));
    }
}
