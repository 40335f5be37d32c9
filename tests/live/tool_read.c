/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tool_read.c -- which messages does our reader accept, and what does it find in them? Reads messages with
 * their length in front, as over TCP. First a line with the types whose RDATA it looks into; then one
 * for each message: "-" if it is refused, or no QUERY; else its records, and behind " | " those of the image of a reply.
 *
 * A record is SECTION,OWNER,TYPE,CLASS,TTL,RDATA: names and RDATA in hexadecimal, without compression.
 */
#include <stdio.h>
#include <stdlib.h>

#include "wire/reply.h"

static void print_octets(const uint8_t *octets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%02x", octets[i]);
}

static void print_records(const uint8_t *wire, size_t len)
{
    static uint8_t alone[DNS_MAX_MESSAGE + 4 * NAME_MAX_WIRE];
    const struct message none = {.qname = {.len = 1}};
    struct rr_walk w;

    rr_walk_init(&w, wire, len);
    while (rr_walk_next(&w)) {
        struct rewrite r;
        size_t rdata;

        rewrite_begin(&r, alone, sizeof alone, 0, &none);
        rdata = r.w.len + w.rr.owner->len + 10;
        r.apart = true;
        if (!rewrite_put(&r, wire, &w.rr, w.rr.ttl))
            abort();
        printf(" %d,", w.rr.section);
        print_octets(w.rr.owner->data, w.rr.owner->len);
        printf(",%u,%u,%u,", w.rr.type, w.rr.class, w.rr.ttl);
        print_octets(alone + rdata, r.w.len - rdata);
    }
}

static void print_image(const uint8_t *wire, size_t len)
{
    static uint8_t image[DNS_MAX_MESSAGE];
    struct reply_facts facts;
    struct message m;
    size_t n;

    if (message_read_head(&m, wire, len) == 0 &&
        reply_read(&m, wire, len, &(struct reply_wanted){.dnssec = true}, image, sizeof image, &n,
                   &facts) == 0) {
        printf(" |");
        print_records(image, n);
    }
}

int main(void)
{
    static uint8_t wire[DNS_MAX_MESSAGE];
    uint8_t length[2];

    for (unsigned type = 0; type <= UINT16_MAX; type++)
        if (rdata_layout((uint16_t)type, CLASS_IN)[0] != '*')
            printf("%u ", type);
    puts("");
    while (fread(length, 1, sizeof length, stdin) == sizeof length) {
        size_t len = bytes_u16(length);
        struct message m;
        bool is_reply;

        if (fread(wire, 1, len, stdin) != len)
            return 1;
        is_reply = (dns_flags(wire, len) & DNS_QR) != 0;
        if ((is_reply ? message_read_reply(&m, wire, len) != 0
                      : message_read_query(&m, wire, len) != RCODE_NOERROR) ||
            m.opcode != OPCODE_QUERY) { /* exchange_read() asks for that, too */
            puts("-");
            continue;
        }
        printf("+");
        print_records(wire, len);
        if (is_reply)
            print_image(wire, len);
        puts("");
    }
    return 0;
}
