/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_settings.c -- any text as a settings file. What is accepted must print
 * as a text that reads back as the same settings.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/settings_text.h"

/* The defaults of the options are the same texts each time: each is read once, which takes most of the time
 * otherwise. Only they have no file's name. */
#define yaml_read read_anew
#include "base/yaml.c"
#undef yaml_read

int yaml_read(const struct yaml_node **, struct arena *, const char *, const char *, size_t,
              struct diags *);

int yaml_read(const struct yaml_node **root, struct arena *arena, const char *name,
              const char *text, size_t len, struct diags *d)
{
    static struct {
        char text[64];
        const struct yaml_node *root;
    } known[128];
    static struct arena *kept;
    size_t i = 0;
    int rc;

    while (!name && i < ARRAY_LEN(known) && known[i].root && strcmp(known[i].text, text) != 0)
        i++;
    if (name || len >= sizeof known->text || i == ARRAY_LEN(known))
        return read_anew(root, arena, name, text, len, d);
    kept = kept ? kept : arena_new();
    if (known[i].root == NULL) {
        if ((rc = read_anew(&known[i].root, kept, NULL, text, len, d)) != 0)
            return rc;
        strcpy(known[i].text, text);
    }
    *root = known[i].root;
    return 0;
}

#pragma GCC diagnostic ignored "-Wunused-parameter"

static void differs(void *context, const char *key, const char *was, const char *is, bool restart)
{
    must(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *s, *again;
    struct diags d = {0};
    char *text = NULL;
    size_t len;
    FILE *f;
    int rc;

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
