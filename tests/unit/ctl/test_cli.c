/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_cli.c -- command lines and what is understood; then the real tables:
 * what the reader of command lines relies on.
 */
#include <sys/ioctl.h>

#include "tests/unit/ctl/capture.h"

/* --- a small tool, whose verbs tell what they were given: VERB|ARGUMENTS|OPTIONS|FORMAT */

static int tell(struct ctl *c)
{
    static const char *const formats[] = {"table", "html", "json", "csv"};

    printf("%s|", c->called);
    for (int i = 0; i < c->argc; i++)
        printf("%s%s", i ? " " : "", c->argv[i]);
    assert_null(c->argv[c->argc]);
    for (int i = 0; i < c->n_given; i++)
        printf("%s%s=%s", i ? " " : "|", c->given[i].option->name, c->given[i].value);
    printf("|%s\n", formats[c->format]);
    return c->width > 0 ? (int)c->width : (int)c->settings->server.workers + 100;
}

static const struct ctl_option change[] = {
    {"--reason", "TEXT", false, "why"}, {"--yes", NULL, false, "do not ask"}, {0}};
static const struct ctl_option nets[] = {
    {"--network", "N", true, "where"}, {"-f", NULL, false, "follow"}, {0}};
static const struct ctl_option once[] = {{"--network", "N", false, "where"},
                                         {"--from", "FILE", false, "whence"},
                                         {"--sure", "yes|no", false, "sure?"},
                                         {0}};
static const struct ctl_verb first[] = {
    {"", "status", 0, 0, "", {NULL}, tell, "how it is"},
    {"", "explain", 1, 2, "SUFFIX | NAME TYPE", {once}, tell, "why"},
    {0},
};
static const struct ctl_verb second[] = {
    {"policy", "fill", 1, -1, "SUFFIX...", {change, nets}, tell, "fill"},
    {"policy", "network", 1, -1, "set|add NAME PREFIX...", {change, nets}, tell, "networks"},
    {"policy", "test", 1, 1, "[FILE]", {once}, tell, "test"},
    {"zone", "", 0, 0, "", {NULL}, tell, "zones"},
    {"zone", "list", 0, 1, "[all | first] [NAME]", {NULL}, tell, "list"},
    {0},
};
static const struct ctl_verb *const tables[] = {first, second, NULL};
static const struct ctl_verb *const offered[] = {first, second, ctl_shell_verbs, NULL};

#define U EXIT_USAGE
#define FILL "policy fill a "

