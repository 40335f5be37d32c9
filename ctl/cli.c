/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.c -- reads the command line, prints help, runs the verb. Everything that it knows about verbs
 * comes from their tables.
 *
 * Options stand anywhere, also before the verb that takes them, so the line is read with the options
 * of all verbs, and whether this verb takes them is asked afterwards. An option's name must
 * therefore mean "with a value" or "without" in all tables alike, which tests/unit/ctl/test_cli.c checks.
 */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

enum {
    NAMES = 1024,
    LEFT = 34 /* columns of what help explains; longer ones get a line of their own */
};

typedef const struct ctl_verb *const verb_tables; /* ended by NULL */

#define EACH_VERB(tables, v)                                                                       \
    for (verb_tables *table_ = (tables); *table_; table_++)                                        \
        for (const struct ctl_verb *v = *table_; v->verb; v++)

const struct ctl_option cli_options[] = {
    {"-c", "FILE", false, "settings file (default: that of waymarkd)"},
    {"-o", "SECTION.KEY=VALUE", true, "one setting for this call, over the file's"},
    {"--json", NULL, false, "print JSON: one document"},
    {"--csv", NULL, false, "print lists as CSV"},
    {"--wide", NULL, false, "print tables with all their columns, however narrow the terminal is"},
    {"--help", NULL, false, "explain the verb"},
    {"-h", NULL, false, "the same as --help"},
    {"--version", NULL, false, "print the version"},
    {0},
};

/* --- help */

static void print_pair(FILE *f, const char *left, const char *right)
{
    size_t width = str_width(left);

    if (width <= LEFT)
        fprintf(f, "  %s%*s  %s\n", left, (int)(LEFT - width), "", right);
    else
        fprintf(f, "  %s\n  %*s  %s\n", left, LEFT, "", right);
}

static void print_options(FILE *f, const char *title, const struct ctl_option *list)
{
    char left[128];

    fprintf(f, "%s", title);
    for (; list->name; list++) {
        snprintf(left, sizeof left, "%s%s%s%s", list->name, list->value ? " " : "",
                 list->value ? list->value : "", list->many ? " ..." : "");
        print_pair(f, left, list->help);
    }
}

/* "policy fill SUFFIX..." */
static const char *usage(const struct ctl_verb *v, char out[256])
{
    char name[CTL_NAME];

    snprintf(out, 256, "%s%s%s", ctl_verb_name(v, name), *v->arguments ? " " : "", v->arguments);
    return out;
}

/* noun "": all verbs. */
static void help(FILE *f, verb_tables *tables, const char *noun)
{
    const char *group = NULL;
    char left[256];

    if (*noun == '\0')
        fputs("usage: waymarkctl [-c FILE] [-o SECTION.KEY=VALUE]... VERB | NOUN VERB ...\n"
              "Shows and changes what waymarkd, the forwarder that points Windows to its KMS "
              "hosts, does.\nOptions may stand anywhere; -- ends them.\n",
              f);
    else
        fprintf(f, "usage: waymarkctl %s VERB ...\n", noun);
    EACH_VERB(tables, v)
    {
        if (*noun && strcmp(v->noun, noun) != 0)
            continue;
        if (group == NULL || strcmp(v->noun, group) != 0)
            fputc('\n', f);
        group = v->noun;
        print_pair(f, usage(v, left), v->help);
    }
    if (*noun == '\0')
        print_options(f, "\noptions of every verb\n", cli_options);
    fprintf(f, "\nwaymarkctl VERB --help explains one verb; the manual is waymarkctl(8).\n");
}

