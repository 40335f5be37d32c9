/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verbs.h -- all verbs of the tool, as one list of tables.
 */
#ifndef CTL_VERBS_H
#define CTL_VERBS_H

#include "ctl/ctl.h"

/* Ended by NULL; each table ends with a row without a verb. */
extern const struct ctl_verb *const ctl_verbs[];

#endif
