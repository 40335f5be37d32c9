/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_file.c -- the files of a store, without LMDB: is data.mdb whole, how
 * long is it, who may read it, and what to say when it cannot be opened.
 *
 * LMDB maps the file and trusts it: a page that its meta page names and that
 * the file does not reach is SIGBUS at the first access, and an empty file it
 * takes for a new one. So the file is looked at here before LMDB sees it.
 */
#include "policy/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/pages.h"
#include "policy/verify.h"

enum { TRIES = 5, PATIENCE = 1000, PAUSE_MS = 4, WHY = 160 };

static bool file_path(char out[PATH_MAX], const char *dir, const char *name)
{
    return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

int store_file_damaged(struct diags *d, const char *dir, const char *what)
{
    diags_add(d, NULL, 0, 0, "%s/data.mdb %s; " POLICY_REMEDY, dir, what);
    return -EBADMSG;
}

/* Nothing is there: never was, or not any more? LMDB makes the lock file first. */
static int look_absent(const char *dir, char why[WHY])
{
    char path[PATH_MAX];

    if (!file_path(path, dir, "lock.mdb") || access(path, F_OK) != 0)
        return -ENOENT;
    snprintf(why, WHY, "is missing, where lock.mdb says that there was a store");
    return -EBADMSG;
}

static int look_at_pages(int fd, bool whole, char why[WHY])
{
    struct pages_walk walk = {.visit = NULL};
    struct pages_meta m;
    struct stat st;
    uint64_t need;
    int rc = pages_meta(fd, &m);

    if (rc == -EBADMSG)
        snprintf(why, WHY, "is damaged in its first pages, or no policy store");
    if (rc != 0)
        return rc;
    need = (m.last + 1) * m.page_size;
    /* Asked after the meta pages: another process may be extending the file. */
    if (fstat(fd, &st) != 0)
        return -errno;
    if ((uint64_t)st.st_size < need) {
        snprintf(why, WHY, "was cut short: it has %llu of %llu octets",
                 (unsigned long long)st.st_size, (unsigned long long)need);
        return -EBADMSG;
    }
    rc = whole ? pages_walk(fd, &walk) : 0;
    if (rc == -EBADMSG)
        snprintf(why, WHY, "is damaged: %s", walk.why);
    return rc;
}

/* 0; -ENOENT there is no store; -EBADMSG and why; -EAGAIN; -errno. */
static int look(const char *dir, bool whole, char why[WHY])
{
    char path[PATH_MAX];
    struct stat st;
    int fd, rc;

    if (!file_path(path, dir, "data.mdb"))
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? look_absent(dir, why) : -errno;
    rc = fstat(fd, &st) != 0 ? -errno : 0;
    if (rc == 0 && (!S_ISREG(st.st_mode) || st.st_size == 0)) {
        snprintf(why, WHY, S_ISREG(st.st_mode) ? "is empty" : "is no file");
        rc = -EBADMSG;
    }
    if (rc == 0)
        rc = look_at_pages(fd, whole, why);
    close(fd); /* LMDB's locks are on the other file, so this drops none */
    return rc;
}

/* LMDB holds this lock until the first pages of a new file are written. (To close
 * the file drops the locks of this process, which at that time has none.) */
static bool is_in_the_making(const char *dir)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    char path[PATH_MAX];
    int fd = file_path(path, dir, "lock.mdb") ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool locked = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;

    if (fd >= 0)
        close(fd);
    return locked;
}

/* What looks damaged may be in the making by another process: a moment later it
 * is not. -EAGAIN in the end: nobody can tell while others write without a pause,
 * and they looked before they began. */
int store_file_prepare(const char *dir, bool make, bool whole, struct diags *d)
{
    char why[WHY];
    int rc = -EAGAIN;

    if (make && mkdir(dir, 0750) != 0 && errno != EEXIST)
        return -errno;
    for (int i = 0; (rc == -EAGAIN || rc == -EBADMSG) &&
                    (i < TRIES || (i < PATIENCE && is_in_the_making(dir)));
         i++) {
        if (i > 0)
            poll(NULL, 0, PAUSE_MS);
        rc = look(dir, whole, why);
    }
    return rc == -EBADMSG ? store_file_damaged(d, dir, why) : rc == -EAGAIN ? 0 : rc;
}

/* Both files may have been made under any umask; readers must be able to write
 * the lock file. Who does not own them cannot, and need not. */
void store_file_modes(const char *dir)
{
    char path[PATH_MAX];

    if (file_path(path, dir, "data.mdb") && chmod(path, 0640) != 0)
        return;
    if (file_path(path, dir, "lock.mdb") && chmod(path, 0660) != 0)
        return;
}

int store_file_lockable(const char *dir)
{
    char path[PATH_MAX];

    if (!file_path(path, dir, "lock.mdb"))
        return -ENAMETOOLONG;
    if (access(path, W_OK) == 0)
        return 0;
    return errno == ENOENT && access(dir, W_OK) == 0 ? 0 : -errno;
}

int store_file_fit(int fd, uint64_t more, uint64_t most, bool exact)
{
    struct pages_meta m;
    struct stat st;
    uint64_t octets;
    int rc = pages_meta(fd, &m);

    if (rc != 0)
        return rc;
    if (fstat(fd, &st) != 0)
        return -errno;
    octets = (m.last + 1 + more) * m.page_size;
    if (octets > most)
        octets = most;
    if ((uint64_t)st.st_size == octets || ((uint64_t)st.st_size > octets && !exact))
        return 0;
    return ftruncate(fd, (off_t)octets) == 0 ? 0 : -errno;
}

void store_file_say_why(struct diags *d, const char *dir, int rc)
{
    if (rc == -ENOENT)
        diags_add(d, NULL, 0, 0,
                  "%s holds no policy yet; waymarkctl policy import or policy fill makes one", dir);
    else if (rc == -EACCES || rc == -EPERM)
        diags_add(d, NULL, 0, 0,
                  "%s: permission denied; run as root or as the user that waymarkd runs as", dir);
    else if (rc == -EAGAIN)
        diags_add(d, NULL, 0, 0,
                  "%s is in use by a process in another container with the same process number; "
                  "run the tool in the container of waymarkd",
                  dir);
    else
        diags_add(d, NULL, 0, 0,
                  "%s cannot be opened: %s; mend that and restart waymarkd, or " POLICY_REMEDY, dir,
                  strerror(-rc));
}
