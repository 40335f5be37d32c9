/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.c -- reads the command line.
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
#include <unistd.h>

enum { NAMES = 512 };

const struct ctl_option cli_options[] = {
    {"-c", "FILE", false, "settings file (default: that of waymarkd)"},
    {"-o", "SECTION.KEY=VALUE", true, "a setting for this call"},
    {"--json", NULL, false, "print JSON: one document"},
    {"--csv", NULL, false, "print lists as CSV"},
    {"--help", NULL, false, "explain the verb"},
    {"-h", NULL, false, "the same"},
    {"--version", NULL, false, "print the version"},
    {0},
};

/* What one reading of the line needs. */
struct reading {
    const struct cli *cli;
    const struct ctl_verb *verb; /* NULL: the first reading */
    struct ctl *c;
    const char *unknown; /* the first option that no table has */
};

/* --- options */

/* A name as it is written: up to its `=`. */
static bool is_name(const char *name, const char *word, size_t len)
{
    return strlen(name) == len && memcmp(name, word, len) == 0;
}

static const struct ctl_option *in_list(const struct ctl_option *list, const char *word, size_t len)
{
    for (; list->name; list++)
        if (is_name(list->name, word, len))
            return list;
    return NULL;
}

static const struct ctl_option *in_verb(const struct ctl_verb *v, const char *word, size_t len)
{
    const struct ctl_option *found;

    for (int i = 0; v->options && v->options[i]; i++) {
        found = in_list(v->options[i], word, len);
        if (found)
            return found;
    }
    return NULL;
}

static const struct ctl_option *find_option(const struct reading *r, const char *word, size_t len)
{
    const struct ctl_option *found = in_list(cli_options, word, len);

    if (found)
        return found;
    if (r->verb)
        return in_verb(r->verb, word, len);
    for (int t = 0; r->cli->tables[t]; t++)
        for (const struct ctl_verb *v = r->cli->tables[t]; v->verb; v++) {
            found = in_verb(v, word, len);
            if (found)
                return found;
        }
    return NULL;
}

static void name_list(const char **names, int *n, const struct ctl_option *list)
{
    for (; list->name && *n < NAMES; list++)
        names[(*n)++] = list->name;
}

static int fail_unknown(const struct reading *r, const char *word)
{
    const char *names[NAMES + 1], *nearest;
    char name[CLI_NAME], option[CLI_NAME];
    int n = 0;

    name_list(names, &n, cli_options);
    for (int t = 0; r->cli->tables[t]; t++)
        for (const struct ctl_verb *v = r->cli->tables[t]; v->verb; v++)
            for (int i = 0; (r->verb == NULL || r->verb == v) && v->options && v->options[i]; i++)
                name_list(names, &n, v->options[i]);
    names[n] = NULL;
    snprintf(option, sizeof option, "%.*s", (int)strcspn(word, "="), word);
    nearest = diag_nearest(option, names);
    if (nearest)
        return ctl_fail(EXIT_USAGE, "unknown option %s, did you mean %s?", option, nearest);
    return ctl_fail(EXIT_USAGE, "unknown option %s (waymarkctl %s --help names all)", option,
                    r->verb ? cli_name(r->verb, name) : "VERB");
}

/* Keeps one use of an option. value NULL: a flag. 0 or an exit code. */
static int keep_option(struct reading *r, const struct ctl_option *option, const char *value)
{
    struct ctl *c = r->c;

    if (r->verb == NULL)
        return 0;
    for (int i = 0; !option->many && i < c->n_given; i++)
        if (c->given[i].option == option)
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
    const char *word = argv[*i], *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct ctl_option *option = find_option(r, word, len);

    if (option == NULL && word[1] != '-') { /* -cFILE */
        option = find_option(r, word, 2);
        if (option && option->value)
            return keep_option(r, option, word + 2);
        option = NULL;
    }
    if (option == NULL) {
        if (r->unknown == NULL)
            r->unknown = word;
        return r->verb ? fail_unknown(r, word) : 0;
    }
    if (option->value == NULL) {
        if (equals && r->verb)
            return ctl_fail(EXIT_USAGE, "%s takes no value", option->name);
        return keep_option(r, option, NULL);
    }
    if (equals)
        return keep_option(r, option, equals + 1);
    if (*i + 1 >= argc)
        return r->verb ? ctl_fail(EXIT_USAGE, "%s needs a value: %s %s", option->name, option->name,
                                  option->value)
                       : 0;
    (*i)++;
    return keep_option(r, option, argv[*i]);
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

/* --- verbs */

const char *cli_name(const struct ctl_verb *v, char out[CLI_NAME])
{
    snprintf(out, CLI_NAME, "%s%s%s", v->noun ? v->noun : "", v->noun ? " " : "", v->verb);
    return out;
}

/* How many words call this verb, or 0 if they call another. */
static int words_of(const struct ctl_verb *v, int n, char **words)
{
    char name[CLI_NAME], *save = NULL;
    int i = 0;

    cli_name(v, name);
    for (char *part = strtok_r(name, " ", &save); part; part = strtok_r(NULL, " ", &save), i++)
        if (i == n || strcmp(part, words[i]) != 0)
            return 0;
    return i;
}

static const struct ctl_verb *find_verb(const struct cli *cli, int n, char **words, int *used)
{
    const struct ctl_verb *best = NULL;

    *used = 0;
    for (int t = 0; cli->tables[t]; t++)
        for (const struct ctl_verb *v = cli->tables[t]; v->verb; v++) {
            int k = words_of(v, n, words);

            if (k > *used) {
                *used = k;
                best = v;
            }
        }
    return best;
}

static int fail_verb(const struct cli *cli, int n, char **words)
{
    const char *names[NAMES + 1], *nearest;
    bool noun = n > 1 && cli_is_noun(cli->tables, words[0]);
    int k = 0;

    for (int t = 0; cli->tables[t]; t++)
        for (const struct ctl_verb *v = cli->tables[t]; v->verb && k < NAMES; v++) {
            if (!noun)
                names[k++] = v->noun ? v->noun : v->verb;
            else if (v->noun && strcmp(v->noun, words[0]) == 0)
                names[k++] = v->verb;
        }
    names[k] = NULL;
    nearest = diag_nearest(words[noun], names);
    if (nearest)
        return ctl_fail(EXIT_USAGE, "unknown verb %s%s%s, did you mean %s?", noun ? words[0] : "",
                        noun ? " " : "", words[noun], nearest);
    return ctl_fail(EXIT_USAGE, "unknown verb %s%s%s (waymarkctl %s%s--help lists all)",
                    noun ? words[0] : "", noun ? " " : "", words[noun], noun ? words[0] : "",
                    noun ? " " : "");
}

static bool asks_for(const char *option, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], option) == 0)
            return true;
    return false;
}

