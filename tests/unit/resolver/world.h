/* SPDX-License-Identifier: BSD-2-Clause
 *
 * world.h -- all that the answer side looks at, for its tests: settings from
 * text, a real cache, a real policy store in a temporary folder, a clock that
 * the test moves; questions and replies as text, answers and events as text.
 *
 * A question: "NAME TYPE [word...]", with the words
 *   edns[=SIZE] do keepalive nsid cookie=client|good|false|bad cd ad rd0 tcp tsig from=IP[:PORT] port0 class=NUMBER
 *   opcode=NUMBER version
 * A reply of the real DNS: "RCODE [ad | ms=NUMBER]", then a record a line with its section
 * in front ("an", "ns", "ar"); or "timeout", "deadline", "fail=RCODE".
 * An answer: "RCODE [flag...]" and the same lines.
 */
#ifndef TESTS_UNIT_RESOLVER_WORLD_H
#define TESTS_UNIT_RESOLVER_WORLD_H

#include "tests/settings_text.h"
#include "tests/unit/wire/text_message.h"

#include "base/str.h"
#include "policy/change.h"
#include "resolver/query.h"
#include "tests/unit/scratch.h"

enum { WORLD_WALL_S = 1700000000 };
#define WORLD_WALL_MS (1000ull * WORLD_WALL_S)
#define WORLD_SETTINGS                                                                             \
    "access: [{net: 10.0.0.0/8, action: allow}, {net: 192.0.2.0/24, action: refuse}, "             \
    "{net: 198.51.100.0/24, action: drop}, {net: \"2001:db8::/32\", action: allow}]\n"             \
    "forward: [{zone: ., servers: [\"192.0.2.53\"]}, {zone: corp.example, servers: "               \
    "[10.0.0.53]}]\n"

struct world {
    struct settings *settings;
    struct cache *cache;
    struct ratelimit *ratelimit;
    struct store *store;
    struct policy_reader *reader;
    struct random random;
    uint32_t seed;
    struct worker_stats stats;
    struct scratch *scratch;
    struct health *health; /* none: all hosts are up */
    struct view view;
    struct now now;
    char dir[SCRATCH];
    struct query *q;
    uint8_t wire[2048], out[DNS_MAX_MESSAGE];
    size_t wire_len;
    char text[200000];
};

static inline void world_random(void *context, uint8_t *out, size_t len)
{
    struct world *w = context;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)((w->seed = w->seed * 1664525u + 1013904223u) >> 24);
}

static inline struct settings *world_read_settings(const char *text)
{
    struct settings *s = NULL;
    struct diags d = {0};

    if (settings_read_text(&s, text, strlen(text), &d) != 0) {
        diags_print(&d, stderr);
        fail_msg("settings: %s", text);
    }
    diags_fini(&d);
    return s;
}

/* Makes the policy this one. */
static inline void world_policy(struct world *w, const char *text)
{
    struct policy_change change = {.log = {.author = "test", .time_ms = 1}};
    struct policy p;
    struct diags d = {0};
    char whole[65536];

    snprintf(whole, sizeof whole, "waymark-policy: 1\n%s", text);
    if (policy_text_read(&p, "policy", whole, strlen(whole), &d) != 0 ||
        policy_references(&p, &d) != 0) {
        diags_print(&d, stderr);
        fail_msg("policy: %s", text);
    }
    view_policy_end(&w->view);
    assert_int_equal(policy_change_begin(&change, w->store), 0);
    assert_int_equal(policy_change_make(&change, &p, POLICY_REPLACE), 0);
    assert_int_equal(policy_change_apply(&change, &d), 0);
    assert_int_equal(policy_change_commit(&change), 0);
    policy_change_fini(&change);
    policy_fini(&p);
    diags_fini(&d);
}

static inline void world_settings(struct world *w, const char *more)
{
    const char *own = more != NULL ? more : "";
    char text[4096];

    snprintf(text, sizeof text, "%s%s", strstr(own, "forward:") != NULL ? "" : WORLD_SETTINGS, own);
    settings_free(w->settings);
    w->view.settings = w->settings = world_read_settings(text);
    if (strstr(own, "rotate") == NULL)
        w->settings->cache.rotate = false; /* most rows want the order that was given */
}

