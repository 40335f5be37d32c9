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
 * An exchange has no timer; its owner closes it.
 */
#ifndef RESOLVER_EXCHANGE_H
#define RESOLVER_EXCHANGE_H

#include <sys/queue.h>

#include "resolver/io.h"
#include "resolver/pool.h"
#include "resolver/stats.h"
#include "resolver/upstream.h"
#include "wire/reply.h"

enum { EXCHANGE_PACKET_MAX = 4096 };

enum exchange_kind {
    EXCHANGE_REPLY,     /* accepted; any rcode */
    EXCHANGE_TRUNCATED, /* ask again over TCP: TC, or longer than we take over UDP */
    EXCHANGE_NO_EDNS,   /* refused for its EDNS: ask again without */
    EXCHANGE_UNSURE,    /* may be forged: one more try beside this one, which goes on */
    EXCHANGE_FAILED,    /* the socket failed, or the stream brought nonsense; closed */
};

struct exchange_result {
    enum exchange_kind kind;
    const uint8_t *image;
    size_t len;                      /* REPLY; of a packet passed through: what came */
    const struct reply_facts *facts; /* REPLY; borrowed; not of a packet passed through */
    uint16_t rcode;                  /* or RCODE_UNUSABLE */
    bool no_edns;                    /* perhaps EDNS is what the server minds */
    bool elsewhere;                  /* UNSURE: try another server */
    uint32_t ms;                     /* since it was sent */
};

struct exchange_question {
    const struct name *qname; /* folded; read when it is sent */
    uint16_t qtype, qclass;
    bool cd, ad, do_bit;
    bool tcp, no_edns;
    bool suspect_edns; /* without EDNS, to find out whether that is what the server minds */
    uint64_t asked_ms; /* when the question began, of which this is a try */
    const uint8_t
        *packet; /* passed through: it goes as it is, but for its ID, and so does the reply */
    size_t packet_len;
};

struct exchange {
    struct io_peer peer;
    struct exchanges *home;
    struct upstream *server;
    void (*on_result)(struct exchange *, const struct exchange_result *);
    void *owner;
    LIST_ENTRY(exchange) entry;     /* the owner's: its tries */
    TAILQ_ENTRY(exchange) idle;     /* the owner's: tries that nobody waits for any more */
    uint8_t server_index;           /* the owner's */
    bool is_idle, hurried, counted; /* the owner's */
    struct exchange_question q;
    uint64_t begun_ms;
    uint16_t id;
    bool edns, cased;
    bool unsure;      /* EXCHANGE_UNSURE was reported: once, since it may be forged */
    struct name sent; /* with its random case */
};

struct exchanges {
    struct io *io; /* borrowed */
    struct worker_stats *stats;
    struct pool pool;
    uint8_t image[DNS_MAX_MESSAGE];
};

/* Sends the question. 0 and *out; -ENOBUFS when too many are open; -errno (then
 * the server's record knows it, unless the want is ours). on_result is never
 * called from inside. */
int exchange_open(struct exchanges *, const struct exchange_question *, struct upstream *,
                  void (*on_result)(struct exchange *, const struct exchange_result *), void *owner,
                  struct exchange **out);
void exchange_close(struct exchange *);
/* Is it we who have no descriptors, memory or places left? It says nothing of
 * the server, nor of the name. */
bool exchange_is_starved(int rc);

#endif
