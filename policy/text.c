/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.c -- the YAML form of a policy, in and out, as rows of fields.
 *
 * In: each object alone is checked here, with its line; policy_references() checks whether the
 * networks and pools that rules name exist, since with --merge they may be in the store.
 *
 * Out: the order is that of policy_sort(), and a value that is the default is left out.
 */

#include "policy/change.h"
#include "wire/message.h"

static const struct field_kind target_kind, suffix_kind, approved_kind, address_kind, name_kind,
    comment_kind, time_kind, when_kind, host_kind, test_kind, object_kind;
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
        why = suffix_parse(&suffix, text);
        if (why == NULL && (*(struct suffix **)to = suffix_keep(form->kept, &suffix)) == NULL)
            return form_no_memory(form);
    } else if (f->kind == &approved_kind) {
        why = policy_approved_parse(to, text);
    } else if (f->kind == &address_kind) {
        bad = host_address_parse(to, text) != NULL;
    } else if (f->kind == &time_kind) {
        /* A file means the same whenever it is read: no times that count from now. An
         * option may: "+14d". Nobody means the milliseconds. */
        if (strcmp(text, "none") != 0)
            bad = (!option && strspn(text, "0123456789") != 4) ||
                  time_parse(&ms, text, form->now_ms) != 0 || ms < 1000 ||
                  ms >= 253402300800000; /* the year 10000, which no file could have */
        if (!bad)
            *(uint64_t *)to = ms - ms % 1000;
    } else {
        /* In an option a name only has to fit: whether there is such an object is found
         * out later. */
        if (f->kind == &name_kind && !option && strcmp(text, "any") != 0)
            why = policy_name_check(text);
        bad = why == NULL &&
              !str_copy(to, f->kind == &comment_kind ? POLICY_COMMENT : POLICY_NAME, text);
    }
    return why == NULL && !bad ? 0 : form_wrong(form, f, node, bad ? NULL : why);
}

static int read_when(struct form *form, const struct field *f, const struct yaml_node *node,
                     void *to)
{
    bool is_list = node->kind == YAML_LIST;
    const struct yaml_node *one = is_list ? node->first : node;
    size_t before = form->problems;
    unsigned when = 0, bit;

    for (size_t n = is_list ? node->n : 1; n > 0; n--, one = one->next)
        if (field_read(form, f->element, one, &bit) == 0)
            when |= 1u << bit;
    if (when == 0 && form->problems == before)
        return form_wrong(form, f, node, "is empty; leave it out for the default");
    *(unsigned *)to = when;
    return form->problems == before ? 0 : -EINVAL;
}

