/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_reply.c -- any octets as a reply from a server, to its own question.
 *
 * The image must be readable by the same strict reader, give the same facts,
 * and be an image of itself; what is sent of it must keep the limit. The ID of
 * the input chooses flags, limit and which SRV records are dropped.
 */
#include "tests/fuzz/fuzz.h"

#include "wire/reply.h"

/* As its server would have sent it. */
static int read_again(const struct message *asked, const uint8_t *image, size_t len, uint8_t *out,
                      size_t *n, struct reply_facts *facts)
{
    struct message m;

    must(message_read_head(&m, image, len) == 0);
    return reply_read(&m, image, len, &(struct reply_wanted){.dnssec = asked->edns.do_bit}, out,
                      DNS_MAX_MESSAGE, n, facts);
}

static bool facts_equal(const struct reply_facts *a, const struct reply_facts *b)
{
    return a->ttl == b->ttl && a->has_soa == b->has_soa && a->has_cname == b->has_cname &&
           a->has_rrsig == b->has_rrsig && a->rotates == b->rotates && name_equal(&a->end, &b->end);
}

static void no_chance(void *context, uint8_t *out, size_t len)
{
    (void)context;
    memset(out, 0x5a, len);
}

static void check_image(const struct message *asked, const uint8_t *image, size_t len,
                        const struct reply_facts *facts)
{
    static uint8_t again[DNS_MAX_MESSAGE], turned[DNS_MAX_MESSAGE];
    struct random chance = {.fill = no_chance};
    struct reply_facts same;
    struct message m;
    size_t n;

    must(message_read_reply(&m, image, len) == 0);
    must(m.id == 0 && m.opt_at == 0 && !m.tsig && (m.flags & (DNS_RA | DNS_AA)) == DNS_RA);
    must(read_again(asked, image, len, again, &n, &same) == 0 && facts_equal(&same, facts));
    must(n == len && memcmp(again, image, len) == 0);
    image_age(again, len, 0, 7, 7);
    must(read_again(asked, again, len, turned, &n, &same) == 0 && n == len);
    must(same.ttl == (facts->ttl == UINT32_MAX ? UINT32_MAX : 7) || same.has_soa);
    memcpy(again, image, len);
    if (!facts->rotates)
        return;
    image_rotate(again, len, asked->qtype, asked->id);
    must(message_read_reply(&m, again, len) == 0);
    must(read_again(asked, again, len, turned, &n, &same) == 0 && facts_equal(&same, facts));
    must(n == len && memcmp(again, turned, len) == 0);
    image_shuffle_srv(again, len, &chance);
    must(message_read_reply(&m, again, len) == 0);
}

static void check_prints(const uint8_t *image, size_t len)
{
    static char text[4 * DNS_MAX_MESSAGE];
    struct rr_walk w;

    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w))
        must(rr_print(image, &w.rr, text, sizeof text) && strchr(text, '\n') == NULL);
    must(!w.c.bad);
}

static void check_srv(const uint8_t *image, size_t len, unsigned bits)
{
    static uint8_t out[DNS_MAX_MESSAGE];
    struct srv srv[SRV_MAX];
    bool drop[SRV_MAX];
    struct message m;
    int n = srv_read(image, len, srv), gone = 0;
    size_t filtered;

    must(n >= 0);
    if (n > SRV_MAX) /* nothing is filtered then */
        return;
    for (int i = 0; i < SRV_MAX; i++) {
        drop[i] = (bits >> i % 16 & 1) != 0;
        gone += drop[i] && i < n;
    }
    if ((filtered = srv_filter(image, len, srv, n, drop, out, sizeof out)) > 0) {
        must(message_read_reply(&m, out, filtered) == 0);
        must(srv_read(out, filtered, srv) == n - gone);
    }
}

/* A chain alone says what it said; with whatever behind it is a message. */
static void check_join(const struct message *asked, const uint8_t *image, size_t len,
                       const struct reply_facts *facts)
{
    static uint8_t out[DNS_MAX_MESSAGE], again[DNS_MAX_MESSAGE];
    struct reply_facts chain;
    struct message m;
    size_t n = reply_join(image, len, NULL, 0, out, sizeof out), image_len;

    must(n == 0 || message_read_reply(&m, out, n) == 0);
    if (n > 0 && facts->kind == REPLY_CNAME) {
        must(read_again(asked, out, n, again, &image_len, &chain) == 0);
        must(chain.kind == REPLY_CNAME && name_equal(&chain.end, &facts->end));
    }
    n = reply_join(image, len, image, len, out, sizeof out);
    must(n == 0 || message_read_reply(&m, out, n) == 0);
}

static bool leads_away(const void *context, const struct name *n)
{
    (void)context;
    return n->labels % 4 == 3;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t image[DNS_MAX_MESSAGE], out[DNS_MAX_MESSAGE];
    uint8_t question[NAME_MAX_WIRE + 4];
    struct message asked, m;
    struct reply_facts facts;
    struct reply_options options = {
        .query = &asked, .question = question, .ede = EDE_STALE, .ede_text = "text", .ad = true};
    struct reply_wanted wanted = {.leads_away = leads_away};
    size_t len, n;

    if (message_read_head(&asked, data, size) != 0)
        return 0;
    memcpy(question, data + DNS_HEADER, asked.question_len);
    m = asked;
    asked.edns.present = (asked.id & 1) != 0;
    asked.edns.do_bit = (asked.id & 2) != 0;
    asked.opcode = OPCODE_QUERY;
    wanted.dnssec = asked.edns.do_bit;
    options.limit = (size_t)DNS_UDP_PLAIN + (asked.id & 0x3ff);
    if (reply_read(&m, data, size, &wanted, image, sizeof image, &len, &facts) != 0)
        return 0;
    if (facts.rcode < 16) /* an image has its low bits alone; that of a failure is not used */
        check_image(&asked, image, len, &facts);
    check_join(&asked, image, len, &facts);
    check_prints(image, len);
    check_srv(image, len, asked.id >> 2);
    n = reply_write(&options, image, len, 0, out);
    must(n > 0 && n <= options.limit && message_read_reply(&m, out, n) == 0);
    must(m.edns.present == asked.edns.present && m.id == asked.id);
    must(memcmp(out + DNS_HEADER, question, asked.question_len) == 0);
    return 0;
}
