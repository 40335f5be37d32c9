/* SPDX-License-Identifier: BSD-2-Clause
 *
 * repeat.c -- the questions of the last 10 s, in a table of fixed size.
 *
 * Sets of four; a new question takes the oldest place of its set. Time counts
 * from the first asking: a Windows client resends at 1, 2, 4 and 8 s, and one
 * that never changes its ID is not a repeat for ever. A full table forgets
 * early, which makes attempts out of repeats and loses no question.
 */
#include "audit/repeat.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "wire/writer.h"

enum { SETS = 8192, WAYS = 4 };
static const uint64_t window_ms = 10000;

struct repeats {
    struct {
        uint64_t hash, first_ms;
    } at[SETS][WAYS];
};

struct repeats *repeats_new(void)
{
    return calloc(1, sizeof(struct repeats));
}

void repeats_free(struct repeats *r)
{
    free(r);
}

static uint64_t hash_of(const struct audit_event *e)
{
    static const struct hash_key fixed = {0x7265706561742121u, 0x7175657374696f6eu};
    uint8_t buf[16 + 4 + NAME_MAX_WIRE];
    struct writer w = writer_make(buf, sizeof buf);

    writer_bytes(&w, e->client.ip, sizeof e->client.ip);
    writer_u16(&w, e->client.port);
    writer_u16(&w, e->id);
    name_fold_copy(writer_room(&w, e->qname.len), e->qname.at, e->qname.len);
    return hash_bytes(&fixed, buf, w.len) | 1; /* 0 = empty place */
}

bool repeats_check(struct repeats *r, const struct audit_event *e)
{
    uint64_t hash = hash_of(e);
    size_t set = (size_t)(hash >> 32) & (SETS - 1), place = 0;

    for (size_t i = 0; i < WAYS; i++) {
        if (r->at[set][i].hash == hash) {
            if (e->mono_ms < r->at[set][i].first_ms + window_ms)
                return true;
            place = i;
            break;
        }
        if (r->at[set][i].first_ms < r->at[set][place].first_ms)
            place = i;
    }
    r->at[set][place].hash = hash;
    r->at[set][place].first_ms = e->mono_ms;
    return false;
}
