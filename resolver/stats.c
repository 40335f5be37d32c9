/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats.c -- the names of the workers' counters, from the rows in stats.h.
 */
#include "resolver/stats.h"

#include <stddef.h>

const struct stat_name worker_stat_names[] = {
#define X(name, help) {#name, help},
    WORKER_COUNTERS(X)
#undef X
        {NULL, NULL},
};

void worker_stats_add(struct worker_stats *sum, const struct worker_stats *one)
{
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)one;

    for (size_t i = 0; i < WORKER_STATS; i++)
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
