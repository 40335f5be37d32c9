/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_cli.c -- command lines and what is understood; then the real tables:
 * what the reader of command lines relies on.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"

/* --- a small tool, whose verbs tell what they were given: VERB|ARGUMENTS|OPTIONS */

static int tell(struct ctl *c)
{
    char name[CTL_NAME];

    printf("%s|", ctl_verb_name(c->verb, name));
    for (int i = 0; i < c->argc; i++)
        printf("%s%s", i ? " " : "", c->argv[i]);
    assert_null(c->argv[c->argc]);
    for (int i = 0; i < c->n_given; i++)
        printf("%s%s=%s", i ? " " : "|", c->given[i].option->name, c->given[i].value);
    printf("\n%s%s%s", c->yes ? "yes" : "", c->wide ? "wide" : "",
           c->format == FORMAT_JSON  ? "json"
           : c->format == FORMAT_CSV ? "csv"
                                     : "");
    return (int)c->settings->server.workers + 100;
}

static int tell_width(struct ctl *c)
{
    return (int)c->width;
}

static const struct ctl_option change[] = {{"--reason", "TEXT", false, "why"},
                                           {"--dry-run", NULL, false, "only say"},
                                           {"--yes", NULL, false, "do not ask"},
                                           {0}};
static const struct ctl_option nets[] = {
    {"--network", "N", true, "where"}, {"-f", NULL, false, "follow"}, {0}};
static const struct ctl_verb first[] = {
    {"", "wide", 0, 0, "", {NULL}, tell_width, "how wide stdout is"},
    {"", "status", 0, 0, "", {NULL}, tell, "how it is"},
    {"", "explain", 1, 2, "SUFFIX | NAME TYPE", {nets}, tell, "why"},
    {0},
};
static const struct ctl_verb second[] = {
    {"policy", "fill", 1, -1, "SUFFIX...", {change, nets}, tell, "fill"},
    {"policy", "network", 1, -1, "set|add NAME PREFIX...", {change, nets}, tell, "networks"},
    {0},
};
static const struct ctl_verb *const tables[] = {first, second, NULL};

static struct capture out;

#define U EXIT_USAGE
#define SET "-o server.workers=5 " /* exit code 105 */

