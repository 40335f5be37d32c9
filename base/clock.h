/* SPDX-License-Identifier: BSD-2-Clause
 *
 * clock.h -- the only place that reads the clocks. Below resolver/ and ctl/
 * time is a parameter; but log lines tell the time, and a query of the audit
 * has a limit.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct now {
    uint64_t mono_ms; /* CLOCK_BOOTTIME: timers and TTLs; counts in suspend */
    uint64_t wall_ms; /* since 1970, UTC: from/until of rules, the audit */
};

/* Never returns mono_ms 0, which means "never" in timers. */
struct now clock_now(void);

/* Microseconds of CLOCK_MONOTONIC, for latencies. */
uint64_t clock_us(void);

#endif
