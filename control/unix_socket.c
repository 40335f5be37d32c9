/* SPDX-License-Identifier: BSD-2-Clause
 *
 * unix_socket.c -- makes, replaces and removes the socket file.
 *
 * The mode is set before the file has a name (fchmod, then bind), so that
 * there is no moment at which more people may connect than should. The umask
 * is not touched, since it belongs to all threads; chmod gives back what it
 * took away.
 */
#include "control/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_MODE = 0660, SOCKET_BACKLOG = 32 };

static int fault(struct diags *d, int err, const char *path, const char *what)
{
    diags_add(d, NULL, 0, 0, "control.socket: %s %s: %s", what, path, strerror(err));
    return -err;
}

/* 0: the path is free now. */
static int clear_path(const struct sockaddr_un *at, struct diags *d)
{
    struct stat st;
    int fd, err = 0;

    if (lstat(at->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : fault(d, errno, at->sun_path, "cannot look at");
    if (!S_ISSOCK(st.st_mode)) {
        diags_add(d, NULL, 0, 0,
                  "control.socket: %s exists and is no socket; remove it or set another path",
                  at->sun_path);
        return -EEXIST;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fault(d, errno, at->sun_path, "cannot make a socket for");
    if (connect(fd, (const struct sockaddr *)at, sizeof *at) < 0)
        err = errno;
    close(fd);
    if (err == ENOENT)
        return 0;
    if (err != ECONNREFUSED) { /* also EAGAIN: its queue is full, so somebody has it */
        diags_add(d, NULL, 0, 0,
                  "control.socket: another process listens on %s; is waymarkd running?",
                  at->sun_path);
        return -EADDRINUSE;
    }
    if (unlink(at->sun_path) < 0 && errno != ENOENT)
        return fault(d, errno, at->sun_path, "cannot remove the dead socket");
    return 0;
}

int unix_socket_listen(const char *path, struct stat *self, struct diags *d)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd, err;

    if (strlen(path) >= sizeof at.sun_path) {
        diags_add(d, NULL, 0, 0,
                  "control.socket: %s is longer than the %zu octets that a socket's path may have",
                  path, sizeof at.sun_path - 1);
        return -ENAMETOOLONG;
    }
    memcpy(at.sun_path, path, strlen(path) + 1);
    err = clear_path(&at, d);
    if (err < 0)
        return err;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fault(d, errno, path, "cannot make a socket for");
    if (fchmod(fd, SOCKET_MODE) < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        err = errno;
        close(fd);
        return fault(d, err, path, "cannot make");
    }
    if (chmod(path, SOCKET_MODE) < 0 || lstat(path, self) < 0 || listen(fd, SOCKET_BACKLOG) < 0) {
        err = errno;
        unlink(path);
        close(fd);
        return fault(d, err, path, "cannot listen on");
    }
    return fd;
}

void unix_socket_remove(const char *path, const struct stat *self)
{
    struct stat st;

    if (lstat(path, &st) == 0 && st.st_dev == self->st_dev && st.st_ino == self->st_ino)
        unlink(path);
}

bool unix_socket_peer_may_write(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || len != sizeof peer)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}
