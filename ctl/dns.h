/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dns.h -- one question to a DNS server, and its whole reply.
 */
#ifndef CTL_DNS_H
#define CTL_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/message.h"

enum { DNS_TIMEOUT_MS = 5000, DNS_QUERY_SIZE = 512 };

struct dns_reply {
    uint8_t wire[DNS_MAX_MESSAGE];
    size_t len;
    struct message message;
    bool tcp;    /* it came over TCP: as asked, or since UDP was too small */
    uint64_t ms; /* all in all */
};

/* Asks once (UDP, and TCP when the reply is truncated, or TCP alone). What does
 * not belong to the question is ignored. 0; -ETIMEDOUT; -EBADMSG a TCP reply
 * that breaks the protocol; -errno. */
int dns_ask(const struct addr *server, const struct name *name, uint16_t type, bool tcp,
            struct dns_reply *out);

#endif
