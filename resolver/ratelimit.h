/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ratelimit.h -- how much each client may have in a second, of clients whose address is not proved.
 *
 * One table for all workers, of a fixed size and without a lock. A client is an IPv4 address, since
 * its neighbours shall not pay for it, or an IPv6 /56, since it may choose any address below that.
 */
#ifndef RESOLVER_RATELIMIT_H
#define RESOLVER_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct addr;
struct hash_key;
struct ratelimit; /* opaque */

/* What is counted; each has its own account. */
enum ratelimit_what { RATE_QUESTIONS, RATE_LARGE };
/* SLIP: it is one of those above the limit that get an answer without records. */
enum ratelimit_verdict { RATE_PASS, RATE_DROP, RATE_SLIP };

/* It is released with free(). NULL: out of memory. */
struct ratelimit *ratelimit_new(const struct hash_key *);

/* Takes one from the client's account, which holds what one second gives (rate > 0), if there is one
 * left; else says what is done. Of those above each slip-th slips, 0: none. Any thread. */
enum ratelimit_verdict ratelimit_take(struct ratelimit *, const struct addr *client,
                                      enum ratelimit_what, uint32_t rate, uint32_t slip,
                                      uint64_t now_ms);

/* Is there none left? Takes none. */
bool ratelimit_is_over(struct ratelimit *, const struct addr *client, enum ratelimit_what,
                       uint32_t rate, uint64_t now_ms);

#endif
