/* SPDX-License-Identifier: BSD-2-Clause
 *
 * store_open.c -- opening a store, and what is told of one that is open.
 *
 * The tool works on what it has read whole before, so that it neither ends in
 * the middle nor makes damage greater. The daemon must answer at once: it serves
 * the store as it is, each read guarded, and reads it whole beside that
 * (policy_store_verify).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/env.h"
#include "policy/format.h"
#include "policy/pages.h"
#include "policy/records.h"
#include "policy/store_file.h"

static int open_files(struct policy_store *s, enum policy_access access, struct diags *d)
{
    int rc = store_file_prepare(s->dir, access != POLICY_READ, access != POLICY_SERVE, d);

    if (rc == -ENOENT && access == POLICY_WRITE)
        rc = 0;
    if (rc == 0)
        rc = env_open(s, access);
    if (rc == 0)
        rc = format_open(s, s->dir, access == POLICY_WRITE, d);
    if (rc == 0)
        s->look = policy_reader_new(s);
    return rc;
}

static int open_store(struct policy_store **out, const char *dir, enum policy_access access,
                      struct diags *d)
{
    struct policy_store *s = calloc(1, sizeof *s);
    int rc = -ENOMEM;

    guard_install();
    if (s != NULL && (s->dir = strdup(dir)) != NULL)
        guarded(rc, open_files(s, access, d));
    if (rc == -EFAULT)
        rc = store_file_damaged(d, dir, "is damaged, or the disk does not give it");
    if (rc == 0)
        *out = s;
    else
        policy_store_close(s);
    return rc;
}

/* One that is not there is made at once: so that a policy that comes later is seen. */
static int open_served(struct policy_store **out, const char *dir, struct diags *d)
{
    struct policy_store *made;
    int rc = open_store(out, dir, POLICY_SERVE, d);

    if (rc != -ENOENT)
        return rc;
    rc = open_store(&made, dir, POLICY_WRITE, d);
    if (rc != 0)
        return rc;
    policy_store_close(made);
    return open_store(out, dir, POLICY_SERVE, d);
}

int policy_store_open(struct policy_store **out, const char *dir, enum policy_access access,
                      struct diags *d)
{
    struct diags none;
    size_t before;
    int rc;

    diags_init(&none);
    if (d == NULL)
        d = &none;
    before = d->all;
    rc = access == POLICY_SERVE ? open_served(out, dir, d) : open_store(out, dir, access, d);
    if (rc != 0 && d->all == before)
        store_file_say_why(d, dir, rc);
    diags_fini(&none);
    return rc;
}

static int close_store(struct policy_store *s)
{
    policy_reader_free(s->look);
    env_close(s);
    return 0;
}

void policy_store_close(struct policy_store *s)
{
    int rc;

    if (s == NULL)
        return;
    guarded(rc, close_store(s));
    (void)rc; /* whoever closes has no more use for it */
    free(s->dir);
    free(s);
}

/* --- what is told of it ----------------------------------------------------- */

static int read_counts(struct policy_reader *r, const struct policy_store *store,
                       struct policy_counts *out)
{
    struct policy_state s;
    struct pages_meta m;
    int rc = policy_reader_summary(r, &s) ? pages_meta(store->fd, &m) : -EBADMSG;

    if (rc == 0)
        *out = (struct policy_counts){.serial = s.serial,
                                      .networks = s.networks,
                                      .pools = s.pools,
                                      .rules = s.rules,
                                      .suffixes = s.suffixes,
                                      .approved = s.approved,
                                      .digest = s.digest,
                                      .time_ms = s.time_ms,
                                      .bytes = (m.last + 1) * m.page_size};
    return rc;
}

int policy_store_counts(struct policy_store *store, struct policy_counts *out)
{
    struct policy_reader *r = store->look;
    int rc = r != NULL ? policy_reader_begin(r) : -EUSERS;

    if (rc != 0)
        return rc;
    kv_guarded(rc, policy_reader_kv(r), read_counts(r, store, out));
    policy_reader_end(r);
    return rc;
}
