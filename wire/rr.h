/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rr.h -- the records of a reply: walk them strictly, learn what the reply
 * says about its question, cut it to what answers the question, age its TTLs.
 *
 * The result of reply_read() is an *image*: the reply as it is kept and
 * delivered. An image has ID 0, the question as it was asked, no OPT, and only
 * records that answer the question (RFC 5452 6, 2181 5.4.1):
 *   answer      the CNAME chain from QNAME (in any order sent, at most 11,
 *               without a loop) and the records of QTYPE at its end, with
 *               their RRSIGs; DNAMEs above a link of the chain
 *   authority   SOA, NS, NSEC, NSEC3, DS and RRSIG whose owner is QNAME's or
 *               the chain end's ancestor or self (NSEC and NSEC3: below the
 *               owner of the SOA, or the signer of an answer that stays)
 *   additional  A, AAAA and their RRSIGs at names that a record kept above
 *               names (SRV, MX, NS, SVCB, HTTPS)
 * RRSIG, NSEC and NSEC3 stay for a question with DO, or one that asks for them.
 * What an answer can do without (SOA, NS and DS beside it, additional records)
 * goes when its TTL ends before that of the rest.
 * In the answer section the chain comes first, then the RRset at its end, then
 * the signatures of that. A reply that is so and has nothing else is copied as
 * it is; otherwise names are written anew, compressed against the question and
 * owners before them, names inside RDATA only for the types of RFC 1035. Nothing
 * points into an RRset of several records, so that it can be rotated; but where
 * that would cost more than 512 octets allow, the shorter image is preferred.
 */
#ifndef WIRE_RR_H
#define WIRE_RR_H

#include "wire/message.h"

enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL };

struct rr {
    struct name owner; /* case as sent */
    uint16_t type, class;
    uint32_t ttl;                            /* RFC 2181 8: with the top bit set it counts as 0 */
    uint16_t at, ttl_at, rdata_at, rdlength; /* offsets in the message */
    enum section section;
    bool expand; /* a name in RDATA came compressed that never should be */
};

/* Walks the records of a message behind its question. */
struct rr_walk {
    struct cursor c;
    uint16_t left[3];
    int section;
    uint16_t last_to; /* last owner that was a pointer alone: where to (0 = none) ... */
    struct name last; /* ... and its name, since many records share it */
};

void rr_walk_init(struct rr_walk *, const struct message *, const uint8_t *wire, size_t len);
/* The same for an image, of which there is no struct message. */
void rr_walk_image(struct rr_walk *, const uint8_t *image, size_t len);
/* Moves behind header and question of a message that was checked before. */
void rr_pass_question(struct cursor *, uint16_t counts[3]);
/* True and the next record, RDATA checked: names inside the types of RFC 1035
 * and SRV, NAPTR, DNAME, RRSIG, NSEC are valid and end where RDLENGTH says, as
 * do character-strings; A is 4, AAAA 16. False at the end or on a fault: then w->c.bad. */
bool rr_walk_next(struct rr_walk *, struct rr *);

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

enum { REPLY_MAX_RRS = 4096, REPLY_MAX_CHAIN = 11 };

struct reply_facts {
    enum reply_kind kind;
    uint16_t rcode;
    bool tc, aa, ad;
    bool has_soa;      /* in authority, owner an ancestor of the chain's end or it */
    bool has_rrsig;    /* anywhere in answer or authority */
    bool has_cname;    /* a chain was followed */
    bool rotates;      /* image_rotate() may be used on the image */
    bool cacheable;    /* no TC, complete */
    uint32_t ttl;      /* smallest of the image; negative: of the SOA's MINIMUM too (RFC 2308 5);
                   * UINT32_MAX when there is no record */
    uint16_t n_answer; /* records of QTYPE at the chain's end */
    struct name end;   /* folded: end of the chain = owner of the answer */
};

/* Reads a reply to the question of `asked` strictly and writes its image. The
 * answered RRset gets the smallest of its TTLs (RFC 2181 5.2). A reply with TC
 * whose records are cut off is read as header and question. Takes about 80 KB
 * of stack.
 * 0; -EBADMSG the reply is not to be used; -ENOSPC out is too small (65,535
 * is always enough). Header bits in the image: QR, RA=1, RD as asked, AA=0,
 * AD as sent, TC as sent, rcode (four bits). */
int reply_read(const uint8_t *wire, size_t len, const struct message *asked, uint8_t *out,
               size_t size, size_t *image_len, struct reply_facts *facts);

/* Writes a chain of CNAMEs (the answer section of an image) and behind it the
 * records of the reply to the question for its end, all as one reply to the
 * chain's question. end NULL: the chain alone. The length; 0 when it does not fit. */
size_t reply_join(const uint8_t *chain, size_t chain_len, const uint8_t *end, size_t end_len,
                  uint8_t *out, size_t size);

/* Offsets of the TTL fields of an image, at most max; the number found, or -1
 * when there are more. The image is one that reply_read() or a builder made. */
int image_ttls(const uint8_t *image, size_t len, uint16_t *at, int max);
/* Sets each TTL to what is left of it: max(ttl - age, 0), at most cap. */
void image_age(uint8_t *image, size_t len, const uint16_t *ttl_at, int n, uint32_t age_s,
               uint32_t cap_s);
/* Sets all TTLs to `ttl_s` (stale answers, RFC 8767). */
void image_set_ttls(uint8_t *image, size_t len, const uint16_t *ttl_at, int n, uint32_t ttl_s);

/* Puts the first records of the answered RRset, `by` modulo their number, to its
 * end; of a large one the first 256, and those that begin in its first 4 KB, are
 * the set. Only for images that may be rotated: more than one record, one after
 * the other, and nothing points into them. */
void image_rotate(uint8_t *image, size_t len, uint16_t type, unsigned by);

#endif
