/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.h -- one client question, from its packet to its answer (query.c, answer.c).
 *
 * All judgement is behind answer_read() and answer_query(), which are pure: same view and
 * arguments, same answer; no socket, clock, malloc or log; the only outside read is the policy
 * map. The order access, parse, policy, cache, upstream, policy is fixed: a cached answer never
 * reaches a refused client; an NXDOMAIN cached for a parent never hides a policy name.
 */
#ifndef RESOLVER_QUERY_H
#define RESOLVER_QUERY_H

#include <sys/queue.h>

#include "audit/event.h"
#include "cache/cache.h"
#include "policy/decide.h"
#include "resolver/cookie.h"
#include "resolver/health.h"
#include "resolver/ratelimit.h"
#include "resolver/stats.h"
#include "settings/settings.h"
#include "wire/message.h"

/* Large buffers that a decision needs; one per worker, never kept. */
struct scratch {
    uint8_t image[DNS_MAX_MESSAGE + 1], second[DNS_MAX_MESSAGE + 1];
    struct srv srv[SRV_MAX];
    struct policy_match match;
    struct policy_decision decision;
    struct health_choice choice; /* of the decision's hosts */
};

/* All that answering may look at. One per worker and settings generation. */
struct view {
    const struct settings *settings; /* routes resolved: never empty here */
    struct cache *cache;
    struct policy_reader *policy; /* NULL: no policy store; forwards all the same */
    struct random *random;
    struct worker_stats *stats;
    struct scratch *scratch;
    struct health *const *health; /* the worker's newest; NULL: all hosts are up */
    struct ratelimit *ratelimit;  /* of all workers; NULL: no limits */
    bool trace;                   /* explain: decisions are made anew and are not kept */
    unsigned users;               /* flights that began with it; one while it is the newest */
};

/* Begins the policy reader if the batch has not yet; false: no policy. The batch ends it. */
static inline bool view_policy(const struct view *v)
{
    struct policy_reader *r = v->policy;

    if (r && !r->begun)
        r->begun = store_reader_begin(r->txn) == 0;
    return r && r->begun;
}

static inline void view_policy_end(const struct view *v)
{
    if (v->policy == NULL || !v->policy->begun)
        return;
    store_end(v->policy->txn);
    v->policy->begun = false;
}

/* WAIT: at its deadline nothing is known, it waits on. IGNORE: it was no question. */
enum answer { ANSWER_SEND, ANSWER_FORWARD, ANSWER_DROP, ANSWER_WAIT, ANSWER_IGNORE };

/* Where an answer goes. */
struct client {
    struct addr addr;              /* who asks: access, policy, audit and limits go by it */
    struct addr peer;              /* who sent it, and gets the answer: the same, or a balancer */
    uint8_t transport;             /* enum audit_transport */
    bool proved;                   /* it has this address: TCP, or a valid cookie */
    uint8_t local[40];             /* UDP, of a wildcard bind: the address that was asked (udp.c) */
    uint16_t listener;             /* UDP: index of the listening socket */
    struct connection *connection; /* TCP; there until its last question is answered */
};

/* What the real DNS says of one question. */
struct real {
    /* Its verdict: PRESENT: of any type; OTHER may have an image, too. Its rcode: of a failure as the
     * servers said, or RCODE_TIMEOUT, _UNUSABLE. Its server: any: nobody. */
    struct cache_facts said;
    const uint8_t *image; /* borrowed; NULL: there is no answer */
    size_t len;
    bool cached, stale; /* stale: its time is over (RFC 8767) */
    bool local;         /* a special name: nobody is asked */
    bool supposed;      /* explain: nobody says it, and it has no records */
    bool pending;       /* a deadline passed, the servers may still answer */
    bool unfinished;    /* a chain of CNAMEs, and nobody tells what is at its end */
    bool cacheable;     /* a reply that is complete */
    bool ours;          /* a failure for a want of ours: says nothing of the name */
    uint64_t left_ms;   /* it is good for that long; 0: of no use later */
    int n_srv;          /* a discovery question: its records, in scratch->srv */
};

/* It is large, and belongs to who receives the packet. */
struct query {
    struct client client;
    struct policy_client networks; /* of the client, once query_find_networks() was asked */
    bool has_networks;
    uint64_t arrived_us;           /* clock_us() */
    uint64_t now_ms;               /* monotonic, of who judges */
    uint8_t cookie[COOKIE_OCTETS]; /* that goes back, if one came */
    bool cookie_valid;             /* the one that came */
    struct message message;
    const uint8_t *question;   /* as the client wrote it; borrowed from the packet or waiter */
    const struct route *route; /* of the name; NULL none */
    struct cache_key key;      /* of the real DNS question (type SRV for a KMS ANY question) */
    bool kms;                  /* a discovery question: decided by policy */
    bool kms_name;             /* the name is a discovery name, whatever the type */
    bool passthrough;          /* TSIG or TKEY: goes as it is to one server, uncached, unjoined */
    bool prefetch;             /* answered by what soon ends: it is asked for again */
    uint8_t *out;
    size_t out_size, out_len; /* the answer; borrowed from the batch or connection */
    const uint8_t *wire;
    size_t wire_len; /* the packet; valid while the batch is */
    struct real real;
    bool has_event; /* event is filled and waits to be pushed */
    struct audit_event event;
};

