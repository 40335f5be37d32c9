/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model.c -- the objects of the policy: what an action is, suffixes and hosts as text, what entry
 * refuses, the one order of everything that has no order of its own, and who frees what.
 *
 * Equal policies are, when sorted, equal texts and equal records. What is only suspicious (expired,
 * hidden, tied) is for `policy check`.
 */
#include "policy/model.h"

#include <errno.h>
#include <fnmatch.h>

#include "wire/message.h"
#include "wire/types.h"

const char *const choice_names[CHOICES + 1] = {"all", "pin", NULL};
const char *const action_names[ACTIONS + 1] = {"fill", "replace", "filter", "deny", "pass", NULL};

/* clang-format off */
const struct policy_action_row policy_actions[ACTIONS] = {
    /* verb, deed, outcome, has_pool, when, other, when_wrong, ede */
    {"fills", "fills from pool ", OUTCOME_FILLED, true, WORD_MISSING, WORD_MISSING | WORD_FAILED,
     "when: [missing] or when: [missing, failed]; to hide an answer use action replace", EDE_SYNTHESIZED},
    {"replaces", "replaces the real answer by pool ", OUTCOME_REPLACED, true, WORD_ALL, WORD_UNAPPROVED,
     "no when (every verdict) or when: [unapproved]", EDE_FORGED},
    {"filters", "removes the targets that are not approved", OUTCOME_FILTERED, false, WORD_UNAPPROVED, 0,
     "no when: it always acts on unapproved targets", EDE_BLOCKED},
    {"denies", "denies that there is a host", OUTCOME_DENIED, false, WORD_ALL, 0,
     "no when: it acts on every verdict", EDE_BLOCKED},
    {"passes", "passes on what the real DNS says", 0, false, WORD_ALL, 0,
     "no when: it acts on every verdict", EDE_NONE},
};
/* clang-format on */

const char *policy_name_check(const char *name)
{
    size_t len = strlen(name);

    if (len == 0)
        return "is no name: it is empty";
    if (len >= POLICY_NAME)
        return "has more than 63 characters";
    if (strcmp(name, "any") == 0)
        return "is reserved: it means every client";
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != len)
        return "has characters other than a-z 0-9 . _ -";
    return strchr("._-", name[0]) != NULL ? "does not begin with a letter or a digit" : NULL;
}

#define SERVICE "@(vlmcs|vmlcs|vlmsc|vlcms)" /* with its letters in the usual wrong orders */

const char *suffix_parse(struct suffix *out, const char *text)
{
    /* Whole names, and what begins like one (a rule would match _vlmcs._tcp._vlmcs._tcp.SUFFIX:
     * nothing, without a word), as patterns of fnmatch(3). */
    static const char *const whole[][2] = {
        {"_vlmcs.?(_)tcp?(.*)", "is a whole name; write the suffix alone, without _vlmcs._tcp"},
        {"@(_" SERVICE "|" SERVICE ".?(_)tcp)?(.*)",
         "begins like a whole name (which would be _vlmcs._tcp.SUFFIX); write the suffix alone"},
        {"_tcp?(.*)", "begins with _tcp; write the suffix alone, without _vlmcs._tcp"},
    };
    bool below = strncmp(text, "*.", 2) == 0 && text[2] != '\0';
    struct suffix s = {.below = below, .name = {.len = 1}};

    if (text[0] == '\0')
        return "is empty; . is the bare _vlmcs._tcp";
    if (strcmp(text, "*") == 0 || strcmp(text, "*.") == 0 || strcmp(text, ".") == 0) {
        s.below = text[0] == '*';
        *out = s;
        return NULL;
    }
    text += below ? 2 : 0;
    for (size_t i = 0; i < ARRAY_LEN(whole) && strchr("_vV", text[0]); i++)
        if (fnmatch(whole[i][0], text, FNM_CASEFOLD | FNM_EXTMATCH) == 0)
            return whole[i][1];
    if (strpbrk(text, " \t\r\n"))
        return "has a blank in it";
    if (text[0] == '.')
        return "begins with a dot; *.corp.example is every name below corp.example";
    if (name_parse(&s.name, text) != 0)
        return "is not a domain name";
    /* _vlmcs._tcp in front takes 12 octets; below the name is a label more. */
    if (s.name.len > NAME_MAX_WIRE - 12 - (below ? 2 : 0))
        return "is too long: with _vlmcs._tcp in front a name has at most 255 octets";
    for (size_t at = 0; s.name.data[at] != 0; at += 1 + s.name.data[at])
        if (memchr(&s.name.data[at + 1], '*', s.name.data[at]))
            return "has a * that is not the whole first label; write *.corp.example, or * alone";
    name_fold(&s.name);
    *out = s;
    return NULL;
}

