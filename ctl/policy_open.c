/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_open.c -- how the policy verbs come to the store.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"

enum { TRIES = 20 /* of reading while others write */ };

int policy_failed(struct ctl *c, const char *what, int err)
{
    const char *state = c->settings->server.state_dir;
    char *path;
    int code;

    if (err == -EACCES || err == -EPERM || err == -EROFS) {
        path = ctl_text("%s/policy", state);
        code = ctl_store_error(c, path, err);
        free(path);
        return code;
    }
    if (err == -EBADMSG)
        return ctl_fail(EXIT_FAILED,
                        "cannot %s: %s/policy/data.mdb has a damaged record; " POLICY_REMEDY, what,
                        state);
    if (err == -EIO)
        return ctl_fail(
            EXIT_FAILED,
            "cannot %s: the disk does not give or take %s/policy/data.mdb (%s); nothing "
            "was changed. Look at the disk; if it is well, " POLICY_REMEDY,
            what, state, strerror(-err));
    if (err == -ENOSPC || err == -EDQUOT)
        return ctl_fail(
            EXIT_FAILED,
            "cannot %s: writing to %s/policy failed (%s); is the disk full? Nothing was changed",
            what, state, strerror(-err));
    return ctl_fail(EXIT_FAILED, "cannot %s: %s", what,
                    err == -ENOMEM ? "out of memory" : strerror(-err));
}

/* LMDB holds its files open and comes back to no name. */
int policy_open_temporary(struct ctl *c, struct store **out)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    const char *tmp = getenv("TMPDIR");
    char *dir = ctl_text("%s/waymark-XXXXXX", tmp != NULL && *tmp == '/' ? tmp : "/tmp");
    int code = 0, rc;

    if (mkdtemp(dir) == NULL) {
        code = ctl_fail(EXIT_FAILED, "cannot make %s: %s", dir, strerror(errno));
        free(dir);
        return code;
    }
    rc = policy_store_open(out, dir, STORE_WRITE, NULL);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *path = ctl_text("%s/%s", dir, files[i]);

        unlink(path);
        free(path);
    }
    rmdir(dir);
    free(dir);
    return rc == 0 ? 0 : policy_failed(c, "make a temporary store", rc);
}

int policy_open(struct ctl *c, enum store_access access, struct store **out)
{
    bool dry = access == STORE_WRITE && ctl_option(c, "--dry-run") != NULL;
    const char *state = c->settings->server.state_dir;
    int code = ctl_become_user(c), rc;
    char *path;
    struct diags d;

    if (code != 0)
        return code;
    path = ctl_text("%s/policy", state);
    guard_exit(
        ctl_text("waymarkctl: %s/data.mdb changed under our hands, or the disk does not give "
                 "it; nothing was changed; " POLICY_REMEDY "\n",
                 path),
        EXIT_FAILED);
    if (dry && (rc = policy_store_open(out, path, STORE_READ, NULL)) == -ENOENT) {
        free(path);
        return policy_open_temporary(c, out);
    }
    if (dry && rc == 0)
        store_close(*out);
    if (access == STORE_WRITE) /* the first policy comes before the first start; else it is there */
        (void)mkdir(state, 0750);
    diags_init(&d);
    rc = policy_store_open(out, path, access, &d);
    if (rc == -ENOENT && access == STORE_READ)
        code =
            ctl_fail(EXIT_FAILED,
                     "there is no policy yet in %s: policy import or policy fill makes one", path);
    else if (rc == -EBADMSG && d.n > 0)
        code = ctl_fail(EXIT_FAILED, "%s", d.at[0].text);
    else if (rc != 0)
        code = ctl_store_error(c, path, rc);
    diags_fini(&d);
    free(path);
    return code;
}

int policy_read(struct ctl *c, struct store *store, struct policy *out, uint64_t *serial)
{
    struct store *own = NULL;
    int code = store == NULL ? policy_open(c, STORE_READ, &own) : 0, rc = -EAGAIN;

    if (code != 0)
        return code;
    for (int i = 0; i < TRIES && rc == -EAGAIN; i++)
        rc = policy_load(store != NULL ? store : own, out, serial);
    store_close(own);
    if (rc != 0)
        return policy_failed(c, "read the policy", rc);
    policy_sort(out);
    return 0;
}