/* policy NULL: there is no store. settings: more sections, or NULL. */
static inline struct world *world_new(const char *settings, const char *policy)
{
    static const struct hash_key key = {1, 2};
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->q = calloc(1, sizeof *w->q);
    w->scratch = calloc(1, sizeof *w->scratch);
    w->cache = cache_new(1 << 20, &key);
    w->now = (struct now){.mono_ms = 1000000, .wall_ms = WORLD_WALL_MS};
    assert_true(w->q != NULL && w->scratch != NULL && w->cache != NULL);
    w->ratelimit = ratelimit_new(&key);
    assert_non_null(w->ratelimit);
    w->random = (struct random){.fill = world_random, .context = w};
    world_settings(w, settings);
    w->view = (struct view){.settings = w->settings,
                            .cache = w->cache,
                            .random = &w->random,
                            .stats = &w->stats,
                            .scratch = w->scratch,
                            .health = &w->health,
                            .ratelimit = w->ratelimit};
    if (policy == NULL)
        return w;
    scratch_make(w->dir);
    assert_int_equal(store_open(&w->store, w->dir, STORE_WRITE, NULL), 0);
    world_policy(w, policy);
    w->reader = policy_reader_new(w->store);
    assert_non_null(w->reader);
    w->view.policy = w->reader;
    return w;
}

static inline void world_free(struct world *w)
{
    view_policy_end(&w->view);
    if (w->store != NULL) {
        policy_reader_free(w->reader);
        store_close(w->store);
        scratch_remove(w->dir);
    }
    settings_free(w->settings);
    cache_free(w->cache);
    free(w->ratelimit);
    free(w->scratch);
    free(w->q);
    free(w);
}

static inline void world_wait(struct world *w, uint64_t ms)
{
    view_policy_end(&w->view);
    w->now.mono_ms += ms;
    w->now.wall_ms += ms;
}

/* The words of a line; options are those from the second on, "WORD" or "WORD=TEXT". */
enum { WORDS = 16 };
struct words {
    int n;
    uint16_t at[WORDS]; /* each ends with a NUL */
    char text[512];
};

static inline struct words words_of(const char *text)
{
    struct words s = {.n = 0};

    assert_in_range(snprintf(s.text, sizeof s.text, "%s", text), 0, sizeof s.text - 1);
    for (char *save, *p = strtok_r(s.text, " \t", &save); p != NULL && s.n < WORDS;
         p = strtok_r(NULL, " \t", &save))
        s.at[s.n++] = (uint16_t)(p - s.text);
    return s;
}

static inline const char *word_at(const struct words *s, int i)
{
    if (i >= s->n)
        fail_msg("needs %d words", i + 1);
    return s->text + s->at[i];
}

/* Its text, "" if it has none; NULL: it is not there. */
static inline const char *option_of(const struct words *s, const char *word)
{
    size_t n = strlen(word);

    for (int i = s->n - 1; i > 0; i--) {
        const char *p = s->text + s->at[i];

        if (strncmp(p, word, n) == 0 && (p[n] == '\0' || p[n] == '='))
            return p + n + (p[n] == '=');
    }
    return NULL;
}
#define has_option(s, word) (option_of(s, word) != NULL)

/* Its number; none without the word, 0 without a number. */
static inline int option_number(const struct words *s, const char *word, int none)
{
    const char *text = option_of(s, word);

    return text != NULL ? atoi(text) : none;
}

static inline void put_record_head(struct writer *w, uint16_t type, uint16_t class, uint32_t ttl,
                                   size_t rdlength)
{
    writer_u8(w, 0);
    writer_u16(w, type);
    writer_u16(w, class);
    writer_u32(w, ttl);
    writer_u16(w, (uint16_t)rdlength);
}

/* When clients were given their cookies. */
static uint64_t world_cookies_ms = WORLD_WALL_MS;

/* The cookie of 10.0.0.1 at that time: the world's keys are zero. */
static inline bool world_cookie(const uint8_t *sent, size_t len, uint64_t wall_ms,
                                uint8_t out[COOKIE_OCTETS])
{
    static const struct hash_key keys[COOKIE_KEYS];
    struct addr client;

    assert_int_equal(addr_parse(&client, "10.0.0.1", 0), 0);
    return cookie_answer(keys, true, &client, sent, len, wall_ms, out);
}

