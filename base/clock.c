/* SPDX-License-Identifier: BSD-2-Clause
 *
 * clock.c -- the only place that reads the clocks.
 */
#include "base/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec t;

    /* cannot fail: the clocks exist in every Linux that glibc runs on */
    if (clock_gettime(id, &t) != 0 || t.tv_sec < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct now clock_now(void)
{
    struct now now = {.mono_ms = read_us(CLOCK_BOOTTIME) / 1000,
                      .wall_ms = read_us(CLOCK_REALTIME) / 1000};

    if (now.mono_ms == 0)
        now.mono_ms = 1;
    return now;
}

uint64_t clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}
