/* SPDX-License-Identifier: BSD-2-Clause
 *
 * event.c -- one discovery question as bytes, and the words for its fields.
 *
 *   0 version  1 kind  2 sequence  10 bits  11 client (ip, scope, port)
 *   33 wall, mono  49 transport verdict outcome reason would
 *   54 qtype id flags rcode real_rcode  64 qname, then the rest in order
 *
 * What the writer adds (sequence, repeat, a shortened address) has a fixed
 * place, so that it stamps the bytes of the ring and builds nothing anew.
 */
#include "audit/event.h"

#include <errno.h>
#include <string.h>

#include "audit/codec.h"
#include "wire/types.h"

enum { VERSION = 1 };
enum { AT_SEQUENCE = 2, AT_BITS = 10, AT_CLIENT = 11, AT_MONO = 41, FIXED = 64 };
enum { BIT_DO = 1, BIT_REPEAT = 2, BIT_CACHED = 4, BIT_SERVER = 8, BITS = 15 };

const char *const audit_outcome_names[AUDIT_OUTCOMES + 1] = {
    "-",       "passed", "filled",  "replaced", "filtered", "denied",
    "missing", "failed", "blocked", "update",   NULL,
};
const char *const audit_reason_names[AUDIT_REASONS + 1] = {
    "-", "rule", "no-rule", "signed", "damaged", "rd0", "off", "access", "update", NULL,
};
const char *const audit_verdict_names[AUDIT_VERDICTS + 1] = {
    "-",        "nxdomain", "nodata",  "present", "unapproved",
    "servfail", "refused",  "timeout", "other",   NULL,
};
const char *const audit_kind_names[AUDIT_KINDS + 1] = {
    "event", "start", "stop", "settings", "policy", "gap", "prune", "forget", NULL,
};

/* HRESULT_FROM_WIN32 of the DNS errors: 9000 + rcode where Windows has one. */
uint32_t audit_client_error(const struct audit_event *e)
{
    const uint32_t facility = 0x80070000, timeout = 1460, no_records = 9501, unspecified = 9504;

    if (e->kind != AUDIT_EVENT || e->n_answer > 0)
        return 0;
    if (e->rcode == RCODE_NOERROR) /* another type's answer is no failed discovery */
        return e->qtype == TYPE_SRV || e->qtype == TYPE_ANY ? facility | no_records : 0;
    if (e->rcode == RCODE_TIMEOUT)
        return facility | timeout;
    if (e->rcode <= 10 || (e->rcode >= 16 && e->rcode <= 18))
        return facility | (9000u + e->rcode);
    return facility | unspecified;
}

void audit_event_suffix(const struct audit_event *e, struct name *out)
{
    if (name_is_vlmcs(&e->qname))
        name_parent(&e->qname, 2, out);
    else
        *out = e->qname; /* an UPDATE names its zone */
    name_fold(out);
}

static bool has_address(const struct addr *a)
{
    static const uint8_t none[sizeof a->ip];

    return memcmp(a->ip, none, sizeof none) != 0;
}

static void put_fixed(struct writer *w, const struct audit_event *e)
{
    writer_u8(w, VERSION);
    writer_u8(w, e->kind);
    writer_u64(w, e->sequence);
    writer_u8(w,
              (uint8_t)((e->edns_do ? BIT_DO : 0) | (e->repeat ? BIT_REPEAT : 0) |
                        (e->cached ? BIT_CACHED : 0) | (has_address(&e->server) ? BIT_SERVER : 0)));
    codec_put_addr(w, &e->client);
    writer_u64(w, e->wall_ms);
    writer_u64(w, e->mono_ms);
    writer_u8(w, e->transport);
    writer_u8(w, e->verdict);
    writer_u8(w, e->outcome);
    writer_u8(w, e->reason);
    writer_u8(w, e->would);
    writer_u16(w, e->qtype);
    writer_u16(w, e->id);
    writer_u16(w, e->flags);
    writer_u16(w, e->rcode);
    writer_u16(w, e->real_rcode);
}

