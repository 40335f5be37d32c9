/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.c -- the YAML form of a policy, in and out, as rows of fields.
 *
 * In: each object alone is checked here, with its line; policy_references() checks whether the
 * networks and pools that rules name exist, since with --merge they may be in the store.
 *
 * Out: the order is that of policy_sort(), a value that is the default is left out, and a list
 * stands on one line where it fits into WIDTH, else one item a line; hosts always.
 */
#include "policy/text.h"

#include "base/str.h"
#include "policy/change.h"
#include "wire/present.h"

enum { WIDTH = 80 };

static const struct field_kind target_kind, suffix_kind, kept_suffix_kind, approved_kind,
    address_kind, client_kind, version_kind, name_kind, network_name_kind, comment_kind, ttl_kind,
    time_kind, when_kind, host_kind, test_kind, object_kinds[POLICY_KINDS];
static const struct field host_map;

static int read_policy_value(struct form *form, const struct field *f, const struct yaml_node *node,
                             void *to)
{
    const char *text = node->text, *why = NULL;
    struct suffix suffix;
    bool option = form->is_option;
    bool bad = false; /* in the words of its kind */
    uint64_t ms = 0;

    if (f->kind == &target_kind) {
        why = host_target_check(text, to);
    } else if (f->kind == &suffix_kind) {
        why = suffix_parse(to, text);
    } else if (f->kind == &kept_suffix_kind) {
        why = suffix_parse(&suffix, text);
        if (why == NULL && (*(struct suffix **)to = suffix_keep(form->kept, &suffix)) == NULL)
            return form_no_memory(form);
    } else if (f->kind == &approved_kind) {
        why = policy_approved_parse(to, text);
    } else if (f->kind == &address_kind) {
        bad = host_address_parse(to, text) != NULL;
    } else if (f->kind == &client_kind) {
        bad = addr_parse(to, text, 0) != 0;
    } else if (f->kind == &version_kind) {
        bad = strcmp(text, "1") != 0;
    } else if (f->kind == &ttl_kind) {
        bad = units_parse(&ms, text, unit_time) != 0;
        if (ms % 1000 != 0 || ms < POLICY_TTL_MIN * 1000 || ms > POLICY_TTL_MAX * 1000)
            why = "is not a whole number of seconds from 30s to 1d";
        else
            *(uint32_t *)to = (uint32_t)(ms / 1000);
    } else if (f->kind == &time_kind) {
        /* A file means the same whenever it is read: no times that count from now. An
         * option may: "+14d", of which nobody means the milliseconds. */
        if (!option || strcmp(text, "none") != 0)
            bad = (!option && strspn(text, "0123456789") != 4) ||
                  time_parse(&ms, text, form->now_ms) != 0 || ms < (option ? 1000 : 1);
        if (!bad)
            *(uint64_t *)to = option ? ms - ms % 1000 : ms;
    } else {
        /* In an option a name only has to fit: whether there is such an object is found
         * out later. */
        if (f->kind != &comment_kind && !option &&
            (f->kind == &name_kind || strcmp(text, "any") != 0))
            why = policy_name_check(text);
        bad = why == NULL &&
              !str_copy(to, f->kind == &comment_kind ? POLICY_COMMENT : POLICY_NAME, text);
    }
    return why == NULL && !bad ? 0 : form_wrong(form, f, node, bad ? NULL : why);
}

/* An option has its words in one text, with commas or blanks between them. */
static int read_when(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    bool is_list = node->kind == YAML_LIST;
    const struct yaml_node *one = is_list ? node->first : node;
    char copy[128], *rest = copy;
    struct yaml_node word = {.text = ""};
    unsigned when = 0, bit;
    size_t before = form->problems;

    if (form->is_option && !str_copy(copy, sizeof copy, node->text))
        return form_wrong(form, f, node, "is too long");
    while (form->is_option && (word.text = strtok_r(rest, ", ", &rest)) != NULL)
        if (field_read(form, f->element, &word, &bit) == 0)
            when |= 1u << bit;
    for (size_t n = form->is_option ? 0 : is_list ? node->n : 1; n > 0; n--, one = one->next)
        if (field_read(form, f->element, one, &bit) == 0)
            when |= 1u << bit;
    if (when == 0 && form->problems == before)
        return form_wrong(form, f, node, "is empty; leave it out for the default");
    *(unsigned *)to = when;
    return form->problems == before ? 0 : -EINVAL;
}

