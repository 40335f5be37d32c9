/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.c -- reads the command line, prints help, runs the verb.
 *
 * Options stand anywhere, so the line is read twice: first with the options of
 * all verbs, to tell words from options' values and find the verb; then with
 * that verb's options, which is when mistakes are reported. An option's name
 * must therefore mean "with a value" or "without" in all tables alike, which
 * tests/unit/ctl/test_cli.c checks.
 */
#include "ctl/cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

enum {
    NAMES = 512,
    LEFT = 34 /* columns of what help explains; longer ones get a line of their own */
};

#define EACH_VERB(tables, v)                                                                       \
    for (const struct ctl_verb *const *table_ = (tables); *table_; table_++)                       \
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

/* One reading of the line. */
struct reading {
    const struct cli *cli;
    const struct ctl_verb *verb; /* NULL: the first reading */
    struct ctl *c;
    const char *unknown; /* the first option that no table has */
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

static void print_options(FILE *f, const struct ctl_option *list)
{
    char left[128];

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

static void print_verb(FILE *f, const struct ctl_verb *v)
{
    char left[256];

    print_pair(f, usage(v, left), v->help);
}

static void help(FILE *f, const struct ctl_verb *const *tables)
{
    static const struct {
        int code;
        const char *text;
    } codes[] = {
        {EXIT_DONE, "done"},
        {EXIT_FAILED, "the verb failed, perhaps for lack of permission"},
        {EXIT_USAGE, "the command line is wrong"},
        {EXIT_NOT_FOUND, "what was asked for does not exist"},
        {EXIT_NO_DAEMON, "waymarkd does not answer"},
        {EXIT_INVALID, "the input is invalid"},
        {EXIT_CONFLICT, "the policy has changed meanwhile (--if-serial)"},
        {EXIT_PROBLEMS, "problems were found"},
    };
    const char *noun = "";

    fputs("usage: waymarkctl [-c FILE] [-o SECTION.KEY=VALUE]... VERB | NOUN VERB ...\n"
          "Shows and changes what waymarkd, the forwarder that points Windows to its KMS hosts, "
          "does.\n"
          "Options may stand anywhere; -- ends them.\n",
          f);
    EACH_VERB(tables, v)
    {
        const char *group = v->noun ? v->noun : "";

        if (v == *table_ || (*noun && strcmp(group, noun) != 0))
            fputc('\n', f);
        noun = group;
        print_verb(f, v);
    }
    fputs("\noptions of every verb\n", f);
    print_options(f, cli_options);
    fputs("\nexit codes\n", f);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        fprintf(f, "  %d  %s\n", codes[i].code, codes[i].text);
    fputs("\nwaymarkctl VERB --help explains one verb; the manual is waymarkctl(8).\n", f);
}

/* --- options */

/* What may stand on the line: the options of every verb and those of the verb, or of all verbs
 * while it is not known. Ended by NULL. */
static void list_options(const struct reading *r, const struct ctl_option *out[NAMES + 1])
{
    int n = 0;

    for (const struct ctl_option *o = cli_options; o->name; o++)
        out[n++] = o;
    EACH_VERB(r->cli->tables, v)
    for (int i = 0; (r->verb == NULL || r->verb == v) && v->options[i]; i++)
        for (const struct ctl_option *o = v->options[i]; o->name && n < NAMES; o++)
            out[n++] = o;
    out[n] = NULL;
}

static const struct ctl_option *find_option(const struct reading *r, const char *word, size_t len)
{
    const struct ctl_option *list[NAMES + 1];
    int i = 0;

    list_options(r, list);
    while (list[i] && (strlen(list[i]->name) != len || memcmp(list[i]->name, word, len) != 0))
        i++;
    return list[i];
}

static int fail_unknown(const struct reading *r, const char *word)
{
    const struct ctl_option *list[NAMES + 1];
    const char *names[NAMES + 1] = {0}, *nearest;
    char name[CTL_NAME], option[CTL_NAME];

    list_options(r, list);
    for (int i = 0; list[i]; i++)
        names[i] = list[i]->name;
    snprintf(option, sizeof option, "%.*s", (int)strcspn(word, "="), word);
    nearest = diag_nearest(option, names);
    if (nearest)
        return ctl_fail(EXIT_USAGE, "unknown option %s, did you mean %s?", option, nearest);
    return ctl_fail(EXIT_USAGE, "unknown option %s (waymarkctl %s --help names all)", option,
                    r->verb ? ctl_verb_name(r->verb, name) : "VERB");
}

/* Keeps one use of an option. value NULL: a flag. 0 or an exit code. */
static int keep_option(struct reading *r, const struct ctl_option *option, const char *value)
{
    struct ctl *c = r->c;

    if (r->verb == NULL)
        return 0;
    if (!option->many && ctl_option(c, option->name))
        return ctl_fail(EXIT_USAGE, "%s is given twice", option->name);
    if (c->n_given == (int)ARRAY_LEN(c->given))
        return ctl_fail(EXIT_USAGE, "more than %zu options; use policy import for long lists",
                        ARRAY_LEN(c->given));
    c->given[c->n_given].option = option;
    c->given[c->n_given++].value = value ? value : "";
    return 0;
}

/* The option at argv[*i]; moves *i over its value. 0 or an exit code. */
static int read_option(struct reading *r, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *value = strchr(word, '=');
    size_t len = value ? (size_t)(value - word) : strlen(word);
    const struct ctl_option *option = find_option(r, word, len);

    if (value)
        value++;
    if (option == NULL && word[1] != '-') { /* -cFILE */
        option = find_option(r, word, 2);
        value = word + 2;
        if (option && option->value == NULL)
            option = NULL;
    }
    if (option == NULL) {
        if (r->unknown == NULL)
            r->unknown = word;
        return r->verb ? fail_unknown(r, word) : 0;
    }
    if (option->value == NULL) {
        if (value && r->verb)
            return ctl_fail(EXIT_USAGE, "%s takes no value", option->name);
        return keep_option(r, option, NULL);
    }
    if (value == NULL && *i + 1 >= argc)
        return r->verb ? ctl_fail(EXIT_USAGE, "%s needs a value: %s %s", option->name, option->name,
                                  option->value)
                       : 0;
    return keep_option(r, option, value ? value : argv[++*i]);
}

/* Reads the whole line: words to c->argv, options to c->given. */
static int read_line(struct reading *r, int argc, char **argv)
{
    bool options = true;
    int code;

    r->c->argc = 0;
    r->c->n_given = 0;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            code = read_option(r, argc, argv, &i);
            if (code)
                return code;
        } else {
            r->c->argv[r->c->argc++] = argv[i];
        }
    }
    r->c->argv[r->c->argc] = NULL;
    return 0;
}

