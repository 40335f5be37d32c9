/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply.h -- builds what is sent: queries to servers, replies to clients.
 *
 * All builders write into the caller's buffer, fail closed when it is too
 * small, and end with an OPT made anew where the question had one (RFC 6891 is
 * hop by hop).
 */
#ifndef WIRE_REPLY_H
#define WIRE_REPLY_H

#include "wire/message.h"
#include "wire/writer.h"

/* What a reply to a client is dressed with. */
struct reply_dress {
    const struct message *query; /* ID, flags, EDNS are taken from here */
    const uint8_t
        *question;        /* question section with the client's case, query->question_len octets */
    size_t limit;         /* octets the client can take */
    bool ad;              /* AD may be set (RFC 6840 5.7: only if the client sent AD or DO) */
    int ede;              /* EDE_NONE or a code; sent only with EDNS */
    const char *ede_text; /* NULL or short UTF-8 */
    uint16_t keepalive;   /* 0, or the TCP idle time in 100 ms (RFC 7828) */
    const char *nsid;     /* NULL, or who answers (RFC 5001) */
};

/* Sends an image: copies it to out (image and out may be the same buffer),
 * sets ID, RD and CD of the query, the client's question case, RA=1, AA=0, and
 * appends OPT and EDE. What exceeds the limit is cut to the question with TC=1
 * (an additional section is given up first, without TC). Returns the length;
 * 0 when nothing fits. rcode_ext: upper bits are put into OPT. */
size_t reply_from_image(const struct reply_dress *, const uint8_t *image, size_t len, uint8_t *out,
                        size_t size);

/* A reply of header, question and OPT: errors, NODATA, truncation. flags: any
 * of DNS_AA DNS_TC DNS_AD to set. question_len 0: without the question. */
size_t reply_empty(const struct reply_dress *, uint16_t rcode, uint16_t flags, uint8_t *out,
                   size_t size);

/* Begins an image by hand (synthesized answers): header and question; the
 * caller appends records and calls image_end(), which sets the counts. */
void image_begin(struct writer *, const struct message *query, uint16_t rcode);
void image_end(struct writer *, uint16_t answers, uint16_t authority, uint16_t additional);
/* A record of class IN up to its RDATA, whose octets follow. name_at: octets of the
 * question's name in front of the owner's. */
void image_record(struct writer *, size_t name_at, uint16_t type, uint32_t ttl, size_t rdlength);
/* A SOA or NS of a zone of our own (RFC 6303 3). The SOA's MINIMUM is its TTL. */
void image_soa(struct writer *, size_t zone_at, uint32_t ttl);
void image_ns(struct writer *, size_t zone_at, uint32_t ttl);

/* A query to a server: RD=1, CD as told, OPT with size DNS_UDP_EDNS and DO. */
struct query_build {
    uint16_t id;
    const struct name *qname; /* with the case to send (0x20) */
    uint16_t qtype, qclass;
    bool cd, ad, do_bit, edns;
};
size_t query_build(const struct query_build *, uint8_t *out, size_t size);

#endif