const char *policy_time_print(uint64_t ms, char out[NUMBER_TEXT])
{
    size_t len = strlen(time_print_utc(ms, out));

    if (len > 5 && strcmp(out + len - 5, ".000Z") == 0)
        memcpy(out + len - 5, "Z", 2);
    return out;
}

static void print_policy_value(const struct field *f, const void *from, FILE *file)
{
    const struct policy_approved *a = from;
    const uint64_t *ms = from;
    const uint32_t *number = from;
    char out[SUFFIX_TEXT];
    const char *before = "[";
    const struct field *row = host_map.rows + 1;

    while (f->kind == &host_kind && row->key != NULL && field_is_default(row, from))
        row++;
    if (f->kind == &host_kind) { /* one word where the rest is default */
        field_print(row->key != NULL ? &host_map : host_map.rows, from, file);
        return;
    }
    for (unsigned i = 0; f->kind == &when_kind && i < VERDICT_WORDS; i++)
        if (*number & 1u << i) {
            fprintf(file, "%s%s", before, f->element->words[i]);
            before = ", ";
        }
    if (f->kind == &when_kind) {
        fputc(']', file);
        return;
    }
    if (f->kind == &target_kind || f->kind == &approved_kind)
        name_print(&a->target, out);
    else if (f->kind == &suffix_kind)
        suffix_print(from, out);
    else if (f->kind == &kept_suffix_kind)
        suffix_print(*(struct suffix *const *)from, out);
    else if (f->kind == &address_kind)
        addr_print(from, out);
    else if (f->kind == &ttl_kind)
        units_print(*number * UINT64_C(1000), unit_time, out);
    else if (f->kind == &time_kind && *ms != 0)
        policy_time_print(*ms, out);
    else if (f->kind == &time_kind)
        str_copy(out, sizeof out, "none");
    else /* an array of characters */
        str_copy(out, sizeof out, from);
    if (f->kind == &approved_kind && a->port != POLICY_KMS_PORT)
        snprintf(out + strlen(out), 8, ":%u", (unsigned)a->port);
    yaml_print(file, out);
}

/* clang-format off */
static const struct field_kind
    target_kind = {read_policy_value, print_policy_value, NULL, false},
    suffix_kind = {read_policy_value, print_policy_value, NULL, false},
    kept_suffix_kind = {read_policy_value, print_policy_value, NULL, false},
    approved_kind = {read_policy_value, print_policy_value, NULL, false},
    address_kind = {read_policy_value, print_policy_value, "is not an IP address that a client can connect to", false},
    client_kind = {read_policy_value, NULL, "is not an IP address", false},
    version_kind = {read_policy_value, NULL, "is a form of the policy text that this version does not know; it knows 1", false},
    name_kind = {read_policy_value, print_policy_value, "is no name", false},
    network_name_kind = {read_policy_value, print_policy_value, NULL, false},
    comment_kind = {read_policy_value, print_policy_value, "has more than 255 bytes", false},
    ttl_kind = {read_policy_value, print_policy_value, "is not a duration like 300s, 5m or 1h", false},
    time_kind = {read_policy_value, print_policy_value, "is not a time like 2027-01-31T18:00:00Z, \"2027-01-31 18:00\"; of an option also +14d, none", false},
    when_kind = {read_when, print_policy_value, NULL, false};

#define YESNO(t, f) FIELD(t, f, bool), .kind = &kind_bool
#define U16(t, f, lo) FIELD(t, f, uint16_t), .kind = &kind_count, .min = (lo), .max = UINT16_MAX
#define WORD(t, f, list) FIELD(t, f, unsigned), .kind = &kind_word, .words = (list)
#define ELEMENT(type, how, ...) (&(const struct field){.kind = &(how), .size = sizeof(type), __VA_ARGS__})

static const struct field prefixes_row = {.key = "a network", FIELD_LIST_OF(policy_network, prefixes, n, struct prefix *), .min = 1,
    .element = ELEMENT(struct prefix, kind_prefix)};

