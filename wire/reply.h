/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply.h -- builds what is sent: queries to servers, replies to clients; and what is done to
 * images (wire/reply_read.h) on the way.
 *
 * All builders write into the caller's buffer, fail closed when it is too small, and end with an
 * OPT made anew where the question had one (RFC 6891 is hop by hop).
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
    bool ad;              /* AD may be set (RFC 6840 5.7: only if the client sent AD or DO) */
    int ede;              /* EDE_NONE or a code; sent only with EDNS */
    const char *ede_text; /* NULL or short UTF-8 */
    uint16_t keepalive;   /* 0, or the TCP idle time in 100 ms (RFC 7828) */
    const char *nsid;     /* NULL, or who answers (RFC 5001) */
};

/* Sends an image: copies it to out (which may be the same buffer), sets ID, RD and CD of the query,
 * the client's question case, RA=1, AA=0, and appends OPT. What exceeds the limit is cut to the
 * question with TC=1; additional records are given up first, without TC. Without an image (NULL):
 * header, question and OPT, with the rcode. Returns the length; 0 when nothing fits. */
size_t reply_write(const struct reply_options *, const uint8_t *image, size_t len, uint16_t rcode,
                   uint8_t *out);

/* Begins an image by hand (synthesized answers): header and question. */
void image_begin(struct writer *, const struct message *query, uint16_t rcode);
/* A record of class IN up to its RDATA, whose octets follow. owner_pos: where in the message the
 * owner's name begins, below 0x4000; DNS_HEADER is the question's; 0: it was written before. */
void image_record(struct writer *, enum section, size_t owner_pos, uint16_t type, uint32_t ttl,
                  size_t rdlength);
/* The SOA of a zone of our own (RFC 6303 3). Its MINIMUM is its TTL. */
void image_soa(struct writer *, enum section, size_t zone_pos, uint32_t ttl);

/* Sets each TTL of an image to what is left of it: at least 0, and at least least_s; then at
 * most most_s. */
void image_age(uint8_t *image, size_t len, uint32_t age_s, uint32_t least_s, uint32_t most_s);

/* Puts the first records of the answered RRset, `by` modulo their number, to its end; of a
 * large one the first 256, and those that begin in its first 4 KB, are the set. Only where
 * reply_facts.rotates: one after the other, and nothing points into them. */
void image_rotate(uint8_t *image, size_t len, uint16_t type, unsigned by);

/* Puts the same records of a set of SRV into an order drawn by RFC 2782: by priority, and at random
 * by weight within; so that a client that takes the first one is spread, too. */
void image_shuffle_srv(uint8_t *image, size_t len, struct random *);

/* A query to a server: RD=1, CD as told, OPT with size DNS_UDP_EDNS and DO. */
struct query_build {
    uint16_t id;
    const struct name *qname; /* with the case to send (0x20) */
    uint16_t qtype, qclass;
    bool cd, ad, do_bit, edns;
};
size_t query_build(const struct query_build *, uint8_t *out, size_t size);

#endif
