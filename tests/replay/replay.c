/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay.c -- plays scenario files: what clients ask, what servers say, what
 * must come of it. Time and chance are the scenario's, so a run is repeatable.
 *
 *   replay FILE...
 *
 * A file is a list of scenarios, each begun by `scenario NAME`; each has a
 * world of its own (tests/unit/resolver/net.h). A command is a line, and the indented
 * lines below belong to it; `#` begins a comment at the start of a line.
 *
 *   settings [places=N], policy     from now on, as after a reload; the text is below. places: for
 *                                   flights, instead of 16
 *   wait TIME, clock [back] TIME    time passes; the wall clock is set
 *   generations N, count COUNTER N
 *   state SERVER unknown|up|down [from=IP] [rtt=N] [queries=N] [replies=N] [errors=N] [nxdomain=N]
 *   places N, flights N             flights at most; that there are now
 *   descriptors N|none|any          that there are for tries
 *   sending fails|works             of questions
 *   stop                            the forwarder ends
 * Clients:
 *   ask NAME TYPE [WORD...] [id=N] [times=N [first=N]]    words as in world.h; each `%` in the
 *                                   line is the number of the question
 *   answer RCODE [tc] [aa] [ad] [ede=N] [to=IP] | answer whole    the next answer; records below
 *   answers N RCODE [to=IP]         the next N, and no more
 *   event OUTCOME REASON VERDICT [rule=NAME] [cached], events N, noevent
 *   own NAME TYPE [times=N] [refused] [again], came RCODE [times=N]    a question of our own; again:
 *                                   when it ends another one is asked
 * Servers:
 *   upstream SERVER NAME TYPE [from=IP] [tcp] [do] [cd] [noedns] [cased | nocase]
 *   upstream SERVER whole
 *                                   the next question that was sent (probes, `. NS` and the TXT of a loop, are
 *                                   passed over unless named)
 *   tries SERVER N                  all that it was asked and no line has seen: 1 to N questions
 *   asked N                         N questions, to whatever server, and no more
 *   different N                     no two of the last N have the same ID, or the same case
 *   open NAME, shut NAME            does the socket of its last try listen?
 *   give RCODE [tc] [ad] [aa] [noedns] [try=N | for=NAME] [WRONG...] | give whole [rcode=N]
 *        [answers=N]
 *                                   the reply to the last question, to the Nth, or the last for
 *                                   the name; records below; WRONG: id case name type query
 *                                   noquestion header garbage cut; closed: nobody may listen
 *   return                          it asks us the last question, and gives what we say
 *   fail refused|unreachable|reset|again [try=N]   again: the connection of several was closed
 *   nothing                         no question and no answer that no line has seen; so at the end
 */
#include "tests/unit/resolver/net.h"

#include "base/file.h"

enum { FILE_MAX = 1 << 20, BLOCK_MAX = 16384, ASKS = 1100, SLOTS = 16 };

/* 10.0.0.0/8 is the machine's own network: its clients may ask. */
static const struct access_rule machine[] = {
    {.net = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .len = 104}, .action = ACCESS_ALLOW},
};

struct scenario {
    const char *file, *name;
    const char *start; /* of the file's text */
    char *text;        /* in it, to the next NUL */
};

struct command {
    struct words words;
    const char *line;
    char block[BLOCK_MAX]; /* without its indentation */
};

static struct run {
    const struct scenario *scenario;
    const char *doing; /* the command that runs, in the file's text; NULL: none */
    struct net *net;
    struct ask {
        struct client client;
        uint16_t id;
        size_t len;
        uint8_t wire[4096];
    } asks[ASKS];
    int n_asks;
    struct sent *tries[NET_SENT]; /* those that `upstream` lines have seen */
    int n_tries;
    uint8_t given[8192];
    size_t given_len; /* of `give whole` */
    int n_came, came_rcode;
} run;

static const struct {
    const char *word;
    uint16_t bit;
} flags[] = {{"tc", DNS_TC}, {"aa", DNS_AA}, {"ad", DNS_AD}};

/* The command failed. */
#define BAD(...) fail_msg(__VA_ARGS__)

static bool has(const struct command *c, const char *word)
{
    return has_option(&c->words, word);
}

static const char *word(const struct command *c, int i)
{
    return word_at(&c->words, i);
}

static struct addr address(const char *text, uint16_t port)
{
    struct addr a;

    if (addr_parse(&a, text, port) != 0)
        BAD("not an address: %s", text);
    return a;
}

