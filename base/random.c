/* SPDX-License-Identifier: BSD-2-Clause
 *
 * random.c -- unpredictable numbers from a buffer that the kernel fills.
 *
 *   buf  [ used, wiped ........ | unused: `left` bytes ]
 *
 * Bytes are taken from the front and wiped at once, so that a leak of the
 * struct later does not tell which query IDs were used earlier.
 */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Without randomness no query ID is safe, and no caller could do anything
 * sensible about it: the process ends. Linux gives it at any time after boot. */
static void fill_from_kernel(void *context, uint8_t *out, size_t len)
{
    (void)context;
    while (len > 0) {
        ssize_t n = getrandom(out, len, 0);

        if (n < 0 && errno != EINTR) {
            perror("getrandom");
            abort();
        }
        if (n > 0) {
            out += n;
            len -= (size_t)n;
        }
    }
}

void random_init(struct random *r)
{
    *r = (struct random){.fill = fill_from_kernel};
}

void random_bytes(struct random *r, void *out, size_t len)
{
    uint8_t *to = out;

    while (len > 0) {
        uint8_t *from;
        size_t n;

        if (r->left == 0) {
            r->fill(r->context, r->buf, sizeof r->buf);
            r->left = sizeof r->buf;
        }
        n = len < r->left ? len : r->left;
        from = r->buf + (sizeof r->buf - r->left);
        memcpy(to, from, n);
        memset(from, 0, n);
        r->left -= n;
        to += n;
        len -= n;
    }
}

uint16_t random_u16(struct random *r)
{
    uint16_t v;

    random_bytes(r, &v, sizeof v);
    return v;
}

/* Lemire 2019, "Fast Random Integer Generation in an Interval": the upper half
 * of a product, and the few lower halves that would favour some are redrawn. */
uint32_t random_below(struct random *r, uint32_t n)
{
    uint32_t drawn, unfair = (0u - n) % n;
    uint64_t product;

    do {
        random_bytes(r, &drawn, sizeof drawn);
        product = (uint64_t)drawn * n;
    } while ((uint32_t)product < unfair);
    return (uint32_t)(product >> 32);
}
