/* SPDX-License-Identifier: BSD-2-Clause
 *
 * restore.c -- the list of changes that leads back to a serial (restore.h): what the changes since
 * then took away, the last one first. So each row meets the policy as it was behind the change that
 * it takes back, and nothing is judged again.
 */
#include "policy/restore.h"

/* Puts a suffix into the last row, if that does the same to the same rule, or into one of its own. */
static int restore_suffix(struct policy_change *c, const struct policy_key *k, bool put)
{
    enum change_verb verb = put ? CHANGE_ADD : CHANGE_DROP;
    struct change *row = c->n > 0 ? &c->list[c->n - 1] : NULL;
    struct policy_rule *r = row != NULL && row->verb == verb ? row->is.rule : NULL;
    struct suffix **list;

    if (r == NULL || strcmp(r->name, k->front) != 0) {
        r = arena_alloc(c->arena, sizeof *r);
        if (r == NULL)
            return -ENOMEM;
        policy_rule_init(r, k->front);
        policy_change_add(c, POLICY_RULE, verb, r);
    }
    list = policy_list_add(r->suffixes, r->n_suffixes, sizeof *list);
    r->suffixes = list != NULL ? list : r->suffixes;
    if (list == NULL || (list[r->n_suffixes] = suffix_keep(c->arena, &k->suffix)) == NULL)
        return -ENOMEM;
    r->n_suffixes++;
    return 0;
}

static int restore_record(struct policy_change *c, const struct store_record *was)
{
    bool put = was->value.data != NULL;
    enum policy_kind kind = 0;
    union policy_object *o;
    struct policy_key k;

    if (!key_read(&was->key, &k))
        return -EBADMSG;
    if (was->key.data[0] == TABLE_RULE_SUFFIX)
        return restore_suffix(c, &k, put);
    if ((o = arena_alloc(c->arena, sizeof *o)) == NULL)
        return -ENOMEM;
    while (kind < POLICY_KINDS && (uint8_t)policy_tables[kind] != was->key.data[0])
        kind++;
    if (kind == POLICY_KINDS)
        return -EBADMSG;
    policy_change_add(c, kind,
                      !put                  ? CHANGE_REMOVE
                      : kind == POLICY_RULE ? CHANGE_HEAD
                                            : CHANGE_SET,
                      o);
    if (put)
        return record_read(kind, was, o);
    if (kind == POLICY_APPROVED)
        o->approved = (struct policy_approved){k.suffix.name, k.port};
    else
        memcpy(o->name, k.owner, sizeof k.owner);
    return 0;
}

int restore_list(struct policy_change *c, uint64_t serial, uint64_t *oldest)
{
    struct policy_log_entry log = {.digest = 0}; /* before the first change */
    struct store_record *all = NULL;
    size_t n = 0;
    int rc = history_oldest(c->txn, c->serial, oldest);

    if (rc != 0 || serial < *oldest || serial > c->serial)
        return rc != 0 ? rc : -ERANGE;
    if (c->arena == NULL && (c->arena = arena_new()) == NULL)
        return -ENOMEM;
    rc = serial > 0 ? log_find(c->txn, serial, &log) : 0;
    if (rc == 0)
        rc = history_read(c->txn, serial, &all, &n);
    c->restores = true;
    c->digest = log.digest;
    while (n > 0 && rc == 0)
        rc = restore_record(c, &all[--n]);
    for (struct change *row = c->list; rc == 0 && row < c->list + c->n; row++)
        if (row->verb == CHANGE_ADD || row->verb == CHANGE_DROP)
            policy_object_sort(POLICY_RULE, row->is.rule);
    free(all);
    return rc;
}

int restore_open(struct store **out, struct store *from, const char *folder, uint64_t serial,
                 uint64_t *oldest)
{
    struct policy_change c = {.log = {.author = ""}};
    struct store *made;
    int rc = store_open_nowhere(&made, folder, from);

    if (rc != 0)
        return rc;
    rc = policy_change_begin(&c, made);
    if (rc == 0)
        rc = restore_list(&c, serial, oldest);
    if (rc == 0)
        rc = policy_change_apply(&c, NULL);
    if (rc == 0)
        rc = log_rewind(c.txn, serial);
    if (rc == 0) {
        rc = store_commit(c.txn);
        c.txn = NULL;
    }
    policy_change_abort(&c);
    policy_change_fini(&c);
    if (rc == 0)
        *out = made;
    else
        store_close(made);
    return rc;
}
