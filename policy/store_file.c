/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_file.c -- the files of a store, without LMDB: is data.mdb whole, how
 * long is it, who may read it, and what to say when it cannot be opened.
 *
 * LMDB maps the file and trusts it: a page that its meta page names and that
 * the file does not reach is SIGBUS at the first access. So the two meta pages
 * are read here by hand, before LMDB sees the file.
 *
 *   page 0, 1:  16 octets page header | magic 4 | version 4 | address 8 |
 *               map size 8 | free list 48 | main database 48 | last page 8 |
 *               transaction 8          (LMDB 0.9, 64 bit, host byte order)
 *
 * A description of a database (48): page size 4 (first one only) | flags 2 |
 * depth 2 | four counts of 8 | root page 8.
 */
#include "policy/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    META_AT = 16,
    META_SIZE = 136,
    FREE_AT = 24,
    MAIN_AT = 72,
    ROOT_AT = 40,
    LAST_AT = 120,
    TXN_AT = 128,
    DATA_VERSION = 1,
};
static const uint32_t magic = 0xBEEFC0DE;

struct meta {
    uint32_t magic, version, page_size;
    uint64_t root, free_root, last, txn;
};

static int meta_read(int fd, off_t at, struct meta *m)
{
    uint8_t b[META_SIZE];
    ssize_t n = pread(fd, b, sizeof b, at + META_AT);

    if (n < 0)
        return -errno;
    if (n < (ssize_t)sizeof b)
        return -EBADMSG;
    memcpy(&m->magic, b, 4);
    memcpy(&m->version, b + 4, 4);
    memcpy(&m->page_size, b + FREE_AT, 4);
    memcpy(&m->free_root, b + FREE_AT + ROOT_AT, 8);
    memcpy(&m->root, b + MAIN_AT + ROOT_AT, 8);
    memcpy(&m->last, b + LAST_AT, 8);
    memcpy(&m->txn, b + TXN_AT, 8);
    return 0;
}

static bool meta_is_sane(const struct meta *m)
{
    const uint64_t none = UINT64_MAX; /* an empty database has no root */

    return m->magic == magic && m->version == DATA_VERSION && m->page_size >= 512 &&
           m->page_size <= 65536 && (m->page_size & (m->page_size - 1)) == 0 && m->last >= 1 &&
           m->last < UINT64_MAX / 65536 - 1 && (m->root == none || m->root <= m->last) &&
           (m->free_root == none || m->free_root <= m->last);
}

static int check(int fd, const char *path, struct diags *d)
{
    struct meta a, b;
    struct stat st;
    uint64_t need;
    int rc;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (st.st_size == 0)
        return -ENOENT; /* made, and the machine stopped before the first write */
    rc = meta_read(fd, 0, &a);
    if (rc == 0 && !meta_is_sane(&a))
        rc = -EBADMSG;
    if (rc == 0)
        rc = meta_read(fd, (off_t)a.page_size, &b);
    if (rc == 0 && (!meta_is_sane(&b) || b.page_size != a.page_size))
        rc = -EBADMSG;
    if (rc == -EBADMSG)
        diags_add(d, NULL, 0, 0,
                  "%s is damaged or no policy store; move its folder away and restore a backup or "
                  "import a policy",
                  path);
    if (rc != 0)
        return rc;
    if (b.txn > a.txn)
        a = b;
    need = (a.last + 1) * a.page_size;
    /* Asked after the meta pages: another process may be extending the file. */
    if (fstat(fd, &st) != 0)
        return -errno;
    if ((uint64_t)st.st_size >= need)
        return 0;
    diags_add(d, NULL, 0, 0,
              "%s was cut short: it has %llu of %llu octets; move its folder away and restore a "
              "backup or import a policy",
              path, (unsigned long long)st.st_size, (unsigned long long)need);
    return -EBADMSG;
}

/* 0; -ENOENT no file, or one that was never written to; -EBADMSG with a
 * sentence in d; -errno likewise. */
static int file_check(const char *path, struct diags *d)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

    rc = fd < 0 ? -errno : check(fd, path, d);
    if (fd >= 0)
        close(fd); /* LMDB's locks are on the other file, so this drops none */
    if (rc != 0 && rc != -ENOENT && rc != -EBADMSG)
        diags_add(d, NULL, 0, 0, "%s: %s", path, strerror(-rc));
    return rc;
}

int store_file_prepare(const char *dir, bool make, struct diags *d)
{
    char path[PATH_MAX];
    int rc;

    if (make && mkdir(dir, 0750) != 0 && errno != EEXIST)
        return -errno;
    if (snprintf(path, sizeof path, "%s/data.mdb", dir) >= (int)sizeof path)
        return -ENAMETOOLONG;
    rc = file_check(path, d);
    return rc == -ENOENT && make ? 0 : rc;
}

/* Both files may have been made under any umask; readers must be able to write
 * the lock file. Who does not own them cannot, and need not. */
void store_file_modes(const char *dir)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/data.mdb", dir) < (int)sizeof path &&
        chmod(path, 0640) != 0)
        return;
    if (snprintf(path, sizeof path, "%s/lock.mdb", dir) < (int)sizeof path &&
        chmod(path, 0660) != 0)
        return;
}

int store_file_fit(int fd, uint64_t octets, bool exact)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
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
        diags_add(d, NULL, 0, 0, "%s cannot be opened: %s", dir, strerror(-rc));
}
