/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_verifier.c -- a store that is read now and then, and what is found in it.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/records.h"
#include "resolver/threads.h"
#include "tests/unit/rows.h"

enum { NEVER_MS = 3600 * 1000, PATIENCE = 2000 };

struct fixture {
    char dir[64], data[80];
    struct verifier verifier;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/waymark-verifier-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->data, sizeof f->data, "%s/data.mdb", f->dir);
    assert_int_equal(store_open(&f->verifier.store, f->dir, STORE_SERVE, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[100];

    verifier_stop(&f->verifier);
    store_close(f->verifier.store);
    snprintf(command, sizeof command, "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* The end of the root page is the end of a value, and one octet of nothing. */
static void flip(const struct fixture *f)
{
    int fd = open(f->data, O_RDWR);
    uint8_t octet;

    assert_int_equal(pread(fd, &octet, 1, 3 * 4096 - 2), 1);
    octet ^= 1;
    assert_int_equal(pwrite(fd, &octet, 1, 3 * 4096 - 2), 1);
    close(fd);
}

static void wait_until_found(struct verifier *v, const char *part)
{
    for (int i = 0; i < PATIENCE; i++) {
        verifier_tick(v);
        if (v->verified_ms != 0 &&
            (part[0] != '\0' ? strstr(v->found, part) != NULL : v->found[0] == '\0'))
            return;
        poll(NULL, 0, 5);
    }
    fail_msg("no \"%s\" in: %s", part, v->found);
}

/* Damage comes and goes. */
static const struct row {
    const char *name;
    uint64_t pause_ms, round_ms;
    bool asks, is_found;
} rows[] = {
    {"when it is asked", 1, NEVER_MS, true, true},
    {"each round", NEVER_MS, 1, false, true},
    {"nobody has asked", 1, NEVER_MS, false, false},
    {"not before the pause", NEVER_MS, NEVER_MS, true, false},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct fixture *f;
    struct verifier *v;

    set_up((void **)&f);
    v = &f->verifier;
    v->pause_ms = r->pause_ms;
    v->round_ms = r->round_ms;
    wait_until_found(v, "");
    for (int i = 0; i < 2; i++) { /* damaged, and sound again */
        flip(f);
        v->asked = r->asks;
        for (int k = 0; k < 5 && !r->is_found; k++) {
            poll(NULL, 0, 5);
            verifier_tick(v);
            assert_string_equal(v->found, "");
        }
        if (!r->is_found)
            continue;
        wait_until_found(v, i == 0 ? "is damaged: 1 of its 2 records" : "");
        if (i == 0)
            assert_has(v->found, f->data);
    }
    tear_down((void **)&f);
}

/* The process ends while it reads, or when there is nothing to read. */
static void check_stop(void **state)
{
    struct fixture *f;
    struct verifier nothing = {.round_ms = 1};

    set_up((void **)&f);
    verifier_tick(&f->verifier);
    assert_true(f->verifier.running);
    tear_down((void **)&f);
    verifier_tick(&nothing);
    assert_false(nothing.running);
    verifier_stop(&nothing);
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(check_stop);
    return RUN("verifier");
}