static bool asks_for(const char *option, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], option) == 0)
            return true;
    return false;
}

/* --- verbs */

/* The verb with the longest name that the first words call; *used: how many words. */
static const struct ctl_verb *find_verb(const struct cli *cli, int n, char **words, int *used)
{
    const struct ctl_verb *best = NULL;

    *used = 0;
    EACH_VERB(cli->tables, v)
    {
        char name[CTL_NAME], *rest = name;
        bool same = true;
        int k = 0;

        ctl_verb_name(v, name);
        for (; same && rest; k++)
            same = k < n && strcmp(strsep(&rest, " "), words[k]) == 0;
        if (same && k > *used) {
            *used = k;
            best = v;
        }
    }
    return best;
}

/* The line has no verb: a list of what there is, or a mistake. */
static int without_verb(const struct reading *r, bool asked)
{
    const struct ctl_verb *const *tables = r->cli->tables;
    const char *names[NAMES + 1], *noun = NULL, *word, *nearest;
    char prefix[CTL_NAME];
    FILE *to = asked ? stdout : stderr;
    int n = 0;

    if (r->unknown)
        return fail_unknown(r, r->unknown);
    if (r->c->argc == 0) {
        help(to, tables);
        return asked ? EXIT_DONE : EXIT_USAGE;
    }
    EACH_VERB(tables, v)
    if (v->noun && strcmp(v->noun, r->c->argv[0]) == 0)
        noun = v->noun;
    if (noun && (r->c->argc == 1 || asked)) {
        fprintf(to, "usage: waymarkctl %s VERB ...\n\n", noun);
        EACH_VERB(tables, v)
        if (v->noun && strcmp(v->noun, noun) == 0)
            print_verb(to, v);
        fprintf(to, "\nwaymarkctl %s VERB --help explains one verb.\n", noun);
        return asked ? EXIT_DONE : EXIT_USAGE;
    }
    word = r->c->argv[noun != NULL];
    EACH_VERB(tables, v)
    {
        if (noun == NULL && n < NAMES)
            names[n++] = v->noun ? v->noun : v->verb;
        else if (v->noun && noun && strcmp(v->noun, noun) == 0 && n < NAMES)
            names[n++] = v->verb;
    }
    names[n] = NULL;
    nearest = diag_nearest(word, names);
    snprintf(prefix, sizeof prefix, "%s%s", noun ? noun : "", noun ? " " : "");
    if (nearest)
        return ctl_fail(EXIT_USAGE, "unknown verb %s%s, did you mean %s?", prefix, word, nearest);
    return ctl_fail(EXIT_USAGE, "unknown verb %s%s (waymarkctl %s--help lists all)", prefix, word,
                    prefix);
}