const char *suffix_print(const struct suffix *s, char out[SUFFIX_TEXT])
{
    char name[NAME_TEXT];

    if (s->below && s->name.labels == 0)
        return strcpy(out, "*");
    snprintf(out, SUFFIX_TEXT, "%s%s", s->below ? "*." : "", name_print(&s->name, name));
    return out;
}

/* The order of the keys in the store. */
static int compare_names(const struct name *a, const struct name *b)
{
    uint8_t at_a[NAME_MAX_LABELS], at_b[NAME_MAX_LABELS];
    unsigned n_a = a->labels, n_b = b->labels;

    name_labels(a, at_a);
    name_labels(b, at_b);
    while (n_a > 0 && n_b > 0) {
        const uint8_t *x = a->data + at_a[--n_a], *y = b->data + at_b[--n_b];
        int c = memcmp(x + 1, y + 1, *x < *y ? *x : *y);

        if (c != 0 || *x != *y)
            return c != 0 ? c : (int)*x - (int)*y;
    }
    return (int)n_a - (int)n_b;
}

int suffix_compare(const void *a, const void *b)
{
    const struct suffix *x = a, *y = b;
    int c = compare_names(&x->name, &y->name);

    return c != 0 ? c : (int)x->below - (int)y->below;
}

int policy_suffix_compare(const void *a, const void *b)
{
    return suffix_compare(*(struct suffix *const *)a, *(struct suffix *const *)b);
}

struct suffix *suffix_keep(struct arena *a, const struct suffix *s)
{
    size_t size = offsetof(struct suffix, name.data) + s->name.len;
    struct suffix *kept = arena_alloc(a, size);

    return kept ? memcpy(kept, s, size) : NULL;
}

int policy_rule_add(struct arena **a, struct policy_rule *r, const struct suffix *s)
{
    struct suffix **list = policy_list_add(r->suffixes, r->n_suffixes, sizeof *list);

    if (list)
        r->suffixes = list;
    if (*a == NULL)
        *a = arena_new();
    if (list == NULL || *a == NULL || (list[r->n_suffixes] = suffix_keep(*a, s)) == NULL)
        return -ENOMEM;
    r->n_suffixes++;
    return 0;
}

bool suffix_is_wide(const struct suffix *s)
{
    return s->below && s->name.labels <= 1;
}

const char *host_target_check(const char *text, struct name *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    struct addr ip;
    struct name n;

    if (text[0] == '\0')
        return "has no host name";
    if (text[0] == '[' || addr_parse(&ip, text, 0) == 0)
        return "is an IP address; an SRV record needs a host name (give address=IP beside it)";
    if (name_parse(&n, text) != 0)
        return "is not a host name";
    name_fold(&n);
    for (size_t at = 0; n.data[at] != 0; at += 1u + n.data[at])
        for (size_t i = at + 1; i <= at + n.data[at]; i++)
            if (n.data[i] < 0x80 && memchr(letters, n.data[i], sizeof letters - 1) == NULL)
                return "is not a host name"; /* beyond ASCII: what Active Directory allows */
    if (n.labels < 2)
        return "has no dot; give the full name of the host, like kms01.contoso.com";
    if (n.data[1] == '_')
        return "is the name of a service; give the name of the KMS host";
    *out = n;
    return NULL;
}