static const struct field host_rows[] = {
    {.key = "target", FIELD(policy_host, target, struct name), .kind = &target_kind,
     .help = "the full name of the KMS host"},
    {.key = "port", U16(policy_host, port, 1), .fallback = "1688"},
    {.key = "priority", U16(policy_host, priority, 0), .fallback = "0"},
    {.key = "weight", U16(policy_host, weight, 0), .fallback = "0"},
    {.key = "addresses", .at = offsetof(struct policy_host, addresses), .count_at = offsetof(struct policy_host, n_addresses),
     .count_size = sizeof(uint8_t), .flags = FIELD_INLINE, .max = POLICY_HOST_ADDRESSES,
     .element = ELEMENT(struct addr, address_kind, .key = "addresses"), .fallback = "[]"},
    {.key = "probe", YESNO(policy_host, probe), .fallback = "yes"},
    {.key = NULL},
};
static const struct field host_map = {.key = "a host", .rows = host_rows, .flags = FIELD_BRIEF};

static const struct field pool_rows[] = {
    {.key = "hosts", FIELD_LIST_OF(policy_pool, hosts, n, struct policy_host *),
     .element = ELEMENT(struct policy_host, host_kind, .key = "a host"), .help = "the KMS hosts"},
    {.key = "allow-public", YESNO(policy_pool, allow_public), .fallback = "no"},
    {.key = "choice", WORD(policy_pool, choice, choice_names), .fallback = "all"},
    {.key = "pin-clients", FIELD(policy_pool, pin_clients, uint8_t), .kind = &kind_count, .min = 1, .max = POLICY_PIN_MAX,
     .fallback = "0"},
    {.key = NULL},
};
static const struct field *const hosts_row = pool_rows;
const struct field policy_pool_map = {.key = "a pool", .rows = pool_rows};

static const struct field rule_rows[] = {
    {.key = "suffixes", FIELD_LIST_OF(policy_rule, suffixes, n_suffixes, struct suffix **),
     .element = ELEMENT(struct suffix *, kept_suffix_kind, .key = "suffixes"), .fallback = ""},
    {.key = "networks", FIELD_LIST_OF(policy_rule, networks, n_networks, char (*)[POLICY_NAME]), .max = POLICY_RULE_NETWORKS,
     .element = ELEMENT(char[POLICY_NAME], network_name_kind), .fallback = "[]"},
    {.key = "action", WORD(policy_rule, action, action_names), .fallback = "fill"},
    {.key = "when", FIELD(policy_rule, when, unsigned), .kind = &when_kind,
     .element = ELEMENT(unsigned, kind_word, .key = "when", .words = word_names), .fallback = ""},
    {.key = "pool", .at = offsetof(struct policy_rule, pool), .kind = &name_kind,
     .fallback = "\"\""},
    {.key = "ttl", FIELD(policy_rule, ttl, uint32_t), .kind = &ttl_kind, .fallback = "5m"},
    {.key = "mode", WORD(policy_rule, mode, mode_names), .fallback = "live"},
    {.key = "from", FIELD(policy_rule, from_ms, uint64_t), .kind = &time_kind, .fallback = "none"},
    {.key = "until", FIELD(policy_rule, until_ms, uint64_t), .kind = &time_kind, .fallback = "none"},
    {.key = "break-dnssec", YESNO(policy_rule, break_dnssec), .fallback = "no"},
    {.key = "comment", .at = offsetof(struct policy_rule, comment), .kind = &comment_kind, .flags = FIELD_EMPTY,
     .fallback = "\"\""},
    {.key = NULL},
};
_Static_assert(POLICY_COMMENT == 256 && POLICY_TTL_DEFAULT == 300, "rule_rows says so");
const struct field policy_rule_map = {.key = "a rule", .rows = rule_rows};

static const struct field test_rows[] = {
    {.key = "suffix", FIELD(policy_test, suffix, struct suffix), .kind = &suffix_kind, .help = "the suffix that is asked for"},
    {.key = "client", FIELD(policy_test, client, struct addr), .kind = &client_kind,
     .help = "the address that asks"},
    {.key = "verdict", WORD(policy_test, verdict, verdict_names + 1), .min = VERDICT_NXDOMAIN, .fallback = ""},
    {.key = "expect", WORD(policy_test, expect, outcome_names + 1), .min = OUTCOME_PASSED, .max = OUTCOME_FAILED, .fallback = ""},
    {.key = "host", FIELD(policy_test, host, struct name), .kind = &target_kind, .fallback = ""},
    {.key = "real-host", FIELD(policy_test, real_host, struct name), .kind = &target_kind, .fallback = ""},
    {.key = NULL},
};
static const struct field test_map = {.key = "a test", .rows = test_rows};

