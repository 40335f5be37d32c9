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

#include "policy/read.h"
#include "resolver/threads.h"
#include "tests/unit/rows.h"

enum { NEVER_MS = 3600 * 1000, PATIENCE = 2000 };

struct fixture {
    char dir[64], data[80];
    struct store *store;
    struct verifier *verifier;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/waymark-verifier-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->data, sizeof f->data, "%s/data.mdb", f->dir);
    assert_int_equal(store_open(&f->store, f->dir, STORE_SERVE, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char lock[80];

    verifier_stop(f->verifier);
    store_close(f->store);
    snprintf(lock, sizeof lock, "%s/lock.mdb", f->dir);
    unlink(lock);
    unlink(f->data);
    rmdir(f->dir);
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

static void wait_until_found(struct fixture *f, const char *part)
{
    char found[VERIFIER_TEXT] = "";

    for (int i = 0; i < PATIENCE; i++) {
        if (verifier_found(f->verifier, found) != 0 &&
            (part[0] != '\0' ? strstr(found, part) != NULL : found[0] == '\0'))
            return;
        poll(NULL, 0, 5);
    }
    fail_msg("no \"%s\" in: %s", part, found);
}

static void when_it_is_asked(void **state)
{
    struct fixture *f = *state;
    char found[VERIFIER_TEXT];

    assert_int_equal(verifier_start(&f->verifier, f->store, 1, NEVER_MS), 0);
    wait_until_found(f, "");
    flip(f);
    verifier_ask(f->verifier);
    wait_until_found(f, "is damaged: 1 of its 2 records");
    flip(f);
    verifier_found(f->verifier, found);
    assert_has(found, f->data); /* nobody has asked yet */
    verifier_ask(f->verifier);
    wait_until_found(f, "");
}

static void each_round(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(verifier_start(&f->verifier, f->store, NEVER_MS, 1), 0);
    wait_until_found(f, "");
    flip(f);
    wait_until_found(f, "is damaged");
    flip(f);
    wait_until_found(f, "");
}

/* Asked or not, it may wait; the end of this test may not. */
static void not_before_the_pause(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(verifier_start(&f->verifier, f->store, NEVER_MS, NEVER_MS), 0);
    wait_until_found(f, "");
    flip(f);
    verifier_ask(f->verifier);
    poll(NULL, 0, 20);
    wait_until_found(f, "");
}

static void of_nobody(void **state)
{
    verifier_ask(NULL);
    verifier_stop(NULL);
}

int main(void)
{
    TEST_WITH(when_it_is_asked, set_up, tear_down);
    TEST_WITH(each_round, set_up, tear_down);
    TEST_WITH(not_before_the_pause, set_up, tear_down);
    TEST(of_nobody);
    return RUN("verifier");
}
