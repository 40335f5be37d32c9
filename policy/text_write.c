/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_write.c -- the YAML form of a policy, out, in one canonical way: the
 * order is that of policy_sort(), a value that is the default is left out,
 * and a list stands on one line where it fits into WIDTH, else one item a line.
 */
#include "policy/text.h"

#include <errno.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"
#include "base/yaml.h"
#include "wire/present.h"

enum { WIDTH = 80, ITEM = 4400 /* a quoted name of 1,024 characters, each escaped */ };

/* The i-th item of a list as text, already quoted. */
typedef void print_item(const void *list, size_t i, char out[ITEM]);

static void quote(const char *text, char out[ITEM])
{
    struct str s;

    str_init(&s, out, ITEM);
    yaml_quote(&s, text);
}

static void write_list(FILE *f, int indent, const char *key, const void *list, size_t n,
                       print_item *print)
{
    char line[WIDTH + 1], item[ITEM];
    struct str s;

    str_init(&s, line, sizeof line);
    str_addf(&s, "%*s%s: [", indent, "", key);
    for (size_t i = 0; i < n && !s.cut; i++) {
        print(list, i, item);
        str_addf(&s, "%s%s", i > 0 ? ", " : "", item);
    }
    str_add(&s, "]");
    if (!s.cut) {
        fprintf(f, "%s\n", line);
        return;
    }
    fprintf(f, "%*s%s:\n", indent, "", key);
    for (size_t i = 0; i < n; i++) {
        print(list, i, item);
        fprintf(f, "%*s- %s\n", indent + 2, "", item);
    }
}

static void print_prefix(const void *list, size_t i, char out[ITEM])
{
    const struct prefix *at = list;
    char text[PREFIX_TEXT];

    quote(prefix_print(&at[i], text), out);
}

static void print_suffix(const void *list, size_t i, char out[ITEM])
{
    const struct suffix *at = list;
    char text[SUFFIX_TEXT];

    quote(suffix_print(&at[i], text), out);
}

static void print_name(const void *list, size_t i, char out[ITEM])
{
    const char(*at)[POLICY_NAME] = list;

    quote(at[i], out);
}

static void print_approved(const void *list, size_t i, char out[ITEM])
{
    const struct policy_approved *at = list;
    char name[NAME_TEXT], text[HOST_TEXT];

    name_print(&at[i].target, name);
    if (at[i].port == POLICY_KMS_PORT)
        snprintf(text, sizeof text, "%s", name);
    else
        snprintf(text, sizeof text, "%s:%u", name, (unsigned)at[i].port);
    quote(text, out);
}

static void print_word(const void *list, size_t i, char out[ITEM])
{
    const char *const *at = list;

    quote(at[i], out);
}

/* --- sections ------------------------------------------------------------- */

static void write_networks(const struct policy *p, FILE *f)
{
    char name[ITEM];

    if (p->n_networks > 0)
        fprintf(f, "networks:\n");
    for (size_t i = 0; i < p->n_networks; i++) {
        const struct policy_network *w = &p->networks[i];

        quote(w->name, name);
        write_list(f, 2, name, w->prefixes, w->n, print_prefix);
    }
}

static void write_host(const struct policy_host *h, int indent, FILE *f)
{
    char name[NAME_TEXT], item[ITEM], ip[ADDR_TEXT];

    quote(name_print(&h->target, name), item);
    fprintf(f, "%*s- ", indent, "");
    if (h->port == POLICY_KMS_PORT && h->priority == 0 && h->weight == 0 && h->probe &&
        h->n_addresses == 0) {
        fprintf(f, "%s\n", item);
        return;
    }
    fprintf(f, "{target: %s", item);
    if (h->port != POLICY_KMS_PORT)
        fprintf(f, ", port: %u", (unsigned)h->port);
    if (h->priority != 0)
        fprintf(f, ", priority: %u", (unsigned)h->priority);
    if (h->weight != 0)
        fprintf(f, ", weight: %u", (unsigned)h->weight);
    for (unsigned i = 0; i < h->n_addresses; i++) {
        quote(addr_print(&h->addresses[i], ip), item);
        fprintf(f, "%s%s", i == 0 ? ", addresses: [" : ", ", item);
    }
    fprintf(f, "%s%s}\n", h->n_addresses > 0 ? "]" : "", h->probe ? "" : ", probe: no");
}

static void write_pools(const struct policy *p, FILE *f)
{
    char name[ITEM];

    if (p->n_pools > 0)
        fprintf(f, "pools:\n");
    for (size_t i = 0; i < p->n_pools; i++) {
        const struct policy_pool *pool = &p->pools[i];

        quote(pool->name, name);
        fprintf(f, "  %s:\n", name);
        if (pool->allow_public)
            fprintf(f, "    allow-public: yes\n    hosts:\n");
        for (size_t k = 0; k < pool->n; k++)
            write_host(&pool->hosts[k], pool->allow_public ? 6 : 4, f);
    }
}

static void write_when(const struct policy_rule *r, FILE *f)
{
    const char *words[WORDS];
    size_t n = 0;

    if (r->when == policy_action_when(r->action) || r->action == ACTION_FILTER)
        return;
    for (unsigned i = 0; i < WORDS; i++)
        if (r->when & 1u << i)
            words[n++] = word_names[i];
    write_list(f, 4, "when", words, n, print_word);
}

const char *policy_time_print(uint64_t ms, char out[NUMBER_TEXT])
{
    size_t len = strlen(time_print_utc(ms, out));

    if (len > 5 && strcmp(out + len - 5, ".000Z") == 0)
        memcpy(out + len - 5, "Z", 2);
    return out;
}

static void write_rule(const struct policy_rule *r, FILE *f)
{
    char item[ITEM], text[NUMBER_TEXT];

    quote(r->name, item);
    fprintf(f, "  %s:\n", item);
    write_list(f, 4, "suffixes", r->suffixes, r->n_suffixes, print_suffix);
    if (r->n_networks > 0)
        write_list(f, 4, "networks", r->networks, r->n_networks, print_name);
    if (r->action != ACTION_FILL)
        fprintf(f, "    action: %s\n", action_names[r->action]);
    write_when(r, f);
    if (r->pool[0] != '\0') {
        quote(r->pool, item);
        fprintf(f, "    pool: %s\n", item);
    }
    if (r->ttl != POLICY_TTL_DEFAULT)
        fprintf(f, "    ttl: %s\n", duration_print(r->ttl * UINT64_C(1000), text));
    if (r->mode != MODE_LIVE)
        fprintf(f, "    mode: %s\n", mode_names[r->mode]);
    if (r->from_ms != 0)
        fprintf(f, "    from: %s\n", policy_time_print(r->from_ms, text));
    if (r->until_ms != 0)
        fprintf(f, "    until: %s\n", policy_time_print(r->until_ms, text));
    if (r->break_dnssec)
        fprintf(f, "    break-dnssec: yes\n");
    if (r->comment[0] != '\0') {
        quote(r->comment, item);
        fprintf(f, "    comment: %s\n", item);
    }
}

int policy_text_write(const struct policy *p, FILE *f)
{
    fprintf(f, "waymark-policy: 1\n");
    write_networks(p, f);
    write_pools(p, f);
    if (p->n_approved > 0)
        write_list(f, 0, "approved", p->approved, p->n_approved, print_approved);
    if (p->n_rules > 0)
        fprintf(f, "rules:\n");
    for (size_t i = 0; i < p->n_rules; i++)
        write_rule(&p->rules[i], f);
    return ferror(f) ? -EIO : 0;
}
