/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verifier.h -- the thread that reads the whole policy store now and then.
 *
 * It reads at the start, then each round_ms, and when verifier_ask() was called; then
 * pause_ms after the last time at the earliest.
 */
#ifndef RESOLVER_VERIFIER_H
#define RESOLVER_VERIFIER_H

#include <stdint.h>

#include "store/store.h"

struct verifier; /* opaque */
enum { VERIFIER_TEXT = 600 };

/* The store is borrowed. 0 or -errno. Logs what it finds. */
int verifier_start(struct verifier **, struct store *, uint64_t pause_ms, uint64_t round_ms);
void verifier_ask(struct verifier *); /* something changed; NULL is fine */
/* The wall clock of the last verification, 0: none yet; and what it found, "": all is well. */
uint64_t verifier_found(struct verifier *, char out[VERIFIER_TEXT]);
void verifier_stop(struct verifier *); /* within milliseconds; NULL is fine */

#endif
