/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply.h -- queries to servers, replies to clients, and images, which come between.
 *
 *   reply.c        builds what is sent, into the caller's buffer; fails closed when it is too
 *                  small, and ends it with an OPT made anew where the question had one (RFC 6891
 *                  is hop by hop); and what is done to images on the way
 *   reply_read.c   reads a reply strictly, learns what it says about its question, and keeps of
 *                  it what answers the question; joins and filters what was kept
 *
 * The result of reply_read() is an *image*: the reply as it is kept and delivered, with ID 0, the
 * question as it was asked, no OPT, and only records that answer it (RFC 5452 6, 2181 5.4.1):
 *   answer      the CNAME chain from QNAME (in any order sent, at most 11,
 *               without a loop) and the records of QTYPE at its end, with
 *               their RRSIGs; DNAMEs above a link of the chain
 *   authority   SOA, NS, NSEC, NSEC3, DS and RRSIG whose owner is QNAME's or
 *               the chain end's ancestor or self (NSEC and NSEC3: below the
 *               owner of the SOA, or the signer of an answer that stays)
 *   additional  A, AAAA and their RRSIGs at names that a record kept above
 *               names (SRV, MX, NS, SVCB, HTTPS)
 * RRSIG, NSEC and NSEC3 stay for a question with DO, or one that asks for them. What an answer can
 * do without (SOA, NS and DS beside it, additional records) goes when its TTL ends before that of
 * the rest. In the answer section the chain comes first, then the RRset at its end, then the
 * signatures of that. Names are written anew, compressed against the question and owners before
 * them, names inside RDATA only for the types of RFC 1035; an owner that is QNAME is the pointer
 * C00C, so that overwriting the question of an image is enough to give a client its own case back.
 * Nothing points into an RRset of several records, so that it can be rotated; but where that would
 * cost more than 512 octets allow, the shorter image is preferred.
 */
#ifndef WIRE_REPLY_H
#define WIRE_REPLY_H

#include "base/random.h"
#include "wire/message.h"

/* What a reply to a client has beside its records. */
struct reply_options {
    const struct message *query; /* ID, flags, EDNS are taken from here */
    const uint8_t *question;     /* with the client's case, query->question_len octets */
    size_t limit;                /* octets that the client can take, and that out has */
    bool ad;               /* AD may be set (RFC 6840 5.7: only if the client sent AD or DO) */
    int ede;               /* EDE_NONE or a code; sent only with EDNS */
    const char *ede_text;  /* NULL or short UTF-8 */
    uint16_t keepalive;    /* 0, or the TCP idle time in 100 ms (RFC 7828) */
    const char *nsid;      /* NULL, or who answers (RFC 5001) */
    const uint8_t *cookie; /* NULL, or what goes back: both parts (RFC 7873) */
};

/* Sends an image: copies it to out (which may be the same buffer), sets ID, RD and CD of the query,
 * the client's question case, RA=1, AA=0, and appends OPT. What exceeds the limit is cut to the
 * question with TC=1; additional records are given up first, without TC. Without an image (NULL):
 * header, question and OPT, with the rcode; with TC for NOERROR, since then there is an answer, which
 * has to be asked for over TCP. Returns the length; 0 when nothing fits. */
size_t reply_write(const struct reply_options *, const uint8_t *image, size_t len, uint16_t rcode,
                   uint8_t *out);

/* Octets of an image as it is sent, when nothing has to be cut; without the text of the EDE. */
size_t reply_size(const struct reply_options *, size_t len);

/* Begins an image by hand (synthesized answers): header and question. */
void image_begin(struct writer *, const struct message *query, uint16_t rcode);
/* A record of class IN up to its RDATA, whose octets follow. owner_pos: where in the message the
 * owner's name begins, below 0x4000; DNS_HEADER is the question's; 0: it was written before. */
void image_record(struct writer *, enum section, size_t owner_pos, uint16_t type, uint32_t ttl,
                  size_t rdlength);
/* The SOA of a zone of our own (RFC 6303 3). Its MINIMUM is its TTL. */
void image_soa(struct writer *, enum section, size_t zone_pos, uint32_t ttl);

/* Sets each TTL of an image to what is left of it: at least 0 and least_s; then at most most_s. */
void image_age(uint8_t *image, size_t len, uint32_t age_s, uint32_t least_s, uint32_t most_s);

/* Puts the first records of the answered RRset, `by` modulo their number, to its end; of a
 * large one the first 256, and those that begin in its first 4 KB, are the set. Only where
 * reply_facts.rotates: one after the other, and nothing points into them. */
