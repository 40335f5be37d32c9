/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply_read.h -- reads a reply strictly, learns what it says about its question, and keeps of it
 * what answers the question; joins and filters what was kept.
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
#ifndef WIRE_REPLY_READ_H
#define WIRE_REPLY_READ_H

#include "wire/message.h"

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

/* Reads the records of a reply and writes its image. m: what message_read_head() made of the
 * same octets, with DNS_AD in m->flags if the server is believed; it gets EDNS and the rcode.
 * dnssec: the question had DO. The answered RRset gets the smallest of its TTLs (RFC 2181 5.2).
 * 0; -EBADMSG: no well-formed reply, or TC; -ELOOP: its CNAMEs lead nowhere; -ENOSPC: out is too
 * small, or its names take more than a message when they are written anew.
 * Header bits in the image: QR, RA=1, RD=1, AA=0, AD as sent, rcode (four bits). */
int reply_read(struct message *m, const uint8_t *wire, size_t len, bool dnssec, uint8_t *out,
               size_t size, size_t *image_len, struct reply_facts *);

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

/* The SRV records of an image's answer: how many there are, of which the first SRV_MAX are told,
 * or -EBADMSG. */
int srv_read(const uint8_t *image, size_t len, struct srv out[SRV_MAX]);

/* Copies an image without those of its n SRV records, as srv_read() told them, that are set in
 * `drop`, without RRSIGs of the set and addresses of dropped targets. The length; 0 when it does
 * not fit. */
size_t srv_filter(const uint8_t *image, size_t len, const struct srv *, int n, const bool *drop,
                  uint8_t *out, size_t size);

#endif
