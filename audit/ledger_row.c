/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger_row.c -- ledger rows as bytes: a version octet, then the fields in the
 * order of their structs. A row of an active client takes about 100 octets.
 */
#include <errno.h>
#include <string.h>

#include "audit/codec.h"
#include "audit/ledger.h"

enum { VERSION = 1 };
enum { BIT_OTHER = 1, BIT_UNAPPROVED = 2, BIT_HOST = 4 };

static void put_counts(struct writer *w, const struct ledger_counts *n)
{
    codec_put_number(w, n->questions);
    codec_put_number(w, n->attempts);
    writer_u8(w, AUDIT_OUTCOMES);
    for (int i = 0; i < AUDIT_OUTCOMES; i++)
        codec_put_number(w, n->outcomes[i]);
}

static void get_counts(struct cursor *c, struct ledger_counts *n)
{
    uint8_t outcomes;

    memset(n, 0, sizeof *n);
    n->questions = codec_get_number(c);
    n->attempts = codec_get_number(c);
    outcomes = codec_get_below(c, AUDIT_OUTCOMES + 1); /* fewer: from before an outcome was added */
    for (int i = 0; i < outcomes; i++)
        n->outcomes[i] = codec_get_number(c);
}

static size_t done(const struct writer *w)
{
    return w->full ? 0 : w->len;
}

static int check(const struct cursor *c)
{
    return c->bad || cursor_left(c) > 0 ? -EBADMSG : 0;
}

static uint8_t get_head(struct cursor *c)
{
    if (cursor_u8(c) != VERSION)
        c->bad = true;
    return cursor_u8(c);
}

/* --- client ------------------------------------------------------------------ */

size_t ledger_client_encode(const struct ledger_client *r, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);
    bool host = r->last_host.target.len > 1;
    uint8_t n = r->n_suffixes < LEDGER_SUFFIXES ? r->n_suffixes : LEDGER_SUFFIXES;

    writer_u8(&w, VERSION);
    writer_u8(&w, (uint8_t)((r->other ? BIT_OTHER : 0) | (host ? BIT_HOST : 0)));
    codec_put_addr(&w, &r->client);
    codec_put_number(&w, r->first_ms);
    codec_put_number(&w, r->last_ms);
    codec_put_number(&w, r->last_host_ms);
    codec_put_number(&w, r->no_host_since_ms);
    put_counts(&w, &r->counts);
    codec_put_number(&w, r->cadence_s);
    if (host)
        codec_put_hosts(&w, &r->last_host, 1);
    writer_u8(&w, n);
    for (uint8_t i = 0; i < n; i++) {
        codec_put_name(&w, &r->suffixes[i].suffix);
        writer_u8(&w, r->suffixes[i].verdict);
        writer_u8(&w, r->suffixes[i].outcome);
        codec_put_number(&w, r->suffixes[i].last_ms);
    }
    return done(&w);
}

int ledger_client_decode(struct ledger_client *r, const uint8_t *p, size_t len)
{
    struct cursor c = cursor_make(p, len);
    struct audit_host hosts[AUDIT_HOSTS];
    uint8_t bits = get_head(&c), n;

    memset(r, 0, sizeof *r);
    r->last_host.target.len = 1;
    r->other = (bits & BIT_OTHER) != 0;
    codec_get_addr(&c, &r->client);
    r->first_ms = codec_get_number(&c);
    r->last_ms = codec_get_number(&c);
    r->last_host_ms = codec_get_number(&c);
    r->no_host_since_ms = codec_get_number(&c);
    get_counts(&c, &r->counts);
    r->cadence_s = codec_get_number32(&c);
    if ((bits & BIT_HOST) != 0) {
        codec_get_hosts(&c, hosts, &n);
        if (n != 1)
            return -EBADMSG;
        r->last_host = hosts[0];
    }
    r->n_suffixes = codec_get_below(&c, LEDGER_SUFFIXES + 1);
    for (uint8_t i = 0; i < r->n_suffixes; i++) {
        codec_get_name(&c, &r->suffixes[i].suffix);
        r->suffixes[i].verdict = codec_get_below(&c, AUDIT_VERDICTS);
        r->suffixes[i].outcome = codec_get_below(&c, AUDIT_OUTCOMES);
        r->suffixes[i].last_ms = codec_get_number(&c);
    }
    return check(&c);
}

