/* SPDX-License-Identifier: BSD-2-Clause
 *
 * codec.c -- fields that events and ledger rows have in common, as bytes.
 */
#include "audit/codec.h"

#include <string.h>

static const struct name root = {.len = 1, .labels = 0};

void codec_put_name(struct writer *w, const struct name *name)
{
    const struct name *n = name->len > 0 ? name : &root; /* a zeroed struct is the root */

    writer_u8(w, n->len);
    writer_bytes(w, n->at, n->len);
}

/* Labels of at[0..len), or -1 when those are no name. */
static int count_labels(const uint8_t *at, size_t len)
{
    size_t i = 0;
    int labels = 0;

    while (i < len && at[i] != 0 && at[i] < 0x40) {
        i += (size_t)at[i] + 1;
        labels++;
    }
    return i + 1 == len && at[i] == 0 ? labels : -1;
}

void codec_get_name(struct cursor *c, struct name *out)
{
    uint8_t len = cursor_u8(c);
    const uint8_t *p = cursor_take(c, len);
    int labels = p != NULL && len > 0 ? count_labels(p, len) : -1;

    if (labels < 0) {
        c->bad = true;
        *out = root;
        return;
    }
    out->len = len;
    out->labels = (uint8_t)labels;
    memcpy(out->at, p, len);
}

void codec_put_text(struct writer *w, const char *text, size_t size)
{
    size_t len = strnlen(text, size - 1);

    writer_u8(w, (uint8_t)len);
    writer_bytes(w, text, len);
}

void codec_get_text(struct cursor *c, char *out, size_t size)
{
    uint8_t len = cursor_u8(c);
    const uint8_t *p = cursor_take(c, len);

    out[0] = '\0';
    if (p == NULL || len >= size || memchr(p, 0, len) != NULL) {
        c->bad = true;
        return;
    }
    memcpy(out, p, len);
    out[len] = '\0';
}

void codec_put_number(struct writer *w, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        writer_u8(w, (uint8_t)(v | 0x80));
    writer_u8(w, (uint8_t)v);
}

uint64_t codec_get_number(struct cursor *c)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t octet = cursor_u8(c);

        if (shift == 63 && octet > 1)
            break;
        v |= (uint64_t)(octet & 0x7f) << shift;
        if (octet < 0x80)
            return v;
    }
    c->bad = true;
    return 0;
}

uint32_t codec_get_number32(struct cursor *c)
{
    uint64_t v = codec_get_number(c);

    if (v > UINT32_MAX) {
        c->bad = true;
        return 0;
    }
    return (uint32_t)v;
}

uint8_t codec_get_below(struct cursor *c, unsigned limit)
{
    uint8_t v = cursor_u8(c);

    if (v >= limit) {
        c->bad = true;
        return 0;
    }
    return v;
}

void codec_put_addr(struct writer *w, const struct addr *a)
{
    writer_bytes(w, a->ip, sizeof a->ip);
    writer_u32(w, a->scope);
    writer_u16(w, a->port);
}

void codec_get_addr(struct cursor *c, struct addr *out)
{
    const uint8_t *ip = cursor_take(c, sizeof out->ip);

    memset(out, 0, sizeof *out);
    if (ip != NULL)
        memcpy(out->ip, ip, sizeof out->ip);
    out->scope = cursor_u32(c);
    out->port = cursor_u16(c);
}

void codec_put_hosts(struct writer *w, const struct audit_host *hosts, uint8_t n)
{
    if (n > AUDIT_HOSTS)
        n = AUDIT_HOSTS;
    writer_u8(w, n);
    for (uint8_t i = 0; i < n; i++) {
        codec_put_name(w, &hosts[i].target);
        writer_u16(w, hosts[i].port);
    }
}

void codec_get_hosts(struct cursor *c, struct audit_host *hosts, uint8_t *n)
{
    *n = codec_get_below(c, AUDIT_HOSTS + 1);
    for (uint8_t i = 0; i < *n; i++) {
        codec_get_name(c, &hosts[i].target);
        hosts[i].port = cursor_u16(c);
    }
}
