/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_query.c -- any octets as a query. What is accepted is answered, and the
 * answer must be readable and repeat the question.
 */
#include "tests/fuzz/fuzz.h"

#include "wire/reply.h"

static void check_name(const struct name *name)
{
    uint8_t key[512];
    char text[NAME_TEXT];
    struct name again;
    size_t n = name_sort_key(name, key, sizeof key);

    must(n > 0 || name->labels == 0);
    must(name_from_sort_key(key, n, &again) && name_equal(&again, name));
    must(name_parse(&again, name_print(name, text)) == 0 && name_equal(&again, name));
}

static void check_reply(const struct message *m, const uint8_t *data, const uint8_t *out, size_t n)
{
    struct message again;

    must(message_read_reply(&again, out, n) == 0);
    must(again.id == m->id && again.qtype == m->qtype && again.question_len == m->question_len);
    must(memcmp(out + DNS_HEADER, data + DNS_HEADER, m->question_len) == 0);
    must(again.edns.present == m->edns.present && again.edns.version == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t cookie[24] = {0};
    static const int codes[] = {EDE_NONE, EDE_SYNTHESIZED, EDE_OTHER};
    struct message m;
    int fault = message_read_query(&m, data, size);
    struct reply_options options = {
        .query = &m, .question = data + DNS_HEADER, .ede_text = "reason"};
    uint8_t out[DNS_UDP_EDNS], image[DNS_UDP_EDNS];
    struct rr_walk walk;
    struct writer w;
    size_t n;

    if (fault == MESSAGE_IGNORE)
        return 0;
    options.limit = message_udp_limit(&m.edns);
    options.ede = codes[m.id % 3];
    must((size_t)m.edns.cookie_at + (m.edns.cookie_at != 0 ? m.edns.cookie_len : 0u) <= size);
    options.cookie = m.edns.cookie_at != 0 ? cookie : NULL;
    options.keepalive = m.edns.keepalive ? 100 : 0;
    must(options.limit >= DNS_UDP_PLAIN && options.limit <= DNS_UDP_EDNS);
    n = reply_write(&options, NULL, 0, (uint16_t)fault, out);
    must(n >= DNS_HEADER && n <= options.limit);
    if (m.question_len == 0)
        return 0;
    check_name(&m.qname);
    if (m.opcode == OPCODE_QUERY) /* a reply to another opcode is not ours to read */
        check_reply(&m, data, out, n);
    if (fault != RCODE_NOERROR || m.opcode != OPCODE_QUERY)
        return 0;
    rr_walk_init(&walk, data, size);
    while (rr_walk_next(&walk))
        ;
    must(!walk.c.bad);
    w = writer_make(image, sizeof image);
    image_begin(&w, &m, RCODE_NXDOMAIN);
    n = reply_write(&options, image, w.len, 0, out);
    must(n > 0);
    check_reply(&m, data, out, n);
    return 0;
}
