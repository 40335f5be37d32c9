/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_write.c -- `policy network`, `policy pool`, `policy approve` and
 * `unapprove`: set makes or changes what is named, add adds members, drop
 * takes members away and, given none, the object.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "wire/present.h"

enum object_verb { VERB_SET, VERB_ADD, VERB_DROP };
static const char *const object_verbs[] = {"set", "add", "drop", NULL};

/* "set NAME MEMBER..."; members NULL: they are not counted. */
static int take_verb(struct ctl *c, const char *members, enum object_verb *out, struct diags *d)
{
    int i = str_index(object_verbs, c->argv[0]);
    const char *near = diag_nearest(c->argv[0], object_verbs), *why;

    if (i < 0)
        return ctl_fail(EXIT_USAGE, "policy %s: %s is neither set, add nor drop%s%s%s",
                        c->verb->verb, c->argv[0], near ? "; did you mean " : "", near ? near : "",
                        near ? "?" : "");
    *out = (enum object_verb)i;
    if (*out != VERB_DROP && c->argc < 3)
        return ctl_fail(EXIT_USAGE, "policy %s %s needs a name and at least one %s", c->verb->verb,
                        c->argv[0], members);
    if (policy_name_check(c->argv[1], &why) != 0)
        diags_add(d, NULL, 0, 0, "%s \"%s\": %s", c->verb->verb, c->argv[1], why);
    return 0;
}

/* After _del: 0, or what is to be said. */
static int after_del(struct policy_write *w, const char *object, const char *name, int rc,
                     const struct diags *users)
{
    if (rc == -ENOENT)
        return ctl_fail(EXIT_NOT_FOUND, "there is no %s %s", object, name);
    if (rc == -EBUSY) {
        for (size_t i = 0; i < users->n; i++)
            policy_bad(w, "%s %s is in use: %s", object, name, users->at[i].text);
        return users->n > 0 ? EXIT_INVALID
                            : policy_bad(w, "%s %s is in use by a rule", object, name);
    }
    if (rc != 0)
        return policy_failed(w->c, "write the policy", rc);
    policy_row(w, object, name, "gone", "%s", "");
    w->removes = true;
    snprintf(w->question, sizeof w->question, "Remove %s %s?", object, name);
    return 0;
}

/* --- networks ------------------------------------------------------------- */

struct network_change {
    enum object_verb verb;
    const char *name;
    struct prefix *at;
    size_t n;
};

static bool has_prefix(const struct policy_network *w, const struct prefix *p)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->prefixes[i].len == p->len && memcmp(w->prefixes[i].ip, p->ip, sizeof p->ip) == 0)
            return true;
    return false;
}

/* out = there, changed as asked. 0, or -ENOENT: a prefix to drop is not there (index in *which). */
static int merge_prefixes(const struct network_change *n, const struct policy_network *there,
                          struct policy_network *out, size_t *which)
{
    const struct policy_network asked = {.prefixes = n->at, .n = n->n};

    *out = (struct policy_network){
        .prefixes = ctl_alloc(NULL, (there->n + n->n + 1) * sizeof *out->prefixes)};
    str_copy(out->name, sizeof out->name, n->name);
    for (size_t i = 0; n->verb != VERB_SET && i < there->n; i++)
        if (n->verb == VERB_ADD || !has_prefix(&asked, &there->prefixes[i]))
            out->prefixes[out->n++] = there->prefixes[i];
    for (size_t i = 0; n->verb != VERB_DROP && i < n->n; i++)
        out->prefixes[out->n++] = n->at[i];
    policy_network_sort(out);
    for (*which = 0; n->verb == VERB_DROP && *which < n->n; (*which)++)
        if (!has_prefix(there, &n->at[*which]))
            return -ENOENT;
    return 0;
}

static bool same_network(const struct policy_network *a, const struct policy_network *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = has_prefix(b, &a->prefixes[i]);
    return same;
}

