/* SPDX-License-Identifier: BSD-2-Clause
 *
 * unix_socket.h -- the listening UNIX socket of the API, and who is at its
 * other end.
 */
#ifndef CONTROL_UNIX_SOCKET_H
#define CONTROL_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/diag.h"

/* A listening socket at path (mode 0660), or -errno with one problem in d. A
 * socket that nobody listens on is replaced; -EADDRINUSE when somebody does.
 * Anything else at the path stays. *self identifies the new file. */
int unix_socket_listen(const char *path, struct stat *self, struct diags *d);

/* Takes the file away, if it is still the one that was made. */
void unix_socket_remove(const char *path, const struct stat *self);

/* True if the peer of a connection is root or the user we run as. */
bool unix_socket_peer_may_write(int fd);

#endif
