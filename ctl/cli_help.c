/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli_help.c -- help, printed from the tables of verbs and options.
 */
#include "ctl/cli.h"

#include <string.h>

enum { LEFT = 34 }; /* columns of what is explained; longer ones get a line of their own */

static void print_pair(FILE *f, const char *left, const char *right)
{
    size_t width = 0;

    for (const char *p = left; *p; p++)
        width += ((unsigned char)*p & 0xc0) != 0x80;
    if (width <= LEFT)
        fprintf(f, "  %s%*s  %s\n", left, (int)(LEFT - width), "", right);
    else
        fprintf(f, "  %s\n  %*s  %s\n", left, LEFT, "", right);
}

static void print_options(FILE *f, const struct ctl_option *list)
{
    char left[128];

    for (; list->name; list++) {
        snprintf(left, sizeof left, "%s%s%s%s", list->name, list->value ? " " : "",
                 list->value ? list->value : "", list->many ? " ..." : "");
        print_pair(f, left, list->help);
    }
}

static void print_verb(FILE *f, const struct ctl_verb *v)
{
    char name[CLI_NAME], left[256];

    snprintf(left, sizeof left, "%s%s%s", cli_name(v, name),
             v->arguments && *v->arguments ? " " : "", v->arguments ? v->arguments : "");
    print_pair(f, left, v->help);
}

bool cli_is_noun(const struct ctl_verb *const *tables, const char *word)
{
    for (int t = 0; tables[t]; t++)
        for (const struct ctl_verb *v = tables[t]; v->verb; v++)
            if (v->noun && strcmp(v->noun, word) == 0)
                return true;
    return false;
}

void cli_help(FILE *f, const struct ctl_verb *const *tables)
{
    static const struct {
        int code;
        const char *text;
    } codes[] = {
        {EXIT_DONE, "done"},
        {EXIT_FAILED, "failed, also for lack of permission"},
        {EXIT_USAGE, "usage"},
        {EXIT_NOT_FOUND, "not found"},
        {EXIT_NO_DAEMON, "waymarkd does not answer"},
        {EXIT_INVALID, "the input is invalid"},
        {EXIT_CONFLICT, "the policy has changed meanwhile (--if-serial)"},
        {EXIT_PROBLEMS, "problems were found"},
    };
    const char *noun = NULL;

    fputs("usage: waymarkctl [-c FILE] [-o SECTION.KEY=VALUE]... VERB | NOUN VERB ...\n"
          "Shows and changes what waymarkd, the forwarder that points Windows to its KMS hosts, "
          "does.\n"
          "Options may stand anywhere; -- ends them.\n",
          f);
    for (int t = 0; tables[t]; t++) {
        fputc('\n', f);
        for (const struct ctl_verb *v = tables[t]; v->verb; v++) {
            if (v->noun && noun && strcmp(v->noun, noun) != 0 && v > tables[t] && v[-1].noun)
                fputc('\n', f);
            noun = v->noun;
            print_verb(f, v);
        }
    }
    fputs("\noptions of every verb\n", f);
    print_options(f, cli_options);
    fputs("\nexit codes\n", f);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        fprintf(f, "  %d  %s\n", codes[i].code, codes[i].text);
    fputs("\nwaymarkctl VERB --help explains one verb; the manual is waymarkctl(8).\n", f);
}

void cli_help_noun(FILE *f, const struct ctl_verb *const *tables, const char *noun)
{
    fprintf(f, "usage: waymarkctl %s VERB ...\n\n", noun);
    for (int t = 0; tables[t]; t++)
        for (const struct ctl_verb *v = tables[t]; v->verb; v++)
            if (v->noun && strcmp(v->noun, noun) == 0)
                print_verb(f, v);
    fprintf(f, "\nwaymarkctl %s VERB --help explains one verb.\n", noun);
}

void cli_help_verb(FILE *f, const struct ctl_verb *v)
{
    char name[CLI_NAME];

    fprintf(f, "usage: waymarkctl %s%s%s%s\n%s\n", cli_name(v, name),
            v->arguments && *v->arguments ? " " : "", v->arguments ? v->arguments : "",
            v->options && v->options[0] ? " [OPTION]..." : "", v->help);
    if (v->options && v->options[0]) {
        fputs("\noptions\n", f);
        for (int i = 0; v->options[i]; i++)
            print_options(f, v->options[i]);
    }
    fputs("\noptions of every verb\n", f);
    print_options(f, cli_options);
}
