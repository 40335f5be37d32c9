/* SPDX-License-Identifier: BSD-2-Clause
 *
 * event.c -- the words for an event's fields, its packed form, and the ring.
 *
 * In a ring head and tail only grow; their low bits are the place. A record is never
 * split: one that begins before the end may go beyond it, where there is room for one,
 * and the next begins as far behind the start. The producer writes head, the consumer
 * tail, each on a cache line of its own; the producer keeps a copy of tail, and so
 * touches the other's line only when the ring looks full.
 */
#include "audit/event.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/chain.h"
#include "base/random.h"
#include "wire/types.h"

const char *const audit_kind_names[AUDIT_KINDS + 1] = {
    "event", "start", "stop", "settings", "policy", "gap", "prune", "forget", "head", NULL,
};

uint32_t audit_client_error(const struct audit_event *e)
{
    if (e->kind != AUDIT_EVENT || e->answer[0] != '\0')
        return 0;
    /* Another type's answer is no failed discovery. */
    if (e->rcode == RCODE_NOERROR && e->qtype != TYPE_SRV && e->qtype != TYPE_ANY)
        return 0;
    return windows_code(e->rcode);
}

/* A multicast address, which no client has. */
static const uint8_t hidden[8] = {0xff, 0, 'h', 'm', 'a', 'c', 0, 0};

int audit_privacy_read(struct audit_privacy *p, const char *dir, bool make)
{
    struct random random = {.left = 0};
    char path[PATH_MAX];
    ssize_t n;
    int rc, fd;

    if (p->how != AUDIT_CLIENT_HMAC)
        return 0;
    snprintf(path, sizeof path, "%s/client.key", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    make = make && fd < 0 && errno == ENOENT;
    if (make) {
        (void)mkdir(dir, 0750);
        random_bytes(&random, p->key, sizeof p->key);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (fd < 0)
        return -errno;
    n = make ? write(fd, p->key, sizeof p->key) : read(fd, p->key, sizeof p->key);
    rc = n < 0 ? -errno : n != sizeof p->key ? -EINVAL : 0;
    if (make && (rc != 0 || fsync(fd) != 0))
        rc = unlink(path) == 0 ? -EIO : -errno;
    close(fd);
    return rc;
}

void audit_client_hide(uint8_t ip[16], const struct audit_privacy *p)
{
    if (p->how == AUDIT_CLIENT_PREFIX)
        prefix_mask(ip, ip_is_v4(ip) ? 96 + 24 : 56);
    if (p->how != AUDIT_CLIENT_HMAC)
        return;
    chain_hmac(ip + sizeof hidden, p->key, ip, 16);
    memcpy(ip, hidden, sizeof hidden);
}

const char *audit_client_print(const uint8_t ip[16], char out[ADDR_TEXT])
{
    struct addr client = {.port = 0};

    memcpy(client.ip, ip, sizeof client.ip);
    if (memcmp(ip, hidden, sizeof hidden) != 0)
        return addr_print(&client, out);
    strcpy(out, "hmac:");
    for (size_t i = sizeof hidden; i < sizeof client.ip; i++)
        sprintf(out + strlen(out), "%02x", ip[i]);
    return out;
}

_Static_assert(sizeof(struct audit_record) <= AUDIT_EVENT_MAX, "packed it is no longer");

struct pack {
    uint8_t *p;
    size_t left;
    bool in; /* into the event */
    bool full;
};

static inline void octets(struct pack *k, void *field, size_t n)
{
    k->full |= n > k->left;
    if (k->full)
        return;
    memcpy(k->in ? field : k->p, k->in ? k->p : field, n);
    k->p += n;
    k->left -= n;
}

static void pack_event(struct pack *k, struct audit_event *e)
{
    /* rule, would_rule, text, networks, real, answer, unapproved: one behind the other */
    static const size_t texts[] = {AUDIT_TEXT,  AUDIT_TEXT,  sizeof e->text, AUDIT_NETWORKS,
                                   AUDIT_HOSTS, AUDIT_HOSTS, AUDIT_HOSTS};
    char *text = (char *)e + offsetof(struct audit_event, rule);

    octets(k, e, offsetof(struct audit_event, qname.data));
    octets(k, e->qname.data, e->qname.len);
    octets(k, (uint8_t *)e + offsetof(struct audit_event, server),
           offsetof(struct audit_event, rule) - offsetof(struct audit_event, server));
    for (size_t i = 0; i < ARRAY_LEN(texts); text += texts[i++])
        octets(k, text, strnlen(k->in ? (const char *)k->p : text, texts[i] - 1) + 1);
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

enum { LINE = 64 };

struct audit_ring {
    size_t size; /* a power of two */
    /* producer */
    _Alignas(LINE) _Atomic size_t head;
    size_t tail_seen;
    _Atomic uint64_t dropped;
    /* consumer */
    _Alignas(LINE) _Atomic size_t tail;
    _Alignas(LINE) uint8_t bytes[];
};

struct audit_ring *audit_ring_new(size_t bytes)
{
    struct audit_ring *r = aligned_alloc(LINE, sizeof *r + bytes + LINE + AUDIT_EVENT_MAX);

    if (r == NULL)
        return NULL;
    memset(r, 0, sizeof *r);
    r->size = bytes;
    return r;
}

static struct audit_record *record_at(struct audit_ring *r, size_t place)
{
    return (void *)(r->bytes + (place & (r->size - 1)));
}

bool audit_ring_push(struct audit_ring *r, const struct audit_event *e)
{
    const size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    struct audit_record *record = record_at(r, head);

    for (int i = 0; i < 2; i++) {
        size_t left = r->size - (head - r->tail_seen); /* a multiple of 8 */
        size_t room = left < AUDIT_EVENT_MAX ? left : AUDIT_EVENT_MAX;
        uint64_t len =
            room > 0 ? audit_event_pack(e, (void *)&record->event, room - sizeof len) : 0;

        if (len > 0) {
            record->len = len;
            atomic_store_explicit(&r->head, head + audit_record_size(len), memory_order_release);
            return true;
        }
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    }
    atomic_fetch_add_explicit(&r->dropped, 1, memory_order_release);
    return false;
}

const struct audit_record *audit_ring_peek(struct audit_ring *r)
{
    const size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    return tail != atomic_load_explicit(&r->head, memory_order_acquire) ? record_at(r, tail) : NULL;
}

void audit_ring_release(struct audit_ring *r)
{
    const size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    const size_t size = audit_record_size(record_at(r, tail)->len);

    atomic_store_explicit(&r->tail, tail + size, memory_order_release);
}

uint64_t audit_ring_dropped(const struct audit_ring *r)
{
    return atomic_load_explicit(&r->dropped, memory_order_acquire);
}
