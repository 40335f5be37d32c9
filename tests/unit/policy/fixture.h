/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fixture.h -- a policy store in a temporary folder, filled from a few words.
 *
 *   net NAME PREFIX...; pool NAME HOST...; ok HOST:PORT;
 *   -net NAME; -pool NAME; -rule NAME; -ok HOST:PORT; clear;
 *   +suffix RULE SUFFIX; -suffix RULE SUFFIX;
 *   rule NAME ACTION SUFFIX,... [net=A,B] [from=MS] [until=MS] [KEY=VALUE]...
 */
#ifndef TESTS_POLICY_FIXTURE_H
#define TESTS_POLICY_FIXTURE_H

#include <sys/stat.h>

#include "base/str.h"
#include "policy/change.h"
#include "policy/decide.h"
#include "policy/records.h"
#include "wire/message.h"
#include "tests/unit/scratch.h"

struct fixture {
    char dir[SCRATCH], path[100], data[120], lock[120]; /* path: of the store; its two files */
    struct store *store;
    struct policy_reader *reader;
    struct policy_change change; /* the one that was begun last */
    uint64_t now_ms, most;       /* of old values */
};

/* A number below n, the same ones in each run. */
static inline unsigned draw(unsigned n)
{
    static unsigned short state[3] = {1, 2, 3};

    return (unsigned)nrand48(state) % n;
}

static inline void fixture_folder(struct fixture *f)
{
    *f = (struct fixture){.now_ms = 1000, .most = HISTORY_MOST};
    scratch_make(f->dir);
    snprintf(f->path, sizeof f->path, "%s/policy", f->dir);
    snprintf(f->data, sizeof f->data, "%s/data.mdb", f->path);
    snprintf(f->lock, sizeof f->lock, "%s/lock.mdb", f->path);
}

static inline void fixture_open_as(struct fixture *f, enum store_access access)
{
    assert_int_equal(store_open(&f->store, f->path, access, NULL), 0);
    f->reader = policy_reader_new(f->store);
    assert_non_null(f->reader);
}

static inline void fixture_open(struct fixture *f)
{
    fixture_open_as(f, STORE_WRITE);
}

static inline void fixture_close(struct fixture *f)
{
    policy_reader_free(f->reader);
    store_close(f->store);
    f->reader = NULL;
    f->store = NULL;
}

/* As the daemon has it, whatever is damaged. */
static inline void fixture_serve(struct fixture *f)
{
    fixture_close(f);
    fixture_open_as(f, STORE_SERVE);
}

static inline void fixture_remove(struct fixture *f)
{
    fixture_close(f);
    scratch_remove(f->dir);
}

/* A list of words: prefixes, hosts; of a rule its suffixes. Returns how many. */
static inline size_t fixture_list(enum policy_kind kind, void *list, struct arena *arena,
                                  char *words)
{
    const char *by = kind == POLICY_RULE ? "," : " ", *why = NULL;
    struct suffix suffix;
    size_t n = 0;

    for (char *save, *w = strtok_r(words, by, &save); w != NULL; w = strtok_r(NULL, by, &save)) {
        if (kind == POLICY_NETWORK)
            why = prefix_parse((struct prefix *)list + n, w);
        else if (kind == POLICY_POOL)
            why = host_parse((struct policy_host *)list + n, w);
        else
            why = suffix_parse(&suffix, w);
        if (kind == POLICY_RULE)
            ((struct suffix **)list)[n] = suffix_keep(arena, &suffix);
        if (why != NULL)
            fail_msg("%s %s", w, why);
        n++;
    }
    return n;
}

/* "KEY=VALUE...": as of the YAML form, but for net=A,B and the times. */
static inline void fixture_fields(struct policy_rule *r, struct arena *arena, char *words)
{
    struct form form = {.arena = arena, .is_option = true};
    char *save, text[200];

    for (char *key = strtok_r(words, "= ", &save); key != NULL; key = strtok_r(NULL, "= ", &save)) {
        const char *value = strtok_r(NULL, " ", &save);
        bool is_net = strcmp(key, "net") == 0;

        snprintf(text, sizeof text, is_net || strcmp(key, "when") == 0 ? "[%s]" : "%s", value);
        if (strcmp(key, "from") == 0)
            r->from_ms = strtoull(value, NULL, 10);
        else if (strcmp(key, "until") == 0)
            r->until_ms = strtoull(value, NULL, 10);
        else if (field_read_text(&form, field_find(&policy_rule_map, is_net ? "networks" : key),
                                 text, r) != 0)
            fail_msg("%s=%s", key, value);
    }
}

