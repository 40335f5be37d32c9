/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ratelimit.c -- token buckets, a word of 64 bits each.
 *
 *   tag: 24 bits of the client's keyed hash | slip: 4, dropped since the last one that slipped |
 *   due: 36, when the account is full again, in units of 1/512 ms (they begin anew after 37 hours)
 *
 * That time alone is the account (ITU-T I.371, GCRA): each that is taken moves it by what one costs,
 * and none is left while it is a second ahead. An account that is full needs no place. A client has
 * eight places, one line of the CPU's cache, of which the fullest account gives way: so a flood from
 * made-up addresses cannot make us forget an account that is used up, without using up seven others
 * which it cannot choose, since the hash has a secret key. To be forgotten is a full account again.
 * That two clients share one needs the same 37 bits.
 */
#include "resolver/ratelimit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/random.h"

enum { SETS = 1 << 13, WAYS = 8 }; /* 64 Ki accounts, 512 KB; their pages are taken with use */
enum { TAG_BITS = 24, SLIP_BITS = 4, DUE_BITS = 36, UNITS_PER_MS = 512 };
#define SECOND_UNITS ((uint64_t)UNITS_PER_MS * 1000)
#define DUE_MASK ((UINT64_C(1) << DUE_BITS) - 1)
#define SLIP_MASK ((UINT64_C(1) << SLIP_BITS) - 1)
#define TAG(word) ((word) >> (SLIP_BITS + DUE_BITS))
_Static_assert(TAG_BITS + SLIP_BITS + DUE_BITS == 64, "a word");

struct set {
    _Atomic uint64_t places[WAYS];
};

struct ratelimit {
    struct hash_key key;
    struct set *sets; /* in room, each a line of the CPU's cache */
    struct set room[SETS + 1];
};

struct ratelimit *ratelimit_new(const struct hash_key *key)
{
    struct ratelimit *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->key = *key;
    r->sets = (void *)(((uintptr_t)r->room + sizeof *r->sets - 1) & ~(sizeof *r->sets - 1));
    return r;
}

static uint64_t hash_client(const struct ratelimit *r, const struct addr *client,
                            enum ratelimit_what what)
{
    const bool whole = addr_is_v4(client) || client->scope != 0; /* link-local: of one /64 all */
    uint8_t key[17] = {[16] = (uint8_t)what};

    memcpy(key, client->ip, 16);
    prefix_mask(key, whole ? 128 : 56);
    return hash_bytes(&r->key, key, sizeof key);
}

/* The client's place, or the one that gives way to it; and what it owes there: nothing, when the
 * account is full, or its time is not of these 37 hours. */
static _Atomic uint64_t *find_place(struct ratelimit *r, uint64_t hash, uint64_t now,
                                    uint64_t *place, uint64_t *owes)
{
    _Atomic uint64_t *set = r->sets[hash % SETS].places, *least = set;
    uint64_t least_owed = UINT64_MAX;

    for (int i = 0; i < WAYS; i++) {
        uint64_t was = atomic_load(&set[i]), o = (was - now) & DUE_MASK;

        o = o <= SECOND_UNITS ? o : 0;
        if (TAG(was) == TAG(hash)) {
            *place = was;
            *owes = o;
            return &set[i];
        }
        if (o < least_owed) {
            least = &set[i];
            least_owed = o;
            *place = was;
        }
    }
    *owes = 0; /* forgotten with its tag */
    return least;
}

#define COST(rate) (SECOND_UNITS / (rate))
#define IS_OVER(owes, rate) ((owes) + COST(rate) > (rate)*COST(rate))

enum ratelimit_verdict ratelimit_take(struct ratelimit *r, const struct addr *client,
                                      enum ratelimit_what what, uint32_t rate, uint32_t slip,
                                      uint64_t now_ms)
{
    const uint64_t hash = hash_client(r, client, what), now = now_ms * UNITS_PER_MS;
    enum ratelimit_verdict verdict;
    uint64_t was, is, due, owes, dropped;
    _Atomic uint64_t *place;

    do {
        place = find_place(r, hash, now, &was, &owes);
        dropped = TAG(was) == TAG(hash) ? was >> DUE_BITS & SLIP_MASK : 0;
        due = was;
        if (!IS_OVER(owes, rate)) {
            verdict = RATE_PASS;
            due = now + owes + COST(rate);
        } else if (slip > 0 && ++dropped >= slip) {
            verdict = RATE_SLIP;
            dropped = 0;
        } else {
            verdict = RATE_DROP;
        }
        is = hash & ~DUE_MASK & ~(SLIP_MASK << DUE_BITS);
        is |= dropped << DUE_BITS | (due & DUE_MASK);
    } while (!atomic_compare_exchange_weak(place, &was, is));
    return verdict;
}

bool ratelimit_is_over(struct ratelimit *r, const struct addr *client, enum ratelimit_what what,
                       uint32_t rate, uint64_t now_ms)
{
    uint64_t place, owes;

    (void)find_place(r, hash_client(r, client, what), now_ms * UNITS_PER_MS, &place, &owes);
    return IS_OVER(owes, rate);
}
