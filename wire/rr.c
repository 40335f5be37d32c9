/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rr.c -- walks the records of a message, each checked to its last octet.
 */
#include "wire/rr.h"

#include "wire/rdata.h"

void rr_walk_init(struct rr_walk *w, const struct message *m, const uint8_t *wire, size_t len)
{
    w->c = cursor_make(wire, len);
    w->section = 0;
    w->last_to = 0;
    for (int i = 0; i < 3; i++)
        w->left[i] = m->counts[i + 1];
    if (cursor_take(&w->c, (size_t)DNS_HEADER + m->question_len) == NULL || len > DNS_MAX_MESSAGE)
        w->c.bad = true;
}

void rr_pass_question(struct cursor *c, uint16_t counts[3])
{
    uint16_t questions;

    (void)cursor_take(c, 4);
    questions = cursor_u16(c);
    for (int i = 0; i < 3; i++)
        counts[i] = cursor_u16(c);
    if (questions != 1)
        c->bad = true;
    name_pass(c);
    (void)cursor_take(c, 4);
}

void rr_walk_image(struct rr_walk *w, const uint8_t *image, size_t len)
{
    w->c = cursor_make(image, len);
    w->section = 0;
    w->last_to = 0;
    rr_pass_question(&w->c, w->left);
    if (len > DNS_MAX_MESSAGE)
        w->c.bad = true;
}

static void owner_read(struct rr_walk *w, struct name *owner)
{
    struct cursor *c = &w->c;
    uint16_t to = 0;

    if (cursor_left(c) >= 2 && c->at[0] >= 0xc0)
        to = (uint16_t)((c->at[0] & 0x3f) << 8 | c->at[1]);
    if (to != 0 && to == w->last_to) {
        c->at += 2;
        *owner = w->last;
        return;
    }
    name_read(c, owner);
    if (to != 0) {
        w->last_to = to;
        w->last = *owner;
    }
}

bool rr_walk_next(struct rr_walk *w, struct rr *rr)
{
    struct cursor *c = &w->c;
    enum rdata_form form;

    while (w->section < 3 && w->left[w->section] == 0)
        w->section++;
    if (w->section == 3 && c->at != c->end)
        c->bad = true;
    if (w->section == 3 || c->bad)
        return false;
    w->left[w->section]--;
    rr->section = (enum section)w->section;
    rr->at = (uint16_t)cursor_offset(c);
    owner_read(w, &rr->owner);
    rr->type = cursor_u16(c);
    rr->class = cursor_u16(c);
    rr->ttl_at = (uint16_t)cursor_offset(c);
    rr->ttl = cursor_u32(c);
    if ((rr->ttl & 0x80000000u) != 0 && rr->type != TYPE_OPT)
        rr->ttl = 0;
    rr->rdlength = cursor_u16(c);
    rr->rdata_at = (uint16_t)cursor_offset(c);
    if (c->bad)
        return false;
    form = rdata_check(c, rdata_layout(rr->type, rr->class), rr->rdlength);
    rr->expand = form == RDATA_EXPAND;
    return form != RDATA_BAD;
}