size_t audit_event_encode(const struct audit_event *e, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);
    uint8_t networks = e->n_networks < AUDIT_EVENT_NETWORKS ? e->n_networks : AUDIT_EVENT_NETWORKS;

    put_fixed(&w, e);
    codec_put_name(&w, &e->qname);
    if (has_address(&e->server))
        codec_put_addr(&w, &e->server);
    codec_put_number(&w, e->real_ms);
    codec_put_number(&w, e->latency_us);
    codec_put_number(&w, e->policy_serial);
    codec_put_number(&w, e->lost);
    codec_put_number(&w, e->lost_from_ms);
    codec_put_text(&w, e->rule, sizeof e->rule);
    codec_put_text(&w, e->would_rule, sizeof e->would_rule);
    codec_put_text(&w, e->text, sizeof e->text);
    codec_put_hosts(&w, e->real, e->n_real);
    codec_put_hosts(&w, e->answer, e->n_answer);
    codec_put_hosts(&w, e->unapproved, e->n_unapproved);
    writer_u8(&w, networks);
    for (uint8_t i = 0; i < networks; i++)
        codec_put_text(&w, e->networks[i], sizeof e->networks[i]);
    return w.full ? 0 : w.len;
}

static uint8_t get_fixed(struct cursor *c, struct audit_event *e)
{
    uint8_t bits;

    if (cursor_u8(c) != VERSION)
        c->bad = true;
    e->kind = codec_get_below(c, AUDIT_KINDS);
    e->sequence = cursor_u64(c);
    bits = codec_get_below(c, BITS + 1);
    e->edns_do = (bits & BIT_DO) != 0;
    e->repeat = (bits & BIT_REPEAT) != 0;
    e->cached = (bits & BIT_CACHED) != 0;
    codec_get_addr(c, &e->client);
    e->wall_ms = cursor_u64(c);
    e->mono_ms = cursor_u64(c);
    e->transport = codec_get_below(c, AUDIT_TCP + 1);
    e->verdict = codec_get_below(c, AUDIT_VERDICTS);
    e->outcome = codec_get_below(c, AUDIT_OUTCOMES);
    e->reason = codec_get_below(c, AUDIT_REASONS);
    e->would = codec_get_below(c, AUDIT_OUTCOMES);
    e->qtype = cursor_u16(c);
    e->id = cursor_u16(c);
    e->flags = cursor_u16(c);
    e->rcode = cursor_u16(c);
    e->real_rcode = cursor_u16(c);
    return bits;
}

int audit_event_decode(struct audit_event *e, const uint8_t *p, size_t len)
{
    struct cursor c = cursor_make(p, len);
    uint8_t bits;

    memset(e, 0, sizeof *e);
    bits = get_fixed(&c, e);
    codec_get_name(&c, &e->qname);
    if ((bits & BIT_SERVER) != 0)
        codec_get_addr(&c, &e->server);
    e->real_ms = codec_get_number32(&c);
    e->latency_us = codec_get_number32(&c);
    e->policy_serial = codec_get_number(&c);
    e->lost = codec_get_number(&c);
    e->lost_from_ms = codec_get_number(&c);
    codec_get_text(&c, e->rule, sizeof e->rule);
    codec_get_text(&c, e->would_rule, sizeof e->would_rule);
    codec_get_text(&c, e->text, sizeof e->text);
    codec_get_hosts(&c, e->real, &e->n_real);
    codec_get_hosts(&c, e->answer, &e->n_answer);
    codec_get_hosts(&c, e->unapproved, &e->n_unapproved);
    e->n_networks = codec_get_below(&c, AUDIT_EVENT_NETWORKS + 1);
    for (uint8_t i = 0; i < e->n_networks; i++)
        codec_get_text(&c, e->networks[i], sizeof e->networks[i]);
    return c.bad || cursor_left(&c) > 0 ? -EBADMSG : 0;
}

uint64_t audit_event_mono(const uint8_t *encoded, size_t len)
{
    struct cursor c = cursor_make(encoded, len);

    (void)cursor_take(&c, AT_MONO);
    return cursor_u64(&c);
}

void audit_event_stamp(uint8_t *encoded, size_t len, uint64_t sequence, bool repeat,
                       const uint8_t ip[16])
{
    struct writer w = writer_make(encoded + AT_SEQUENCE, sizeof sequence);

    if (len < FIXED)
        return;
    writer_u64(&w, sequence);
    if (repeat)
        encoded[AT_BITS] |= BIT_REPEAT;
    if (ip != NULL)
        memcpy(encoded + AT_CLIENT, ip, 16);
}
