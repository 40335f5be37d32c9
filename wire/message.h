/* SPDX-License-Identifier: BSD-2-Clause
 *
 * message.h -- a DNS message as far as every reader needs it: header, the
 * question, EDNS and TSIG, with the whole of it checked strictly.
 *
 * Strict means: QDCOUNT = 1 for opcode QUERY (RFC 9619); each record ends
 * exactly at its RDLENGTH; no trailing bytes; at most one OPT, in the
 * additional section, owner root (RFC 6891); a TSIG only as the last record.
 * No allocation, no I/O.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "wire/records.h"

struct edns {
    bool present;
    bool do_bit;
    bool keepalive; /* option 11 was there */
    bool nsid;      /* option 3 was there, empty: who answers? */
    uint8_t version;
    uint16_t size; /* as sent; see message_udp_limit() */
};

struct message {
    uint16_t id, flags; /* flags: the whole 16-bit field, with opcode and rcode */
    uint8_t opcode;
    bool tsig;
    uint16_t rcode;     /* with the extended bits of OPT */
    uint16_t counts[4]; /* QD AN NS AR, as sent (AR with the OPT) */
    uint16_t qtype, qclass;
    uint16_t question_len; /* octets of the question section, at offset 12 */
    uint16_t opt_at;       /* offset of the OPT record; 0 = none */
    uint16_t opt_len;      /* octets of the whole record */
    struct edns edns;
    struct name qname; /* folded */
};

/* What to do with a query that arrived. */
enum message_fault {
    MESSAGE_OK,
    MESSAGE_IGNORE, /* shorter than a header, or QR=1: never answered */
    MESSAGE_FORMERR,
    MESSAGE_NOTIMP,  /* opcode other than QUERY and UPDATE */
    MESSAGE_BADVERS, /* EDNS version above 0 */
};

/* Reads a query (opcode QUERY; for UPDATE the zone section is the question and
 * the rest is only walked). On a fault the header fields are set, and the
 * question too if question_len is not 0, so that the error can echo them. */
enum message_fault message_read_query(struct message *, const uint8_t *wire, size_t len);

/* Reads a reply: QR=1, the same rules. 0 or -EBADMSG. For one whose records are
 * wanted: message_read_head(), then reply_read() (wire/reply_read.h). */
int message_read_reply(struct message *, const uint8_t *wire, size_t len);

/* Header and question alone; the records may be anything. 0 or -EBADMSG, with
 * the header fields set if there is a header. */
int message_read_head(struct message *, const uint8_t *wire, size_t len);

/* Notes a record that rr_walk_next() gave, if it is OPT or TSIG. False when it
 * may not be there. */
bool message_note_record(struct message *, const uint8_t *wire, const struct rr *);

/* Payload that a client can take over UDP: 512 without EDNS or below 512,
 * never above DNS_UDP_EDNS. */
size_t message_udp_limit(const struct edns *);

/* The flags of a message that is no more than bytes; 0 when it is shorter than
 * a header. */
static inline uint16_t dns_flags(const uint8_t *wire, size_t len)
{
    return len < DNS_HEADER ? 0 : bytes_u16(wire + 2);
}

static inline uint16_t dns_rcode(const uint8_t *wire, size_t len)
{
    return dns_flags(wire, len) & 15;
}

static inline void dns_set_flags(uint8_t *wire, size_t len, uint16_t flags)
{
    if (len >= DNS_HEADER) {
        wire[2] = (uint8_t)(flags >> 8);
        wire[3] = (uint8_t)flags;
    }
}

/* Begins a message: header (no records counted yet) and question. */
void message_begin(struct writer *, uint16_t id, uint16_t flags, const struct name *qname,
                   uint16_t qtype, uint16_t qclass);
/* Sets the counts of the records behind it. */
void message_counts(struct writer *, uint16_t answers, uint16_t authority, uint16_t additional);

#endif