/* The last question for the name that a server was asked. */
static struct sent *last_sent(const char *text)
{
    struct name name;

    assert_int_equal(name_parse(&name, text), 0);
    for (int i = run.net->n_sent; i-- > 0;)
        if (name_equal_fold(&name, &run.net->sent[i]->m.qname))
            return run.net->sent[i];
    BAD("nobody was asked for %s", text);
    return NULL;
}

/* ---- clients ---- */

static void run_ask(const struct command *c)
{
    int from = option_number(&c->words, "first", 0), n = option_number(&c->words, "times", 1);
    char line[512];

    for (int i = from; i < from + n; i++) {
        struct ask *a = &run.asks[run.n_asks];
        struct words s;
        struct str to;

        assert_in_range(run.n_asks, 0, ASKS - 1);
        str_init(&to, line, sizeof line);
        for (const char *p = c->line + strlen("ask "); *p != '\0'; p++)
            if (*p == '%')
                str_addf(&to, "%d", i);
            else
                str_addf(&to, "%c", *p);
        s = words_of(line);
        a->client = words_client(&s);
        a->id = (uint16_t)option_number(&c->words, "id", 100 + run.n_asks);
        a->len = question_write(&s, a->wire, sizeof a->wire);
        a->wire[0] = (uint8_t)(a->id >> 8);
        a->wire[1] = (uint8_t)a->id;
        run.n_asks++;
        net_ask(run.net, &a->client, a->wire, a->len);
    }
}

/* The next answer, and the question that it belongs to: same client, same ID. */
static const struct answered *next_answer(const struct ask **asked)
{
    const struct answered *a = &run.net->answered[run.net->answers_taken];

    if (run.net->answers_taken++ == run.net->n_answered)
        BAD("no client was answered");
    for (*asked = &run.asks[run.n_asks]; (*asked)-- > run.asks;)
        if (memcmp((*asked)->wire, a->wire, 2) == 0 &&
            (*asked)->client.transport == a->client.transport &&
            addr_same(&(*asked)->client.addr, &a->client.addr))
            return a;
    BAD("the answer belongs to no question");
    return a;
}

static void run_answer(const struct command *c)
{
    static char want[65536], got[65536];
    static uint8_t expected[65536];
    char rcode[TYPE_TEXT], opt[512], text[ADDR_TEXT];
    const struct ask *asked;
    const struct answered *a = next_answer(&asked);
    const char *to = option_of(&c->words, "to"), *ede;
    struct message m;
    struct str s;

    if (to != NULL)
        assert_string_equal(addr_print(&a->client.addr, text), to);
    if (has(c, "whole")) { /* octet by octet what the server gave, but for the ID */
        assert_int_equal(a->len, run.given_len);
        assert_memory_equal(a->wire + 2, run.given + 2, a->len - 2);
        return;
    }
    assert_int_equal(message_read_reply(&m, a->wire, a->len), 0);
    assert_memory_equal(a->wire + DNS_HEADER, asked->wire + DNS_HEADER, m.question_len);
    wire_to_text(a->wire, a->len, got, sizeof got);
    rcode_print(m.rcode, rcode);
    if (strcmp(rcode, word(c, 1)) != 0)
        BAD("the answer is %s, with\n%s", rcode, got);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (((m.flags & flags[i].bit) != 0) != has(c, flags[i].word))
            BAD("%s is %d", flags[i].word, (m.flags & flags[i].bit) != 0);
    str_init(&s, opt, sizeof opt);
    add_opt(&s, &m, a->wire, a->len, run.net->w->now.wall_ms);
    ede = strstr(opt, "ede=");
    if ((ede != NULL ? atoi(ede + 4) : -1) != option_number(&c->words, "ede", -1))
        BAD("EDNS of the answer is%s", opt);
    wire_to_text(expected, message_write(&m, 0, c->block, false, expected), want, sizeof want);
    assert_string_equal(got, want);
}

static void run_event(const struct command *c)
{
    struct net *n = run.net;
    const struct audit_event *e = &n->events[n->events_taken];
    const char *rule = option_of(&c->words, "rule");
    char want[200], got[200];

    if (n->events_taken++ == n->n_events)
        BAD("no event was recorded");
    snprintf(want, sizeof want, "%s %s %s rule=%s%s", word(c, 1), word(c, 2), word(c, 3),
             rule != NULL ? rule : "", has(c, "cached") ? " cached" : "");
    snprintf(got, sizeof got, "%s %s %s rule=%s%s", outcome_names[e->outcome],
             reason_names[e->reason], verdict_names[e->verdict], e->rule,
             e->cached ? " cached" : "");
    assert_string_equal(got, want);
}