const char *host_address_parse(struct addr *out, const char *text)
{
    if (addr_parse(out, text, 0) != 0 || out->port != 0)
        return "has an address that is not an IP address";
    if (addr_is(out, ADDR_ANY) || out->scope != 0)
        return "has an address that no client can connect to";
    return NULL;
}

const char *host_parse(struct policy_host *out, const char *text)
{
    enum { PRIORITY, WEIGHT, PROBE, ADDRESS };
    static char *const options[] = {"priority", "weight", "probe", "address", NULL};
    struct policy_host h = {.port = POLICY_KMS_PORT, .probe = true};
    char copy[HOST_TEXT], *rest = copy, *head, *colon, *value;
    const char *why;
    struct addr ip;
    uint64_t v;

    if (!str_copy(copy, sizeof copy, text))
        return "is too long";
    head = strsep(&rest, ",");
    colon = strrchr(head, ':');
    if (colon && head[0] != '[' && addr_parse(&ip, head, 0) != 0) {
        *colon = '\0';
        if (number_parse(&v, colon + 1, UINT16_MAX) != 0)
            return "has no valid port behind the colon (1 to 65535)";
        if (v == 0)
            return "has port 0, where no client can connect";
        h.port = (uint16_t)v;
    }
    why = host_target_check(head, &h.target);
    while (why == NULL && rest && *rest != '\0') {
        int option = getsubopt(&rest, options, &value);

        if (option < 0 || value == NULL)
            return "has an unknown option; known are priority=N, weight=N, address=IP, probe=no";
        if (option <= WEIGHT) {
            if (number_parse(&v, value, UINT16_MAX) != 0)
                return "has a priority or weight that is not 0 to 65535";
            *(option == PRIORITY ? &h.priority : &h.weight) = (uint16_t)v;
        } else if (option == PROBE) {
            if (bool_parse(&h.probe, value) != 0)
                return "has a probe= that is neither yes nor no";
        } else if (h.n_addresses == POLICY_HOST_ADDRESSES) {
            return "has more than 8 addresses";
        } else {
            why = host_address_parse(&h.addresses[h.n_addresses++], value);
        }
    }
    if (why == NULL)
        *out = h;
    return why;
}

const char *host_print(const struct policy_host *h, char out[HOST_TEXT])
{
    char name[NAME_TEXT], ip[ADDR_TEXT];
    struct str s;

    str_init(&s, out, HOST_TEXT);
    str_addf(&s, "%s:%u", name_print(&h->target, name), (unsigned)h->port);
    if (h->priority != 0)
        str_addf(&s, ",priority=%u", (unsigned)h->priority);
    if (h->weight != 0)
        str_addf(&s, ",weight=%u", (unsigned)h->weight);
    for (unsigned i = 0; i < h->n_addresses; i++)
        str_addf(&s, ",address=%s", addr_print(&h->addresses[i], ip));
    if (!h->probe)
        str_add(&s, ",probe=no");
    return out;
}

const char *policy_approved_parse(struct policy_approved *out, const char *text)
{
    struct policy_host h;
    const char *why = strchr(text, ',') != NULL
                          ? "is an approved host: FQDN or FQDN:PORT, without options"
                          : host_parse(&h, text);

    if (why == NULL)
        *out = (struct policy_approved){.target = h.target, .port = h.port};
    return why;
}

void policy_rule_init(struct policy_rule *r, const char *name)
{
    *r = (struct policy_rule){
        .action = ACTION_FILL, .when = WORD_MISSING, .mode = MODE_LIVE, .ttl = POLICY_TTL_DEFAULT};
    str_copy(r->name, sizeof r->name, name);
}

