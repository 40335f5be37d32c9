/* SPDX-License-Identifier: BSD-2-Clause
 *
 * helpers.h -- settings as texts, for the tests of settings/.
 *
 * Values are looked at as text: what settings_compare() says that differs from
 * the defaults.
 */
#ifndef TESTS_UNIT_SETTINGS_HELPERS_H
#define TESTS_UNIT_SETTINGS_HELPERS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/settings.h"
#include "tests/unit/scratch.h"

static inline char *problems_of(const struct diags *d)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    assert_non_null(f);
    diags_print(d, f);
    fclose(f);
    return text;
}

/* Reads the text as the file "t" of the present folder. */
static inline int read_text(struct settings **s, const char *text, struct diags *d)
{
    FILE *f = fopen("t", "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return settings_read(s, "t", NULL, d);
}

/* Reads a text that must be good. */
static inline struct settings *good(const char *text)
{
    struct settings *s = NULL;
    struct diags d;

    diags_init(&d);
    if (read_text(&s, text, &d) != 0)
        fail_msg("refused: %s", problems_of(&d));
    assert_int_equal(d.all, 0);
    diags_fini(&d);
    return s;
}

/* The present folder becomes one of the test's own. */
static char folder[SCRATCH];

static inline int make_folder(void **state)
{
    scratch_make(folder);
    return chdir(folder) == 0 && mkdir("conf.d", 0700) == 0 ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    scratch_remove(folder);
    return 0;
}

struct wanted {
    const char *key;
    char was[400], is[400];
    bool restart;
    int calls;
};

static inline void note_change(void *context, const char *key, const char *was, const char *is,
                               bool restart)
{
    struct wanted *w = context;

    w->calls++;
    if (w->key == NULL || strcmp(w->key, key) != 0)
        return;
    snprintf(w->was, sizeof w->was, "%s", was);
    snprintf(w->is, sizeof w->is, "%s", is);
    w->restart = restart;
}

static inline struct wanted compare(const struct settings *was, const struct settings *is,
                                    const char *key)
{
    struct wanted w = {.key = key};
    int n = settings_compare(was, is, note_change, &w);

    assert_int_equal(n, w.calls);
    return w;
}

/* The sample without settings. The caller frees. */
static inline char *printed(const struct settings *s)
{
    static char text[64 * 1024];
    FILE *f = fmemopen(text, sizeof text, "w");

    assert_non_null(f);
    if (s != NULL)
        settings_print(s, f);
    else
        settings_print_sample(f);
    fclose(f);
    return strdup(text);
}

#endif
