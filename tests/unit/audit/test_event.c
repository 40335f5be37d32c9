/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_event.c -- the code that Windows shows; the key that hides clients; and the ring between
 * two threads.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/audit/bench.h"

static const struct code_row {
    const char *what;
    uint16_t qtype, rcode;
    bool given;
    uint8_t kind;
    uint32_t want;
} codes[] = {
    {"a host was given", TYPE_SRV, RCODE_NOERROR, true, AUDIT_EVENT, 0},
    {"NXDOMAIN", TYPE_SRV, RCODE_NXDOMAIN, false, AUDIT_EVENT, 0x8007232B},
    {"NODATA", TYPE_SRV, RCODE_NOERROR, false, AUDIT_EVENT, 0x8007251D},
    {"NODATA for ANY", TYPE_ANY, RCODE_NOERROR, false, AUDIT_EVENT, 0x8007251D},
    {"another type's answer", TYPE_SOA, RCODE_NOERROR, false, AUDIT_EVENT, 0},
    {"SERVFAIL", TYPE_SRV, RCODE_SERVFAIL, false, AUDIT_EVENT, 0x8007232A},
    {"REFUSED", TYPE_SRV, RCODE_REFUSED, false, AUDIT_EVENT, 0x8007232D},
    {"NOTZONE, of an update", TYPE_SOA, 10, false, AUDIT_EVENT, 0x80072332},
    {"BADSIG, of a secure update", TYPE_SOA, 16, false, AUDIT_EVENT, 0x80072338},
    {"BADTIME, of a secure update", TYPE_SOA, 18, false, AUDIT_EVENT, 0x8007233A},
    {"no answer at all", TYPE_SRV, RCODE_TIMEOUT, false, AUDIT_EVENT, 0x800705B4},
    {"an rcode without one", TYPE_SRV, 23, false, AUDIT_EVENT, 0x80072520},
    {"a gap record", TYPE_SRV, RCODE_NXDOMAIN, false, AUDIT_GAP, 0},
};

static void check_code(void **state)
{
    const struct code_row *r = *state;
    struct audit_event e = {.kind = r->kind, .qtype = r->qtype, .rcode = r->rcode};

    strcpy(e.answer, r->given ? "kms01.contoso.com:1688" : "");
    assert_int_equal(audit_client_error(&e), r->want);
}

/* A key of which only a part could be written would hide nobody from who guesses. */
static void key_that_cannot_be_written(void **state)
{
    struct audit_privacy p = {.how = AUDIT_CLIENT_HMAC}, same = p;
    struct rlimit was, none;
    char dir[SCRATCH], path[SCRATCH + 16];

    scratch_make(dir);
    snprintf(path, sizeof path, "%s/client.key", dir);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    none = (struct rlimit){0, was.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_true(audit_privacy_read(&p, dir, true) < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(audit_privacy_read(&p, dir, false), -ENOENT);
    assert_int_equal(audit_privacy_read(&p, dir, true), 0);
    assert_int_equal(audit_privacy_read(&same, dir, false), 0);
    assert_memory_equal(p.key, same.key, sizeof p.key);
    scratch_remove(dir);
}

/* --- the ring ------------------------------------------------------------------------ */

enum { MANY = 100000 };

static void *produce(void *ring)
{
    for (uint64_t n = 0; n < MANY; n++) {
        struct audit_event e = {.mono_ms = 1000 + n, .lost = n};

        memset(e.text, 'x', n * 7 % 100); /* records of many lengths */
        audit_ring_push(ring, &e);
    }
    return NULL;
}

/* What arrives is whole and in order, and with what was dropped it is all: the ring is full
 * again and again. */
static void two_threads(void **state)
{
    struct audit_ring *r = audit_ring_new(4096);
    uint64_t got = 0, next = 0;
    struct audit_event e;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, produce, r), 0);
    while (got + audit_ring_dropped(r) < MANY) {
        const struct audit_record *record = audit_ring_peek(r);

        if (record == NULL) {
            sched_yield();
            continue;
        }
        assert_ptr_equal(record, audit_ring_peek(r)); /* a look takes nothing */
        audit_event_unpack(&e, (const void *)&record->event, record->len);
        audit_ring_release(r);
        assert_true(e.lost >= next);
        assert_int_equal(e.mono_ms, 1000 + e.lost);
        assert_int_equal(strlen(e.text), e.lost * 7 % 100);
        next = e.lost + 1;
        got++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(got + audit_ring_dropped(r), MANY);
    assert_true(audit_ring_dropped(r) > 0);
    free(r);
}

TESTS("event", ROWS(codes, check_code), TEST(key_that_cannot_be_written), TEST(two_threads))