#define SECTION(list, n, type, how) \
    FIELD_LIST_OF(policy, list, n, struct type *), .element = ELEMENT(struct type, how), .fallback = ""
static const struct field top_rows[] = {
    {.key = "waymark-policy", .kind = &version_kind, .help = "1"},
    {.key = "networks", SECTION(networks, n_networks, policy_network, object_kinds[POLICY_NETWORK]), .flags = FIELD_EMPTY | FIELD_NAMED},
    {.key = "pools", SECTION(pools, n_pools, policy_pool, object_kinds[POLICY_POOL]), .flags = FIELD_EMPTY | FIELD_NAMED},
    {.key = "approved", SECTION(approved, n_approved, policy_approved, approved_kind), .flags = FIELD_EMPTY},
    {.key = "rules", SECTION(rules, n_rules, policy_rule, object_kinds[POLICY_RULE]), .flags = FIELD_EMPTY | FIELD_NAMED},
    {.key = "tests", SECTION(tests, n_tests, policy_test, test_kind), .flags = FIELD_EMPTY | FIELD_LIST},
    {.key = NULL},
};
static const struct field top_map = {.key = "the policy", .rows = top_rows};
/* clang-format on */

/* A host is one word, or a mapping. */
static int read_host(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    struct policy_host *h = to;
    const char *why;

    *h = (struct policy_host){.port = POLICY_KMS_PORT, .probe = true};
    if (node->kind == YAML_MAP)
        field_read(form, &host_map, node, h);
    else if (node->kind == YAML_LIST || field_is_empty(node))
        form_problem_key(form, node, "%s must be one value, or a mapping (key: value)", f->key);
    else if ((why = host_parse(h, node->text)) != NULL)
        form_wrong(form, f, node, why);
    return h->target.len > 0 ? 0 : -EINVAL;
}

/* A network (its prefixes), a pool (its hosts, or a mapping) or a rule. The name was good: 0,
 * whatever else is wrong with the object, which stays where others can refer to it. */
static int read_object(struct form *form, const struct field *f, const struct yaml_node *node,
                       void *to)
{
    enum policy_kind kind = (enum policy_kind)(f->kind - object_kinds);
    const struct yaml_node *one;
    struct policy_pool *p = to;
    struct policy_rule *r = to;
    size_t before = form->problems;
    const char *why;
    struct diags own;

    diags_init(&own);
    if ((why = policy_name_check(node->key)) != NULL)
        return form_problem_key(form, node, "%s \"%s\": %s", policy_kind_names[kind], node->key,
                                why);
    if (kind == POLICY_RULE)
        policy_rule_init(r, node->key);
    else
        strcpy(to, node->key); /* it is good, so it fits */
    if (kind == POLICY_NETWORK) {
        field_read(form, &prefixes_row, node, to);
    } else if (kind == POLICY_POOL) {
        field_read(form, node->kind == YAML_MAP ? &policy_pool_map : pool_rows, node, p);
        if (form->problems == before)
            policy_pool_check(p, &own);
    } else {
        field_read(form, &policy_rule_map, node, r);
        if (yaml_get(node, "when") == NULL)
            r->when = policy_actions[r->action].when;
        if ((one = yaml_get(node, "pool")) != NULL)
            r->pool_place = (struct policy_place){one->line, one->column};
        policy_object_sort(POLICY_RULE, r);
        for (size_t i = 0; i < r->n_networks; i++) {
            one = yaml_get(node, "networks");
            one = one->kind == YAML_LIST ? one->first : one;
            while (strcmp(one->text, r->networks[i]) != 0)
                one = one->next;
            r->network_places[i] = (struct policy_place){one->line, one->column};
        }
        if (form->problems == before)
            policy_rule_check(r, &own);
    }
    for (size_t i = 0; i < own.n && form->rc != -ENOMEM; i++)
        form_problem_key(form, node, "%s", own.list[i]);
    diags_fini(&own);
    return 0;
}