/* What came for a question of our own. */
typedef void real_came(void *context, const struct real *);

#define WAITER_NEVER UINT64_MAX

/* A question that waits for the real DNS, from which a query can be made again. */
struct waiter {
    TAILQ_ENTRY(waiter) entry; /* of its flight */
    struct share *address;     /* who waits */
    struct share *joined;      /* whose place it takes; NULL: the first of its flight */
    real_came *on_reply;       /* our own question; NULL: a client's */
    void *context;
    struct client client;
    uint64_t arrived_us, asked_ms; /* asked_ms: monotonic */
    uint64_t deadline_ms; /* that of the policy, or for an expired answer; WAITER_NEVER: passed
                           * or none */
    uint8_t cookie[COOKIE_OCTETS];
    uint8_t message[offsetof(struct message, qname)]; /* its name is the question's, folded */
    uint8_t question[NAME_MAX_WIRE + 4];
};
_Static_assert(sizeof(struct waiter) <= 512, "a waiting question keeps at most 512 octets");

void waiter_save(struct waiter *, const struct query *);
/* Makes the query again, as answer_read() leaves it. out is as the caller has set it. */
void waiter_restore(const struct view *, const struct waiter *, struct query *);

/* The longest matching zone, for DS that of the parent (RFC 4035 3.1.4.1), or NULL. */
const struct route *query_route(const struct view *, const struct name *, uint16_t qtype);
/* Is it `_vlmcs._tcp`, SRV or ANY, IN? */
bool query_is_discovery(const struct message *);
/* Sets kms, kms_name, route and key; message and passthrough are known. */
void query_prepare(const struct view *, struct query *);

/* The client's networks, into q->networks; false: there is no policy to ask. */
bool query_find_networks(const struct view *, struct query *);

/* Writes q->out: SEND, or DROP when nothing fits. The image may lie in q->out already;
 * NULL: the rcode alone. ede: EDE_NONE or a code; ede_text: NULL or what goes with it. */
enum answer query_send(const struct view *, struct query *, const uint8_t *image, size_t len,
                       uint16_t rcode, int ede, const char *ede_text);
/* Header and question with TC set: ask again over TCP. */
#define query_truncate(v, q) query_send(v, q, NULL, 0, RCODE_NOERROR, EDE_NONE, NULL)
/* Is an answer of so many octets, to a client whose address is not proved, much larger than its
 * question, and one too many of these (limits.client-large-rate)? It is counted. */
bool query_is_too_large(const struct view *, const struct query *, size_t len);
/* Turns the records of the real answer that query_send() wrote: if the settings want it, and it
 * is from the cache, where every client finds the same order. */
void query_rotate(const struct view *, struct query *);

/* Access, strict parse of q->wire, key and hash, route. The caller has set client, arrived_us,
 * wire and out. FORWARD means: go on with answer_query(). */
enum answer answer_read(const struct view *, struct query *, struct now);
/* came NULL: SEND, DROP, or FORWARD, the real DNS must be asked; what came: SEND, DROP, or
 * WAIT where that is pending. Then q->has_event says whether an event is to be pushed. */
enum answer answer_query(const struct view *, struct query *, const struct real *came, struct now);

/* ---- special.c: names that are answered here and never forwarded ---- */

/* The zone in which the name is answered here, or NULL; *at: octets in front of it. */
const struct special *special_zone(const struct name *, uint16_t class, const struct route *,
                                   size_t *at);
/* The rcode of what is said here of the name, when it is special; -1: it is ordinary. The image is
 * written to w; a negative one can be kept for ttl_s. */
int special_answer(const struct view *, const struct query *, uint32_t ttl_s, struct writer *w);
/* Which servers ask us what we ask them, and for which domains: what all workers know of it. A server
 * is asked for a name that only this process answers, and nobody else can tell. Any thread; NULL: none
 * is asked. */
enum { LOOP_DIGITS = 16, LOOP_LABEL = 2 * LOOP_DIGITS };
struct loops;
/* The cache's key makes the names. It is released with free(). NULL: out of memory. */
struct loops *loops_new(struct cache *);
/* It is suspected for the name: is it time to ask it, for *out? */
bool loop_ask(struct loops *, struct random *, const struct addr *server, const struct name *,
              uint64_t now_ms, struct name *out);
