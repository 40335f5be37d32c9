/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_arena.c -- memory that is given back at once: zeroed, aligned, apart.
 */
#include <stdalign.h>
#include <string.h>

#include "base/arena.h"
#include "tests/unit/rows.h"

/* Each piece is filled with its number; a piece that overlaps another, or is
 * given out twice, would be seen at the end. */
static void pieces_of_all_sizes(void **state)
{
    enum { PIECES = 3000 };
    static uint8_t *piece[PIECES];
    static size_t size[PIECES];
    struct arena *a = arena_new();

    assert_non_null(a);
    for (size_t i = 0; i < PIECES; i++) {
        size[i] = i % 500 == 499 ? 300000 : (i * 37) % 700;
        piece[i] = arena_alloc(a, size[i]);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < size[i]; k++)
            if (piece[i][k] != 0)
                fail_msg("piece %zu is not zeroed", i);
        if (size[i] > 0)
            memset(piece[i], (int)(i % 250 + 1), size[i]);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < size[i]; k++)
            if (piece[i][k] != i % 250 + 1)
                fail_msg("piece %zu was overwritten", i);
    arena_free(a);
}

static void texts_are_copied(void **state)
{
    struct arena *a = arena_new();
    char text[] = "corp.example";
    char *whole, *part, *short_text;

    assert_non_null(a);
    whole = arena_strdup(a, text);
    part = arena_strndup(a, text, 4);
    short_text = arena_strndup(a, "x", 100);
    memset(text, '#', sizeof text - 1);
    assert_string_equal(whole, "corp.example");
    assert_string_equal(part, "corp");
    assert_string_equal(short_text, "x");
    assert_string_equal(arena_strdup(a, ""), "");
    arena_free(a);
}

static void what_cannot_be(void **state)
{
    struct arena *a = arena_new();

    assert_non_null(a);
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 64));
    assert_non_null(arena_alloc(a, 1));
    arena_free(a);
    arena_free(NULL);
}

int main(void)
{
    TEST(pieces_of_all_sizes);
    TEST(texts_are_copied);
    TEST(what_cannot_be);
    return RUN("arena");
}