static bool ask_own(const char *question, const char *then);

/* then: NULL, or what is asked from the callback. */
static void on_own(void *then, const struct real *came)
{
    run.n_came++;
    run.came_rcode = came->said.rcode;
    if (then != NULL)
        ask_own(then, NULL);
}

static bool ask_own(const char *question, const char *then)
{
    struct world *w = run.net->w;
    struct words s = words_of(question);
    struct view *v = &run.net->views[run.net->n_views - 1];

    w->view = *v;
    w->view.users = 0;
    w->wire_len = question_write(&s, w->wire, sizeof w->wire);
    assert_int_equal(world_read(w, &s), ANSWER_FORWARD);
    return forwarder_ask(run.net->f, v, w->q, on_own, (void *)(uintptr_t)then);
}

static void run_own(const struct command *c)
{
    const char *then = has(c, "again") ? "again.example. A" : NULL;

    for (int n = option_number(&c->words, "times", 1); n > 0; n--)
        assert_int_equal(ask_own(c->line + strlen("own "), then), !has(c, "refused"));
}

/* ---- servers ---- */

static bool is_probe(const struct sent *s)
{
    return (s->m.qname.labels == 0 && s->m.qtype == TYPE_NS) ||
           (s->m.qname.data[0] == LOOP_LABEL && s->m.qtype == TYPE_TXT);
}

/* The oldest that no line has seen, or NULL. */
static struct sent *next_sent(bool probes_too)
{
    for (int i = 0; i < run.net->n_sent; i++) {
        struct sent *s = run.net->sent[i];

        if (s->taken)
            continue;
        if (probes_too || !is_probe(s))
            return s;
        s->taken = true;
    }
    return NULL;
}

static void take(struct sent *s)
{
    s->taken = true;
    run.tries[run.n_tries++] = s;
}

static void run_upstream(const struct command *c)
{
    bool is_loop = c->words.n > 2 && strncmp(word(c, 2), "loop.", 5) == 0;
    struct sent *s = next_sent(is_loop || (c->words.n > 2 && strcmp(word(c, 2), ".") == 0));
    struct addr server = address(word(c, 1), 53);
    const char *from = option_of(&c->words, "from");
    const struct addr source = address(from != NULL ? from : "::", 0);
    const struct ask *asked = &run.asks[run.n_asks];
    char text[NAME_TEXT], type[TYPE_TEXT];
    struct message m;
    struct name name;
    bool cased = false;

    if (s == NULL)
        BAD("no server was asked");
    take(s);
    if (!addr_same(&server, &s->server))
        BAD("asked was the server %s", addr_print(&s->server, text));
    if (!addr_same(&source, &s->source))
        BAD("asked was from %s", addr_print(&s->source, text));
    if (has(c, "whole")) { /* the client's packet, octet by octet but for the ID */
        assert_int_equal(s->len, (--asked)->len);
        assert_memory_equal(s->wire + 2, asked->wire + 2, s->len - 2);
        return;
    }
    m = s->m;
    type_print(m.qtype, type);
    assert_int_equal(name_parse(&name, word(c, 2)), 0);
    if (is_loop) {
        assert_int_equal(m.qname.data[0], LOOP_LABEL);
        name_parent(&s->m.qname, 1, &m.qname);
        assert_int_equal(name_parse(&name, word(c, 2)[5] != '\0' ? word(c, 2) + 5 : "."), 0);
    }
    if (!name_equal_fold(&name, &m.qname) || strcmp(type, word(c, 3)) != 0)
        BAD("asked was %s %s", name_print(&m.qname, text), type);
    for (size_t i = DNS_HEADER; i < (size_t)DNS_HEADER + m.question_len; i++)
        cased = cased || (s->wire[i] >= 'A' && s->wire[i] <= 'Z');
    assert_true(!has(c, cased ? "nocase" : "cased"));
    assert_int_equal(s->kind == IO_TCP, has(c, "tcp"));
    assert_int_equal(m.edns.do_bit, has(c, "do"));
    assert_int_equal((m.flags & DNS_CD) != 0, has(c, "cd"));
    assert_int_equal(!m.edns.present, has(c, "noedns") || is_probe(s));
    assert_true((m.flags & DNS_RD) != 0);
}

