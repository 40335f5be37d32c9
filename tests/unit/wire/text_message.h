/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_message.h -- messages as text, for the tests of wire/.
 *
 * Made and read by ldns, which shares no code with what is tested. A text has
 * one record a line, with its section in front: "an", "ns" or "ar".
 */
#ifndef TESTS_UNIT_WIRE_TEXT_MESSAGE_H
#define TESTS_UNIT_WIRE_TEXT_MESSAGE_H

#include <stdbool.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "wire/pack.h"
#include "wire/message.h"
#include "tests/unit/rows.h"

enum { TEXT_MESSAGE_MAX = 65535 };

static const char *const text_sections[] = {"an ", "ns ", "ar "};

/* The rcode that is printed as that word. */
static inline uint16_t text_rcode(const char *word)
{
    char text[TYPE_TEXT];
    uint16_t rcode = 0;

    while (strcasecmp(rcode_print(rcode, text), word) != 0)
        if (rcode++ == UINT16_MAX)
            fail_msg("no rcode: %s", word);
    return rcode;
}

/* The record of one line, which may leave out the section "an", the TTL 60 and the class IN. */
static inline ldns_rr *text_record(const char *line, size_t len, int *section)
{
    char copy[2048], *text;
    ldns_rr *rr = NULL;

    assert_true(len > 3 && len < sizeof copy);
    memcpy(copy, line, len);
    copy[len] = '\0';
    for (*section = 2; *section > 0 && strncmp(copy, text_sections[*section], 3) != 0; --*section)
        ;
    text = *section > 0 || strncmp(copy, "an ", 3) == 0 ? copy + 3 : copy;
    if (ldns_rr_new_frm_str(&rr, text, 60, NULL, NULL) != LDNS_STATUS_OK)
        fail_msg("cannot read the record: %s", copy);
    return rr;
}

static inline void text_free_node(ldns_rbnode_t *node, void *unused)
{
    (void)unused;
    ldns_rdf_deep_free((ldns_rdf *)(uintptr_t)node->key);
    free(node);
}

/* header: ID, flags. question: "www.example. A". Compressed by ldns or not. */
static inline size_t text_to_wire(uint8_t *out, uint16_t flags, const char *question,
                                  const char *records, bool compress)
{
    ldns_buffer *b = ldns_buffer_new(TEXT_MESSAGE_MAX);
    ldns_rbtree_t *names = ldns_rbtree_create(ldns_dname_compare_v);
    uint16_t counts[3] = {0, 0, 0};
    ldns_rr *rr = NULL;
    ldns_rdf *prev = NULL;
    size_t len;

    ldns_buffer_write_u16(b, 0x4711);
    ldns_buffer_write_u16(b, flags);
    ldns_buffer_write_u16(b, 1);
    for (int i = 0; i < 3; i++)
        ldns_buffer_write_u16(b, 0);
    assert_int_equal(ldns_rr_new_question_frm_str(&rr, question, NULL, &prev), LDNS_STATUS_OK);
    ldns_rr2buffer_wire_compress(b, rr, LDNS_SECTION_QUESTION, compress ? names : NULL);
    ldns_rr_free(rr);
    ldns_rdf_deep_free(prev);
    while (records != NULL && *records != '\0') {
        size_t n = strcspn(records, "\n");
        int section;

        rr = text_record(records, n, &section);
        counts[section]++;
        ldns_rr2buffer_wire_compress(b, rr, LDNS_SECTION_ANSWER, compress ? names : NULL);
        ldns_rr_free(rr);
        records += n + (records[n] == '\n');
    }
    for (size_t i = 0; i < 3; i++)
        ldns_buffer_write_u16_at(b, 6 + 2 * i, counts[i]);
    len = ldns_buffer_position(b);
    memcpy(out, ldns_buffer_begin(b), len);
    ldns_buffer_free(b);
    ldns_traverse_postorder(names, text_free_node, NULL);
    ldns_rbtree_free(names);
    return len;
}

/* The records of a message as lines; fails the test if ldns cannot read it. */
static inline void wire_to_text(const uint8_t *wire, size_t len, char *out, size_t size)
{
    ldns_pkt *pkt = NULL;
    size_t at = 0;

    assert_int_equal(ldns_wire2pkt(&pkt, wire, len), LDNS_STATUS_OK);
    out[0] = '\0';
    for (int i = 0; i < 3; i++) {
        const ldns_rr_list *list = i == 0   ? ldns_pkt_answer(pkt)
                                   : i == 1 ? ldns_pkt_authority(pkt)
                                            : ldns_pkt_additional(pkt);

        for (size_t k = 0; k < ldns_rr_list_rr_count(list); k++) {
            char *text = ldns_rr2str(ldns_rr_list_rr(list, k));

            for (char *p = text; *p != '\0'; p++)
                *p = *p == '\t' ? ' ' : *p;
            at += (size_t)snprintf(out + at, size - at, "%s%s", text_sections[i], text);
            assert_true(at < size);
            free(text);
        }
    }
    ldns_pkt_free(pkt);
}

#endif
