/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.h -- policies as text: the YAML form, in and out.
 */
#ifndef POLICY_TEXT_H
#define POLICY_TEXT_H

#include <stdio.h>

#include "base/fields.h"
#include "policy/model.h"

/* Reads the text form; every problem goes to d with its place. Networks and pools that the rules
 * of a whole file name must be in it. 0, -EINVAL, -ENOMEM. */
int policy_text_read(struct policy *out, const char *file, const char *text, size_t len, bool whole,
                     struct diags *d);
/* What a rule and a pool consist of, suffixes and hosts first; also options of `policy rule set` and
 * `policy pool set`. */
extern const struct field policy_rule_map, policy_pool_map;
/* Is this field of the rule not its default, so that it is written? */
bool policy_rule_says(const struct policy_rule *, const struct field *row);
/* Canonical: equal policies are equal texts. The policy is sorted. */
int policy_text_write(const struct policy *, FILE *);
/* RFC 3339, UTC, without a fraction of zero. Returns out. */
const char *policy_time_print(uint64_t wall_ms, char out[NUMBER_TEXT]);

#endif