/* A row or some of a change; what policy_change_apply() says. */
static inline int fixture_statement(struct policy_change *t, char *words)
{
    static const char *const kinds[] = {"net", "pool", "ok", "rule", "suffix", "clear", NULL};
    enum { SUFFIX = POLICY_KINDS, CLEAR };
    static union {
        struct prefix prefixes[4096];
        struct policy_host hosts[POLICY_POOL_HOSTS];
        struct suffix *suffixes[64];
    } list;
    bool minus = words[0] == '-';
    char *save, *word = strtok_r(words + strspn(words, "+-"), " ", &save);
    char *name = strtok_r(NULL, " ", &save);
    enum change_verb verb = minus ? CHANGE_REMOVE : CHANGE_SET;
    union policy_object o = {.rule = {.n_suffixes = 0}};
    int kind = str_index(kinds, word), rc;
    enum policy_kind of = kind == SUFFIX ? POLICY_RULE : (enum policy_kind)kind;
    struct policy_list *members;

    assert_true(kind >= 0);
    t->arena = arena_new();
    if (kind == CLEAR) {
        assert_int_equal(policy_change_make(t, &(struct policy){0}, POLICY_REPLACE), 0);
    } else if (kind == POLICY_APPROVED) {
        assert_null(policy_approved_parse(&o.approved, name));
        policy_change_add(t, of, verb, &o);
    } else if (minus && kind != SUFFIX) {
        policy_change_add(t, of, verb, name);
    } else {
        if (kind < POLICY_RULE)
            str_copy(o.name, sizeof o.name, name);
        else
            policy_rule_init(&o.rule, name);
        if (kind == POLICY_POOL)
            o.pool.allow_public = strcmp(name, "public") == 0;
        if (kind == POLICY_RULE) {
            o.rule.action = (enum policy_action)str_index(action_names, strtok_r(NULL, " ", &save));
            o.rule.when = policy_actions[o.rule.action].when;
        } else if (kind == SUFFIX) {
            verb = minus ? CHANGE_DROP : CHANGE_ADD;
        }
        members = policy_members_of(of, &o);
        members->at = &list;
        members->n = fixture_list(of, &list, t->arena,
                                  of == POLICY_RULE ? strtok_r(NULL, " ", &save) : save);
        if (of == POLICY_RULE && verb == CHANGE_SET)
            fixture_fields(&o.rule, t->arena, save);
        if (of == POLICY_RULE && members->n == 0)
            verb = CHANGE_HEAD; /* it keeps the suffixes that it has */
        if (kind != POLICY_POOL)
            policy_object_sort(of, &o);
        policy_change_add(t, of, verb, &o);
    }
    rc = policy_change_apply(t, NULL);
    policy_change_fini(t);
    return rc;
}

/* Statements; the first refusal ends it. */
static inline int PRINTF_LIKE(2, 3) fixture_apply(struct policy_change *t, const char *policy, ...)
{
    char *text, *save;
    va_list args;
    int rc = 0;

    va_start(args, policy);
    assert_true(vasprintf(&text, policy, args) >= 0);
    va_end(args);
    for (char *s = strtok_r(text, ";", &save); s != NULL && rc == 0; s = strtok_r(NULL, ";", &save))
        if (strspn(s, " \n") != strlen(s))
            rc = fixture_statement(t, s + strspn(s, " \n"));
    free(text);
    return rc;
}

static inline struct policy_change *fixture_begin(struct fixture *f, uint64_t now_ms)
{
    f->change = (struct policy_change){
        .log = {.author = "test", .claimed = "anna", .reason = "CHG42", .time_ms = now_ms},
        .history_bytes = f->most,
    };
    assert_int_equal(policy_change_begin(&f->change, f->store), 0);
    return &f->change;
}

/* One change; whether anything differed. */
static inline bool fixture_commit(struct policy_change *t)
{
    assert_int_equal(policy_change_commit(t), 0);
    return t->changed;
}

static inline bool fixture_done(struct fixture *f, int rc)
{
    assert_int_equal(rc, 0);
    return fixture_commit(&f->change);
}
#define fixture_policy(f, ...) fixture_done(f, fixture_apply(fixture_begin(f, 1000), __VA_ARGS__))

/* What many tests begin with: clients everywhere get host a for corp.example,
 * and nobody gets one for other names below example. */
#define BASE                                                                                       \
    "net lab 10.20.0.0/16; pool a kms-a.contoso.com; pool b kms-b.contoso.com;"                    \
    "rule r fill corp.example pool=a; rule z deny *.example net=any"

static inline int fixture_set_up(void **state)
{
    struct fixture *f = malloc(sizeof *f);

    fixture_folder(f);
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    fixture_remove(*state);
    free(*state);
    return 0;
}

#define FIXTURE_TEST(f) TEST_WITH(f, fixture_set_up, fixture_tear_down)

static inline struct policy_counts counts_of(struct fixture *f)
{
    struct policy_counts c;

    assert_int_equal(policy_store_counts(f->store, &c), 0);
    return c;
}

static inline void assert_sound(struct fixture *f)
{
    assert_int_equal(store_verify(f->store, STORE_WRITE, NULL, NULL), 0);
}

/* _vlmcs._tcp.SUFFIX asked by that client, with rules live. */
struct fixture_question {
    struct policy_ask ask;
    struct name qname;
    struct policy_client client;
};

static inline void fixture_ask(struct fixture *f, const char *suffix, const char *client,
                               struct fixture_question *q)
{
    struct name front, back;
    struct addr a;

    assert_int_equal(name_parse(&front, "_vlmcs._tcp"), 0);
    assert_int_equal(name_parse(&back, suffix), 0);
    assert_true(name_join(&front, &back, &q->qname));
    name_fold(&q->qname);
    assert_int_equal(addr_parse(&a, client, 0), 0);
    policy_client_find(f->reader, &a, &q->client); /* damage is for the decision to tell */
    q->ask = (struct policy_ask){.qname = &q->qname, .client = &q->client, .limit = MODE_LIVE};
}

/* "OUTCOME REASON RULE" of a question, in a read of its own. */
static inline const char *outcome(struct fixture *f, const char *suffix, const char *client)
{
    static char text[128];
    const struct policy_real real = {.verdict = VERDICT_NXDOMAIN};
    static struct policy_decision d;
    struct fixture_question q;

    assert_int_equal(store_reader_begin(f->reader->txn), 0);
    fixture_ask(f, suffix, client, &q);
    policy_decide(f->reader, &q.ask, &real, &d);
    store_end(f->reader->txn);
    snprintf(text, sizeof text, "%s %s %s", outcome_names[d.outcome], reason_names[d.reason],
             d.rule[0] != '\0' ? d.rule : "-");
    return text;
}

#endif