/* The line has no verb: a list of what there is, or a mistake. */
static int without_verb(verb_tables *tables, const struct ctl *c)
{
    bool asked = ctl_option(c, "--help") || ctl_option(c, "-h");
    const char *names[NAMES + 1] = {0}, *noun = "";
    char meant[DIAG_MEANT];
    int n = 0;

    EACH_VERB(tables, v)
    if (c->argc > 0 && strcmp(v->noun, c->argv[0]) == 0)
        noun = v->noun;
    if (c->argc == 0 || (*noun && (c->argc == 1 || asked))) {
        help(asked ? stdout : stderr, tables, noun);
        return asked ? EXIT_DONE : EXIT_USAGE;
    }
    EACH_VERB(tables, v)
    if (n < NAMES && (*noun == '\0' || strcmp(v->noun, noun) == 0))
        names[n++] = *noun == '\0' && *v->noun ? v->noun : v->verb;
    return ctl_fail(EXIT_USAGE, "unknown verb %s%s%s%s (waymarkctl --help lists all)", noun,
                    *noun ? " " : "", c->argv[*noun != '\0'],
                    diag_meant(c->argv[*noun != '\0'], names, meant));
}

/* --- options */

/* The option of this name that every verb takes, or the verb (NULL: any verb). NULL: there is none,
 * and names, ended by NULL, has those that there are. */
static const struct ctl_option *find_option(verb_tables *tables, const struct ctl_verb *verb,
                                            const char *name, const char *names[NAMES + 1])
{
    int n = 0;

    EACH_VERB(tables, v)
    for (int i = -1; (verb == NULL || verb == v) && (i < 0 || v->options[i]); i++)
        for (const struct ctl_option *o = i < 0 ? cli_options : v->options[i]; o->name; o++) {
            if (strcmp(o->name, name) == 0)
                return o;
            if (n < NAMES)
                names[n++] = o->name;
        }
    names[n] = NULL;
    return NULL;
}

const char *ctl_option_at(const struct ctl *c, const char *name, int i)
{
    for (int k = 0; k < c->n_given; k++)
        if (strcmp(c->given[k].option->name, name) == 0 && i-- == 0)
            return c->given[k].value;
    return NULL;
}

const char *ctl_option(const struct ctl *c, const char *name)
{
    return ctl_option_at(c, name, 0);
}

/* Keeps the option at argv[*i], which is cut at its =, and moves *i over its value. *unknown: the
 * first that no verb has. 0 or an exit code. */
static int read_option(verb_tables *tables, struct ctl *c, char **argv, int *i,
                       const char **unknown)
{
    const char *names[NAMES + 1];
    char *value = argv[*i], *name = strsep(&value, "=");
    const struct ctl_option *option = find_option(tables, NULL, name, names);

    if (option == NULL) {
        *unknown = *unknown ? *unknown : name;
        return 0;
    }
    if (option->value == NULL && value)
        return ctl_fail(EXIT_USAGE, "%s takes no value", option->name);
    if (option->value && value == NULL)
        value = argv[++*i];
    if (option->value && value == NULL)
        return ctl_fail(EXIT_USAGE, "%s needs a value: %s %s", option->name, option->name,
                        option->value);
    if (!option->many && ctl_option(c, option->name))
        return ctl_fail(EXIT_USAGE, "%s is given twice", option->name);
    if (c->n_given == (int)ARRAY_LEN(c->given))
        return ctl_fail(EXIT_USAGE, "more than %zu options; use policy import for long lists",
                        ARRAY_LEN(c->given));
    c->given[c->n_given].option = option;
    c->given[c->n_given++].value = value ? value : "";
    return 0;
}

/* --- the line as a whole */

/* Takes the verb's words from the arguments. NULL: there is none. */
static const struct ctl_verb *take_verb(verb_tables *tables, struct ctl *c)
{
    EACH_VERB(tables, v)
    {
        int words = *v->noun ? 2 : 1;

        if (c->argc < words || strcmp(v->verb, c->argv[words - 1]) != 0 ||
            (words == 2 && strcmp(v->noun, c->argv[0]) != 0))
            continue;
        c->argc -= words;
        memmove(c->argv, c->argv + words, ((size_t)c->argc + 1) * sizeof *c->argv);
        return v;
    }
    return NULL;
}

