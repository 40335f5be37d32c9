/* SPDX-License-Identifier: BSD-2-Clause
 *
 * str.h -- a bounded text builder, and the small text helpers that the tree needs more than once.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* Text in the caller's buffer, always ended by NUL. What does not fit is cut
 * and `cut` stays set; callers check it once, at the end. */
struct str {
    char *text;  /* borrowed */
    size_t len;  /* without the NUL */
    size_t size; /* of the buffer, > 0 */
    bool cut;
};

void str_init(struct str *, char *buf, size_t size);
void str_addf(struct str *, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define str_add(s, text) str_addf(s, "%s", text)
/* What is no printable ASCII as \xNN; a backslash stays. */
void str_add_escaped(struct str *, const void *, size_t);

/* Reads one character of UTF-8 (RFC 3629) from a text ended by NUL. Its length,
 * or 0 when it is none. */
size_t str_utf8(const unsigned char *, uint32_t *code);

/* Characters of a text in UTF-8, which are its columns on a terminal but for wide ones. */
size_t str_width(const char *);
/* Where the word stands in a list that is ended by NULL, or -1. */
int str_index(const char *const *list, const char *word);
/* Copies and returns true, or leaves "" and returns false when too long. */
bool str_copy(char *out, size_t size, const char *text);

#endif
