/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.c -- the YAML form of a policy, in: the document and its small
 * sections. Rules are read by text_rule.c, tests by text_test.c.
 *
 * Every problem of the file is told, not only the first. What is said about
 * one object alone is checked here, with its line; whether the networks and
 * pools that rules name exist is policy_verify()'s, since with --merge they
 * may be in the store.
 *
 * Everything is sorted once at the end, so that a list of a million suffixes
 * costs one sort, or one look when it was sorted already.
 */
#include "policy/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/model_sort.h"
#include "policy/text_in.h"

static void read_networks(struct text_in *in, const struct yaml_node *node, struct policy *out)
{
    const char *why;

    if (!text_map(in, node, "networks", NULL))
        return;
    out->networks = text_alloc(in, node->n, sizeof *out->networks);
    for (const struct yaml_node *k = node->first; k != NULL && !in->nomem; k = k->next) {
        struct policy_network *w = &out->networks[out->n_networks];
        const struct yaml_node *item;
        size_t n = text_list(in, k, "a network", &item);

        if (policy_name_check(k->key, &why) != 0) {
            text_bad_key(in, k, "network \"%s\": %s", k->key, why);
            continue;
        }
        if (k->kind == YAML_LIST && k->n == 0)
            text_bad_key(in, k, "network %s: has no prefix", k->key);
        str_copy(w->name, sizeof w->name, k->key);
        w->prefixes = text_alloc(in, n, sizeof *w->prefixes);
        for (size_t i = 0; i < n && !in->nomem; i++, item = item->next) {
            int rc = prefix_parse(&w->prefixes[w->n], item->text);

            if (rc == -ERANGE)
                text_bad(in, item, "%s has bits behind its prefix length", item->text);
            else if (rc != 0)
                text_bad(in, item, "\"%s\" is not a prefix like 10.0.0.0/8 or 2001:db8::/32",
                         item->text);
            else
                w->n++;
        }
        out->n_networks++;
    }
}

static const char *const host_keys[] = {"target",    "port",  "priority", "weight",
                                        "addresses", "probe", NULL};

static void read_host_map(struct text_in *in, const struct yaml_node *node, struct policy_host *h)
{
    const struct yaml_node *k, *item;
    const char *text, *why;

    *h = (struct policy_host){.port = POLICY_KMS_PORT, .probe = true};
    if (!text_map(in, node, "a host", host_keys))
        return;
    if ((k = yaml_get(node, "target")) == NULL)
        text_bad(in, node, "a host needs a target: the full name of the KMS host");
    else if ((text = text_scalar(in, k, "target")) != NULL &&
             (why = host_target_check(text, &h->target)) != NULL)
        text_bad(in, k, "\"%s\" %s", text, why);
    if ((k = yaml_get(node, "port")) != NULL && (h->port = (uint16_t)text_u16(in, k, "port")) == 0)
        text_bad(in, k, "a port is a number from 1 to 65535");
    if ((k = yaml_get(node, "priority")) != NULL)
        h->priority = (uint16_t)text_u16(in, k, "priority");
    if ((k = yaml_get(node, "weight")) != NULL)
        h->weight = (uint16_t)text_u16(in, k, "weight");
    if ((k = yaml_get(node, "probe")) != NULL)
        h->probe = text_bool(in, k, "probe", true);
    if ((k = yaml_get(node, "addresses")) == NULL)
        return;
    for (size_t n = text_list(in, k, "addresses", &item), i = 0; i < n; i++, item = item->next)
        if ((why = host_address_add(h, item->text)) != NULL)
            text_bad(in, item, "\"%s\": the host %s", item->text, why);
}

static void read_hosts(struct text_in *in, const struct yaml_node *list, struct policy_pool *p)
{
    const struct yaml_node *item = list->kind == YAML_LIST ? list->first : list;
    size_t n = list->kind == YAML_LIST ? list->n : 1;
    const char *text, *why;

    p->hosts = text_alloc(in, n, sizeof *p->hosts);
    for (size_t i = 0; i < n && !in->nomem; i++, item = item->next) {
        struct policy_host *h = &p->hosts[p->n];

        if (item->kind == YAML_MAP)
            read_host_map(in, item, h);
        else if ((text = text_scalar(in, item, "a host")) == NULL)
            continue;
        else if (host_parse(h, text, &why) != 0)
            text_bad(in, item, "\"%s\" %s", text, why);
        if (h->target.len > 0)
            p->n++;
    }
}

static const char *const pool_keys[] = {"hosts", "allow-public", NULL};

