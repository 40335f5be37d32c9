/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.c -- reads the command line, prints help, runs the verb: all from the tables of verbs.
 *
 * Options stand anywhere, also before the verb that takes them, so the line is read with those of
 * all verbs, and whether this verb takes them is asked afterwards. An option therefore has a
 * value, or has none, in all tables alike, which tests/unit/ctl/test_cli.c checks.
 */
#include "ctl/ctl.h"

#include <sys/ioctl.h>
#include <unistd.h>

enum {
    NAMES = 1024,
    USAGE = 256,
    LEFT = 34, /* columns of what help explains; what is longer has a line of its own */
    RUN = -1,
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

static void print_pair(FILE *f, const char *left, const char *right)
{
    bool fits = strlen(left) <= LEFT;

    fprintf(f, "  %-*s%s%*s  %s\n", LEFT, left, fits ? "" : "\n", fits ? 0 : LEFT + 2, "", right);
}

static void print_options(FILE *f, const char *title, const struct ctl_option *list)
{
    char left[128];

    fputs(title, f);
    for (; list->name; list++) {
        snprintf(left, sizeof left, "%s%s%s%s", list->name, list->value ? " " : "",
                 list->value ? list->value : "", list->many ? " ..." : "");
        print_pair(f, left, list->help);
    }
}

/* "policy fill SUFFIX..." */
static const char *usage(const struct ctl_verb *v, char out[USAGE])
{
    snprintf(out, USAGE, "%s%s%s%s%s", v->noun, *v->noun ? " " : "", v->verb,
             *v->arguments ? " " : "", v->arguments);
    return out;
}

/* The line has no verb: help on all of them, or those of its noun; or a mistake. */
static int without_verb(verb_tables *tables, const struct ctl *c, bool asked)
{
    const char *names[NAMES + 1] = {0}, *noun = "", *word, *group = NULL;
    char meant[DIAG_MEANT], left[USAGE];
    FILE *f = asked ? stdout : stderr;
    int n = 0;

    EACH_VERB(tables, v)
    if (c->argc > 0 && strcmp(v->noun, c->argv[0]) == 0)
        noun = v->noun;
    if (c->argc > 0 && (*noun == '\0' || (c->argc > 1 && !asked))) {
        word = c->argv[*noun ? 1 : 0];
        EACH_VERB(tables, v)
        if (n < NAMES && (*noun == '\0' || strcmp(v->noun, noun) == 0))
            names[n++] = *noun == '\0' && *v->noun ? v->noun : v->verb;
        return ctl_fail(EXIT_USAGE, "unknown verb %s%s%s%s (waymarkctl --help lists all)", noun,
                        *noun ? " " : "", word, diag_meant(word, names, meant));
    }
    if (*noun)
        fprintf(f, "usage: waymarkctl %s VERB ...\n", noun);
    else
        fputs("usage: waymarkctl [-c FILE] [-o SECTION.KEY=VALUE]... VERB | NOUN VERB ...\n"
              "Shows and changes what waymarkd, the forwarder that points Windows to its KMS "
              "hosts, does.\nOptions may stand anywhere; -- ends them.\n",
              f);
    EACH_VERB(tables, v)
    if (*noun == '\0' || strcmp(v->noun, noun) == 0) {
        fputs(group && strcmp(v->noun, group) == 0 ? "" : "\n", f);
        group = v->noun;
        print_pair(f, usage(v, left), v->help);
    }
    if (*noun == '\0')
        print_options(f, "\noptions of every verb\n", cli_options);
    fputs("\nwaymarkctl VERB --help explains one verb; the manual is waymarkctl(8).\n", f);
    return asked ? EXIT_DONE : EXIT_USAGE;
}

/* The option of this name of the verb (NULL: of any), or that every verb takes. NULL: there is
 * none; names, ended by NULL, has those that there are. */
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
        if (strcmp(c->given[k].name, name) == 0 && i-- == 0)
            return c->given[k].value;
    return NULL;
}

int ctl_number(const struct ctl *c, const char *name, uint64_t most, uint64_t *out)
{
    const char *text = ctl_option(c, name);

    if (text == NULL ||
        (most > 0 ? number_parse(out, text, most) : time_parse(out, text, c->now.wall_ms)) == 0)
        return 0;
    return ctl_fail(EXIT_USAGE, "%s %s: %s", name, text,
                    most > 0 ? "a number is needed"
                             : "a time is needed, as 2026-11-22, \"2026-11-22 09:00\", 09:00, or "
                               "7d for seven days ago");
}

/* Keeps the option at argv[*i], cut at its =, and moves *i over its value. Whether the verb has it
 * is asked when that is known. 0 or an exit code. */