/* client: its own part; good: what it was given at the first; false: not by us; bad: too short. */
static inline size_t cookie_write(const char *word, uint8_t out[4 + COOKIE_OCTETS])
{
    static const uint8_t own[COOKIE_CLIENT] = "octets_8";
    const uint8_t n = strcmp(word, "bad") == 0      ? 9
                      : strcmp(word, "client") == 0 ? COOKIE_CLIENT
                                                    : COOKIE_OCTETS;

    (void)world_cookie(own, sizeof own, world_cookies_ms, out + 4);
    out[27] ^= strcmp(word, "false") == 0;
    out[0] = out[2] = 0;
    out[1] = OPTION_COOKIE;
    out[3] = n;
    return 4u + n;
}

static inline size_t question_write(const struct words *s, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);
    int edns = option_number(s, "edns", 0);
    bool has_do = has_option(s, "do"), tsig = has_option(s, "tsig"), opt;
    uint16_t type, option = has_option(s, "keepalive") ? OPTION_KEEPALIVE : 0;
    unsigned flags = (unsigned)option_number(s, "opcode", 0) << 11;
    uint8_t cookie[4 + COOKIE_OCTETS];
    size_t n_cookie = 0;
    struct name name;

    flags |= has_option(s, "rd0") ? 0 : DNS_RD;
    flags |= has_option(s, "cd") ? DNS_CD : 0;
    flags |= has_option(s, "ad") ? DNS_AD : 0;
    option = has_option(s, "nsid") ? OPTION_NSID : option;
    if (has_option(s, "cookie"))
        n_cookie = cookie_write(option_of(s, "cookie"), cookie);
    opt = has_option(s, "edns") || has_do || option != 0 || n_cookie > 0;
    assert_int_equal(name_parse(&name, word_at(s, 0)) | type_parse(&type, word_at(s, 1)), 0);
    message_begin(&w, 0xbeef, (uint16_t)flags, &name, type,
                  (uint16_t)option_number(s, "class", CLASS_IN));
    if (opt)
        put_record_head(&w, TYPE_OPT, (uint16_t)(edns > 0 ? edns : 1232),
                        (has_option(s, "version") ? 1u << 16 : 0) | (has_do ? 0x8000u : 0),
                        (option != 0 ? 4 : 0) + n_cookie);
    if (option != 0) /* keepalive: without a time, RFC 7828 3.2.1 */
        writer_u32(&w, (uint32_t)option << 16);
    writer_bytes(&w, cookie, n_cookie);
    if (tsig)
        put_record_head(&w, TYPE_TSIG, CLASS_ANY, 0, 0);
    writer_patch_u16(&w, 10, (uint16_t)(opt + tsig));
    assert_false(w.full);
    return w.len;
}

static inline struct client words_client(const struct words *s)
{
    struct client c = {.transport = has_option(s, "tcp") ? AUDIT_TCP : AUDIT_UDP};
    const char *from = option_of(s, "from");

    assert_int_equal(addr_parse(&c.addr, from != NULL ? from : "10.0.0.1", 4000), 0);
    if (has_option(s, "port0"))
        c.addr.port = 0;
    return c;
}

/* As a listener makes it; nothing of an earlier question may matter. */
static inline void world_packet(struct world *w, struct client c, const uint8_t *wire, size_t len)
{
    memset(w->q, 0xa5, sizeof *w->q);
    w->q->client = c;
    w->q->wire = wire;
    w->q->wire_len = len;
    w->q->out = w->out;
    w->q->out_size = c.transport == AUDIT_TCP ? sizeof w->out : 4096;
}

/* A client's packet comes in. */
static inline enum answer world_read(struct world *w, const struct words *s)
{
    world_packet(w, words_client(s), w->wire, w->wire_len);
    return answer_read(&w->view, w->q, w->now);
}

/* FORWARD: the real DNS must be asked; the question waits in w->q. */
static inline enum answer world_ask(struct world *w, const char *question)
{
    struct words s = words_of(question);
    enum answer result;

    w->wire_len = question_write(&s, w->wire, sizeof w->wire);
    result = world_read(w, &s);
    if (result != ANSWER_FORWARD)
        return result;
    memset(w->scratch, 0xa5, sizeof *w->scratch);
    return answer_query(&w->view, w->q, NULL, w->now);
}

struct reply {
    struct real came;
    struct reply_facts facts;
    uint8_t wire[TEXT_MESSAGE_MAX], image[TEXT_MESSAGE_MAX];
};

/* A reply to the question of m with these records; its length. */
static inline size_t message_write(const struct message *m, uint16_t flags, const char *records,
                                   bool compress, uint8_t out[TEXT_MESSAGE_MAX])
{
    char question[1200], name[NAME_TEXT], type[TYPE_TEXT];

    snprintf(question, sizeof question, "%s%s IN %s", name_print(&m->qname, name),
             m->qname.labels > 0 ? "." : "", type_print(m->qtype, type));
    return text_to_wire(out, flags, question, records, compress);
}

