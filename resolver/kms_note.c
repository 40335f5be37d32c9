/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms_note.c -- see kms_note.h.
 *
 * Only what answer and audit event need; hosts rather than the built image, so
 * that each answer has its own rotation. The bytes never leave the process,
 * but they are read through the cursor like any others.
 */
#include "resolver/kms_note.h"

#include <errno.h>
#include <string.h>

/* A longer real answer is not kept: its event could not be made again. */
enum { KEPT_SRV = AUDIT_HOSTS };

static void put_text(struct writer *w, const char *text)
{
    size_t len = strlen(text);

    writer_u8(w, (uint8_t)len); /* names are shorter than POLICY_NAME */
    writer_bytes(w, text, len);
}

static void get_text(struct cursor *c, char *out, size_t size)
{
    size_t len = cursor_u8(c);
    const uint8_t *p = cursor_take(c, len);

    if (len >= size)
        c->bad = true;
    if (c->bad || p == NULL) {
        out[0] = '\0';
        return;
    }
    memcpy(out, p, len);
    out[len] = '\0';
}

static void put_name(struct writer *w, const struct name *n)
{
    writer_u8(w, n->len);
    writer_u8(w, n->labels);
    writer_bytes(w, n->at, n->len);
}

static void get_name(struct cursor *c, struct name *n)
{
    const uint8_t *p;

    n->len = cursor_u8(c);
    n->labels = cursor_u8(c);
    if ((p = cursor_take(c, n->len)) != NULL)
        memcpy(n->at, p, n->len);
}

static void put_host(struct writer *w, const struct policy_host *h)
{
    put_name(w, &h->target);
    writer_u16(w, h->priority);
    writer_u16(w, h->weight);
    writer_u16(w, h->port);
    writer_u8(w, h->n_addresses);
    for (int i = 0; i < h->n_addresses; i++)
        writer_bytes(w, h->addresses[i].ip, sizeof h->addresses[i].ip);
}

static void get_host(struct cursor *c, struct policy_host *h)
{
    const uint8_t *p;

    get_name(c, &h->target);
    h->priority = cursor_u16(c);
    h->weight = cursor_u16(c);
    h->port = cursor_u16(c);
    h->n_addresses = cursor_u8(c);
    if (h->n_addresses > POLICY_HOST_ADDRESSES)
        c->bad = true;
    for (int i = 0; i < h->n_addresses && !c->bad; i++)
        if ((p = cursor_take(c, 16)) != NULL)
            h->addresses[i] = (struct addr){.scope = 0}, memcpy(h->addresses[i].ip, p, 16);
}

size_t kms_note_write(const struct policy_decision *d, const struct kms_real *r,
                      const struct srv *srv, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);

    if (r->n_srv > KEPT_SRV)
        return 0;
    writer_u8(&w, (uint8_t)d->outcome);
    writer_u8(&w, (uint8_t)d->reason);
    writer_u8(&w, (uint8_t)d->verdict);
    writer_u8(&w, (uint8_t)d->action);
    writer_u64(&w, d->serial);
    writer_u64(&w, d->since_ms);
    writer_u64(&w, d->until_ms);
    writer_u32(&w, d->ttl);
    put_text(&w, d->rule);
    put_text(&w, d->pool);
    writer_u8(&w, (uint8_t)d->would.outcome);
    put_text(&w, d->would.rule);
    writer_u8(&w, d->n_hosts);
    for (int i = 0; i < d->n_hosts; i++)
        put_host(&w, &d->hosts[i]);
    writer_u8(&w, (uint8_t)r->verdict);
    writer_u16(&w, r->rcode);
    writer_bytes(&w, r->server.ip, sizeof r->server.ip);
    writer_u32(&w, r->server.scope);
    writer_u16(&w, r->server.port);
    writer_u32(&w, r->ms);
    writer_u8(&w, (uint8_t)r->n_srv);
    for (int i = 0; i < r->n_srv; i++) {
        put_name(&w, &srv[i].target);
        writer_u16(&w, srv[i].port);
        writer_u8(&w, d->unapproved[i]);
    }
    return w.full ? 0 : w.len;
}

static void get_real(struct cursor *c, struct policy_decision *d, struct kms_real *r,
                     struct srv *srv)
{
    const uint8_t *p;

    memset(r, 0, sizeof *r);
    r->verdict = (enum kms_verdict)cursor_u8(c);
    r->rcode = cursor_u16(c);
    if ((p = cursor_take(c, sizeof r->server.ip)) != NULL)
        memcpy(r->server.ip, p, sizeof r->server.ip);
    r->server.scope = cursor_u32(c);
    r->server.port = cursor_u16(c);
    r->ms = cursor_u32(c);
    r->cached = true;
    r->n_srv = cursor_u8(c);
    d->n_unapproved = 0;
    for (int i = 0; i < r->n_srv && i < KEPT_SRV && !c->bad; i++) {
        get_name(c, &srv[i].target);
        srv[i].port = cursor_u16(c);
        d->unapproved[i] = cursor_u8(c) != 0;
        d->n_unapproved = (uint8_t)(d->n_unapproved + d->unapproved[i]);
    }
}

int kms_note_read(const uint8_t *note, size_t len, struct policy_decision *d, struct kms_real *r,
                  struct srv *srv)
{
    struct cursor c = cursor_make(note, len);

    d->outcome = (enum kms_outcome)cursor_u8(&c);
    d->reason = (enum kms_reason)cursor_u8(&c);
    d->verdict = (enum kms_verdict)cursor_u8(&c);
    d->action = (enum policy_action)cursor_u8(&c);
    d->serial = cursor_u64(&c);
    d->since_ms = cursor_u64(&c);
    d->until_ms = cursor_u64(&c);
    d->ttl = cursor_u32(&c);
    get_text(&c, d->rule, sizeof d->rule);
    get_text(&c, d->pool, sizeof d->pool);
    d->would.outcome = (enum kms_outcome)cursor_u8(&c);
    get_text(&c, d->would.rule, sizeof d->would.rule);
    d->n_hosts = cursor_u8(&c);
    if (d->n_hosts > POLICY_POOL_HOSTS)
        return -EBADMSG;
    for (int i = 0; i < d->n_hosts && !c.bad; i++)
        get_host(&c, &d->hosts[i]);
    get_real(&c, d, r, srv);
    return c.bad || r->n_srv > KEPT_SRV ? -EBADMSG : 0;
}