static void run_different(const struct command *c)
{
    int n = run.net->n_sent, from = n - atoi(word(c, 1));

    assert_in_range(from, 0, n);
    for (int i = from; i < n; i++)
        for (int k = from; k < i; k++) {
            const struct sent *a = run.net->sent[i], *b = run.net->sent[k];

            assert_memory_not_equal(a->wire, b->wire, 2);
            assert_memory_not_equal(a->wire + DNS_HEADER, b->wire + DNS_HEADER,
                                    a->len - DNS_HEADER);
        }
}

static struct sent *choose_try(const struct command *c)
{
    const char *name = option_of(&c->words, "for");
    int n = option_number(&c->words, "try", run.n_tries);

    if (name != NULL)
        return last_sent(name);
    if (n < 1 || n > run.n_tries)
        BAD("no server was asked yet that could say this");
    return run.tries[n - 1];
}

static void run_give(const struct command *c)
{
    static uint8_t out[65535];
    struct sent *s = choose_try(c);
    const struct message m = s->m;
    struct writer w = writer_make(out, sizeof out);
    uint16_t rcode, bits = DNS_QR | DNS_RD | DNS_RA;

    if (has(c, "whole")) { /* no message that anybody could read */
        writer_bytes(&w, s->wire, s->len);
        writer_bytes(&w, "signed", 6);
        out[2] |= 0x80;
        out[3] = (uint8_t)option_number(&c->words, "rcode", 0);
        out[7] = (uint8_t)option_number(&c->words, "answers", 0);
        memcpy(run.given, out, run.given_len = w.len);
    } else {
        rcode = text_rcode(word(c, 1));
        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
            if (has(c, flags[i].word))
                bits |= flags[i].bit;
        w.len = message_write(&m, (uint16_t)(bits | (rcode & 15)), c->block, false, out);
        memcpy(out, s->wire, 2); /* the ID, and the question with its case */
        memcpy(out + DNS_HEADER, s->wire + DNS_HEADER, m.question_len);
        if (m.edns.present && !has(c, "noedns")) {
            put_record_head(&w, TYPE_OPT, DNS_UDP_EDNS,
                            (uint32_t)(rcode >> 4) << 24 | (m.edns.do_bit ? 0x8000 : 0), 0);
            writer_patch_u16(&w, 10, (uint16_t)(bytes_u16(out + 10) + 1));
        }
        out[DNS_HEADER + m.question_len - 3] ^= has(c, "type");
    }
    /* attributes that a forger gets wrong */
    out[0] ^= has(c, "id") ? 0x40 : 0;
    out[2] &= has(c, "query") ? 0x7f : 0xff;
    out[5] = !has(c, "noquestion");
    out[DNS_HEADER + 1] ^= has(c, "name");
    for (size_t i = DNS_HEADER; has(c, "case") && i < DNS_HEADER + m.question_len - 4u; i++)
        if ((out[i] | 0x20) >= 'a' && (out[i] | 0x20) <= 'z')
            out[i] ^= 0x20;
    if (has(c, "header")) {
        memset(out + 4, 0, 8);
        w.len = DNS_HEADER;
    }
    out[w.len - 1] ^= has(c, "garbage") ? 0xff : 0;
    w.len += has(c, "garbage") ? 3 : 0;
    w.len -= has(c, "cut") ? 5 : 0;
    assert_int_equal(net_give(s, out, (ssize_t)w.len), !has(c, "closed"));
}

static void run_fail(const struct command *c)
{
    struct io_peer *peer = choose_try(c)->peer;

    assert_non_null(peer);
    net_close(&run.net->io, peer);
    peer->receive(peer, NULL,
                  has(c, "refused") ? -ECONNREFUSED
                  : has(c, "reset") ? -ECONNRESET
                  : has(c, "again") ? -IO_CLOSED
                                    : -EHOSTUNREACH);
}

/* The server asks us what it was asked, a name of our own, and gives what we say. */
static void run_return(const struct command *c)
{
    struct sent *s = choose_try(c);
    const struct client client = {.addr = address("10.0.0.53", 5353)};
    const struct answered *a = &run.net->answered[run.net->n_answered];

    net_ask(run.net, &client, s->wire, s->len);
    assert_int_equal(run.net->answers_taken++, run.net->n_answered - 1);
    assert_true(net_give(s, a->wire, (ssize_t)a->len));
}

/* ---- the world ---- */

static void begin(int slots)
{
    run.net = net_new((unsigned)slots);
    run.net->w->now.wall_ms = world_cookies_ms = 1795338000000; /* 2026-11-22 09:00 UTC */
}

