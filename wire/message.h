/* SPDX-License-Identifier: BSD-2-Clause
 *
 * message.h -- a DNS message: header, question, EDNS and TSIG; one walk over its records; and
 * records of one message written into another.
 *
 * Strict means: QDCOUNT = 1 for opcode QUERY (RFC 9619); no trailing bytes; at most one OPT, in the
 * additional section, owner root (RFC 6891); a TSIG only as the last record. A record's owner, and
 * each name, address and character-string that its type has in RDATA, is valid, and the last of
 * them ends where RDLENGTH says. RDATA of types that have no row in the table of layouts is opaque
 * and is copied octet by octet (RFC 3597 3, 4). No allocation, no I/O.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "wire/name.h"
#include "wire/types.h"

struct edns {
    bool present;
    bool do_bit;
    bool keepalive;     /* option 11 was there */
    bool nsid;          /* option 3 was there, empty: who answers? */
    uint8_t cookie_len; /* option 10, the first one: its octets, or COOKIE_UNSOUND; 0: none ... */
    uint16_t cookie_at; /* ... and where they are; 0: there is none of use (RFC 7873) */
    uint8_t version;
    uint16_t size; /* as sent; see message_udp_limit() */
};
enum { COOKIE_UNSOUND = 255 };

struct message {
    uint16_t id, flags; /* the whole field, with opcode and rcode */
    uint8_t opcode;
    bool tsig;
    uint16_t rcode;     /* with the extended bits of OPT */
    uint16_t counts[4]; /* QD AN NS AR as sent, AR with the OPT */
    uint16_t qtype, qclass;
    uint16_t question_len;    /* octets from offset 12 on */
    uint16_t opt_at, opt_len; /* of the whole OPT record; 0 when there is none */
    struct edns edns;
    struct name qname; /* folded */
};

enum { MESSAGE_IGNORE = -1 }; /* shorter than a header, or QR=1: never answered */

/* Reads a query (opcode QUERY; for UPDATE the zone section is the question and
 * the rest is only walked). The rcode that is to be answered: FORMERR, NOTIMP, BADVERS, or
 * NOERROR for a good one; or MESSAGE_IGNORE. On a fault the header fields are set, and the
 * question too if question_len is not 0, so that the error can echo them. A good one has no
 * question, if it asks for a cookie alone (RFC 7873 5.4). */
int message_read_query(struct message *, const uint8_t *wire, size_t len);

/* Reads a reply: QR=1, the same rules. 0 or -EBADMSG. */
int message_read_reply(struct message *, const uint8_t *wire, size_t len);
/* The two halves of it: header and question alone, where the header fields are set if there is
 * a header; then the records: each is checked, OPT and TSIG are noted. */
int message_read_head(struct message *, const uint8_t *wire, size_t len);
int message_read_records(struct message *, const uint8_t *wire, size_t len);

/* Payload that a client can take over UDP: 512 without EDNS or below 512,
 * never above DNS_UDP_EDNS. */
size_t message_udp_limit(const struct edns *);

/* The flags of a message that is no more than bytes; 0 when it is shorter than a header. */
static inline uint16_t dns_flags(const uint8_t *wire, size_t len)
{
    return len < DNS_HEADER ? 0 : bytes_u16(wire + 2);
}
#define dns_rcode(wire, len) (dns_flags(wire, len) & 15)

enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL };

struct rr {
    const struct name *owner; /* case as sent; until the next record is read */
    uint32_t ttl;             /* RFC 2181 8: with the top bit set it counts as 0 */
    uint16_t type, class;
    uint16_t pos, rdata_pos, rdlength; /* offsets in the message; the TTL is 6 before RDATA */
    uint16_t pointer;                  /* where the owner, if a pointer alone, leads; or 0 */
    uint8_t section;                   /* enum section */
};

struct rr_walk {
    struct rr rr; /* the one that was read last */
    struct cursor c;
    uint16_t left[3]; /* records of each section that are still to come */
    uint8_t section;
    bool opaque;      /* an UPDATE: its RDATA follows rules of its own (RFC 2136 3.2) */
    uint16_t pointer; /* the one of the record before: many share their owner */
    struct name owner;
};