/* --- suffix, target, rule ------------------------------------------------------ */

size_t ledger_name_encode(const struct ledger_name_row *row, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);
    const struct ledger_name *r = &row->name;
    uint8_t n = row->n_sketch < LEDGER_SKETCH ? row->n_sketch : LEDGER_SKETCH;

    writer_u8(&w, VERSION);
    writer_u8(&w, (uint8_t)((r->other ? BIT_OTHER : 0) | (r->unapproved ? BIT_UNAPPROVED : 0)));
    codec_put_name(&w, &r->name);
    codec_put_text(&w, r->rule, sizeof r->rule);
    writer_u16(&w, r->port);
    codec_put_number(&w, r->first_ms);
    codec_put_number(&w, r->last_ms);
    put_counts(&w, &r->counts);
    codec_put_number(&w, r->delivered);
    codec_put_number(&w, r->would);
    writer_u8(&w, r->last_verdict);
    writer_u8(&w, r->last_outcome);
    codec_put_text(&w, r->last_rule, sizeof r->last_rule);
    writer_u8(&w, n);
    for (uint8_t i = 0; i < n; i++)
        writer_u32(&w, row->sketch[i]);
    return done(&w);
}

/* The k-th smallest of n evenly spread hashes lies at k/(n+1) of their range. */
static uint64_t sketch_estimate(const struct ledger_name_row *row)
{
    if (row->n_sketch < LEDGER_SKETCH)
        return row->n_sketch;
    return (uint64_t)(LEDGER_SKETCH - 1) * UINT32_MAX /
           ((uint64_t)row->sketch[LEDGER_SKETCH - 1] + 1);
}

int ledger_name_decode(struct ledger_name_row *row, const uint8_t *p, size_t len)
{
    struct cursor c = cursor_make(p, len);
    struct ledger_name *r = &row->name;
    uint8_t bits;

    memset(row, 0, sizeof *row);
    bits = get_head(&c);
    r->other = (bits & BIT_OTHER) != 0;
    r->unapproved = (bits & BIT_UNAPPROVED) != 0;
    codec_get_name(&c, &r->name);
    codec_get_text(&c, r->rule, sizeof r->rule);
    r->port = cursor_u16(&c);
    r->first_ms = codec_get_number(&c);
    r->last_ms = codec_get_number(&c);
    get_counts(&c, &r->counts);
    r->delivered = codec_get_number(&c);
    r->would = codec_get_number(&c);
    r->last_verdict = codec_get_below(&c, AUDIT_VERDICTS);
    r->last_outcome = codec_get_below(&c, AUDIT_OUTCOMES);
    codec_get_text(&c, r->last_rule, sizeof r->last_rule);
    row->n_sketch = codec_get_below(&c, LEDGER_SKETCH + 1);
    for (uint8_t i = 0; i < row->n_sketch; i++) {
        row->sketch[i] = cursor_u32(&c);
        if (i > 0 && row->sketch[i] <= row->sketch[i - 1])
            c.bad = true; /* they are sorted and distinct */
    }
    r->clients_hint = sketch_estimate(row);
    return check(&c);
}

/* --- hour ------------------------------------------------------------------------ */

size_t ledger_hour_encode(const struct ledger_hour *r, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);

    writer_u8(&w, VERSION);
    writer_u8(&w, 0);
    codec_put_number(&w, r->start_ms);
    put_counts(&w, &r->counts);
    return done(&w);
}

int ledger_hour_decode(struct ledger_hour *r, const uint8_t *p, size_t len)
{
    struct cursor c = cursor_make(p, len);

    (void)get_head(&c);
    r->start_ms = codec_get_number(&c);
    get_counts(&c, &r->counts);
    return check(&c);
}