static void run_settings(const struct command *c)
{
    struct settings *s = world_read_settings(c->block);

    if (option_of(&c->words, "places") != NULL) {
        net_free(run.net);
        begin(option_number(&c->words, "places", 0));
    }
    s->machine = machine;
    s->n_machine = ARRAY_LEN(machine);
    net_settings(run.net, s);
}

static void run_count(const struct command *c)
{
    static const char *const names[] = {
#define X(name) #name,
        WORKER_COUNTERS(X)
#undef X
    };
    const uint64_t *counters = (const uint64_t *)(const void *)&run.net->w->stats;
    size_t i = 0;

    while (i < ARRAY_LEN(names) && strcmp(names[i], word(c, 1)) != 0)
        i++;
    assert_in_range(i, 0, ARRAY_LEN(names) - 1);
    assert_int_equal(counters[i], strtoull(word(c, 2), NULL, 10));
}

static void run_state(const struct command *c)
{
    static const char *const names[] = {"unknown", "up", "down"};
    static const struct upstream unknown;
    struct addr server = address(word(c, 1), 53);
    const char *from = option_of(&c->words, "from");
    struct addr source = address(from != NULL ? from : "::", 0);
    const struct route route = {
        .servers = &server, .n_servers = 1, .sources = &source, .n_sources = from != NULL};
    const struct upstream *known = forwarder_upstream(run.net->f, &route, 0);
    const struct upstream_report *r = &(known != NULL ? known : &unknown)->report;
    const struct {
        const char *key;
        uint64_t is;
    } numbers[] = {{"rtt", r->rtt_ms},
                   {"queries", r->queries},
                   {"replies", r->replies},
                   {"errors", r->errors},
                   {"nxdomain", r->by_kind[REPLY_NXDOMAIN]}};

    assert_string_equal(names[r->state], word(c, 2));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        assert_int_equal(numbers[i].is,
                         option_number(&c->words, numbers[i].key, (int)numbers[i].is));
}

static void run_nothing(void)
{
    const struct net *n = run.net;
    const struct sent *s = next_sent(false);
    static char text[65536];

    if (s != NULL)
        BAD("a server was asked that should not be: %s", addr_print(&s->server, text));
    if (n->answers_taken == n->n_answered)
        return;
    wire_to_text(n->answered[n->answers_taken].wire, n->answered[n->answers_taken].len, text,
                 sizeof text);
    BAD("a client was answered that should not be: %s", text);
}

/* Commands that set, do or look at one thing; false when it is none of them. */
static bool run_short(const struct command *c)
{
#define IS(name) (strcmp(word(c, 0), name) == 0)
    int number = c->words.n > 1 ? atoi(word(c, 1)) : 0, n_seen = 0;
    struct net *n = run.net;
    uint64_t *wall_ms = &n->w->now.wall_ms, ms = 0;
    const char *to = option_of(&c->words, "to");
    char rcode[TYPE_TEXT], text[ADDR_TEXT];
    const struct ask *asked;
    struct sent *s;

    if (IS("wait") || IS("clock"))
        assert_int_equal(units_parse(&ms, word(c, c->words.n - 1), unit_time), 0);
    if (IS("policy")) {
        world_policy(n->w, c->block);
    } else if (IS("wait")) {
        net_wait(n, ms);
    } else if (IS("clock")) { /* the monotonic one goes on */
        *wall_ms = has(c, "back") ? *wall_ms - ms : *wall_ms + ms;
    } else if (IS("places")) {
        forwarder_limit(n->f, (unsigned)number);
    } else if (IS("flights")) {
        assert_int_equal(net_flights(n), number);
    } else if (IS("generations")) {
        for (int i = 0; i + 1 < n->n_views; i++)
            n_seen += n->views[i].users > 0;
        assert_int_equal(1 + n_seen, number);
    } else if (IS("descriptors")) {
        n->max_open = has(c, "any") ? NET_SENT : number;
    } else if (IS("sending")) {
        n->send_error = has(c, "fails") ? -EPERM : 0;
    } else if (IS("stop")) {
        forwarder_free(n->f);
        n->f = NULL;
    } else if (IS("events") || IS("noevent")) {
        assert_int_equal(n->n_events - n->events_taken, number);
        n->events_taken = n->n_events;
    } else if (IS("answers")) {
        for (; n_seen < number; n_seen++) {
            const struct answered *a = next_answer(&asked);

            assert_string_equal(rcode_print(a->wire[3] & 15, rcode), word(c, 2));
            if (to != NULL)
                assert_string_equal(addr_print(&a->client.addr, text), to);
        }
        assert_int_equal(n->answers_taken, n->n_answered);
    } else if (IS("came")) {
        assert_int_equal(run.n_came, option_number(&c->words, "times", 1));
        run.n_came = 0;
        assert_int_equal(run.came_rcode,
                         has(c, "timeout") ? RCODE_TIMEOUT : text_rcode(word(c, 1)));
    } else if (IS("asked")) {
        for (; (s = next_sent(false)) != NULL; n_seen++)
            take(s);
        assert_int_equal(n_seen, number);
    } else if (IS("tries")) {
        struct addr server = address(word(c, 1), 53);

        for (int i = 0; i < n->n_sent; i++) {
            s = n->sent[i];
            if (s->taken || !addr_same(&server, &s->server))
                continue;
            s->taken = true;
            n_seen += !is_probe(s);
        }
        assert_in_range(n_seen, 1, atoi(word(c, 2)));
    } else if (IS("open") || IS("shut")) {
        assert_int_equal(last_sent(word(c, 1))->peer != NULL, IS("open"));
    } else if (IS("fail")) {
        run_fail(c);
    } else if (IS("nothing")) {
        run_nothing();
    } else {
        return false;
    }
    return true;
}