static const struct row {
    const char *what, *line;
    int code;
    const char
        *says; /* a part of stdout, or of stderr when the code is neither 0 nor 100 or more */
} rows[] = {
    {"a verb", SET "status", 105, "status||-o=server.workers=5\n"},
    {"a noun and a verb", SET "policy fill corp.example", 105, "policy fill|corp.example|-o="},
    {"the other words are arguments", SET "policy network set a 10.0.0.0/8", 105,
     "policy network|set a 10.0.0.0/8|"},
    {"an option behind, a flag", "policy fill a --reason because_so --yes", 100,
     "policy fill|a|--reason=because_so --yes=\nyes"},
    {"options before and between", "--yes policy --reason x fill --network=n a", 100,
     "policy fill|a|--yes= --reason=x --network=n\nyes"},
    {"an option's value is not the verb", "--reason status policy fill a", 100,
     "policy fill|a|--reason=status\n"},
    {"an option's value may look like an option", "policy fill a --reason --yes", 100,
     "policy fill|a|--reason=--yes\n"},
    {"a value with =", "policy fill a --reason=a=b", 100, "|--reason=a=b\n"},
    {"an empty value", "policy fill a --reason=", 100, "|--reason=\n"},
    {"an option many times", "policy fill a --network x --network y", 100,
     "|--network=x --network=y\n"},
    {"a short flag", "policy fill a -f", 100, "|a|-f=\n"},
    {"-- ends options", "policy fill -- --yes -f", 100, "policy fill|--yes -f\n"},
    {"- is an argument", "policy fill -", 100, "policy fill|-\n"},
    {"formats", "status --json --wide", 100, "status||--json= --wide=\nwidejson"},
    {"the last -o counts", "status -o server.workers=1 --csv -o=server.workers=7", 107, "\ncsv"},
    {"a settings file", "status -c /nonexistent.yaml", EXIT_INVALID, "/nonexistent.yaml"},
    {"a setting mistyped", "status -o server.wrokers=2", EXIT_INVALID, "server.wrokers"},

    {"nothing", "", U, "usage: waymarkctl "},
    {"--help", "--help", EXIT_DONE,
     "usage: waymarkctl [-c FILE] [-o SECTION.KEY=VALUE]... VERB | NOUN VERB ...\n"},
    {"--help ends with the options", "--help", EXIT_DONE,
     "  networks\n\noptions of every verb\n  -c FILE                             settings file"},
    {"-h and a verb", "explain -h", EXIT_DONE,
     "usage: waymarkctl explain SUFFIX | NAME TYPE [OPTION]...\nwhy\n\noptions\n  --network N ..."},
    {"--help of a verb that lacks arguments", "policy fill --help", EXIT_DONE,
     "\n  --yes                               do not ask\n  --network N ..."},
    {"--help has the options of every verb", "status --help", EXIT_DONE,
     "usage: waymarkctl status\nhow it is\n\noptions of every verb\n  -c FILE "},
    {"a noun alone", "policy", U, "usage: waymarkctl policy VERB"},
    {"help of a noun", "policy --help", EXIT_DONE,
     "usage: waymarkctl policy VERB ...\n\n  policy fill SUFFIX...               fill\n"
     "  policy network set|add NAME PREFIX...\n                                      networks\n"
     "\nwaymarkctl VERB --help explains one verb; the manual is waymarkctl(8).\n"},
    {"a long line in help", "--help", EXIT_DONE,
     "  explain SUFFIX | NAME TYPE          why\n\n  policy fill"},
    {"--version", "--version", EXIT_DONE, "waymarkctl " PACKAGE_VERSION "\n"},
    {"--version and a verb", "status --version", EXIT_DONE, "waymarkctl " PACKAGE_VERSION "\n"},

    {"a verb mistyped", "statsu", U, "unknown verb statsu; did you mean status?"},
    {"a noun mistyped", "polcy fill a", U, "did you mean policy?"},
    {"a noun's verb mistyped", "policy fil a", U, "unknown verb policy fil; did you mean fill?"},
    {"nothing like it", "xyzzy", U, "waymarkctl --help lists all"},
    {"an option mistyped", "policy fill a --raeson x", U,
     "unknown option --raeson; did you mean --reason?"},
    {"an option mistyped, with its value", "policy fill a --raeson=x", U,
     "unknown option --raeson; did you mean --reason?"},
    {"an option mistyped before the verb", "--jsno status", U, "did you mean --json?"},
    {"an option mistyped whose value hides the verb", "--raeson x policy fill a", U,
     "did you mean --reason?"},
    {"another verb's option", "status --reason x", U, "unknown option --reason"},
    {"a value missing", "policy fill a --reason", U, "--reason needs a value: --reason TEXT"},
    {"a value too many", "policy fill a --yes=no", U, "--yes takes no value"},
    {"an option twice", "policy fill a --reason x --reason y", U, "--reason is given twice"},
    {"an argument missing", "policy fill", U, "too few arguments: waymarkctl policy fill SUFFIX"},
    {"an argument too many", "explain a b c", U, "too many arguments: waymarkctl explain"},
    {"an argument where there is none", "status x", U, "status takes no argument: x"},
    {"two formats", "status --json --csv", U, "exclude each other"},
    {"a mistake cannot steer the terminal", "\033[2J", U, "unknown verb \\x1b[2J"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    int code = capture_line(&out, tables, NULL, r->line);

    assert_int_equal(code, r->code);
    assert_has(out.text[code > EXIT_DONE && code < 100], r->says);
    if (code > EXIT_DONE && code < 100) /* data stays clean */
        assert_string_equal(out.text[0], "");
}

static void options_have_an_end(void **state)
{
    char word[300][16] = {"waymarkctl", "explain", "x"}, *argv[301] = {0};
    struct ctl c = {0};

    for (int i = 0; i < 300; i++)
        argv[i] = i < 3 ? word[i] : strcpy(word[i], "--network=n");
    capture_begin(&out);
    assert_int_equal(cli_parse(tables, &c, 300, argv), EXIT_USAGE);
    capture_end(&out);
    assert_int_equal(c.n_given, ARRAY_LEN(c.given));
    free(c.argv);
}

static void a_full_disk_is_a_failure(void **state)
{
    char *argv[] = {(char[]){"waymarkctl"}, (char[]){"--version"}, NULL};
    int saved = dup(STDOUT_FILENO), code;

    fflush(stdout);
    assert_non_null(freopen("/dev/full", "w", stdout));
    code = cli_main(tables, 2, argv);
    clearerr(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    assert_int_equal(code, EXIT_FAILED);
}

/* A terminal tells how wide it is, anything else is as wide as its lines. */
static void width_is_the_terminals(void **state)
{
    struct winsize size = {.ws_col = 77};
    int master = posix_openpt(O_RDWR | O_NOCTTY), saved = dup(STDOUT_FILENO), code[2];
    char *argv[] = {(char[]){"waymarkctl"}, (char[]){"wide"}, NULL};

    if (master < 0)
        skip(); /* a machine without terminals */
    fflush(stdout);
    code[0] = cli_main(tables, 2, argv);
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    dup2(master, STDOUT_FILENO);
    code[1] = cli_main(tables, 2, argv);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(master);
    assert_int_equal(code[0], 0);
    assert_int_equal(code[1], 77);
}

/* --- the real tables */

static const struct ctl_verb *const real[] = {ctl_daemon_verbs, ctl_policy_verbs, ctl_audit_verbs,
                                              NULL};

#define EACH_VERB(v)                                                                               \
    for (const struct ctl_verb *const *t_##v = real; *t_##v; t_##v++)                              \
        for (const struct ctl_verb *v = *t_##v; v->verb; v++)

/* An option before the verb could not be read if its name had a value here and none there. */
static void check_option(const struct ctl_option *o)
{
    assert_true(o->name[0] == '-' && o->help && *o->help);
    for (const struct ctl_option *common = cli_options; common->name; common++)
        assert_string_not_equal(o->name, common->name);
    EACH_VERB(v)
    for (int i = 0; v->options[i]; i++)
        for (const struct ctl_option *other = v->options[i]; other->name; other++)
            if (strcmp(o->name, other->name) == 0 && !o->value != !other->value)
                fail_msg("%s has a value, or not, unlike that of %s", o->name, v->verb);
}

static void rows_are_complete(void **state)
{
    char a[CTL_NAME], b[CTL_NAME];

    assert_int_equal(capture_line(&out, real, NULL, "--help"), EXIT_DONE);
    EACH_VERB(v)
    {
        assert_true(v->run && v->help && *v->help && (v->most < 0 || v->least <= v->most));
        assert_true(strlen(ctl_verb_name(v, a)) < CTL_NAME - 1);
        assert_has(out.text[0], a);
        EACH_VERB(w)
        assert_true(v == w || strcmp(ctl_verb_name(w, b), a) != 0);
        for (int i = 0; v->options[i]; i++)
            for (const struct ctl_option *o = v->options[i]; o->name; o++)
                check_option(o);
    }
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(options_have_an_end);
    TEST(a_full_disk_is_a_failure);
    TEST(width_is_the_terminals);
    TEST(rows_are_complete);
    return RUN("cli");
}