static inline void reply_make(struct reply *r, const struct view *v, const struct query *q,
                              const char *text)
{
    char rcode[32] = "", flag[32] = "";
    const char *records = strchr(text, '\n');
    struct addr server, nobody = {.scope = 0};
    struct message m = q->message;
    unsigned ms = 51;
    uint16_t code;
    size_t len;

    assert_int_equal(addr_parse(&server, "10.9.0.53:53", 53), 0);
    sscanf(text, "%31[^ \n] %31[^ \n]", rcode, flag);
    if (strcmp(text, "deadline") == 0 || strcmp(text, "timeout") == 0) {
        r->came = real_of_failure(RCODE_TIMEOUT, text[0] == 'd' ? &nobody : &server, ms);
        r->came.pending = text[0] == 'd';
        return;
    }
    sscanf(flag, "ms=%u", &ms);
    code = text_rcode(rcode + (text[0] == 'f' ? strlen("fail=") : 0));
    if (text[0] == 'f') {
        r->came = real_of_failure(code, &server, ms);
        return;
    }
    code |= DNS_QR | DNS_RD | DNS_RA | (strcmp(flag, "ad") == 0 ? DNS_AD : 0);
    m.qtype = q->key.type;
    len = message_write(&m, code, records != NULL ? records + 1 : NULL, true, r->wire);
    assert_int_equal(message_read_head(&m, r->wire, len), 0);
    assert_int_equal(reply_read(&m, r->wire, len,
                                &(struct reply_wanted){.dnssec = q->message.edns.do_bit}, r->image,
                                sizeof r->image, &len, &r->facts),
                     0);
    r->came = real_of_reply(v, &q->key, r->image, len, &r->facts, &server, ms);
}

/* What came for the question that waits in w->q is kept and answered, the way
 * forwarding does it: as a waiter that is taken up again. */
static inline enum answer world_give(struct world *w, const char *text)
{
    static struct reply r;
    struct cache_key key = w->q->key;
    static struct waiter waiter; /* the query borrows from it */

    reply_make(&r, &w->view, w->q, text);
    if (!r.came.pending)
        real_keep(&w->view, &key, &r.came, w->now);
    waiter_save(&waiter, w->q);
    memset(w->q, 0xa5, sizeof *w->q);
    memset(w->wire, 0xa5, sizeof w->wire);
    memset(w->scratch, 0xa5, sizeof *w->scratch);
    w->q->out = w->out;
    w->q->out_size = sizeof w->out; /* forwarding has room for all */
    w->q->passthrough = false;
    waiter_restore(&w->view, &waiter, w->q);
    return answer_query(&w->view, w->q, &r.came, w->now);
}

/* Puts a reply into the cache, as if somebody had asked before. */
static inline void world_cache(struct world *w, const char *question, const char *text)
{
    static struct reply r;
    struct words s = words_of(question);

    w->wire_len = question_write(&s, w->wire, sizeof w->wire);
    assert_int_equal(world_read(w, &s), ANSWER_FORWARD);
    reply_make(&r, &w->view, w->q, text);
    real_keep(&w->view, &w->q->key, &r.came, w->now);
}

/* EDNS of an answer: " edns", " do", " ede=CODE[:TEXT]", " keepalive=N", " nsid=TEXT", " cookie" ("?": not
 * a good one of 10.0.0.1 at that time). */
static inline void add_opt(struct str *s, const struct message *m, const uint8_t *wire, size_t len,
                           uint64_t wall_ms)
{
    uint8_t again[COOKIE_OCTETS];
    struct cursor c = cursor_make(wire, len);

    if (!m->edns.present)
        return;
    str_addf(s, " edns%s", m->edns.do_bit ? " do" : "");
    assert_int_equal(m->edns.size, DNS_UDP_EDNS);
    cursor_take(&c, m->opt_at + 11u);
    while ((size_t)(c.pos - c.start) < (size_t)m->opt_at + m->opt_len) {
        uint16_t code = cursor_u16(&c), n = cursor_u16(&c);
        const uint8_t *p = cursor_take(&c, n);

        assert_non_null(p);
        if (code == OPTION_EDE)
            str_addf(s, " ede=%d%s%.*s", bytes_u16(p), n > 2 ? ":" : "", n - 2, p + 2);
        else if (code == OPTION_NSID)
            str_addf(s, " nsid=%.*s", n, p);
        else if (code == OPTION_COOKIE && n == COOKIE_OCTETS && memcmp(p, "octets_8", 8) == 0)
            str_addf(s, " cookie%s", world_cookie(p, n, wall_ms, again) ? "" : "?");
        else if (code == OPTION_KEEPALIVE && n == 2)
            str_addf(s, " keepalive=%d", bytes_u16(p));
        else
            str_addf(s, " option=%d", code);
    }
}

