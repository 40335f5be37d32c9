/* SPDX-License-Identifier: BSD-2-Clause
 *
 * identity.c -- who answers, and which version. BIND began with the names in
 * `bind`, RFC 4892 has those in `server`; both are asked for.
 */
#include "resolver/identity.h"

#include <string.h>

#include "resolver/answer.h"

static const struct identity {
    const char *name; /* wire form, folded; its final NUL is the root label */
    bool version;
} identities[] = {
    {"\2id\6server", false},
    {"\10hostname\4bind", false},
    {"\7version\6server", true},
    {"\7version\4bind", true},
};

static const struct identity *find(const struct name *n)
{
    for (size_t i = 0; i < ARRAY_LEN(identities); i++)
        if (n->len == strlen(identities[i].name) + 1 &&
            memcmp(n->at, identities[i].name, n->len) == 0)
            return &identities[i];
    return NULL;
}

bool identity_answer(const struct view *v, struct query *q)
{
    const struct identity *what = find(&q->message.qname);
    const struct settings *s = v->settings;
    struct reply_options dress = answer_dress(v, q);
    struct writer w = writer_make(q->out, q->out_size);
    const char *text;
    uint8_t len;

    if (what == NULL || (q->message.qtype != TYPE_TXT && q->message.qtype != TYPE_ANY) ||
        (what->version ? s->server.hide_version : s->server.hide_identity))
        return false;
    COUNT(v->stats, special);
    text = what->version ? "waymark " PACKAGE_VERSION : s->server.name;
    len = (uint8_t)strnlen(text, UINT8_MAX);
    image_begin(&w, &q->message, RCODE_NOERROR);
    writer_u16(&w, 0xc000 | DNS_HEADER); /* owner: the question's name */
    writer_u16(&w, TYPE_TXT);
    writer_u16(&w, CLASS_CH);
    writer_u32(&w, 0);
    writer_u16(&w, (uint16_t)(1 + len));
    writer_u8(&w, len);
    writer_bytes(&w, text, len);
    message_counts(&w, 1, 0, 0);
    q->out_len = w.full ? 0 : reply_from_image(&dress, q->out, w.len, q->out, q->out_size);
    return true;
}
