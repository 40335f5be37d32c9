/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sockaddr.c -- see sockaddr.h.
 */
#include "resolver/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

socklen_t sockaddr_from_addr(const struct addr *a, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;

    memset(out, 0, sizeof *v6);
    if (addr_is_v4(a)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(a->port);
        memcpy(&v4->sin_addr, a->ip + 12, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(a->port);
    v6->sin6_scope_id = a->scope;
    memcpy(&v6->sin6_addr, a->ip, 16);
    return sizeof *v6;
}

bool sockaddr_to_addr(const struct sockaddr *sa, struct addr *out)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;

    if (sa->sa_family == AF_INET) {
        memset(out->ip, 0, 10);
        out->ip[10] = out->ip[11] = 0xff;
        memcpy(out->ip + 12, &v4->sin_addr, 4);
        out->port = ntohs(v4->sin_port);
        out->scope = 0;
        return true;
    }
    if (sa->sa_family != AF_INET6)
        return false;
    memcpy(out->ip, &v6->sin6_addr, 16);
    out->port = ntohs(v6->sin6_port);
    out->scope = v6->sin6_scope_id;
    return true;
}
