/* SPDX-License-Identifier: BSD-2-Clause
 *
 * restore.c -- the list of changes that leads back to a serial (restore.h).
 *
 * Of all that the changes since then have taken away, the first entry of a record says what it was.
 * Of a rule that has come into being since then, entries of its suffixes say nothing from there on;
 * if it was there before that, it has gone meanwhile, and then all its suffixes were told.
 */
#include "policy/restore.h"

enum { FOREVER = SIZE_MAX };

/* What a key says of the object that it belongs to: its table, a suffix being its rule's. */
static struct store_bytes object_of(const struct history_entry *e)
{
    const struct store_bytes *k = &e->was.key;
    const uint8_t *end = k->data[0] == TABLE_RULE_SUFFIX ? memchr(k->data, 0, k->len) : NULL;

    return (struct store_bytes){k->data + 1, (end != NULL ? (size_t)(end - k->data) : k->len) - 1};
}

static int compare_bytes(struct store_bytes a, struct store_bytes b)
{
    int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* That of a network, pool, listed host, or of a rule and its suffixes; or of none. */
static enum policy_kind kind_of(const struct history_entry *e)
{
    uint8_t table = e->was.key.data[0];
    enum policy_kind kind = 0;

    table = table == TABLE_RULE_SUFFIX ? TABLE_RULE : table;
    while (kind < POLICY_KINDS && policy_tables[kind] != table)
        kind++;
    return kind;
}

static int compare_objects(const struct history_entry *a, const struct history_entry *b)
{
    enum policy_kind x = kind_of(a), y = kind_of(b);

    return x != y ? (int)x - (int)y : compare_bytes(object_of(a), object_of(b));
}

/* By object; of a rule, itself first, then its suffixes; of a record, the first entry first. */
static int compare_entries(const void *a, const void *b)
{
    const struct history_entry *x = a, *y = b;
    int c = compare_objects(x, y);

    c = c != 0 ? c : compare_bytes(x->was.key, y->was.key);
    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

/* Is the record now as it was then? Or -errno. */
static int is_same(struct store_txn *t, const struct history_entry *e)
{
    struct store_bytes now;
    struct store_key k;
    int rc;

    store_key_copy(&k, &e->was.key);
    rc = store_get(t, &k, &now);
    if (rc == -ENOENT)
        return e->was.value.data == NULL;
    if (rc != 0)
        return rc;
    return e->was.value.data != NULL && compare_bytes(e->was.value, now) == 0;
}

/* A row with an object of its own; NULL: out of memory, and the change has failed. */
static union policy_object *add_row(struct policy_change *c, enum policy_kind kind,
                                    enum change_verb verb)
{
    union policy_object *o = arena_alloc(c->arena, sizeof *o);

    c->failed = c->failed || o == NULL;
    if (o != NULL)
        policy_change_add(c, kind, verb, o);
    if (c->failed)
        return NULL;
    c->list[c->n - 1].owns = true;
    return o;
}

/* Of n entries that are one object. */
static int restore_object(struct policy_change *c, enum policy_kind kind,
                          const struct history_entry *e)
{
    bool was_there = e->was.value.data != NULL;
    union policy_object *o;
    struct policy_key k;
    int rc = is_same(c->txn, e);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (!key_read(&e->was.key, &k))
        return -EBADMSG;
    o = add_row(c, kind, was_there ? CHANGE_SET : CHANGE_REMOVE);
    if (o == NULL)
        return -ENOMEM;
    if (was_there)
        return record_read(kind, &e->was, o);
    if (kind == POLICY_APPROVED)
        o->approved = (struct policy_approved){k.suffix.name, k.port};
    else
        memcpy(o->name, k.owner, sizeof k.owner);
    return 0;
}

/* The suffixes that the rule had and has not, or (had: false) has and had not. all: those that it
 * had, whatever it has. A list from malloc. */
static int list_suffixes(struct policy_change *c, const struct history_entry *e,
                         const struct history_entry *end, size_t until, bool had, bool all,
                         struct policy_list *out)
{
    struct store_bytes seen = {NULL, 0};
    struct suffix **list;
    struct policy_key k;
    int rc = 0;

    for (; e < end && rc >= 0; e++) {
        if (e->at > until || (seen.data != NULL && compare_bytes(seen, e->was.key) == 0))
            continue;
        seen = e->was.key;
        if ((e->was.value.data != NULL) != had || (!all && (rc = is_same(c->txn, e)) != 0))
            continue;
        if (!key_read(&e->was.key, &k))
            return -EBADMSG;
        list = policy_list_add(out->at, out->n, sizeof *list);
        out->at = list != NULL ? list : out->at;
        if (list == NULL || (list[out->n++] = suffix_keep(c->arena, &k.suffix)) == NULL)
            return -ENOMEM;
    }
    return rc < 0 ? rc : 0;
}

/* A row of the rule with these suffixes; its head is that of the entry, or (NULL) the present
 * one. Takes the suffixes. */
static int add_rule_row(struct policy_change *c, enum change_verb verb, const char *name,
                        const struct history_entry *head, struct policy_list *suffixes)
{
    union policy_object *o = add_row(c, POLICY_RULE, verb);
    int rc = o == NULL ? -ENOMEM : 0;

    if (rc == 0 && head != NULL)
        rc = record_read(POLICY_RULE, &head->was, o);
    else if (rc == 0)
        rc = record_get(c->txn, POLICY_RULE, name, o);
    if (rc != 0)
        return rc;
    o->rule.suffixes = suffixes->at;
    o->rule.n_suffixes = suffixes->n; /* in the order of the keys, which is theirs */
    suffixes->at = NULL;
    return 0;
}

/* Of a rule: what it says, if that has changed, then its suffixes. Those that go go first, since
 * they may be too wide for what it said. */
static int restore_rule(struct policy_change *c, const struct history_entry *e,
                        const struct history_entry *end)
{
    const struct history_entry *head = e->was.key.data[0] == TABLE_RULE ? e : NULL;
    struct policy_list more = {NULL, 0}, less = {NULL, 0}, none = {NULL, 0};
    struct store_bytes name_of = object_of(e), v;
    size_t until = FOREVER;
    char name[POLICY_NAME];
    struct store_key k;
    bool sets;
    int rc, same = head != NULL ? is_same(c->txn, head) : 1;

    if (!record_name(name, name_of.data, name_of.len))
        return -EBADMSG;
    if (head != NULL && head->was.value.data == NULL)
        return same != 0 ? (same < 0 ? same : 0) : restore_object(c, POLICY_RULE, head);
    for (; e < end && e->was.key.data[0] == TABLE_RULE; e++)
        if (e->was.value.data == NULL && until == FOREVER)
            until = e->at;
    key_named(&k, TABLE_RULE, name);
    rc = store_get(c->txn, &k, &v);
    sets = rc == -ENOENT || until != FOREVER;
    rc = same < 0 ? same : rc == -ENOENT ? 0 : rc;
    if (rc == 0)
        rc = list_suffixes(c, e, end, until, true, sets, &more);
    if (rc == 0 && !sets)
        rc = list_suffixes(c, e, end, until, false, false, &less);
    if (rc == 0 && less.n > 0)
        rc = add_rule_row(c, CHANGE_DROP, name, NULL, &less);
    if (rc == 0 && (sets || same == 0))
        rc = add_rule_row(c, sets ? CHANGE_SET : CHANGE_HEAD, name, head, sets ? &more : &none);
    if (rc == 0 && !sets && more.n > 0)
        rc = add_rule_row(c, CHANGE_ADD, name, head, &more);
    free(more.at);
    free(less.at);
    return rc;
}

int restore_list(struct policy_change *c, uint64_t serial, uint64_t *oldest)
{
    struct policy_log_entry log = {.digest = 0}; /* before the first change */
    struct history_entry *all = NULL;
    size_t n = 0;
    int rc = history_oldest(c->txn, c->serial, oldest);

    if (rc != 0 || serial < *oldest || serial > c->serial)
        return rc != 0 ? rc : -ERANGE;
    if (c->arena == NULL && (c->arena = arena_new()) == NULL)
        return -ENOMEM;
    rc = serial > 0 ? log_find(c->txn, serial, &log) : 0;
    c->restores = true;
    c->digest = log.digest;
    if (rc == 0)
        rc = history_read(c->txn, serial, &all, &n);
    if (n > 0)
        qsort(all, n, sizeof *all, compare_entries);
    for (struct history_entry *e = all, *end = e, *last = e + n; e < last && rc == 0; e = end) {
        enum policy_kind kind = kind_of(e);

        while (end < last && compare_objects(e, end) == 0)
            end++;
        if (kind < POLICY_RULE)
            rc = restore_object(c, kind, e);
        else
            rc = kind == POLICY_RULE ? restore_rule(c, e, end) : -EBADMSG;
    }
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
