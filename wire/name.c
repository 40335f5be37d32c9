/* SPDX-License-Identifier: BSD-2-Clause
 *
 * name.c -- domain names in wire form.
 *
 * One reader serves owners, RDATA and checks, so that none is less strict than another. Octets are
 * folded and compared eight at a time: a name is looked at for every query, and length octets
 * (0..63) lie outside A..Z, so a whole name can be folded without regard to its labels.
 */
#include "wire/name.h"

#include "wire/types.h"

static const struct name root = {.len = 1, .labels = 0};

static inline uint64_t fold8(const uint8_t *p)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t v, low, from_a, above_z;

    memcpy(&v, p, sizeof v);
    low = v & (0x7f * ones);
    from_a = low + (0x80 - 'A') * ones;      /* top bit: octet >= 'A' */
    above_z = low + (0x80 - 'Z' - 1) * ones; /* top bit: octet > 'Z' */
    return v | (from_a & ~above_z & ~v & (0x80 * ones)) >> 2;
}

uint8_t name_fold_octet(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

void name_fold_copy(uint8_t *out, const uint8_t *in, size_t n)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t v = fold8(in + i);

        memcpy(out + i, &v, sizeof v);
    }
    for (; i < n; i++)
        out[i] = name_fold_octet(in[i]);
}

static bool octets_equal_fold(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        if (fold8(a + i) != fold8(b + i))
            return false;
    for (; i < n; i++)
        if (name_fold_octet(a[i]) != name_fold_octet(b[i]))
            return false;
    return true;
}

void name_read(struct cursor *c, struct name *out)
{
    const uint8_t *sequence = c->pos, *end = c->end, *p, *behind = NULL;
    unsigned hops = 0, labels = 0;
    size_t len = 0, to;

    while (!c->bad) {
        size_t left = (size_t)(end - sequence), n = 0;

        if (left > NAME_MAX_WIRE - len)
            left = NAME_MAX_WIRE - len;
        for (; n < left && sequence[n] != 0 && sequence[n] < 0x40; labels++)
            n += (size_t)sequence[n] + 1;
        if (n >= left)
            break;
        memcpy(out->data + len, sequence, n);
        len += n;
        p = sequence + n;
        if (*p == 0) {
            c->steps += hops + labels + (uint32_t)len / 8;
            if (c->steps > NAME_MAX_STEPS)
                break;
            c->pos = behind ? behind : p + 1;
            out->data[len] = 0;
            out->len = (uint8_t)(len + 1);
            out->labels = (uint8_t)labels;
            return;
        }
        if (*p < 0xc0 || end - p < 2 || ++hops > NAME_MAX_HOPS)
            break;
        to = bytes_u16(p) & 0x3fff;
        /* Not into the header: those octets change when the message is sent on. */
        if (to < DNS_HEADER || to >= (size_t)(sequence - c->start))
            break;
        if (behind == NULL)
            behind = p + 2;
        /* Labels that run on into what points at them are a name to some readers only. */
        end = sequence;
        sequence = c->start + to;
    }
    c->bad = true;
    *out = root;
}

void name_read_plain(struct cursor *c, struct name *out)
{
    const uint8_t *from = c->pos;

    name_read(c, out);
    name_fold(out);
    if (c->pos - from == out->len)
        return;
    c->bad = true;
    *out = root;
}

bool name_equal(const struct name *a, const struct name *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

bool name_equal_fold(const struct name *a, const struct name *b)
{
    return a->len == b->len && octets_equal_fold(a->data, b->data, a->len);
}

/* Where the name begins that is left without the first `skip` labels. */
static size_t parent_offset(const struct name *name, unsigned skip)
{
    size_t at = 0;

    for (; skip > 0 && name->data[at] != 0; skip--)
        at += (size_t)name->data[at] + 1;
    return at;
}

bool name_is_under(const struct name *name, const struct name *zone)
{
    size_t at;

    if (zone->len > name->len || zone->labels > name->labels)
        return false;
    at = parent_offset(name, (unsigned)(name->labels - zone->labels));
    return name->len - at == zone->len && octets_equal_fold(name->data + at, zone->data, zone->len);
}

void name_parent(const struct name *name, unsigned skip, struct name *out)
{
    size_t at = parent_offset(name, skip);

    out->len = (uint8_t)(name->len - at); /* out may be name itself */
    out->labels = (uint8_t)(name->labels > skip ? name->labels - skip : 0);
    memmove(out->data, name->data + at, out->len);
}

bool name_join(const struct name *front, const struct name *back, struct name *out)
{
    size_t head = (size_t)front->len - 1, len = head + back->len;
    unsigned labels = (unsigned)front->labels + back->labels;

    if (len > NAME_MAX_WIRE)
        return false;
    memmove(out->data + head, back->data, back->len); /* out may be back, or front */
    memmove(out->data, front->data, head);
    out->len = (uint8_t)len;
    out->labels = (uint8_t)labels;
    return true;
}

void name_labels(const struct name *name, uint8_t pos[NAME_MAX_LABELS])
{
    size_t offset = 0;

    for (unsigned i = 0; i < name->labels; i++) {
        pos[i] = (uint8_t)offset;
        offset += (size_t)name->data[offset] + 1;
    }
}

size_t name_sort_key(const struct name *name, uint8_t *out, size_t size)
{
    uint8_t labels[NAME_MAX_LABELS];
    size_t len = 0;

    name_labels(name, labels);
    for (unsigned i = name->labels; i-- > 0;) {
        const uint8_t *label = name->data + labels[i];

        for (size_t k = 1; k <= label[0]; k++) {
            uint8_t c = name_fold_octet(label[k]);

            if (len + 2 > size)
                return 0;
            if (c <= 1)
                out[len++] = 1;
            out[len++] = c <= 1 ? (uint8_t)(c + 1) : c;
        }
        if (len >= size)
            return 0;
        out[len++] = 0;
    }
    return len;
}

bool name_from_sort_key(const uint8_t *key, size_t len, struct name *out)
{
    struct name made = root, label = {.labels = 1};
    size_t used = 0;

    while (used < len) {
        uint8_t n = 0;

        for (; used < len && key[used] != 0; used++) {
            uint8_t c = key[used];

            if (c == 1) {
                if (++used == len || (key[used] != 1 && key[used] != 2))
                    return false;
                c = (uint8_t)(key[used] - 1);
            }
            if (n == 63 || (c >= 'A' && c <= 'Z'))
                return false;
            label.data[++n] = c;
        }
        label.data[0] = n;
        label.len = (uint8_t)(n + 2);
        if (used++ == len || n == 0 || !name_join(&label, &made, &made))
            return false;
    }
    *out = made;
    return true;
}

bool name_is_vlmcs(const struct name *name)
{
    static const uint8_t head[] = "\x06_vlmcs\x04_tcp";

    return name->len >= sizeof head && octets_equal_fold(name->data, head, sizeof head - 1);
}