static void read_pool(struct text_in *in, const struct yaml_node *node, struct policy_pool *p)
{
    const struct yaml_node *hosts = node, *k;
    bool was_bad = in->bad;
    struct diags own;

    str_copy(p->name, sizeof p->name, node->key);
    p->place = text_key_place(node);
    in->bad = false;
    if (node->kind == YAML_MAP) {
        text_map(in, node, "a pool", pool_keys);
        if ((k = yaml_get(node, "allow-public")) != NULL)
            p->allow_public = text_bool(in, k, "allow-public", false);
        hosts = yaml_get(node, "hosts");
        if (hosts == NULL)
            text_bad_key(in, node, "pool %s: needs hosts", node->key);
    }
    if (hosts != NULL)
        read_hosts(in, hosts, p);
    if (!in->bad && !in->nomem) { /* else the problem is said already, with its own place */
        diags_init(&own);
        policy_pool_check(p, &own);
        text_adopt(in, node, &own);
        diags_fini(&own);
    }
    in->bad = in->bad || was_bad;
}

static void read_pools(struct text_in *in, const struct yaml_node *node, struct policy *out)
{
    const char *why;

    if (!text_map(in, node, "pools", NULL))
        return;
    out->pools = text_alloc(in, node->n, sizeof *out->pools);
    for (const struct yaml_node *k = node->first; k != NULL && !in->nomem; k = k->next) {
        if (policy_name_check(k->key, &why) != 0)
            text_bad_key(in, k, "pool \"%s\": %s", k->key, why);
        else
            read_pool(in, k, &out->pools[out->n_pools++]);
    }
}

static void read_approved(struct text_in *in, const struct yaml_node *node, struct policy *out)
{
    const struct yaml_node *item;
    size_t n = text_list(in, node, "approved", &item);
    const char *why;

    out->approved = text_alloc(in, n, sizeof *out->approved);
    for (size_t i = 0; i < n && !in->nomem; i++, item = item->next) {
        struct policy_approved *a = &out->approved[out->n_approved];

        if (policy_approved_parse(a, item->text, &why) != 0)
            text_bad(in, item, "\"%s\" %s", item->text, why);
        else
            out->n_approved++;
    }
}

static const char *const top_keys[] = {"waymark-policy", "networks", "pools", "approved",
                                       "rules",          "tests",    NULL};

static void read_version(struct text_in *in, const struct yaml_node *root)
{
    const struct yaml_node *k = yaml_get(root, "waymark-policy");
    const char *text;

    if (k == NULL)
        text_bad(in, root, "not a policy: the file must say \"waymark-policy: 1\"");
    else if ((text = text_scalar(in, k, "waymark-policy")) != NULL && strcmp(text, "1") != 0)
        text_bad(in, k, "form \"%s\" of the policy text is not known to this version; it knows 1",
                 text);
}

/* A section without a value ("rules:") is an empty one. */
static const struct yaml_node *section(const struct yaml_node *root, const char *key)
{
    const struct yaml_node *k = yaml_get(root, key);

    if (k != NULL && k->kind == YAML_SCALAR && k->text[0] == '\0' && !k->quoted)
        return NULL;
    return k;
}

static void read_document(struct text_in *in, const struct yaml_node *root, struct policy *out,
                          struct policy_tests *tests)
{
    const struct yaml_node *k;

    if (!text_map(in, root, "the policy", top_keys))
        return;
    read_version(in, root);
    if ((k = section(root, "networks")) != NULL)
        read_networks(in, k, out);
    if ((k = section(root, "pools")) != NULL && !in->nomem)
        read_pools(in, k, out);
    if ((k = section(root, "approved")) != NULL && !in->nomem)
        read_approved(in, k, out);
    if ((k = section(root, "rules")) != NULL && !in->nomem)
        text_read_rules(in, k, out);
    if ((k = section(root, "tests")) != NULL && !in->nomem)
        text_read_tests(in, k, tests);
}

void policy_tests_fini(struct policy_tests *t)
{
    free(t->at);
    *t = (struct policy_tests){0};
}

static int read_text(struct policy *out, struct policy_tests *tests, const char *file,
                     const char *text, size_t len, bool whole, struct diags *d)
{
    struct text_in in = {.file = file, .d = d};
    struct policy_tests own = {0};
    struct policy p;
    struct yaml *y;
    int rc;

    rc = yaml_read(&y, file, text, len, d);
    if (rc != 0)
        return rc;
    policy_init(&p);
    if (file != NULL && (p.file = strdup(file)) == NULL)
        in.nomem = true;
    read_document(&in, yaml_root(y), &p, &own);
    yaml_free(y);
    policy_sort(&p);
    if (whole && !in.nomem && policy_references(&p, file, d) != 0)
        in.bad = true;
    rc = in.nomem ? -ENOMEM : in.bad ? -EINVAL : 0;
    if (rc == 0 && tests != NULL) {
        *tests = own;
        own = (struct policy_tests){0};
    }
    policy_tests_fini(&own);
    if (rc != 0) {
        policy_fini(&p);
        return rc;
    }
    *out = p;
    return 0;
}

int policy_text_read(struct policy *out, struct policy_tests *tests, const char *file,
                     const char *text, size_t len, struct diags *d)
{
    return read_text(out, tests, file, text, len, false, d);
}

int policy_text_read_whole(struct policy *out, struct policy_tests *tests, const char *file,
                           const char *text, size_t len, struct diags *d)
{
    return read_text(out, tests, file, text, len, true, d);
}
