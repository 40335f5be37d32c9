/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cut.h -- which records of a reply answer its question.
 *
 * Used by reply_read() alone; the rules are at the top of rr.h. A struct cut
 * has about 80 KB and lives on the stack of one call.
 */
#ifndef WIRE_CUT_H
#define WIRE_CUT_H

#include "wire/rr.h"

enum { CUT_MAX_ZONES = 8, CUT_MAX_WANTED = 64, CUT_MAX_CNAMES = 64 };

/* One record, as small as can be: there may be 4,096. */
struct cut_item {
    uint16_t rdata_at;
    uint16_t type;  /* of an RRSIG the type that it covers, unless RRSIG was asked for */
    uint16_t owner; /* where the owner's name begins; equal: the same name */
    uint8_t section;
    bool in_class; /* class as asked, neither OPT nor TSIG */
    bool is_rrsig;
    bool keep;
    bool is_answer; /* at the chain's end */
};

struct cut {
    const uint8_t *wire; /* borrowed */
    size_t len;
    const struct message *m;
    bool wants_dnssec; /* the question had DO */
    struct cut_item item[REPLY_MAX_RRS];
    int n;
    struct name link[REPLY_MAX_CHAIN + 1]; /* QNAME, then each target; folded */
    int n_links;                           /* CNAMEs followed; link[n_links] is the end */
    int cname[CUT_MAX_CNAMES], n_cnames;   /* items; CNAMEs of the answer section */
    struct name zone[CUT_MAX_ZONES];       /* whose NSEC and NSEC3 may stay */
    int n_zones;
    struct name wanted[CUT_MAX_WANTED]; /* named by a record that stays */
    uint32_t wanted_hash[CUT_MAX_WANTED];
    int n_wanted;
    uint16_t cached_at; /* the owner read last, and where it begins */
    struct name cached;
    bool plain;          /* nothing needs writing anew: see reply_read() */
    bool in_order;       /* the answer section as cut_rank() wants it */
    bool mixed_ttls;     /* the RRset at the end has more than one TTL */
    uint32_t answer_ttl; /* smallest TTL of that RRset */
};

/* The order of an image: the chain, the RRset at its end, all else. */
enum cut_rank { RANK_CHAIN, RANK_SET, RANK_REST };
enum cut_rank cut_rank(const struct cut *, const struct cut_item *);

/* Reads all records, strictly, and marks those that stay; facts but for
 * kind, rcode and header bits. 0 or -EBADMSG. */
int cut_read(struct cut *, const struct message *m, bool wants_dnssec, const uint8_t *wire,
             size_t len, struct reply_facts *);

#endif
