/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.h -- messages of a scenario: text to wire and back.
 *
 * Records are lines "an www.example. 60 A 192.0.2.1", with the section in
 * front: an, ns or ar.
 */
#ifndef TESTS_REPLAY_TEXT_H
#define TESTS_REPLAY_TEXT_H

#include "wire/message.h"

enum { REPLAY_TEXT = 65536 };

/* Appends records (lines) to a message that ends behind its question, and sets
 * the counts. The length; 0 with *why when a line cannot be read. */
size_t text_add_records(uint8_t *wire, size_t len, size_t size, const char *lines,
                        const char **why);

/* The records of a message without its OPT, one a line, sections in front. ""
 * when it has none; false when it is no message. */
bool text_of_records(const uint8_t *wire, size_t len, char *out, size_t size);

/* The EDE code of a message's OPT, or -1. */
int text_ede(const uint8_t *wire, size_t len);

#endif
