/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.c -- the policy in its store: readers, counts, the whole of it.
 */
#include "policy/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct policy_reader *policy_reader_new(struct store *store)
{
    struct policy_reader *r = calloc(1, sizeof *r);

    if (r != NULL && (r->txn = store_reader_new(store)) == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void policy_reader_free(struct policy_reader *r)
{
    if (r == NULL)
        return;
    store_reader_free(r->txn);
    free(r);
}

uint64_t policy_reader_serial(struct policy_reader *r)
{
    uint64_t time_ms, state = store_state(r->txn);

    if (r->serial_of != state && log_last(r->txn, &r->serial, &time_ms) != 0)
        return 0;
    r->serial_of = state;
    return r->serial;
}

int policy_counts_read(struct store_txn *t, struct policy_counts *out)
{
    const struct store_counts *c = store_counts(t);

    if (c == NULL)
        return -EBADMSG;
    *out = (struct policy_counts){
        .digest = c->digest,
        .networks = store_count(c, TABLE_NETWORK),
        .pools = store_count(c, TABLE_POOL),
        .rules = store_count(c, TABLE_RULE),
        .suffixes = store_count(c, TABLE_SUFFIX) + store_count(c, TABLE_BELOW),
        .approved = store_count(c, TABLE_LISTED),
    };
    return log_last(t, &out->serial, &out->time_ms);
}

int policy_store_counts(struct store *store, struct policy_counts *out)
{
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    if (rc != 0)
        return rc;
    store_guarded(rc, t, policy_counts_read(t, out));
    out->bytes = store_size(store);
    store_end(t);
    return rc;
}

/* --- the whole policy ----------------------------------------------------- */

struct load {
    struct policy *out;
    enum policy_kind kind;
    size_t rule; /* whose suffixes come now */
};

/* What cannot be read stays in the list, empty, until all of it goes. */
static int load_object(void *context, const struct store_record *r)
{
    const struct load *l = context;
    void *object = policy_add(l->out, l->kind);

    if (object == NULL)
        return -ENOMEM;
    if (r->value.data == NULL)
        return -EBADMSG;
    if (l->kind == POLICY_APPROVED)
        return key_read_target(&r->key, object) ? 0 : -EBADMSG;
    return key_read_name(&r->key, object) ? record_read(policy_tables[l->kind], object, &r->value)
                                          : -EBADMSG;
}

/* They come in the order of their rules' names, which is that of the rules. */
static int load_suffix(void *context, const struct store_record *record)
{
    struct load *l = context;
    struct policy *p = l->out;
    char name[POLICY_NAME];
    struct policy_rule *r;
    struct suffix s, *all;

    if (record->value.data == NULL || !key_read_rule_suffix(&record->key, name, &s))
        return -EBADMSG;
    while (l->rule < p->n_rules && strcmp(p->rules[l->rule].name, name) != 0)
        l->rule++;
    if (l->rule == p->n_rules)
        return -EBADMSG; /* nobody's */
    r = &p->rules[l->rule];
    all = policy_list_add(r->suffixes, r->n_suffixes, sizeof *all);
    if (all == NULL)
        return -ENOMEM;
    r->suffixes = all;
    all[r->n_suffixes++] = s;
    return 0;
}

int policy_load(struct store *store, struct policy *out, uint64_t *serial)
{
    struct store_key table = {1, {TABLE_RULE_SUFFIX}};
    struct load l = {.out = out};
    uint64_t state = 0, time_ms, last;
    struct store_txn *t;
    int rc = store_begin(store, false, &t);

    *out = (struct policy){0};
    if (rc != 0)
        return rc;
    state = store_state(t);
    rc = log_last(t, serial != NULL ? serial : &last, &time_ms);
    store_end(t);
    for (; l.kind < POLICY_KINDS && rc == 0; l.kind++) {
        table.data[0] = (uint8_t)policy_tables[l.kind];
        rc = store_each(store, &state, &table, load_object, &l);
    }
    table.data[0] = TABLE_RULE_SUFFIX;
    if (rc == 0)
        rc = store_each(store, &state, &table, load_suffix, &l);
    if (rc != 0)
        policy_fini(out);
    return rc;
}