/* clang-format off */
static const struct {
    const char *name;
    void (*run)(const struct command *);
} commands[] = {
    {"settings", run_settings}, {"count", run_count}, {"state", run_state}, {"ask", run_ask},
    {"answer", run_answer}, {"event", run_event}, {"own", run_own}, {"upstream", run_upstream},
    {"different", run_different}, {"give", run_give}, {"return", run_return},
};
/* clang-format on */

/* ---- files ---- */

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r")] == '\0' || line[0] == '#';
}

static void play(void **state)
{
    static struct command c;
    char *at, *line;

    memset(&run, 0, sizeof run);
    run.scenario = *state;
    begin(SLOTS);
    for (at = run.scenario->text; (line = strsep(&at, "\n")) != NULL;) {
        size_t indent = 0, len = 0, i = 0;

        if (is_blank(line))
            continue;
        run.doing = line;
        c = (struct command){.line = line, .words = words_of(line)};
        /* the indented lines below, without the indentation of the first */
        while (at != NULL && (*at == ' ' || *at == '\t' || *at == '\n')) {
            line = strsep(&at, "\n");
            if (is_blank(line))
                continue;
            if (indent == 0)
                indent = strspn(line, " \t");
            line += strspn(line, " \t") < indent ? strspn(line, " \t") : indent;
            len += (size_t)snprintf(c.block + len, BLOCK_MAX - len, "%s\n", line);
            assert_in_range(len, 0, BLOCK_MAX - 1);
        }
        if (run.net->n_views == 0 && strcmp(word(&c, 0), "settings") != 0)
            BAD("a scenario begins with settings");
        while (i < ARRAY_LEN(commands) && strcmp(commands[i].name, word(&c, 0)) != 0)
            i++;
        if (i < ARRAY_LEN(commands))
            commands[i].run(&c);
        else if (!run_short(&c))
            BAD("unknown command: %s", word(&c, 0));
    }
    run_nothing();
    net_free(run.net);
    run.doing = NULL;
}

static int say_where(void **state)
{
    unsigned line = 1;

    (void)state;
    for (const char *p = run.scenario->start; run.doing != NULL && p < run.doing; p++)
        line += *p == '\n' || *p == '\0';
    if (run.doing != NULL)
        print_error("%s:%u: %s\n", run.scenario->file, line, run.doing);
    return 0;
}

int main(int argc, char **argv)
{
    static struct scenario scenarios[1024];
    size_t n = 0, len;
    int failed;

    for (int i = 1; i < argc; i++) {
        char *text, *p;

        if (file_read(argv[i], FILE_MAX, &text, &len) != 0) {
            perror(argv[i]);
            return 2;
        }
        for (p = text; (p = strstr(p, "\nscenario ")) != NULL; n++) {
            struct scenario *s = &scenarios[n];

            *p = '\0';
            s->file = argv[i];
            s->start = text;
            s->name = p + strlen("\nscenario ");
            p = strchr(s->name, '\n');
            *p++ = '\0';
            s->text = p;
            rows_add(s->name, play, NULL, say_where, s);
        }
    }
    failed = RUN("replay");
    printf("%d passed, %d failed\n", (int)n - failed, failed);
    return failed > 0 ? 1 : 0;
}
