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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/name.h"
#include "wire/types.h"

struct edns {
    bool present;
    bool do_bit;
    bool keepalive; /* option 11 was there */
    bool nsid;      /* option 3 was there, empty: who answers? */
    uint8_t version;
    uint8_t ext_rcode; /* upper 8 bits of the rcode */
    uint16_t size;     /* as sent; see message_udp_limit() */
};

struct message {
    uint16_t id, flags; /* flags: the whole 16-bit field, with opcode and rcode */
    uint8_t opcode;
    uint16_t rcode;     /* with the extended bits of OPT */
    uint16_t counts[4]; /* QD AN NS AR, as sent (AR with the OPT) */
    struct name qname;  /* folded */
    uint16_t qtype, qclass;
    uint16_t question_len; /* octets of the question section, at offset 12 */
    uint16_t opt_at;       /* offset of the OPT record; 0 = none */
    uint16_t opt_len;      /* octets of the whole record */
    struct edns edns;
    bool tsig;
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

/* Reads a reply from upstream: QR=1, the same rules. 0 or -EBADMSG. Records
 * are checked by reply_read() in wire/rr.h, which calls this. */
int message_read_reply(struct message *, const uint8_t *wire, size_t len);

/* Header and question alone; the records may be anything. For a reply with
 * TC, which some servers cut in the middle of a record. 0 or -EBADMSG. */
int message_read_head(struct message *, const uint8_t *wire, size_t len);

/* Payload that a client can take over UDP: 512 without EDNS or below 512,
 * never above DNS_UDP_EDNS. */
size_t message_udp_limit(const struct edns *);

#endif
