/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text.c -- see text.h.
 */
#include "tests/replay/text.h"

#include <stdio.h>
#include <string.h>

#include <ldns/ldns.h>

#include "base/str.h"
#include "wire/present.h"
#include "wire/message.h"

static const char *const sections[] = {"an", "ns", "ar"};

static int section_of(const char *line)
{
    for (int i = 0; i < 3; i++)
        if (strncmp(line, sections[i], 2) == 0 && line[2] == ' ')
            return i;
    return -1;
}

/* False with *why. */
static bool add_record(struct writer *w, const char *line, const char **why)
{
    ldns_buffer *wire = ldns_buffer_new(LDNS_MAX_PACKETLEN);
    ldns_rr *rr = NULL;
    ldns_status status = ldns_rr_new_frm_str(&rr, line, 0, NULL, NULL);

    if (status == LDNS_STATUS_OK)
        status = ldns_rr2buffer_wire(wire, rr, LDNS_SECTION_ANSWER);
    *why = "the records do not fit";
    if (status == LDNS_STATUS_OK)
        writer_bytes(w, ldns_buffer_begin(wire), ldns_buffer_position(wire));
    else
        *why = ldns_get_errorstr_by_id(status);
    ldns_rr_free(rr);
    ldns_buffer_free(wire);
    return status == LDNS_STATUS_OK && !w->full;
}

size_t text_add_records(uint8_t *wire, size_t len, size_t size, const char *lines, const char **why)
{
    struct writer w = {.start = wire, .len = len, .size = size};
    uint16_t counts[3] = {0, 0, 0};
    char line[4096];
    int last = 0;

    for (const char *p = lines; *p != '\0';) {
        size_t n = strcspn(p, "\n");
        int section;

        snprintf(line, sizeof line, "%.*s", (int)n, p);
        p += n + (p[n] == '\n');
        *why = "a record begins with its section, an, ns or ar, in this order";
        if ((section = section_of(line)) < last || !add_record(&w, line + 3, why))
            return 0;
        counts[section]++;
        last = section;
    }
    for (size_t i = 0; i < 3; i++)
        writer_patch_u16(&w, 6 + 2 * i, counts[i]);
    return w.len;
}

bool text_of_records(const uint8_t *wire, size_t len, char *out, size_t size)
{
    char text[8192];
    struct rr_walk walk;
    struct str s;
    struct rr rr;

    str_init(&s, out, size);
    rr_walk_init(&walk, wire, len);
    while (rr_walk_next(&walk, &rr)) {
        if (rr.type == TYPE_OPT)
            continue;
        if (!rr_print(wire, len, &rr, text, sizeof text))
            return false;
        for (char *p = text; *p != '\0'; p++)
            if (*p == '\t')
                *p = ' ';
        str_addf(&s, "%s %s\n", sections[rr.section], text);
    }
    return !walk.c.bad && !s.cut;
}

int text_ede(const uint8_t *wire, size_t len)
{
    struct cursor c = cursor_make(wire, len);
    struct message m;

    if (message_read_reply(&m, wire, len) != 0 || m.opt_at == 0)
        return -1;
    (void)cursor_take(&c, m.opt_at + 11u);
    while (!c.bad && cursor_offset(&c) < (size_t)m.opt_at + m.opt_len) {
        uint16_t code = cursor_u16(&c), n = cursor_u16(&c);

        if (code == OPTION_EDE)
            return cursor_u16(&c);
        (void)cursor_take(&c, n);
    }
    return -1;
}
