/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control.h -- HTTP/1.1 with JSON on a UNIX socket. It knows no route, and has no thread.
 *
 * Rights come from the peer's credentials (SO_PEERCRED): GET for whoever the socket's mode
 * lets in (root, the user, the group), POST for root and the user that the daemon runs as.
 * Limits: 16 connections, 10 s idle, bodies of 64 KiB.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <jansson.h>
#include <stddef.h>

#include "base/str.h"

struct control;

/* Lives until it is answered; the rest of it is control.c's. */
struct control_request {
    /* Borrowed, while the handler is called: the path behind the route's, "" if none; and those
     * arguments of the query that are not empty, with the members of the body. */
    const char *rest;
    json_t *arguments;
};

struct control_route {
    const char *method; /* "GET" or "POST" */
    const char *path;   /* what ends in / matches what is below */
    void (*handle)(void *context, struct control_request *);
};

/* Makes the socket (mode 0660, group as the process), removing a dead one that nobody listens
 * on. The descriptor, of which control_run() must be called when it can be read; -EINVAL with
 * a sentence in d. */
int control_open(struct control **, const char *path, const struct control_route *routes,
                 void *context, struct diags *d);
void control_close(struct control *);
/* Goes on while work is ready although the descriptor is silent, but not for ever. To be called
 * some times a second in any case: connections that are idle end then. NULL is fine. */
void control_run(struct control *);

/* Answers; takes the reference to json. May be called later (the request is suspended
 * meanwhile), but exactly once, and then not by a handler. status: 200, 400, 404, 503... */
void control_answer(struct control_request *, unsigned status, json_t *body);
/* {"error": text} */
void control_refuse(struct control_request *, unsigned status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
