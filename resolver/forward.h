/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forward.h -- questions to the real DNS, on behalf of clients.
 *
 *   forward.c   what is done for a question: one flight for each distinct one, which clients
 *               join as waiters; servers of the route in turn, limits, deadlines
 *   exchange.c  one try: a question on its way to a server, and what comes back; and what
 *               is known of a server, with its address, so that it outlives reloads
 *
 * Neither includes event.h or sys/socket.h. All memory is taken at forwarder_new().
 */
#ifndef RESOLVER_FORWARD_H
#define RESOLVER_FORWARD_H

#include "resolver/io.h"
#include "resolver/query.h"

enum upstream_state { UPSTREAM_UNKNOWN, UPSTREAM_UP, UPSTREAM_DOWN };
struct upstream_report {
    struct addr server;
    enum upstream_state state;
    uint64_t since_ms; /* Unix time of the change to it; 0: unknown */
    uint32_t rtt_ms;   /* smoothed; 0: no reply yet */
    uint64_t queries, replies, timeouts, errors;
    uint64_t by_kind[REPLY_KINDS]; /* replies that can be used */
    int last_error;                /* errno or rcode + 1000 */
};

struct forwarder; /* opaque; one per worker */
struct upstream;

struct forwarder_hooks {
    /* A flight, which was one of view->users, has ended. */
    void (*unpin)(struct view *);
    /* ANSWER_SEND: q->out goes to q->client; ANSWER_DROP: nothing does. In either case q's
     * audit event is pushed, if it has one. */
    void (*deliver)(void *context, struct query *q, enum answer);
    void *context;
    struct cache *cache; /* learns that a dead server has come back */
    struct loops *loops; /* of all workers; NULL: they are not looked for */
};

/* slots: flights at most. NULL when out of memory: then the process ends. */
struct forwarder *forwarder_new(struct io *, const struct forwarder_hooks *, unsigned slots,
                                struct worker_stats *);
/* Answers every waiter with SERVFAIL and frees everything. NULL is fine. */
void forwarder_free(struct forwarder *);

/* The query must be asked (ANSWER_FORWARD). Joins or begins a flight; q may be reused on
 * return. False: it cannot be taken (no place, no route, too many wait). A client's question
 * is answered then, or left unanswered. One of our own (explain) has on_reply: it is called
 * once with what came, never from inside this call. */
bool forwarder_ask(struct forwarder *, struct view *, struct query *q, real_came *on_reply,
                   void *context);

/* q was answered from the cache, and q->prefetch: asks for it again, for nobody; who asks after its
 * end joins. Unless it is on its way, or fewer than a quarter of the places are free. */
void forwarder_prefetch(struct forwarder *, struct view *, struct query *q);

/* Flights at most from now on; never more than the slots it was made with. */
void forwarder_limit(struct forwarder *, unsigned slots);

/* What this worker knows of a server of the route; NULL: never asked. */
const struct upstream *forwarder_upstream(const struct forwarder *, const struct route *,
                                          int server);

/* ---- exchange.c ---- */

enum { EXCHANGE_PACKET_MAX = 4096 };
enum { UPSTREAM_MAX = 256 };

struct upstream {
    struct upstream_report report;
    struct addr source;   /* from which it is asked; ADDR_ANY: any */
    uint32_t users;       /* exchanges that are open */
    uint64_t wanted_ms;   /* a question would have liked to ask it */
    uint64_t compared_ms; /* the same, where its speed or life matters before it is asked */
    uint64_t heard_ms;    /* its last reply */
    uint32_t srtt;        /* smoothed RTT in 1/8 ms; 0: no reply yet */
    uint32_t silent;      /* failures in a row */
    bool is_dead;         /* it is down, and not even a probe has had a reply */
    struct upstream_habit {
        uint8_t misses;     /* in a row; 2 are believed */
        uint64_t missed_ms; /* the last one */
        uint64_t until_ms;  /* it is asked without: random case, EDNS, TLS */
    } no_case, no_edns, no_tls;
    struct tls *tls;        /* held; NULL: it is asked without TLS */
    uint64_t knows_tls_ms;  /* until then it is known to take TLS */
    uint64_t knows_edns_ms; /* until then, or until it is down, it is known not to mind EDNS */
    /* The forwarder's, which looks whether a server that is down has come back, or how fast one is
     * that others are asked instead of. */
    struct io_timer probe_timer;
    struct exchange *probe;
    struct forwarder *forwarder;
};

enum exchange_kind {
    EXCHANGE_IGNORED,   /* no reply to this question, or asked again: the wait goes on */
    EXCHANGE_REPLY,     /* accepted; any rcode */
    EXCHANGE_TRUNCATED, /* ask again over TCP: TC, or longer than we take over UDP */
    EXCHANGE_NO_EDNS,   /* refused for its EDNS: ask again without */
    EXCHANGE_NO_TLS,    /* ask again without TLS, which the route allows */
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

struct exchanges {
    struct io *io; /* borrowed */
    struct worker_stats *stats;
    struct cache *cache;
    bool (*leads_away)(const void *flight, const struct name *); /* as struct reply_wanted has it */
    struct upstream servers[UPSTREAM_MAX];
    uint32_t n_servers;
    uint8_t image[DNS_MAX_MESSAGE];
};

struct exchange {
    /* The question; the owner sets it, and peer.receive. */
    struct io_peer peer;
    struct exchanges *home;
    struct upstream *server;
    struct query_build q; /* its name is folded; edns: unless the server minds it, or may do so */
    bool tcp, plain;      /* plain: without EDNS, since the server may mind it */
    bool suspects_edns; /* it was silent to that; then: without EDNS, to find out if it minds it */
    uint64_t asked_ms;  /* when the question began, of which this is a try */
    const uint8_t *packet; /* passed through: it goes as it is, but for its ID, as its reply does */
    size_t packet_len;
    /* The owner's. */
    struct flight *flight;      /* NULL: a probe */
    LIST_ENTRY(exchange) entry; /* tries of the flight */
    bool is_over;               /* it has had its time */
    TAILQ_ENTRY(exchange) age;  /* tries of all flights */
    uint8_t server_index;
    /* Its own. */
    struct tls *tls; /* of the server; NULL: it is asked without, as `tcp` says */
    uint64_t begun_ms;
    bool cased;
    bool unsure;      /* EXCHANGE_UNSURE was reported: once, since it may be forged */
    uint8_t n_again;  /* it was asked once more: the connection was closed */
    struct name sent; /* with its random case */
};

/* Finds what is known of a server of the route, or begins to know it; NULL when all are in use. */
struct upstream *exchange_server(struct exchanges *, const struct route *, int server,
                                 uint64_t now_ms);
/* The same server, asked in the same way? */
bool exchange_is(const struct upstream *, const struct route *, int server);
/* It has not replied: the errno that says why, ETIMEDOUT for silence. */
void exchange_no_reply(struct upstream *, int error, bool is_probe, struct now);
/* Its try had no reply in time. */
void exchange_silent(struct exchange *, struct now);

/* Sends the question. 0; -ENOBUFS: it is we who have no descriptors or memory, which says
 * nothing of the server, nor of the name; else -errno, and the server's record knows it. */
int exchange_open(struct exchange *);
/* What came on its socket means that; image and facts are valid until the next time. */
enum exchange_kind exchange_read(struct exchange *, const uint8_t *wire, ssize_t len,
                                 struct exchange_reply *);
void exchange_close(struct exchange *);

#endif
