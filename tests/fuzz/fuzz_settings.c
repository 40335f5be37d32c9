/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_settings.c -- any text as a settings file. What is accepted must print
 * as a text that reads back as the same settings.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/settings_text.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

static void differs(void *context, const char *key, const char *was, const char *is, bool restart)
{
    must(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *s, *again;
    struct diags d;
    char *text = NULL;
    size_t len;
    FILE *f;
    int rc;

    diags_init(&d);
    rc = settings_read_text(&s, data, size, &d);
    must((rc == 0) == (d.all == 0)); /* never refused without a word */
    diags_fini(&d);
    if (rc != 0)
        return 0;
    must((f = open_memstream(&text, &len)) != NULL);
    settings_print(s, f);
    fclose(f);
    must(settings_read_text(&again, text, len, NULL) == 0);
    settings_compare(s, again, differs, NULL);
    settings_free(again);
    must(settings_copy(&again, s) == 0);
    settings_compare(s, again, differs, NULL);
    settings_free(again);
    settings_free(s);
    free(text);
    return 0;
}