int cli_parse(verb_tables *tables, struct ctl *c, int argc, char **argv)
{
    const char *unknown = NULL, *names[NAMES + 1];
    const struct ctl_verb *v;
    char line[256];
    bool options = true;

    c->argv = ctl_alloc(NULL, ((size_t)argc + 1) * sizeof *c->argv);
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (!options || argv[i][0] != '-' || argv[i][1] == '\0') {
            c->argv[c->argc++] = argv[i];
        } else if (read_option(tables, c, argv, &i, &unknown) != 0) {
            return EXIT_USAGE;
        }
    }
    c->argv[c->argc] = NULL;
    v = c->verb = take_verb(tables, c);
    for (int i = 0; v && unknown == NULL && i < c->n_given; i++)
        if (find_option(tables, v, c->given[i].option->name, names) == NULL)
            unknown = c->given[i].option->name;
    if (unknown) {
        find_option(tables, v, unknown, names);
        return ctl_fail(EXIT_USAGE, "unknown option %s%s (waymarkctl VERB --help names all)",
                        unknown, diag_meant(unknown, names, line));
    }
    if (ctl_option(c, "--version")) {
        printf("waymarkctl %s\n", PACKAGE_VERSION);
        return EXIT_DONE;
    }
    if (v == NULL)
        return without_verb(tables, c);
    if (ctl_option(c, "--help") || ctl_option(c, "-h")) {
        printf("usage: waymarkctl %s%s\n%s\n", usage(v, line), v->options[0] ? " [OPTION]..." : "",
               v->help);
        for (int i = 0; v->options[i]; i++)
            print_options(stdout, i == 0 ? "\noptions\n" : "", v->options[i]);
        print_options(stdout, "\noptions of every verb\n", cli_options);
        return EXIT_DONE;
    }
    if (ctl_option(c, "--json") && ctl_option(c, "--csv"))
        return ctl_fail(EXIT_USAGE, "--json and --csv exclude each other");
    c->format = ctl_option(c, "--json")  ? FORMAT_JSON
                : ctl_option(c, "--csv") ? FORMAT_CSV
                                         : FORMAT_TABLE;
    c->wide = ctl_option(c, "--wide") != NULL;
    c->yes = ctl_option(c, "--yes") != NULL;
    if (v->most == 0 && c->argc > 0)
        return ctl_fail(EXIT_USAGE, "%s takes no argument: %s", usage(v, line), c->argv[0]);
    if (c->argc < v->least || (v->most >= 0 && c->argc > v->most))
        return ctl_fail(EXIT_USAGE, "too %s arguments: waymarkctl %s",
                        c->argc < v->least ? "few" : "many", usage(v, line));
    return CLI_RUN;
}

int cli_main(verb_tables *tables, int argc, char **argv)
{
    const char *no_colour = getenv("NO_COLOR"), *assigned[ARRAY_LEN(((struct ctl *)0)->given) + 1];
    struct ctl c = {.now = clock_now(), .uid = getuid()};
    struct winsize size;
    struct diags d;
    int code, n = 0;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        c.width = size.ws_col;
    c.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || *no_colour == '\0');
    c.stderr_tty = isatty(STDERR_FILENO);
    code = cli_parse(tables, &c, argc, argv);
    if (code == CLI_RUN) {
        while ((assigned[n] = ctl_option_at(&c, "-o", n)) != NULL)
            n++;
        diags_init(&d);
        if (settings_read(&c.settings, ctl_option(&c, "-c"), assigned, &d) < 0)
            code = ctl_invalid(&d);
        else
            code = c.verb->run(&c);
        diags_fini(&d);
        settings_free(c.settings);
    }
    free(c.argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
        code = ctl_fail(EXIT_FAILED, "cannot write to standard output");
    return code;
}