/* The line has no verb: a list of what there is, or a mistake. */
static int without_verb(const struct reading *r, bool help)
{
    const struct ctl *c = r->c;
    const struct ctl_verb *const *tables = r->cli->tables;
    FILE *to = help ? stdout : stderr;

    if (r->unknown)
        return fail_unknown(r, r->unknown);
    if (c->argc == 0)
        cli_help(to, tables);
    else if (cli_is_noun(tables, c->argv[0]) && (c->argc == 1 || help))
        cli_help_noun(to, tables, c->argv[0]);
    else
        return fail_verb(r->cli, c->argc, c->argv);
    return help ? EXIT_DONE : EXIT_USAGE;
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

/* The options of cli_options. 0 or an exit code. */
static int take_common(struct cli *cli, struct ctl *c)
{
    const char *value;
    int n = 0;

    if (ctl_option(c, "--json") && ctl_option(c, "--csv"))
        return ctl_fail(EXIT_USAGE, "--json and --csv exclude each other");
    c->format = ctl_option(c, "--json")  ? FORMAT_JSON
                : ctl_option(c, "--csv") ? FORMAT_CSV
                                         : FORMAT_TABLE;
    cli->file = ctl_option(c, "-c");
    while ((value = ctl_option_at(c, "-o", n)) != NULL) {
        if (n == CLI_ASSIGNS)
            return ctl_fail(EXIT_USAGE, "more than %d times -o", CLI_ASSIGNS);
        cli->assign[n++] = value;
    }
    cli->assign[n] = NULL;
    return 0;
}

static int check_count(const struct ctl *c)
{
    const struct ctl_verb *v = c->verb;
    char name[CLI_NAME];

    if (c->argc >= v->least && (v->most < 0 || c->argc <= v->most))
        return 0;
    if (v->most == 0)
        return ctl_fail(EXIT_USAGE, "%s takes no argument: %s", cli_name(v, name), c->argv[0]);
    return ctl_fail(EXIT_USAGE, "too %s arguments: waymarkctl %s %s",
                    c->argc < v->least ? "few" : "many", cli_name(v, name),
                    v->arguments ? v->arguments : "");
}

int cli_parse(struct cli *cli, struct ctl *c, int argc, char **argv)
{
    struct reading r = {.cli = cli, .c = c};
    int used, code;

    c->argv = ctl_alloc(NULL, ((size_t)argc + 1) * sizeof *c->argv);
    read_line(&r, argc, argv);
    c->verb = find_verb(cli, c->argc, c->argv, &used);
    if (c->verb == NULL && asks_for("--version", argc, argv))
        goto version;
    if (c->verb == NULL)
        return without_verb(&r, asks_for("--help", argc, argv) || asks_for("-h", argc, argv));
    r.verb = c->verb;
    code = read_line(&r, argc, argv);
    if (code)
        return code;
    if (ctl_option(c, "--version"))
        goto version;
    memmove(c->argv, c->argv + used, ((size_t)(c->argc - used) + 1) * sizeof *c->argv);
    c->argc -= used;
    if (ctl_option(c, "--help") || ctl_option(c, "-h")) {
        cli_help_verb(stdout, c->verb);
        return EXIT_DONE;
    }
    code = take_common(cli, c);
    if (code == 0)
        code = check_count(c);
    return code ? code : CLI_RUN;
version:
    printf("waymarkctl %s\n", PACKAGE_VERSION);
    return EXIT_DONE;
}

static int run(struct cli *cli, struct ctl *c)
{
    struct diags d;
    int code;

    diags_init(&d);
    if (settings_read(&c->settings, cli->file, cli->assign, &d) < 0)
        code = ctl_invalid(&d);
    else
        code = c->verb->run(c);
    diags_fini(&d);
    settings_free(c->settings);
    return code;
}

int cli_main(const struct ctl_verb *const *tables, int argc, char **argv)
{
    const char *no_colour = getenv("NO_COLOR");
    struct cli cli = {.tables = tables};
    struct ctl c = {.now = clock_now()};
    int code;

    c.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || *no_colour == '\0');
    c.stderr_tty = isatty(STDERR_FILENO);
    code = cli_parse(&cli, &c, argc, argv);
    if (code == CLI_RUN)
        code = run(&cli, &c);
    free(c.argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
        code = ctl_fail(EXIT_FAILED, "cannot write to standard output");
    return code;
}