int policy_rule_check(const struct policy_rule *r, struct diags *d)
{
    const struct policy_action_row *a = &policy_actions[r->action];
    const char *rule = r->name, *word = action_names[r->action], *why;
    char text[SUFFIX_TEXT];
    size_t wide = 0;
    int rc = 0;

    if ((why = policy_name_check(rule)) != NULL)
        rc = diags_tell(d, "rule \"%s\": %s", rule, why);
    if (a->has_pool && r->pool[0] == '\0')
        rc = diags_tell(d, "rule %s: %s needs a pool", rule, word);
    if (!a->has_pool && r->pool[0] != '\0')
        rc = diags_tell(d,
                        "rule %s: %s delivers no pool; leave the pool out, or use fill or replace",
                        rule, word);
    if (r->when != a->when && r->when != a->other)
        rc = diags_tell(d, "rule %s: %s takes %s", rule, word, a->when_wrong);
    if (r->n_networks > POLICY_RULE_NETWORKS)
        rc = diags_tell(d, "rule %s: has more than %d networks", rule, POLICY_RULE_NETWORKS);
    while (wide < r->n_suffixes && !suffix_is_wide(r->suffixes[wide]))
        wide++;
    if (r->n_networks == 0 && wide < r->n_suffixes)
        rc = diags_tell(d,
                        "rule %s: suffix %s is so wide that it needs networks; if every client is "
                        "meant, name the network any",
                        rule, suffix_print(r->suffixes[wide], text));
    if (r->from_ms != 0 && r->until_ms != 0 && r->from_ms >= r->until_ms)
        rc = diags_tell(d, "rule %s: until is not later than from, so the rule is never valid",
                        rule);
    return rc;
}

int policy_pool_check(const struct policy_pool *p, struct diags *d)
{
    char name[NAME_TEXT], ip[ADDR_TEXT];
    const char *why;
    int rc = 0;

    if ((why = policy_name_check(p->name)) != NULL)
        rc = diags_tell(d, "pool \"%s\": %s", p->name, why);
    if (p->n == 0)
        rc = diags_tell(d, "pool %s: has no host", p->name);
    if (p->n > POLICY_POOL_HOSTS)
        return diags_tell(d, "pool %s: has more than %d hosts", p->name, POLICY_POOL_HOSTS);
    for (size_t i = 0; i < p->n; i++) {
        const struct policy_host *h = &p->hosts[i], *first = p->hosts;

        name_print(&h->target, name);
        if (h->port == 0)
            rc = diags_tell(d, "pool %s: host %s has port 0, where no client can connect", p->name,
                            name);
        while (policy_approved_compare(first, h) != 0)
            first++;
        if (first < h)
            rc = diags_tell(d, "pool %s: host %s:%u is there twice", p->name, name,
                            (unsigned)h->port);
        for (unsigned a = 0; a < h->n_addresses && !p->allow_public; a++)
            if (!addr_is(&h->addresses[a], ADDR_PRIVATE))
                rc = diags_tell(d,
                                "pool %s: host %s has the public address %s; a KMS host is meant "
                                "to be inside (if it is yours, say --allow-public, in a file "
                                "allow-public: yes)",
                                p->name, name, addr_print(&h->addresses[a], ip));
    }
    return rc;
}

const char *const policy_kind_names[POLICY_KINDS + 1] = {"network", "pool", "approved", "rule",
                                                         NULL};
size_t policy_sort_unique(void *at, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
    char *base = at;
    size_t kept = 1, i = 1;

    while (i < n && cmp(base + (i - 1) * size, base + i * size) < 0)
        i++;
    if (i >= n)
        return n;
    qsort(at, n, size, cmp);
    for (i = 1; i < n; i++)
        if (cmp(base + (kept - 1) * size, base + i * size) != 0)
            memmove(base + kept++ * size, base + i * size, size);
    return kept;
}

/* Of addresses, too, behind which their scope is 0. */
int policy_prefix_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct prefix)); /* the address, then the length */
}

int policy_approved_compare(const void *a, const void *b)
{
    const struct policy_approved *x = a, *y = b;
    int c = compare_names(&x->target, &y->target);

    return c != 0 ? c : (int)x->port - (int)y->port;
}

static int by_host(const void *a, const void *b)
{
    const struct policy_host *x = a, *y = b;
    int c = (int)x->priority - (int)y->priority;

    return c != 0 ? c : policy_approved_compare(a, b); /* it begins alike */
}

