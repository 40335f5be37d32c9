/* SPDX-License-Identifier: BSD-2-Clause
 *
 * srv.h -- SRV record sets (RFC 2782) of an answer.
 *
 * An image of a question for SRV has no SRV in its answer section but those of
 * the answered set.
 */
#ifndef WIRE_SRV_H
#define WIRE_SRV_H

#include "wire/message.h"

enum { SRV_MAX = 64 };

struct srv {
    uint16_t priority, weight, port;
    uint32_t ttl;
    struct name target; /* folded; the root name = "no service here" */
};

/* The SRV records of an image's answer. At most max; the number found (it may be
 * greater than max), or -EBADMSG. */
int srv_read(const uint8_t *image, size_t len, struct srv *out, int max);

/* Copies an image without the SRV records whose index (order of srv_read) is set
 * in `drop` (n at most SRV_MAX); the CNAME chain stays, RRSIGs of the set and additionals of dropped
 * targets go. 0, -EBADMSG, -ENOSPC. */
int srv_filter(const uint8_t *image, size_t len, const bool *drop, int n, uint8_t *out, size_t size,
               size_t *out_len);

#endif