void image_rotate(uint8_t *image, size_t len, uint16_t type, unsigned by);

/* Puts the same records of a set of SRV into an order drawn by RFC 2782: by priority, and at random
 * by weight within; so that a client that takes the first one is spread, too. */
void image_shuffle_srv(uint8_t *image, size_t len, struct random *);

/* A query to a server: RD=1, CD as told, OPT with size DNS_UDP_EDNS and DO; padded to a multiple of
 * 128 octets (RFC 8467 4.1), if it has EDNS. */
struct query_build {
    uint16_t id;
    const struct name *qname; /* with the case to send (0x20) */
    uint16_t qtype, qclass;
    bool cd, ad, do_bit, edns, padded;
};
size_t query_build(const struct query_build *, uint8_t *out, size_t size);

/* ---- reply_read.c ---- */

enum { REPLY_KINDS = 6 };
enum reply_kind {
    REPLY_POSITIVE, /* NOERROR with QTYPE records (or any, for ANY) at the chain's end */
    REPLY_NODATA,   /* NOERROR, none; with or without SOA */
    REPLY_NXDOMAIN,
    REPLY_REFERRAL, /* NOERROR, no answer, NS but no SOA, and AA=0 */
    REPLY_FAILURE,  /* any other rcode */
    REPLY_CNAME,    /* NOERROR, a chain without a SOA that denies something at its end: it says
                     * nothing of the end (RFC 2308 2.2) */
};

enum { REPLY_MAX_CHAIN = 11 };

struct reply_facts {
    enum reply_kind kind;
    uint16_t rcode;
    bool has_soa;    /* in authority, owner an ancestor of the chain's end or it */
    bool has_rrsig;  /* anywhere in answer or authority */
    bool has_cname;  /* a chain was followed */
    bool rotates;    /* image_rotate() may be used on the image */
    bool cacheable;  /* complete: the answer, or that there is none */
    uint32_t ttl;    /* smallest of the image; negative: of the SOA's MINIMUM too (RFC 2308 5);
                      * UINT32_MAX when there is no record */
    struct name end; /* folded: end of the chain = owner of the answer */
};

struct reply_wanted {
    bool dnssec; /* the question had DO */
    /* Is a name to which a CNAME leads for others to say? Then the chain ends there, and what the
     * reply says of it goes, whether there are records or NXDOMAIN. Or NULL. */
    bool (*leads_away)(const void *context, const struct name *);
    const void *context;
};

/* Reads the records of a reply and writes its image. m: what message_read_head() made of the
 * same octets, with DNS_AD in m->flags if the server is believed; it gets EDNS and the rcode. The
 * answered RRset gets the smallest of its TTLs (RFC 2181 5.2).
 * 0; -EBADMSG: no well-formed reply, or TC; -ELOOP: its CNAMEs lead nowhere; -ENOSPC: out is too
 * small, or its names take more than a message when they are written anew.
 * Header bits in the image: QR, RA=1, RD=1, AA=0, AD as sent, rcode (four bits). */
int reply_read(struct message *m, const uint8_t *wire, size_t len, const struct reply_wanted *,
               uint8_t *out, size_t size, size_t *image_len, struct reply_facts *);

/* Writes a chain of CNAMEs (the answer section of an image) and behind it the
 * records of the reply to the question for its end, all as one reply to the
 * chain's question. end NULL: the chain alone. The length; 0 when it does not fit. */
size_t reply_join(const uint8_t *chain, size_t chain_len, const uint8_t *end, size_t end_len,
                  uint8_t *out, size_t size);

/* ---- SRV sets: an image of a question for SRV has no SRV in its answer section but
 * those of the answered set ---- */

enum { SRV_MAX = 64 };

struct srv {
    uint16_t priority, weight, port;
    struct name target; /* folded; the root name = "no service here" */
    bool is_public;     /* a public address stands beside it; told by who knows which are */
};

/* The SRV records of an image's answer: how many, of which the first SRV_MAX are told; -EBADMSG. */
int srv_read(const uint8_t *image, size_t len, struct srv out[SRV_MAX]);

/* Copies an image without those of its n SRV records, as srv_read() told them, that are set in
 * `drop`, without RRSIGs of the set and addresses of dropped targets. The length; 0: no room. */
size_t srv_filter(const uint8_t *image, size_t len, const struct srv *, int n, const bool *drop,
                  uint8_t *out, size_t size);

#endif