/* Begins behind header and question, which message_read_head() has read, or which are read
 * here (m NULL); a message of other than one question has no records. */
void rr_walk_records(struct rr_walk *, const struct message *m, const uint8_t *wire, size_t len);
#define rr_walk_init(w, wire, len) rr_walk_records(w, NULL, wire, len)
/* True and the next record; false at the end, or on a fault: then w->c.bad. */
bool rr_walk_next(struct rr_walk *);
/* True and the address of an A or AAAA record of that message. */
struct addr;
bool rr_address(const struct rr *, const uint8_t *wire, struct addr *out);

/* One letter for each field of RDATA:
 *   '1' '2' '4' '8'  so many octets     's'  a character-string
 *   'n'  a name of an RFC 1035 type: may be compressed
 *   'N'  a name that is sent uncompressed, and understood either way (RFC 3597 4)
 *   'P'  a name of a younger type, in which a pointer is a fault
 *   'S'  character-strings up to the end; none is taken too, as others do
 *   '*'  the rest, any length: all of an opaque type
 * class matters to A and AAAA. */
const char *rdata_layout(uint16_t type, uint16_t class);

/* Begins a message: header (no records counted yet) and question. */
void message_begin(struct writer *, uint16_t id, uint16_t flags, const struct name *qname,
                   uint16_t qtype, uint16_t qclass);
/* One record more in the section. */
void message_count(struct writer *, enum section);

/* Records of one message are written into another, names anew. Owners, and names in
 * RDATA of the types of RFC 1035, are compressed; names in RDATA of other types are
 * written out. At most COMPRESS_MAX names (each with its suffixes) are remembered, so
 * that a crafted reply cannot make its rewriting expensive; others are written out. */
enum { COMPRESS_MAX = 64 };

struct rewrite {
    struct writer w;
    uint16_t last_from; /* last owner that was a pointer alone: where it led (0 = none) ... */
    uint16_t last_to;   /* ... and where its name is now */
    bool apart;         /* names written now are not remembered: nothing points at them */
    unsigned n;
    struct compress_entry {
        uint32_t hash;
        uint16_t pos; /* in the message */
        uint8_t len;  /* octets of the suffix, uncompressed */
    } entry[COMPRESS_MAX];
};

/* Header (ID 0, flags as given) and the question of the message. */
void rewrite_begin(struct rewrite *, uint8_t *out, size_t size, uint16_t flags,
                   const struct message *);
/* Appends the record that rr_walk_next() gave last, to its section; sections come in
 * order. False when it does not fit: then nothing was written. */
bool rewrite_put(struct rewrite *, const uint8_t *wire, const struct rr *, uint32_t ttl);

/* ---- present.c: text and wire form of names, types, rcodes and records. The only file of the
 * daemon that includes ldns, and never for a packet from the network: it prints what our own
 * reader has checked. May allocate inside; nothing allocated leaves. ---- */

enum { NAME_TEXT = 1025, TYPE_TEXT = 16 };

/* Reads a name, absolute or not (a missing final dot is added). "." is the
 * root. Raw UTF-8 octets are kept, \DDD and \X read. 0 or -EINVAL. */
int name_parse(struct name *out, const char *text);
/* Without the final dot ("." for the root); \DDD for what is not printable
 * ASCII, so the result is safe in logs and tables. Returns out. */
const char *name_print(const struct name *, char out[NAME_TEXT]);

int type_parse(uint16_t *out, const char *text); /* "SRV", "TYPE65280" */
const char *type_print(uint16_t type, char out[TYPE_TEXT]);
const char *rcode_print(uint16_t rcode, char out[TYPE_TEXT]); /* "NXDOMAIN", "RCODE17" */

/* One record of a checked message in zone file form without the line end; false when it does not
 * fit. Our own reader, RFC 3597 form for what ldns does not know. */
bool rr_print(const uint8_t *wire, const struct rr *, char *out, size_t size);

#endif