int policy_name_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static const struct list {
    size_t size; /* of an element */
    int (*compare)(const void *, const void *);
    size_t at; /* of the struct policy_list in an object */
} objects[POLICY_KINDS] = {
    [POLICY_NETWORK] = {sizeof(struct policy_network), policy_name_compare, 0},
    [POLICY_POOL] = {sizeof(struct policy_pool), policy_name_compare, 0},
    [POLICY_APPROVED] = {sizeof(struct policy_approved), policy_approved_compare, 0},
    [POLICY_RULE] = {sizeof(struct policy_rule), policy_name_compare, 0},
};
#define MEMBERS(type, list, compare)                                                               \
    sizeof *((struct type *)0)->list, compare, offsetof(struct type, list)
static const struct list members[POLICY_KINDS][3] = {
    [POLICY_NETWORK] = {{MEMBERS(policy_network, prefixes, policy_prefix_compare)}},
    [POLICY_POOL] = {{MEMBERS(policy_pool, hosts, by_host)}}, /* equal ones were refused before */
    [POLICY_RULE] = {{MEMBERS(policy_rule, suffixes, policy_suffix_compare)},
                     {MEMBERS(policy_rule, networks, policy_name_compare)}},
};

static struct policy_list *list_of(const struct list *m, const void *object)
{
    return (void *)((uintptr_t)object + m->at);
}

struct policy_list *policy_members_of(enum policy_kind kind, const void *object)
{
    return list_of(members[kind], object);
}

void *policy_object(const struct policy *p, enum policy_kind kind, size_t i)
{
    const struct policy_list *l = &p->lists[kind];

    return i < l->n ? (char *)l->at + i * objects[kind].size : NULL;
}

void *policy_find(const struct policy *p, enum policy_kind kind, const void *key)
{
    const struct policy_list *l = &p->lists[kind];

    return l->n == 0 ? NULL : bsearch(key, l->at, l->n, objects[kind].size, objects[kind].compare);
}

void *policy_list_add(void *list, size_t n, size_t size)
{
    char *at = list;

    if ((n & (n - 1)) == 0)
        at = realloc(at, (n > 0 ? 2 * n : 1) * size);
    if (at)
        memset(at + n * size, 0, size);
    return at;
}

void *policy_add(struct policy *p, enum policy_kind kind)
{
    struct policy_list *l = &p->lists[kind];
    void *at = policy_list_add(l->at, l->n, objects[kind].size);

    if (at == NULL)
        return NULL;
    l->at = at;
    return policy_object(p, kind, l->n++);
}

void policy_object_sort(enum policy_kind kind, void *object)
{
    struct policy_pool *p = object;

    for (const struct list *m = members[kind]; m->size > 0; m++) {
        struct policy_list *l = list_of(m, object);

        l->n = policy_sort_unique(l->at, l->n, m->size, m->compare);
    }
    for (size_t i = 0; kind == POLICY_POOL && i < p->n; i++)
        p->hosts[i].n_addresses =
            (uint8_t)policy_sort_unique(p->hosts[i].addresses, p->hosts[i].n_addresses,
                                        sizeof(struct addr), policy_prefix_compare);
}

void policy_object_fini(enum policy_kind kind, void *object)
{
    for (const struct list *m = members[kind]; m->size > 0; m++) {
        free(list_of(m, object)->at);
        *list_of(m, object) = (struct policy_list){0};
    }
}

void policy_sort(struct policy *p)
{
    for (enum policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        struct policy_list *l = &p->lists[kind];

        for (size_t i = 0; i < l->n; i++)
            policy_object_sort(kind, policy_object(p, kind, i));
        /* Only approved hosts can be doubles: of two objects of a name, readers refuse one. */
        l->n = policy_sort_unique(l->at, l->n, objects[kind].size, objects[kind].compare);
    }
}

void policy_fini(struct policy *p)
{
    for (enum policy_kind kind = 0; kind < POLICY_KINDS; kind++) {
        for (size_t i = 0; i < p->lists[kind].n; i++)
            policy_object_fini(kind, policy_object(p, kind, i));
        free(p->lists[kind].at);
    }
    free(p->tests);
    free(p->file);
    arena_free(p->kept);
    *p = (struct policy){0};
}
