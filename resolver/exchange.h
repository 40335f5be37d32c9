/* SPDX-License-Identifier: BSD-2-Clause
 *
 * exchange.h -- one try: a question on a socket of its own, and what comes
 * back on it.
 *
 * A reply is accepted when it matches in every attribute (RFC 5452 9.1): address
 * and port (the socket is connected), ID, and the question octet by octet with
 * the random case that was sent; and when reply_read() accepts it. Anything else
 * over UDP is counted, and the wait goes on: a forged packet must not end it.
 * But a packet that probably comes from the server itself (an error without a
 * question section, a reply that matches and does not parse, a name in another
 * case) is reported once: the owner may then begin one more try beside this one.
 * An exchange has no timer and no callback of its own; its owner closes it.
 */
#ifndef RESOLVER_EXCHANGE_H
#define RESOLVER_EXCHANGE_H

#include <sys/queue.h>

#include "resolver/io.h"
#include "resolver/stats.h"
#include "resolver/upstream.h"
#include "wire/reply.h"

enum { EXCHANGE_PACKET_MAX = 4096 };

enum exchange_kind {
    EXCHANGE_IGNORED,   /* no reply to this question: the wait goes on */
    EXCHANGE_REPLY,     /* accepted; any rcode */
    EXCHANGE_TRUNCATED, /* ask again over TCP: TC, or longer than we take over UDP */
    EXCHANGE_NO_EDNS,   /* refused for its EDNS: ask again without */
    EXCHANGE_UNSURE,    /* may be forged: one more try beside this one, which goes on */
    EXCHANGE_FAILED,    /* the socket failed, or the stream brought nonsense */
};

struct exchange_reply {
    const uint8_t *image;
    size_t len;               /* REPLY; of a packet passed through: what came */
    struct reply_facts facts; /* REPLY; not of a packet passed through */
    uint16_t failure; /* an rcode other than NXDOMAIN, or RCODE_UNUSABLE; 0: there is none */
    bool no_edns;     /* perhaps EDNS is what the server minds */
    bool elsewhere;   /* UNSURE: try another server */
    uint32_t ms;      /* since it was sent */
};

/* What all exchanges of a forwarder use. */
struct exchanges {
    struct io *io; /* borrowed */
    struct worker_stats *stats;
    uint8_t image[DNS_MAX_MESSAGE];
};

struct exchange {
    /* The question; the owner sets it, and peer.receive. */
    struct io_peer peer;
    struct exchanges *home;
    struct upstream *server;
    struct query_build q;   /* its name is folded; edns: unless the server is known to mind it */
    bool tcp, suspect_edns; /* without EDNS, to find out whether that is what the server minds */
    uint64_t asked_ms;      /* when the question began, of which this is a try */
    const uint8_t *packet; /* passed through: it goes as it is, but for its ID, as its reply does */
    size_t packet_len;
    /* The owner's. */
    struct flight *flight;      /* NULL: a probe */
    LIST_ENTRY(exchange) entry; /* tries of the flight */
    TAILQ_ENTRY(exchange) age;  /* tries of all flights */
    uint8_t server_index;
    bool hurried, counted;
    /* Its own. */
    uint64_t begun_ms;
    bool cased;
    bool unsure;      /* EXCHANGE_UNSURE was reported: once, since it may be forged */
    struct name sent; /* with its random case */
};

/* Sends the question. 0; -errno (then the server's record knows it, unless the want is ours). */
int exchange_open(struct exchange *);
/* What came on its socket means that; image and facts are valid until the next time. */
enum exchange_kind exchange_read(struct exchange *, const uint8_t *wire, ssize_t len,
                                 struct exchange_reply *);
void exchange_close(struct exchange *);
/* Is it we who have no descriptors, memory or places left? It says nothing of
 * the server, nor of the name. */
bool exchange_is_starved(int rc);

#endif