/* --- the line as a whole */

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

/* The options of cli_options, and the number of arguments. CLI_RUN or an exit code. */
static int check_line(struct cli *cli, struct ctl *c)
{
    const struct ctl_verb *v = c->verb;
    char line[256];
    int n = 0;

    if (ctl_option(c, "--json") && ctl_option(c, "--csv"))
        return ctl_fail(EXIT_USAGE, "--json and --csv exclude each other");
    c->wide = ctl_option(c, "--wide") != NULL;
    c->format = ctl_option(c, "--json")  ? FORMAT_JSON
                : ctl_option(c, "--csv") ? FORMAT_CSV
                                         : FORMAT_TABLE;
    c->yes = ctl_option(c, "--yes") != NULL;
    cli->file = ctl_option(c, "-c");
    for (; ctl_option_at(c, "-o", n); n++) {
        if (n == CLI_ASSIGNS)
            return ctl_fail(EXIT_USAGE, "more than %d times -o", CLI_ASSIGNS);
        cli->assign[n] = ctl_option_at(c, "-o", n);
    }
    cli->assign[n] = NULL;
    if (c->argc >= v->least && (v->most < 0 || c->argc <= v->most))
        return CLI_RUN;
    if (v->most == 0)
        return ctl_fail(EXIT_USAGE, "%s takes no argument: %s", usage(v, line), c->argv[0]);
    return ctl_fail(EXIT_USAGE, "too %s arguments: waymarkctl %s",
                    c->argc < v->least ? "few" : "many", usage(v, line));
}

int cli_parse(struct cli *cli, struct ctl *c, int argc, char **argv)
{
    struct reading r = {.cli = cli, .c = c};
    char line[256];
    int used, code;

    c->argv = ctl_alloc(NULL, ((size_t)argc + 1) * sizeof *c->argv);
    read_line(&r, argc, argv);
    c->verb = r.verb = find_verb(cli, c->argc, c->argv, &used);
    if (c->verb == NULL && !asks_for("--version", argc, argv))
        return without_verb(&r, asks_for("--help", argc, argv) || asks_for("-h", argc, argv));
    code = c->verb ? read_line(&r, argc, argv) : 0;
    if (code)
        return code;
    if (c->verb == NULL || ctl_option(c, "--version")) {
        printf("waymarkctl %s\n", PACKAGE_VERSION);
        return EXIT_DONE;
    }
    memmove(c->argv, c->argv + used, ((size_t)(c->argc - used) + 1) * sizeof *c->argv);
    c->argc -= used;
    if (ctl_option(c, "--help") || ctl_option(c, "-h")) {
        printf("usage: waymarkctl %s%s\n%s\n", usage(c->verb, line),
               c->verb->options[0] ? " [OPTION]..." : "", c->verb->help);
        if (c->verb->options[0])
            puts("\noptions");
        for (int i = 0; c->verb->options[i]; i++)
            print_options(stdout, c->verb->options[i]);
        puts("\noptions of every verb");
        print_options(stdout, cli_options);
        return EXIT_DONE;
    }
    return check_line(cli, c);
}

int cli_main(const struct ctl_verb *const *tables, int argc, char **argv)
{
    const char *no_colour = getenv("NO_COLOR");
    struct cli cli = {.tables = tables};
    struct ctl c = {.now = clock_now(), .uid = getuid()};
    struct winsize size;
    struct diags d;
    int code;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        c.width = size.ws_col;
    c.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || *no_colour == '\0');
    c.stderr_tty = isatty(STDERR_FILENO);
    code = cli_parse(&cli, &c, argc, argv);
    if (code == CLI_RUN) {
        diags_init(&d);
        if (settings_read(&c.settings, cli.file, cli.assign, &d) < 0)
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