static int read_test(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    const struct yaml_node *real = yaml_get(node, "real-host");
    struct policy_test *t = to;

    (void)f;
    *t = (struct policy_test){.line = node->line, .verdict = VERDICT_NXDOMAIN};
    t->real_host.len = t->host.len = 1;
    field_read(form, &test_map, node, t);
    if (real != NULL && t->verdict != VERDICT_PRESENT && t->verdict != VERDICT_UNAPPROVED)
        form_problem_key(form, real,
                         "real-host is what the real DNS names: it needs verdict: present");
    if (t->suffix.below)
        form_problem(form, yaml_get(node, "suffix"), "a test asks for one suffix, not for \"%s\"",
                     yaml_get(node, "suffix")->text);
    if (node->kind == YAML_MAP && !yaml_get(node, "expect") && !yaml_get(node, "host"))
        form_problem(form, node, "a test needs expect (an outcome), host, or both");
    return 0;
}

static const struct field_kind host_kind = {read_host, print_policy_value, NULL, true};
static const struct field_kind object_kinds[POLICY_KINDS] = {
    [POLICY_NETWORK] = {read_object, NULL, NULL, true},
    [POLICY_POOL] = {read_object, NULL, NULL, true},
    [POLICY_RULE] = {read_object, NULL, NULL, true},
};
static const struct field_kind test_kind = {read_test, NULL, NULL, true};

int policy_text_read(struct policy *out, const char *file, const char *text, size_t len, bool whole,
                     struct diags *d)
{
    struct policy p = {.kept = arena_new()};
    struct form form = {.file = file, .d = d, .kept = p.kept};
    struct arena *arena = arena_new();
    const struct yaml_node *root;
    int rc =
        arena != NULL && p.kept != NULL ? yaml_read(&root, arena, file, text, len, d) : -ENOMEM;

    if (rc == 0) {
        if (file != NULL && (p.file = strdup(file)) == NULL)
            form_no_memory(&form);
        field_read(&form, &top_map, root, &p);
        policy_sort(&p);
        rc = form.rc;
    }
    arena_free(arena);
    if (whole && (rc == 0 || rc == -EINVAL) && policy_references(&p, d) != 0)
        rc = -EINVAL;
    if (rc == 0)
        *out = p;
    else
        policy_fini(&p);
    return rc;
}

static void write_field(FILE *f, int indent, const char *key, const struct field *row,
                        const void *base)
{
    size_t n = row->element != NULL ? field_count_of(row, base) : 0;
    char *line = n <= WIDTH && row != hosts_row ? field_text_of(row, base) : NULL;

    fprintf(f, "%*s%s:", indent, "", key);
    if (line != NULL &&
        (row->element == NULL || (size_t)indent + strlen(key) + 2 + strlen(line) <= WIDTH)) {
        fprintf(f, " %s", line);
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "\n%*s- ", indent + 2, "");
        field_print(row->element, field_element(row, base, i), f);
    }
    fputc('\n', f);
    free(line);
}

bool policy_rule_says(const struct policy_rule *r, const struct field *row)
{
    return row->kind == &when_kind ? r->when != policy_actions[r->action].when
                                   : !field_is_default(row, r);
}

int policy_text_write(const struct policy *p, FILE *f)
{
    fprintf(f, "waymark-policy: 1\n%s", p->n_networks > 0 ? "networks:\n" : "");
    for (size_t i = 0; i < p->n_networks; i++)
        write_field(f, 2, p->networks[i].name, &prefixes_row, &p->networks[i]);
    fputs(p->n_pools > 0 ? "pools:\n" : "", f);
    for (const struct policy_pool *pool = p->pools; pool < p->pools + p->n_pools; pool++) {
        bool is_map = false; /* hosts are written alone where they are all that there is to say */

        for (const struct field *row = hosts_row + 1; row->key != NULL; row++) {
            if (field_is_default(row, pool))
                continue;
            if (!is_map)
                fprintf(f, "  %s:\n", pool->name);
            write_field(f, 4, row->key, row, pool);
            is_map = true;
        }
        write_field(f, is_map ? 4 : 2, is_map ? "hosts" : pool->name, hosts_row, pool);
    }
    if (p->n_approved > 0)
        write_field(f, 0, "approved", field_find(&top_map, "approved"), p);
    fputs(p->n_rules > 0 ? "rules:\n" : "", f);
    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        fprintf(f, "  %s:\n", r->name);
        write_field(f, 4, "suffixes", rule_rows, r);
        for (const struct field *row = rule_rows + 1; row->key != NULL; row++)
            if (policy_rule_says(r, row))
                write_field(f, 4, row->key, row, r);
    }
    return ferror(f) ? -EIO : 0;
}