/* Its reply to that has come: does it ask us? */
bool loop_heard(struct loops *, const struct addr *server, const struct name *sent,
                const uint8_t *image, size_t len, uint64_t now_ms);
/* KNOWN: it asks us for such names, those of *domain (NULL is fine); OPEN: it is being asked whether it
 * does, and its reply may still come; ELSEWHERE: it asks us for others. Of no name: for any. */
enum loop_state { LOOP_KNOWN = 1, LOOP_OPEN = 2, LOOP_ELSEWHERE = 4 };
unsigned loop_look(struct loops *, const struct addr *server, const struct name *, uint64_t now_ms,
                   struct name *domain);
/* Of class CH: who answers, or which version? True and *result, unless the settings hide it. */
bool special_identity(const struct view *, struct query *, enum answer *result);
/* The next, from *i (0 at first) on, of the reverse zones of private addresses that are answered
 * here with these settings; "16-31.172.in-addr.arpa" are sixteen. False: there is none. */
enum { SPECIAL_TEXT = NAME_TEXT + 16 };
bool special_next_reverse(const struct view *, size_t *i, char text[SPECIAL_TEXT]);

/* ---- real.c: what the real DNS says; images have the TTLs with which they are delivered ---- */

enum {
    STALE_TTL_S = 30,         /* RFC 8767 5 */
    STALE_RECHECK_MS = 30000, /* the same: the failure recheck timer */
};

/* What the real DNS says, into q->real: of what came, or (came NULL) of what is known here; its
 * image lies in q->out or scratch->image then. False: the servers must be asked. VERDICT_NONE:
 * they must not be, since RD=0, and nothing is known. Where what came is no answer (for a
 * discovery question a chain of CNAMEs without its end is none, either), an expired entry that
 * serve-stale still allows takes its place (RFC 8767). */
bool real_look(const struct view *, struct query *, const struct real *came, struct now);

/* A reply to that question, as it is given to each client and kept: its image gets the TTLs
 * that the settings allow. */
struct real real_of_reply(const struct view *, const struct cache_key *, uint8_t *image, size_t len,
                          const struct reply_facts *, const struct addr *server, uint32_t ms);
/* Leaves records with addresses that are not public out of a reply: a name of strangers that leads
 * into this network (DNS rebinding). 1: there were some; 0; negative: it cannot be told, and the
 * reply is of no use. */
int real_filter(const struct view *, uint8_t *image, size_t *len, struct reply_facts *);
/* No reply that is of use. rcode: what the servers say, or RCODE_TIMEOUT, RCODE_UNUSABLE; server
 * NULL: nobody. */
struct real real_of_failure(uint16_t rcode, const struct addr *server, uint32_t ms);

/* Has it expired, and is given while no server answers? Never a failure, nor what was over when it
 * came (expires_ms 0). */
bool real_is_stale(const struct settings *, const struct cache_key *, const struct cache_facts *,
                   struct now);
/* Is it in the last tenth of its life, so that it is worth asking for again? */
bool real_ends_soon(const struct view *, const struct cache_facts *, struct now);

/* Keeps what came for a question; a failure beside an older answer, which may still be served
 * (RFC 8767, 9520), and for twice as long as the failure before it. */
void real_keep(const struct view *, const struct cache_key *, const struct real *, struct now);

enum kms_verdict real_verdict(uint16_t rcode); /* on a reply without an answer */
int real_ede(const struct real *);             /* EDE_NONE for an answer in time */
bool real_is_negative(const struct real *);

/* ---- kms.c: discovery questions, and addresses of the hosts that answer them ---- */

enum answer kms_answer(const struct view *, struct query *, const struct real *came, struct now);

/* Would this client's SRV question at this name be filled, were it NXDOMAIN? is_signed: this
 * NXDOMAIN is, and the client has DO. */
bool kms_would_fill(const struct view *, struct query *, bool is_signed, struct now);

/* Where a host's name does not resolve (a workgroup, a DMZ), the pool may give its addresses:
 * true and *result. False: what the real DNS says stands. Almost free for names of no host. */
bool kms_host_answer(const struct view *, struct query *, struct now, enum answer *result);

/* The question as the policy wants it; q->networks are known. */
struct policy_ask kms_ask(const struct view *, const struct query *, struct now);

/* The audit event, into q->event, of what no policy decided. rcode: what the client is told. */
void kms_event_note(const struct view *, struct query *, enum kms_outcome, enum kms_reason,
                    uint16_t rcode, const char *text, struct now);

#endif
