/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bench.h -- events to test with, and an audit in a temporary folder: rings, their writer,
 * a clock.
 */
#ifndef TESTS_UNIT_AUDIT_BENCH_H
#define TESTS_UNIT_AUDIT_BENCH_H

#include "audit/store.h"
#include "audit/writer.h"
#include "base/str.h"
#include "tests/unit/scratch.h"
#include "wire/message.h"
#include "wire/types.h"

static inline struct name sample_name(const char *text)
{
    struct name n;

    assert_int_equal(name_parse(&n, text), 0);
    memset(n.data + n.len, 0, sizeof n.data - n.len); /* so that events can be compared */
    return n;
}

/* A question for SRV that no rule decides: NXDOMAIN. */
static inline struct audit_event sample_missing(const char *client, const char *qname)
{
    struct audit_event e = {.transport = AUDIT_UDP,
                            .qname = sample_name(qname),
                            .qtype = TYPE_SRV,
                            .flags = DNS_RD,
                            .verdict = VERDICT_NXDOMAIN,
                            .outcome = OUTCOME_MISSING,
                            .reason = REASON_NO_RULE,
                            .rcode = RCODE_NXDOMAIN,
                            .real_rcode = RCODE_NXDOMAIN};

    assert_int_equal(addr_parse(&e.client, client, 0), 0);
    return e;
}

static inline void sample_fill(struct audit_event *e, const char *rule)
{
    e->outcome = OUTCOME_FILLED;
    e->reason = REASON_RULE;
    e->rcode = RCODE_NOERROR;
    strcpy(e->rule, rule);
    e->policy_serial = 42;
    strcpy(e->answer, "kms01.contoso.com:1688");
}

static inline void sample_host(char list[AUDIT_HOSTS], const char *host)
{
    sprintf(list + strlen(list), "%s%s:1688", *list != '\0' ? " " : "", host);
}

enum { DAY_MS = 86400000 };
static const uint64_t bench_start_ms = 1700000000000;

struct bench {
    char root[SCRATCH], dir[80], file[96];
    struct audit_limits limits;
    struct audit_writer *w;
    struct audit_ring *rings[2];
    struct now now;
    uint64_t asked;
};

static inline void bench_open(struct bench *b, size_t ring)
{
    b->rings[0] = audit_ring_new(ring);
    b->rings[1] = audit_ring_new(1 << 16);
    assert_int_equal(audit_writer_open(&b->w, b->dir, "dns1", &b->limits, b->rings, 2, NULL), 0);
}

static inline void bench_close(struct bench *b)
{
    audit_writer_close(b->w, b->now);
    free(b->rings[0]);
    free(b->rings[1]);
    b->w = NULL;
}

static inline void bench_start(struct bench *b)
{
    memset(b, 0, sizeof *b);
    scratch_make(b->root);
    snprintf(b->dir, sizeof b->dir, "%s/audit", b->root);
    snprintf(b->file, sizeof b->file, "%s/audit.db", b->dir);
    b->limits = (struct audit_limits){.retention_ms = 90ull * DAY_MS,
                                      .ledger_retention_ms = 400ull * DAY_MS,
                                      .max_size = 1 << 30,
                                      .commit_interval_ms = 1000,
                                      .max_rate = 10000000,
                                      .max_rate_client = 1000000,
                                      .max_clients = 1000,
                                      .max_suffixes = 1000};
    b->now = (struct now){1000, bench_start_ms};
    bench_open(b, 1 << 20);
}

static inline void bench_end(struct bench *b)
{
    if (b->w != NULL)
        bench_close(b);
    scratch_remove(b->root);
}

static inline void bench_push(struct bench *b, int ring, struct audit_event *e)
{
    e->wall_ms = b->now.wall_ms;
    e->mono_ms = b->now.mono_ms;
    audit_ring_push(b->rings[ring], e);
    b->asked++;
}

/* The values of the first row as text, parted by spaces; NULL is "-". */
static inline const char *bench_query(const struct bench *b, const char *sql)
{
    static char out[1024];
    struct audit_store *r = NULL;
    json_t *rows = json_array(), *value;
    const char *key;
    struct str s;

    assert_int_equal(audit_store_open(&r, b->dir, 0, NULL), 0);
    if (audit_query(r, sql, NULL, rows) != 0)
        fail_msg("%s", sql);
    str_init(&s, out, sizeof out);
    json_object_foreach(json_array_get(rows, 0), key, value)
    {
        str_add(&s, s.len > 0 ? " " : "");
        if (json_is_integer(value))
            str_addf(&s, "%lld", (long long)json_integer_value(value));
        else
            str_add(&s, json_is_string(value) ? json_string_value(value) : "-");
    }
    json_decref(rows);
    audit_store_close(r);
    return out;
}

#endif