static int put_network(struct policy_write *w, const struct network_change *n,
                       const struct policy_network *there, bool is_new)
{
    struct policy_network made;
    char text[PREFIX_TEXT], *list;
    size_t which;
    int code = 0, rc = merge_prefixes(n, there, &made, &which);

    if (rc != 0) {
        code = ctl_fail(EXIT_NOT_FOUND, "network %s has no prefix %s", n->name,
                        prefix_print(&n->at[which], text));
    } else if (made.n == 0) {
        code = policy_bad(
            w, "network %s would be left without a prefix; policy network drop %s removes it",
            n->name, n->name);
    } else {
        rc = policy_txn_network_put(w->txn, &made);
        list = policy_prefix_list(made.prefixes, made.n);
        policy_row(w, "network", n->name,
                   is_new                       ? "new"
                   : same_network(there, &made) ? "same"
                                                : "changed",
                   "%s", list);
        free(list);
        w->removes = n->verb == VERB_DROP;
        snprintf(w->question, sizeof w->question, "Take these prefixes out of network %s?",
                 n->name);
        if (rc != 0)
            code = policy_failed(w->c, "write the network", rc);
    }
    policy_network_fini(&made);
    return code;
}

static int change_network(struct policy_write *w, void *context)
{
    const struct network_change *n = context;
    struct policy_network there = {.n = 0};
    struct diags users;
    int code, rc;

    if (n->verb == VERB_DROP && n->n == 0) {
        diags_init(&users);
        rc = policy_txn_network_del(w->txn, n->name, &users);
        code = after_del(w, "network", n->name, rc, &users);
        diags_fini(&users);
        return code;
    }
    rc = policy_txn_network_get(w->txn, n->name, &there);
    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the network", rc);
    if (rc == -ENOENT && n->verb != VERB_SET)
        return ctl_fail(EXIT_NOT_FOUND, "there is no network %s (policy network set makes one)",
                        n->name);
    code = put_network(w, n, &there, rc == -ENOENT);
    policy_network_fini(&there);
    return code;
}

int policy_network(struct ctl *c)
{
    struct network_change n = {.name = c->argv[1], .n = (size_t)c->argc - 2};
    struct diags d;
    int code;

    diags_init(&d);
    code = take_verb(c, "prefix", &n.verb, &d);
    if (code == 0) {
        n.at = policy_take_prefixes(c, 2, &d);
        code = d.all > 0 ? ctl_invalid(&d) : policy_change_run(c, change_network, &n);
    }
    free(n.at);
    diags_fini(&d);
    return code;
}

/* --- pools ---------------------------------------------------------------- */

struct pool_change {
    enum object_verb verb;
    const char *name;
    bool allow_public;
    struct policy_host *at;
    size_t n;
};

/* The host of the pool with h's target and port, or NULL. */
static const struct policy_host *find_host(const struct policy_host *at, size_t n,
                                           const struct policy_host *h)
{
    for (size_t i = 0; i < n; i++)
        if (at[i].port == h->port && name_equal(&at[i].target, &h->target))
            return &at[i];
    return NULL;
}

static int merge_hosts(const struct pool_change *p, const struct policy_pool *there,
                       struct policy_pool *out, size_t *which)
{
    *out =
        (struct policy_pool){.hosts = ctl_alloc(NULL, (there->n + p->n + 1) * sizeof *out->hosts),
                             .allow_public = there->allow_public || p->allow_public};
    str_copy(out->name, sizeof out->name, p->name);
    /* add replaces a host of the same target and port: its options may differ */
    for (size_t i = 0; p->verb != VERB_SET && i < there->n; i++)
        if (find_host(p->at, p->n, &there->hosts[i]) == NULL)
            out->hosts[out->n++] = there->hosts[i];
    for (size_t i = 0; p->verb != VERB_DROP && i < p->n; i++)
        out->hosts[out->n++] = p->at[i];
    for (*which = 0; p->verb == VERB_DROP && *which < p->n; (*which)++)
        if (find_host(there->hosts, there->n, &p->at[*which]) == NULL)
            return -ENOENT;
    return 0;
}

static bool same_pool(const struct policy_pool *a, const struct policy_pool *b)
{
    bool same = a->n == b->n && a->allow_public == b->allow_public;

    for (size_t i = 0; same && i < a->n; i++) {
        const struct policy_host *other = find_host(b->hosts, b->n, &a->hosts[i]);

        same = other != NULL && policy_host_same(&a->hosts[i], other);
    }
    return same;
}

