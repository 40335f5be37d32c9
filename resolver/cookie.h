/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cookie.h -- DNS cookies for clients (RFC 7873, 9018): what proves that a client has the address
 * from which it asks.
 *
 * A cookie is the eight octets that the client chose, and sixteen that only a server with our
 * secret can make of them, of the client's address and of the time: so that we remember nothing,
 * and servers with the same secret take each other's.
 */
#ifndef RESOLVER_COOKIE_H
#define RESOLVER_COOKIE_H

#include "base/addr.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/types.h"

/* The first key makes cookies; the second, of the time before, is still believed. */
enum { COOKIE_KEYS = 2 };

/* What the client sent, of a length that RFC 7873 allows; out: what is sent back. True: it is ours,
 * of this address, and not too old. drawn: nobody else has these secrets, so that each day may have
 * keys of its own. */
bool cookie_answer(const struct hash_key[COOKIE_KEYS], bool drawn, const struct addr *client,
                   const uint8_t *sent, size_t len, uint64_t wall_ms, uint8_t out[COOKIE_OCTETS]);

/* Secrets from a file: 32 hexadecimal digits a line, at most two. 0; -EINVAL with the problems
 * in d, the keys as they were. */
int cookie_keys_read(struct hash_key[COOKIE_KEYS], const char *path, struct diags *d);

#endif