static inline const char *world_answer(struct world *w, enum answer a)
{
    static const char *const names[] = {"SEND", "FORWARD", "DROP", "WAIT", "IGNORE"};
    static const struct {
        uint16_t flag;
        const char *name;
    } flags[] = {{DNS_AA, " aa"}, {DNS_TC, " tc"}, {DNS_AD, " ad"}, {DNS_CD, " cd"}};
    const struct query *q = w->q;
    char rcode[TYPE_TEXT];
    struct message m;
    struct str s;

    if (a != ANSWER_SEND)
        return names[a];
    if (q->out_len == DNS_HEADER) /* nothing of the question was read */
        return strcpy(w->text, rcode_print(w->out[3] & 15, rcode));
    assert_int_equal(message_read_reply(&m, w->out, q->out_len), 0);
    assert_int_equal(m.id, 0xbeef);
    assert_true(q->client.transport == AUDIT_TCP ||
                q->out_len <= message_udp_limit(&q->message.edns));
    assert_true(m.opcode != OPCODE_QUERY ||
                (m.flags & (DNS_RA | DNS_RD)) == (DNS_RA | (q->message.flags & DNS_RD)));
    assert_memory_equal(w->out + DNS_HEADER, q->question, m.question_len); /* with its case */
    str_init(&s, w->text, sizeof w->text);
    str_add(&s, rcode_print(m.rcode, rcode));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        str_add(&s, (m.flags & flags[i].flag) != 0 ? flags[i].name : "");
    add_opt(&s, &m, w->out, q->out_len, w->now.wall_ms);
    if (m.counts[1] + m.counts[2] + m.counts[3] > (m.opt_at != 0)) {
        str_add(&s, "\n");
        wire_to_text(w->out, q->out_len, s.text + s.len, s.size - s.len);
    }
    return w->text;
}

/* The answer that is sent. */
static inline struct message world_message(struct world *w, enum answer a)
{
    struct message m;

    assert_int_equal(a, ANSWER_SEND);
    (void)world_answer(w, a);
    assert_int_equal(message_read_reply(&m, w->out, w->q->out_len), 0);
    return m;
}

static inline void add_list(struct str *s, const char *label, const char *list)
{
    if (*list != '\0')
        str_add(s, label);
    for (; *list != '\0'; list++)
        str_addf(s, "%c", *list == ' ' ? ',' : *list);
}

static inline int count_words(const char *list)
{
    int n = *list != '\0';

    for (; *list != '\0'; list++)
        n += *list == ' ';
    return n;
}

/* "OUTCOME REASON VERDICT RCODE [rule=R] ...", or "none". */
static inline const char *world_event(const struct world *w, char *out, size_t size)
{
    const struct audit_event *e = &w->q->event;
    char rcode[TYPE_TEXT];
    struct str s;

    if (!w->q->has_event)
        return "none";
    str_init(&s, out, size);
    str_addf(&s, "%s %s %s %s", outcome_names[e->outcome], reason_names[e->reason],
             verdict_names[e->verdict], rcode_print(e->rcode, rcode));
    if (e->rule[0] != '\0')
        str_addf(&s, " rule=%s", e->rule);
    if (e->would != 0)
        str_addf(&s, " would=%s:%s", outcome_names[e->would], e->would_rule);
    add_list(&s, " answer=", e->answer);
    add_list(&s, " unapproved=", e->unapproved);
    add_list(&s, " in=", e->networks);
    str_add(&s, e->cached ? " cached" : "");
    return out;
}

/* NULL: whatever. */
static inline void world_expect(struct world *w, enum answer a, const char *want, const char *event)
{
    char text[4000];

    if (want != NULL)
        assert_string_equal(world_answer(w, a), want);
    if (event != NULL)
        assert_string_equal(world_event(w, text, sizeof text), event);
}

#endif
