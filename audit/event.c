/* SPDX-License-Identifier: BSD-2-Clause
 *
 * event.c -- the words for an event's fields, and its packed form: the numbers
 * as they lie in memory, then each name, text and host as far as it is used.
 */
#include "audit/event.h"

#include <string.h>

#include "wire/types.h"

const char *const audit_kind_names[AUDIT_KINDS + 1] = {
    "event", "start", "stop", "settings", "policy", "gap", "prune", NULL,
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

/* --- packing: one walk over the fields, in either direction ----------------------- */

struct pack {
    uint8_t *p;
    size_t left;
    bool in; /* into the event */
    bool full;
};

static void octets(struct pack *k, void *field, size_t n)
{
    if (k->full || n > k->left) {
        k->full = true;
        return;
    }
    if (k->in)
        memcpy(field, k->p, n);
    else
        memcpy(k->p, field, n);
    k->p += n;
    k->left -= n;
}

static void pack_name(struct pack *k, struct name *name)
{
    octets(k, name, offsetof(struct name, data));
    octets(k, name->data, name->len);
}

static void pack_text(struct pack *k, char *text, size_t size)
{
    uint8_t len = k->in ? 0 : (uint8_t)strnlen(text, size - 1);

    octets(k, &len, 1);
    octets(k, text, len);
    if (k->in)
        text[len] = '\0';
}

static void pack_hosts(struct pack *k, struct audit_host *hosts, uint8_t n)
{
    for (uint8_t i = 0; i < n && i < AUDIT_HOSTS; i++) {
        pack_name(k, &hosts[i].target);
        octets(k, &hosts[i].port, sizeof hosts[i].port);
    }
}

static void pack_event(struct pack *k, struct audit_event *e)
{
    octets(k, e, offsetof(struct audit_event, qname));
    pack_name(k, &e->qname);
    pack_text(k, e->rule, sizeof e->rule);
    pack_text(k, e->would_rule, sizeof e->would_rule);
    pack_text(k, e->text, sizeof e->text);
    pack_hosts(k, e->real, e->n_real);
    pack_hosts(k, e->answer, e->n_answer);
    pack_hosts(k, e->unapproved, e->n_unapproved);
    for (uint8_t i = 0; i < e->n_networks && i < AUDIT_EVENT_NETWORKS; i++)
        pack_text(k, e->networks[i], AUDIT_TEXT);
}

size_t audit_event_pack(const struct audit_event *e, uint8_t *out, size_t size)
{
    struct pack k = {.p = out, .left = size};

    pack_event(&k, (struct audit_event *)(uintptr_t)e);
    return k.full ? 0 : size - k.left;
}

void audit_event_unpack(struct audit_event *e, const uint8_t *packed, size_t len)
{
    struct pack k = {.p = (uint8_t *)(uintptr_t)packed, .left = len, .in = true};

    pack_event(&k, e);
}

uint64_t audit_event_mono(const uint8_t *packed)
{
    uint64_t ms;

    memcpy(&ms, packed + offsetof(struct audit_event, mono_ms), sizeof ms);
    return ms;
}