static int put_pool(struct policy_write *w, const struct pool_change *p,
                    const struct policy_pool *there, bool is_new)
{
    struct policy_pool made;
    char text[HOST_TEXT], *list;
    size_t which;
    int code = 0, rc = merge_hosts(p, there, &made, &which);

    if (rc != 0) {
        code = ctl_fail(EXIT_NOT_FOUND, "pool %s has no host %s", p->name,
                        host_print(&p->at[which], text, sizeof text));
    } else if (made.n == 0) {
        code = policy_bad(w, "pool %s would be left without a host; policy pool drop %s removes it",
                          p->name, p->name);
    } else if (policy_pool_check(&made, &w->problems) != 0) {
        code = EXIT_INVALID;
    } else {
        policy_pool_sort(&made);
        rc = policy_txn_pool_put(w->txn, &made);
        list = policy_host_list(made.hosts, made.n);
        policy_row(w, "pool", p->name,
                   is_new                    ? "new"
                   : same_pool(there, &made) ? "same"
                                             : "changed",
                   "%s", list);
        free(list);
        w->removes = p->verb == VERB_DROP;
        snprintf(w->question, sizeof w->question, "Take these hosts out of pool %s?", p->name);
        if (rc != 0)
            code = policy_failed(w->c, "write the pool", rc);
    }
    policy_pool_fini(&made);
    return code;
}

static int change_pool(struct policy_write *w, void *context)
{
    const struct pool_change *p = context;
    struct policy_pool there = {.n = 0};
    struct diags users;
    int code, rc;

    if (p->verb == VERB_DROP && p->n == 0) {
        diags_init(&users);
        rc = policy_txn_pool_del(w->txn, p->name, &users);
        code = after_del(w, "pool", p->name, rc, &users);
        diags_fini(&users);
        return code;
    }
    rc = policy_txn_pool_get(w->txn, p->name, &there);
    if (rc != 0 && rc != -ENOENT)
        return policy_failed(w->c, "read the pool", rc);
    if (rc == -ENOENT && p->verb != VERB_SET)
        return ctl_fail(EXIT_NOT_FOUND, "there is no pool %s (policy pool set makes one)", p->name);
    code = put_pool(w, p, &there, rc == -ENOENT);
    policy_pool_fini(&there);
    return code;
}

int policy_pool(struct ctl *c)
{
    struct pool_change p = {.name = c->argv[1],
                            .n = (size_t)c->argc - 2,
                            .allow_public = ctl_option(c, "--allow-public") != NULL};
    struct diags d;
    int code;

    diags_init(&d);
    code = take_verb(c, "host", &p.verb, &d);
    if (code == 0) {
        p.at = policy_take_hosts((const char *const *)c->argv + 2, p.n, &d);
        code = d.all > 0 ? ctl_invalid(&d) : policy_change_run(c, change_pool, &p);
    }
    free(p.at);
    diags_fini(&d);
    return code;
}

/* --- approved ------------------------------------------------------------- */

struct approval {
    struct policy_approved *at;
    size_t n;
    bool take_back;
};

static int change_approved(struct policy_write *w, void *context)
{
    const struct approval *a = context;
    char name[NAME_TEXT], text[NAME_TEXT + 16];

    for (size_t i = 0; i < a->n; i++) {
        bool was_there = true;
        int rc = a->take_back ? policy_txn_unapprove(w->txn, &a->at[i])
                              : policy_txn_approve(w->txn, &a->at[i], &was_there);

        snprintf(text, sizeof text, "%s:%u", name_print(&a->at[i].target, name),
                 (unsigned)a->at[i].port);
        if (rc == -ENOENT)
            return ctl_fail(EXIT_NOT_FOUND,
                            "%s is not listed as approved (hosts of pools always are)", text);
        if (rc != 0)
            return policy_failed(w->c, "write the policy", rc);
        policy_row(w, "approved", text,
                   a->take_back ? "gone"
                   : was_there  ? "same"
                                : "new",
                   "%s", "");
    }
    w->removes = a->take_back;
    snprintf(w->question, sizeof w->question, "No longer approve %s?",
             a->n == 1 ? "this host" : "these hosts");
    return 0;
}

static int run_approved(struct ctl *c, bool take_back)
{
    struct approval a = {.n = (size_t)c->argc, .take_back = take_back};
    struct diags d;
    const char *why;
    int code;

    diags_init(&d);
    a.at = ctl_alloc(NULL, a.n * sizeof *a.at);
    for (size_t i = 0; i < a.n; i++)
        if (policy_approved_parse(&a.at[i], c->argv[i], &why) != 0)
            diags_add(&d, NULL, 0, 0, "\"%s\" %s", c->argv[i], why);
    code = d.all > 0 ? ctl_invalid(&d) : policy_change_run(c, change_approved, &a);
    free(a.at);
    diags_fini(&d);
    return code;
}

int policy_approve(struct ctl *c)
{
    return run_approved(c, false);
}

int policy_unapprove(struct ctl *c)
{
    return run_approved(c, true);
}