static int read_option(verb_tables *tables, struct ctl *c, char **argv, int *i)
{
    const char *names[NAMES + 1];
    char *value = argv[*i], *name = strsep(&value, "=");
    const struct ctl_option *option = find_option(tables, NULL, name, names);

    if (option && option->value == NULL && value)
        return ctl_fail(EXIT_USAGE, "%s takes no value", name);
    if (option && option->value && value == NULL && (value = argv[++*i]) == NULL)
        return ctl_fail(EXIT_USAGE, "%s needs a value: %s %s", name, name, option->value);
    if (c->n_given == (int)ARRAY_LEN(c->given))
        return ctl_fail(EXIT_USAGE, "more than %zu options; use policy import for long lists",
                        ARRAY_LEN(c->given));
    c->given[c->n_given].name = name;
    c->given[c->n_given++].value = value ? value : "";
    return 0;
}

/* Reads the line into c; its arguments are moved to the beginning of argv. RUN, or the exit code
 * of a line that is done, all being said. */
static int parse_line(verb_tables *tables, struct ctl *c, int argc, char **argv)
{
    const char *names[NAMES + 1];
    const struct ctl_verb *v = NULL;
    char line[USAGE];
    bool options = true, asked;

    for (int i = 1; i < argc; i++)
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (!options || argv[i][0] != '-' || argv[i][1] == '\0')
            argv[c->argc++] = argv[i];
        else if (read_option(tables, c, argv, &i) != 0)
            return EXIT_USAGE;
    argv[c->argc] = NULL;
    c->argv = argv;
    EACH_VERB(tables, w)
    {
        int words = *w->noun ? 2 : 1;

        if (v || c->argc < words || strcmp(w->verb, argv[words - 1]) != 0 ||
            (words == 2 && strcmp(w->noun, argv[0]) != 0))
            continue;
        v = c->verb = w;
        snprintf(c->called, sizeof c->called, "%s%s%s", v->noun, *v->noun ? " " : "", v->verb);
        c->argc -= words;
        c->argv += words;
    }
    for (int i = 0; i < c->n_given; i++) {
        const char *name = c->given[i].name;
        const struct ctl_option *option = find_option(tables, v, name, names);

        if (option == NULL)
            return ctl_fail(EXIT_USAGE, "unknown option %s%s (waymarkctl VERB --help names all)",
                            name, diag_meant(name, names, line));
        if (!option->many && ctl_option_at(c, name, 1))
            return ctl_fail(EXIT_USAGE, "%s is given twice", name);
        c->given[i].option = option;
    }
    if (ctl_option(c, "--version")) {
        printf("waymarkctl %s\n", PACKAGE_VERSION);
        return EXIT_DONE;
    }
    asked = ctl_option(c, "--help") || ctl_option(c, "-h");
    if (v == NULL)
        return without_verb(tables, c, asked);
    usage(v, line);
    if (asked) {
        printf("usage: waymarkctl %s%s\n%s\n", line, v->options[0] ? " [OPTION]..." : "", v->help);
        for (int i = 0; v->options[i]; i++)
            print_options(stdout, i == 0 ? "\noptions\n" : "", v->options[i]);
        print_options(stdout, "\noptions of every verb\n", cli_options);
        return EXIT_DONE;
    }
    if (ctl_option(c, "--json") && ctl_option(c, "--csv"))
        return ctl_fail(EXIT_USAGE, "--json and --csv exclude each other");
    if (v->most == 0 && c->argc > 0)
        return ctl_fail(EXIT_USAGE, "%s takes no argument: %s", line, c->argv[0]);
    if (c->argc < v->least || (v->most >= 0 && c->argc > v->most))
        return ctl_fail(EXIT_USAGE, "too %s arguments: waymarkctl %s",
                        c->argc < v->least ? "few" : "many", line);
    return RUN;
}

int cli_main(verb_tables *tables, int argc, char **argv)
{
    const char *no_colour = getenv("NO_COLOR"), *assigned[ARRAY_LEN(((struct ctl *)0)->given) + 1];
    struct ctl c = {.now = clock_now(), .uid = getuid(), .stderr_tty = isatty(STDERR_FILENO)};
    struct winsize size;
    struct diags d;
    int code = parse_line(tables, &c, argc, argv), n = 0;

    if (code == RUN) {
        c.format = ctl_option(&c, "--json")  ? FORMAT_JSON
                   : ctl_option(&c, "--csv") ? FORMAT_CSV
                                             : FORMAT_TABLE;
        c.width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
        c.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || *no_colour == '\0');
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
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
        code = ctl_fail(EXIT_FAILED, "cannot write to standard output");
    return code;
}