const char *policy_time_print(uint64_t ms, char out[NUMBER_TEXT])
{
    time_print_utc(ms, out);
    if (strchr(out, '.'))
        strcpy(strchr(out, '.'), "Z");
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

    while (f->kind == &host_kind && row->key && field_is_default(row, from))
        row++;
    if (f->kind == &host_kind) { /* one word where the rest is default */
        field_print(row->key ? &host_map : host_map.rows, from, file);
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
        suffix_print(*(struct suffix *const *)from, out);
    else if (f->kind == &address_kind)
        addr_print(from, out);
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
#define VALUE(wrong) {read_policy_value, print_policy_value, wrong, NULL, false}
static const struct field_kind
    target_kind = VALUE(NULL),
    suffix_kind = VALUE(NULL),
    approved_kind = VALUE(NULL),
    address_kind = VALUE("is not an IP address that a client can connect to"),
    name_kind = VALUE("is no name"),
    comment_kind = VALUE("has more than 255 bytes"),
    time_kind = VALUE("is not a time like 2027-01-31T18:00:00Z, \"2027-01-31 18:00\"; "
                      "of an option also +14d, none"),
    when_kind = {read_when, print_policy_value, NULL, NULL, false};

#define YESNO(t, f) FIELD(t, f, bool), .kind = &kind_bool
#define U16(t, f, lo) FIELD(t, f, uint16_t), .kind = &kind_count, .min = (lo), .max = UINT16_MAX
#define WORD(t, f, list) FIELD(t, f, unsigned), .kind = &kind_word, .words = (list)
#define ELEMENT(type, how, ...) (&(const struct field){.kind = &(how), .size = sizeof(type), __VA_ARGS__})

static const struct field network_rows[] = {
    {.key = "a network", FIELD_LIST_OF(policy_network, prefixes, n, struct prefix *), .min = 1,
     .element = ELEMENT(struct prefix, kind_prefix)},
    {0},
};

static const struct field host_rows[] = {
    {.key = "target", FIELD(policy_host, target, struct name), .kind = &target_kind,
     .help = "the full name of the KMS host"},
    {.key = "port", U16(policy_host, port, 1), .fallback = "1688"},
    {.key = "priority", U16(policy_host, priority, 0), .fallback = "0"},
    {.key = "weight", U16(policy_host, weight, 0), .fallback = "0"},
    {.key = "addresses", .at = offsetof(struct policy_host, addresses),
     .count_at = offsetof(struct policy_host, n_addresses), .count_size = sizeof(uint8_t),
     .flags = FIELD_INLINE, .max = POLICY_HOST_ADDRESSES,
     .element = ELEMENT(struct addr, address_kind, .key = "addresses"), .fallback = "[]"},
    {.key = "probe", YESNO(policy_host, probe), .fallback = "yes"},
    {0},
};
static const struct field host_map = {.key = "a host", .rows = host_rows, .flags = FIELD_BRIEF};

static const struct field pool_rows[] = {
    {.key = "hosts", FIELD_LIST_OF(policy_pool, hosts, n, struct policy_host *),
     .element = ELEMENT(struct policy_host, host_kind, .key = "a host"), .help = "the KMS hosts"},
    {.key = "allow-public", YESNO(policy_pool, allow_public), .fallback = "no"},
    {.key = "choice", WORD(policy_pool, choice, choice_names), .fallback = "all"},
    {.key = "pin-clients", FIELD(policy_pool, pin_clients, uint8_t), .kind = &kind_count,
     .min = 1, .max = POLICY_PIN_MAX, .fallback = "0"},
    {0},
};
const struct field policy_pool_map = {.key = "a pool", .rows = pool_rows};

static const struct field rule_rows[] = {
    {.key = "suffixes", FIELD_LIST_OF(policy_rule, suffixes, n_suffixes, struct suffix **),
     .element = ELEMENT(struct suffix *, suffix_kind, .key = "suffixes"), .fallback = ""},
    {.key = "networks", FIELD_LIST_OF(policy_rule, networks, n_networks, char (*)[POLICY_NAME]),
     .element = ELEMENT(char[POLICY_NAME], name_kind), .max = POLICY_RULE_NETWORKS,
     .fallback = "[]"},
    {.key = "action", WORD(policy_rule, action, action_names), .fallback = "fill"},
    {.key = "when", FIELD(policy_rule, when, unsigned), .kind = &when_kind,
     .element = ELEMENT(unsigned, kind_word, .key = "when", .words = word_names), .fallback = ""},
    {.key = "pool", .at = offsetof(struct policy_rule, pool), .kind = &name_kind,
     .fallback = "\"\""},
    {.key = "ttl", FIELD(policy_rule, ttl, uint32_t), .kind = &kind_seconds,
     .min = POLICY_TTL_MIN, .max = POLICY_TTL_MAX, .fallback = "5m"},
    {.key = "mode", WORD(policy_rule, mode, mode_names), .fallback = "live"},
    {.key = "from", FIELD(policy_rule, from_ms, uint64_t), .kind = &time_kind,
     .fallback = "none"},
    {.key = "until", FIELD(policy_rule, until_ms, uint64_t), .kind = &time_kind,
     .fallback = "none"},
    {.key = "break-dnssec", YESNO(policy_rule, break_dnssec), .fallback = "no"},
    {.key = "comment", .at = offsetof(struct policy_rule, comment), .size = POLICY_COMMENT, .kind = &comment_kind,
     .flags = FIELD_EMPTY, .fallback = "\"\""},
    {0},
};
_Static_assert(POLICY_COMMENT == 256 && POLICY_TTL_DEFAULT == 300, "rule_rows says so");
const struct field policy_rule_map = {.key = "a rule", .rows = rule_rows};

static const struct field test_rows[] = {
    {.key = "suffix", FIELD(policy_test, suffix, struct suffix *), .kind = &suffix_kind,
     .help = "the suffix that is asked for"},
    {.key = "client", FIELD(policy_test, client, struct addr), .kind = &address_kind,
     .help = "the address that asks"},
    {.key = "verdict", WORD(policy_test, verdict, verdict_names + 1),
     .min = VERDICT_NXDOMAIN, .fallback = ""},
    {.key = "expect", WORD(policy_test, expect, outcome_names + 1),
     .min = OUTCOME_PASSED, .max = OUTCOME_FAILED, .fallback = ""},
    {.key = "host", FIELD(policy_test, host, struct name), .kind = &target_kind,
     .fallback = ""},
    {.key = "real-host", FIELD(policy_test, real_host, struct name), .kind = &target_kind,
     .fallback = ""},
    {0},
};
static const struct field test_map = {.key = "a test", .rows = test_rows};

#define SECTION(list, n, type, ...) \
    FIELD_LIST_OF(policy, list, n, struct type *), .element = ELEMENT(struct type, __VA_ARGS__), .fallback = ""
static const struct field top_rows[] = {
    {.key = "waymark-policy", FIELD(policy, version, uint16_t), .kind = &kind_count,
     .min = 1, .max = 1, .help = "1"},
    {.key = "networks",
     SECTION(networks, n_networks, policy_network, object_kind, .min = POLICY_NETWORK),
     .flags = FIELD_EMPTY | FIELD_NAMED},
    {.key = "pools", SECTION(pools, n_pools, policy_pool, object_kind, .min = POLICY_POOL),
     .flags = FIELD_EMPTY | FIELD_NAMED},
    {.key = "approved", SECTION(approved, n_approved, policy_approved, approved_kind),
     .flags = FIELD_EMPTY},
    {.key = "rules", SECTION(rules, n_rules, policy_rule, object_kind, .min = POLICY_RULE),
     .flags = FIELD_EMPTY | FIELD_NAMED},
    {.key = "tests", SECTION(tests, n_tests, policy_test, test_kind),
     .flags = FIELD_EMPTY | FIELD_LIST},
    {0},
};
static const struct field top_map = {.key = "the policy", .rows = top_rows};
const struct field *const policy_lists[POLICY_KINDS] = {
    network_rows, pool_rows, top_rows + 3, rule_rows};
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
    static const struct field *const maps[POLICY_KINDS] = {
        [POLICY_POOL] = &policy_pool_map, [POLICY_RULE] = &policy_rule_map};
    enum policy_kind kind = (enum policy_kind)f->min;
    bool is_map = kind == POLICY_RULE || (kind == POLICY_POOL && node->kind == YAML_MAP);
    struct policy_rule *r = to;
    size_t before = form->problems;
    const char *why;
    struct diags own = {0};

    if ((why = policy_name_check(node->key)) != NULL)
        return form_problem_key(form, node, "%s \"%s\": %s", policy_kind_names[kind], node->key,
                                why);
    if (kind == POLICY_RULE)
        policy_rule_init(r, node->key);
    else
        strcpy(to, node->key); /* it is good, so it fits */
    field_read(form, is_map ? maps[kind] : policy_lists[kind], node, to);
    if (kind == POLICY_RULE) {
        if (yaml_get(node, "when") == NULL)
            r->when = policy_actions[r->action].when;
        r->line = node->key_line;
        r->column = node->key_column;
        policy_object_sort(POLICY_RULE, r);
    }
    if (form->problems == before && kind == POLICY_RULE)
        policy_rule_check(r, &own);
    else if (form->problems == before && kind == POLICY_POOL)
        policy_pool_check(to, &own);
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
    if (real && t->verdict != VERDICT_PRESENT && t->verdict != VERDICT_UNAPPROVED)
        form_problem_key(form, real,
                         "real-host is what the real DNS names: it needs verdict: present");
    if (t->suffix && t->suffix->below)
        form_problem(form, yaml_get(node, "suffix"), "a test asks for one suffix, not for \"%s\"",
                     yaml_get(node, "suffix")->text);
    if (node->kind == YAML_MAP && !yaml_get(node, "expect") && !yaml_get(node, "host"))
        form_problem(form, node, "a test needs expect (an outcome), host, or both");
    return 0;
}

static const struct field_kind host_kind = {read_host, print_policy_value, NULL, NULL, true},
                               object_kind = {read_object, NULL, NULL, NULL, true},
                               test_kind = {read_test, NULL, NULL, NULL, true};

int policy_text_read(struct policy *out, const char *file, const char *text, size_t len,
                     struct diags *d)
{
    struct policy p = {.kept = arena_new()};
    struct form form = {.file = file, .d = d, .kept = p.kept};
    struct arena *arena = arena_new();
    const struct yaml_node *root;
    int rc = arena && p.kept ? yaml_read(&root, arena, file, text, len, d) : -ENOMEM;

    if (rc == 0) {
        if (file && (p.file = strdup(file)) == NULL)
            form_no_memory(&form);
        field_read(&form, &top_map, root, &p);
        policy_sort(&p);
        rc = form.rc;
    }
    arena_free(arena);
    if (rc == 0)
        *out = p;
    else
        policy_fini(&p);
    return rc;
}

bool policy_rule_says(const struct policy_rule *r, const struct field *row)
{
    return row->kind == &when_kind ? r->when != policy_actions[r->action].when
                                   : !field_is_default(row, r);
}

/* The list of a network or pool stands alone where it is all that there is to say. */
static void write_object(FILE *f, enum policy_kind kind, const void *object)
{
    const struct field *list = policy_lists[kind], *row = list + 1;

    while (row->key && !policy_rule_says(object, row))
        row++;
    if (row->key == NULL && kind != POLICY_RULE) {
        field_write(f, 2, object, list, object); /* it begins with its name */
        return;
    }
    fprintf(f, "  %s:\n", (const char *)object);
    field_write(f, 4, list->key, list, object);
    for (; row->key; row++)
        if (policy_rule_says(object, row))
            field_write(f, 4, row->key, row, object);
}

int policy_text_write(const struct policy *p, FILE *f)
{
    const void *object;

    fputs("waymark-policy: 1\n", f);
    for (enum policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        const struct field *section = top_rows + 1 + kind;

        if (kind == POLICY_APPROVED && p->n_approved > 0)
            field_write(f, 0, section->key, section, p);
        else if (p->lists[kind].n > 0)
            fprintf(f, "%s:\n", section->key);
        for (size_t i = 0; kind != POLICY_APPROVED && (object = policy_object(p, kind, i)); i++)
            write_object(f, kind, object);
    }
    return ferror(f) ? -EIO : 0;
}
