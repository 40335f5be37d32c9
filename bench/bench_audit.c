/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bench_audit.c -- what the audit's writer costs.
 *
 *   bench_audit DIR CLIENTS SUFFIXES EVENTS BATCH
 *
 * Each client asks for three of the suffixes, at random; a batch is what one commit
 * takes. Prints the CPU time of the writer and the octets of the file for an event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "audit/writer.h"
#include "wire/message.h"
#include "wire/types.h"

static uint64_t state = 88172645463325252u;

static uint64_t any(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % n;
}

static void ask(struct audit_event *e, uint64_t client, uint64_t suffix, uint64_t ms)
{
    char name[64];

    memset(e, 0, sizeof *e);
    snprintf(name, sizeof name, "_vlmcs._tcp.s%llu.contoso.com", (unsigned long long)suffix);
    name_parse(&e->qname, name);
    e->kind = AUDIT_EVENT;
    e->wall_ms = 1700000000000 + ms;
    e->mono_ms = ms;
    e->client.ip[10] = e->client.ip[11] = 0xff;
    e->client.ip[12] = 10;
    for (int i = 0; i < 3; i++)
        e->client.ip[13 + i] = (uint8_t)(client >> 8 * i);
    e->client.port = (uint16_t)(1024 + any(60000));
    e->id = (uint16_t)any(65536);
    e->transport = AUDIT_UDP;
    e->qtype = TYPE_SRV;
    e->flags = DNS_RD;
    e->verdict = VERDICT_NXDOMAIN;
    e->real_rcode = RCODE_NXDOMAIN;
    e->outcome = OUTCOME_FILLED;
    e->reason = REASON_RULE;
    e->policy_serial = 42;
    e->real_ms = (uint32_t)any(100);
    e->latency_us = (uint32_t)any(100000);
    strcpy(e->rule, "merged-domains");
    strcpy(e->networks, "kiosks");
    strcpy(e->answer, "kms01.contoso.com:1688");
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct audit_limits limits = {.retention_ms = 90ull * 86400000,
                                  .ledger_retention_ms = 400ull * 86400000,
                                  .max_size = 1ull << 40,
                                  .commit_interval_ms = 1000,
                                  .max_rate = 10000000,
                                  .max_rate_client = 1000000,
                                  .max_clients = 1000000,
                                  .max_suffixes = 100000};
    uint64_t clients, suffixes, events, batch, ms = 1000;
    struct audit_writer_stats stats;
    struct audit_writer *w = NULL;
    static struct audit_event e;
    struct audit_ring *ring;
    double spent = 0, warm = 0, began;
    char path[256];
    struct stat st;

    if (argc != 6)
        return 2;
    clients = strtoull(argv[2], NULL, 10);
    suffixes = strtoull(argv[3], NULL, 10);
    events = strtoull(argv[4], NULL, 10);
    batch = strtoull(argv[5], NULL, 10);
    ring = audit_ring_new(64 << 20);
    if (ring == NULL || audit_writer_open(&w, argv[1], "dns1", &limits, &ring, 1, NULL) != 0)
        return 1;
    for (uint64_t n = 0; n < events;) {
        for (uint64_t i = 0; i < batch && n < events; i++, n++) {
            uint64_t client = any(clients);

            ask(&e, client,
                clients * 3 < suffixes ? any(suffixes)
                                       : (client * 3 + any(3)) * 2654435761u % suffixes,
                ms);
            audit_ring_push(ring, &e);
        }
        ms += 1000;
        began = cpu_s();
        audit_writer_step(w, (struct now){ms, 1700000000000 + ms}, true);
        spent += cpu_s() - began;
        if (n <= events / 2)
            warm = spent;
    }
    audit_writer_stats(w, &stats);
    audit_writer_close(w, (struct now){ms, 1700000000000 + ms});
    snprintf(path, sizeof path, "%s/audit.db", argv[1]);
    printf("%.2f us an event, %.2f in the second half; %llu recorded, %.1f octets each\n",
           spent / (double)events * 1e6, (spent - warm) / (double)(events - events / 2) * 1e6,
           (unsigned long long)stats.recorded,
           stat(path, &st) == 0 ? (double)st.st_size / (double)events : 0.0);
    return 0;
}
