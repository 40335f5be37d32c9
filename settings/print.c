/* SPDX-License-Identifier: BSD-2-Clause
 *
 * print.c -- the settings in force, what a reload changes, and the sample file.
 *
 * Values are compared as printed: what reads back the same is the same.
 *
 * The sample has no path in it: those of the build are named in words, so that
 * conf/waymark.yaml.sample is the same for each prefix.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "settings/options.h"

enum { WIDTH = 78, HELP_TEXT = 1000 };

static const char *const sample_head[] = {
    "# Settings of waymarkd with their defaults. To change one, take away the # in",
    "# front of its name. Files in conf.d/*.yaml beside this one are read after it, in the order",
    "# of their names; a list in a later file replaces the one before.",
    "#",
    "# waymarkd --check finds mistakes, waymarkd --print-config shows what is in force.",
    "# Durations: 300ms 10s 5m 2h 90d 2y; a bare number is seconds. Sizes: 64K 64M 1G.",
    "# An address with a port, and one of IPv6, needs quotes.",
    NULL,
};

/* The section that begins with this option, or NULL. */
static const struct option_section *section_begins(const struct field *o)
{
    for (const struct option_section *s = settings_sections; s->name != NULL; s++)
        if (field_is_in(o, s->name))
            return o == settings_options || !field_is_in(o - 1, s->name) ? s : NULL;
    return NULL;
}

static const char *indent_of(const struct field *o)
{
    return strchr(o->key, '.') != NULL ? "  " : "";
}

/* ---- what is in force ---- */

static void print_option(const struct settings *s, const struct field *o, FILE *f)
{
    if (!option_is_given(o, s)) {
        fprintf(f, "# no %s: %s\n", field_name(o), o->computed);
        return;
    }
    fprintf(f, "%s%s:", indent_of(o), field_name(o));
    if (!option_is_table(o) || field_count_of(o, s) == 0) {
        fputc(' ', f);
        field_print(o, s, f);
    }
    fputc('\n', f);
    for (size_t i = 0; option_is_table(o) && i < field_count_of(o, s); i++) {
        fputs("  - ", f);
        field_print(o->element, field_element(o, s, i), f);
        fputc('\n', f);
    }
}

void settings_print(const struct settings *s, FILE *f)
{
    for (const struct field *o = settings_options; o->key != NULL; o++) {
        const struct option_section *section = section_begins(o);

        if (section != NULL)
            fprintf(f, "%s:\n", section->name);
        print_option(s, o, f);
    }
}

int settings_compare(const struct settings *was, const struct settings *is, settings_change *change,
                     void *context)
{
    int changed = 0;

    for (const struct field *o = settings_options; o->key != NULL && changed >= 0; o++) {
        char *before = option_is_given(o, was) ? field_text_of(o, was) : strdup("none");
        char *after = option_is_given(o, is) ? field_text_of(o, is) : strdup("none");

        if (before == NULL || after == NULL) {
            changed = -ENOMEM;
        } else if (strcmp(before, after) != 0) {
            changed++;
            if (change != NULL)
                change(context, o->key, before, after, (o->flags & OPTION_RESTART) != 0);
        }
        free(before);
        free(after);
    }
    return changed;
}

/* ---- the sample ---- */

/* A comment in lines of WIDTH; those after the first begin with `hang` blanks
 * more. */
static void print_comment(const char *indent, const char *text, int hang, FILE *f)
{
    size_t room = WIDTH - strlen(indent), used = 0;

    fprintf(f, "%s#", indent);
    while (*text != '\0') {
        size_t word = strcspn(text, " ");

        if (used > 0 && used + 1 + word > room) {
            fprintf(f, "\n%s#%*s", indent, hang, "");
            used = (size_t)hang;
        }
        fprintf(f, " %.*s", (int)word, text);
        used += 1 + word;
        text += word + (text[word] == ' ');
    }
    fputc('\n', f);
}

/* Words that may be written, or the limits of a number. */
static void add_range(struct str *s, const struct field *o)
{
    char least[NUMBER_TEXT], most[NUMBER_TEXT];
    const char *between = " (";

    if (o->kind == &kind_word) {
        for (size_t i = 0; o->words[i + o->later] != NULL; i++) {
            str_addf(s, "%s%s", between, o->words[i]);
            between = ", ";
        }
        str_add(s, ")");
    } else if (o->kind == &kind_bool) {
        str_add(s, " (yes, no)");
    } else if (o->element == NULL && o->max > 0) {
        str_addf(s, " (%s to %s)", field_in_unit(o, o->min, least), field_in_unit(o, o->max, most));
    }
}

static void sample_help(const struct field *o, FILE *f)
{
    char text[HELP_TEXT];
    struct str s;

    str_init(&s, text, sizeof text);
    str_add(&s, o->help);
    add_range(&s, o);
    if (option_is_table(o))
        str_addf(&s, " Default: %s.", o->computed);
    print_comment(indent_of(o), text, 0, f);
}

static void sample_records(const struct field *o, FILE *f)
{
    char text[HELP_TEXT];
    struct str s;

    fputc('\n', f);
    sample_help(o, f);
    for (const struct field *row = o->element->rows; row->key != NULL; row++) {
        str_init(&s, text, sizeof text);
        str_addf(&s, "  %s: %s", field_name(row), row->help);
        if (row->kind != &kind_word) /* whose help explains each */
            add_range(&s, row);
        if (row->fallback != NULL)
            str_addf(&s, "; default %s", row->fallback);
        print_comment("", text, 4, f);
    }
    fprintf(f, "#%s:\n", o->key);
    for (const char *line = o->element->help, *end; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        fprintf(f, "#  %.*s\n", (int)(end - line), line);
    }
}

void settings_print_sample(FILE *f)
{
    for (const char *const *line = sample_head; *line != NULL; line++)
        fprintf(f, "%s\n", *line);
    for (const struct field *o = settings_options; o->key != NULL; o++) {
        const struct option_section *section = section_begins(o);

        if (section != NULL) {
            fputc('\n', f);
            print_comment("", section->help, 0, f);
            fprintf(f, "%s:\n", section->name);
        }
        if (option_is_table(o))
            sample_records(o, f);
        if (option_is_table(o) || (o->flags & OPTION_UNUSED) != 0)
            continue;
        if (section == NULL)
            fputc('\n', f);
        sample_help(o, f);
        fprintf(f, "  #%s: ", field_name(o));
        fprintf(f, o->fallback != NULL ? "%s\n" : "(%s)\n",
                o->fallback != NULL ? o->fallback : o->computed);
    }
}