static const struct row {
    const char *line;
    int code;
    const char
        *says; /* a part of stdout, or of stderr when the code is neither 0 nor 100 or more */
} rows[] = {
    {"status -o server.workers=5", 105, "status||-o=server.workers=5|table\n"},
    {"policy network set a 10.0.0.0/8", 100, "policy network|set a 10.0.0.0/8|"},
    {"--yes policy --reason x fill --network=n a -f", 100,
     "policy fill|a|--yes= --reason=x --network=n -f=|"},
    {"--reason status " FILL, 100, "|a|--reason=status|"},
    {FILL "--reason --yes", 100, "|--reason=--yes|"},
    {FILL "--network=a=b --reason= --network x", 100, "|--network=a=b --reason= --network=x|"},
    {"policy fill - -- --yes -f", 100, "|- --yes -f|table\n"},
    {"status --json --wide", 100, "status||--json= --wide=|json\n"},
    {"status -o server.workers=1 --csv -o=server.workers=7", 107, "|csv\n"},
    {"status -c /nonexistent.yaml", EXIT_INVALID, "/nonexistent.yaml"},
    {"status -o server.wrokers=2", EXIT_INVALID, "server.wrokers"},

    {"  ", U, "usage: waymarkctl "},
    {"--help", EXIT_DONE, "usage: waymarkctl [-c FILE] [-o SECTION.KEY=VALUE]... VERB | NOUN VE"},
    {"--help", EXIT_DONE,
     "  explain SUFFIX | NAME TYPE          why\n\n  policy fill SUFFIX...               fill\n"
     "  policy network set|add NAME PREFIX...\n                                      networks\n"
     "  policy test [FILE]                  test\n\n  zone                                zones\n"
     "  zone list [all | first] [NAME]      list\n"
     "\noptions of every verb\n  -c FILE                             settings file"},
    {"explain -h", EXIT_DONE,
     "usage: waymarkctl explain SUFFIX | NAME TYPE [OPTION]...\nwhy\n\noptions\n  --network N    "},
    {"policy fill --help", EXIT_DONE,
     "\n  --yes                               do not ask\n  --network N ..."},
    {"status --help", EXIT_DONE,
     "usage: waymarkctl status\nhow it is\n\noptions of every verb\n  -c FILE "},
    {"policy", U, "usage: waymarkctl policy VERB"},
    {"policy --help", EXIT_DONE,
     "VERB ...\n\n  policy fill SUFFIX...               fill\n  policy network set|add NAME PRE"},
    {"status --version", EXIT_DONE, "waymarkctl " PACKAGE_VERSION "\n"},

    {"statsu", U, "unknown verb statsu; did you mean status?"},
    {"polcy fill a", U, "did you mean policy?"},
    {"policy fil a", U, "unknown verb policy fil; did you mean fill?"},
    {"a\007", U, "unknown verb a\\x07 (waymarkctl --help lists all)"},
    {FILL "--raeson=x", U, "option --raeson; did you mean --reason?"},
    {"--jsno status", U, "did you mean --json?"},
    {"--raeson x " FILL "--jsno", U, "did you mean --reason?"},
    {"status --reason x", U, "unknown option --reason ("},
    {FILL "--reason", U, "--reason needs a value: --reason TEXT"},
    {FILL "--yes=no", U, "--yes takes no value"},
    {FILL "--reason x --reason y", U, "--reason is given twice"},
    {"explain a --network x --network y", U, "--network is given twice"},
    {"policy fill", U, "too few arguments: waymarkctl policy fill SUFFIX"},
    {"explain a b c", U, "too many arguments: waymarkctl explain"},
    {"status x", U, "status takes no argument: x"},
    {"status --json --csv", U, "exclude each other"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    int code = capture_line(tables, "%s", r->line);

    assert_int_equal(code, r->code);
    assert_has(out.text[code > EXIT_DONE && code < 100], r->says);
    assert_null(strstr(out.text[1], " more problems")); /* there is one */
    if (code > EXIT_DONE && code < 100)                 /* data stays clean */
        assert_string_equal(out.text[0], "");
}

static void many_options_and_many_problems(void **state)
{
    char word[300][16], *argv[301] = {NULL};

    for (int n = 300; n >= 210; n -= 90) {
        for (int i = 0; i < n; i++)
            argv[i] = strcpy(word[i], i == 1 ? "status" : n == 300 ? "--network=n" : "-o=a.b=1");
        argv[n] = NULL;
        capture_begin();
        assert_int_equal(cli_main(tables, n, argv), n == 300 ? EXIT_USAGE : EXIT_INVALID);
        capture_end();
        assert_has(out.text[1],
                   n == 300 ? "more than 256 options" : "8 more problems are not shown");
    }
}

/* --- what shells offer: for a line that ends at the cursor, perhaps with an empty word there */

#define COMMON " -c -o --json --csv --wide --help -h --version"

static const struct offered {
    const char *line, *offers; /* NULL: files */
    bool real;                 /* of the tool itself */
} completions[] = {
    {"_", " status explain policy zone completion"},
    {"s", " status"},
    {"stats", ""},
    {"status", " status"},
    {"status _", ""},
    {"status x _", ""},
    {"policy", " policy"},
    {"policy _", " fill network test"},
    {"policy n", " network"},
    {"policy network _", " set add"},
    {"policy network s", " set"},
    {"policy network set _", ""},
    {"policy networks _", ""},
    {"-", COMMON},
    {"--", " --json --csv --wide --help --version"},
    {"status -", COMMON},
    {"policy fill -", " --reason --yes --network -f" COMMON},
    {"policy fill a b --n", " --network"},
    {"policy test _", NULL},
    {"policy test fi", NULL},
    {"policy test -", " --network --from --sure" COMMON},
    {"policy fil -", COMMON},
    {"-c _", NULL},
    {"-c x _", " status explain policy zone completion"},
    {"-c status _", " status explain policy zone completion"},
    {"--yes policy -o a.b=c _", " fill network test"},
    {"explain --sure _", " yes no"},
    {"explain --sure = _", " yes no"},
    {"explain --sure =", " yes no"},
    {"explain --sure = n", " no"},
    {"explain --sure = no -", " --network --from --sure" COMMON},
    {"explain --sure=no -", " --network --from --sure" COMMON},
    {"explain --from _", NULL},
    {"explain --network _", ""},
    {"explain --nowhere policy _", ""},
    {"zone _", " list"},
    {"zone list _", " all first"},
    {"zone list all _", ""},
    {"completion _", " bash zsh fish"},
    {"policy rule set a --action _", " fill replace filter deny pass", true},
    {"policy rule set a --mode s", " shadow", true},
    {"policy import a --format _", " yaml csv zone rpz dnsmasq unbound publish-list", true},
    {"policy export --format p", " powershell", true},
    {"explain a --verdict n", " nxdomain nodata", true},
    {"audit events --outcome f", " filled filtered failed", true},
    {"audit report _",
     " wrong-suffix stuck silent weekly unapproved publishers leaks thresholds shadow", true},
    {"cache flush --", " --below --all --json --csv --wide --help --version", true},
    {"cache flush _", "", true},
};

static void check_completion(void **state)
{
    const struct offered *r = *state;
    char got[256], *save;

    for (const char *shell = "bash\0zsh\0fish\0"; *shell; shell += strlen(shell) + 1) {
        assert_int_equal(
            capture_line(r->real ? real : offered, "completion %s -- %s", shell, r->line),
            r->offers ? EXIT_DONE : EXIT_NOT_FOUND);
        assert_string_equal(out.text[1], "");
        *got = '\0';
        for (char *w = strtok_r(out.text[0], "\n", &save); w; w = strtok_r(NULL, "\n", &save)) {
            assert_int_equal(strcspn(w, ":\t") < strlen(w), *shell != 'b'); /* has help */
            snprintf(got + strlen(got), sizeof got - strlen(got), " %.*s", (int)strcspn(w, ":\t"),
                     w);
        }
        assert_string_equal(got, r->offers ? r->offers : "");
    }
}

static void completion_needs_a_shell_that_it_knows_and_no_settings(void **state)
{
    assert_int_equal(capture_line(offered, "completion tcsh"), U);
    assert_has(out.text[1], "completion is there for bash, zsh and fish");
    assert_int_equal(capture_line(offered, "completion -c /nonexistent.yaml fish -- policy f"),
                     EXIT_DONE);
    assert_string_equal(out.text[0], "fill\tfill\n");
    assert_int_equal(capture_line(offered, "completion bash"), EXIT_DONE);
    assert_has(out.text[0], "_waymarkctl()\n{\n    local IFS");
}

/* A terminal tells how wide it is, anything else is as wide as its lines; a full disk is a failure. */
static void output_is_a_file_a_terminal_or_full(void **state)
{
    static const char *const files[] = {"/dev/null", NULL, "/dev/full"};
    static const int want[] = {100, 77, EXIT_FAILED};
    struct winsize size = {.ws_col = 77};
    int saved = dup(STDOUT_FILENO), fd, code[3];

    for (int i = 0; i < 3; i++) {
        char verb[16], *argv[] = {verb, strcpy(verb, i < 2 ? "status" : "--version"), NULL};

        fd = files[i] ? open(files[i], O_WRONLY) : posix_openpt(O_RDWR | O_NOCTTY);
        if (i == 1 && (fd < 0 || ioctl(fd, TIOCSWINSZ, &size) != 0))
            fd = -1; /* a machine without terminals */
        fflush(stdout);
        dup2(fd, STDOUT_FILENO);
        code[i] = fd < 0 ? want[i] : cli_main(tables, 2, argv);
        clearerr(stdout);
        close(fd);
    }
    dup2(saved, STDOUT_FILENO);
    close(saved);
    assert_memory_equal(code, want, sizeof want);
}

/* --- the real tables */

#define EACH_VERB(v)                                                                               \
    for (const struct ctl_verb *const *t_##v = real; *t_##v; t_##v++)                              \
        for (const struct ctl_verb *v = *t_##v; v->verb; v++)
#define EACH_OPTION(v, o)                                                                          \
    for (int i_##o = 0; (v)->options[i_##o]; i_##o++)                                              \
        for (const struct ctl_option *o = (v)->options[i_##o]; o->name; o++)

static void rows_are_complete(void **state)
{
    char name[64];

    assert_int_equal(capture_line(real, "--help"), EXIT_DONE);
    EACH_VERB(v)
    {
        assert_true(v->run && v->help && *v->help && (v->most < 0 || v->least <= v->most));
        snprintf(name, sizeof name, "\n  %s%s%s ", v->noun, *v->noun ? " " : "", v->verb);
        assert_true(strlen(name) < sizeof((struct ctl *)0)->called);
        assert_has(out.text[0], name);
        assert_null(strstr(strstr(out.text[0], name) + 1, name)); /* each once */
        EACH_OPTION(v, o)
        {
            assert_true(o->name[0] == '-' && o->help && *o->help);
            for (const struct ctl_option *common = cli_options; common->name; common++)
                assert_string_not_equal(o->name, common->name);
            /* An option before the verb could not be read if it had a value here and none there. */
            EACH_VERB(w)
            EACH_OPTION(w, p)
            assert_true(strcmp(o->name, p->name) != 0 || !o->value == !p->value);
        }
    }
}

TESTS("cli", ROWS(rows, check_row), ROWS(completions, check_completion),
      TEST(completion_needs_a_shell_that_it_knows_and_no_settings),
      TEST(many_options_and_many_problems), TEST(output_is_a_file_a_terminal_or_full),
      TEST(rows_are_complete))
