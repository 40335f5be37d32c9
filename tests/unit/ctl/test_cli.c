/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_cli.c -- command lines and what is understood; then the real tables:
 * what the reader of command lines relies on.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"

static int never(struct ctl *c)
{
    (void)c;
    fail_msg("a verb was run");
    return 0;
}

/* --- a small tool */

static const struct ctl_option change[] = {{"--reason", "TEXT", false, "why"},
                                           {"--dry-run", NULL, false, "only say"},
                                           {"--yes", NULL, false, "do not ask"},
                                           {0}};
static const struct ctl_option nets[] = {
    {"--network", "N", true, "where"}, {"-f", NULL, false, "follow"}, {0}};

static const struct ctl_verb first[] = {
    {NULL, "status", 0, 0, "", {NULL}, never, "how it is"},
    {NULL, "explain", 1, 2, "SUFFIX | NAME TYPE", {nets}, never, "why"},
    {0},
};
static const struct ctl_verb second[] = {
    {"policy", "fill", 1, -1, "SUFFIX...", {change, nets}, never, "fill"},
    {"policy", "network", 1, -1, "set|add NAME PREFIX...", {change, nets}, never, "networks"},
    {0},
};
static const struct ctl_verb *const tables[] = {first, second, NULL};

static struct capture out;

enum { WORDS = 16 };

static const struct row {
    const char *what;
    const char *line; /* words by space */
    int code;
    const char *verb, *args, *given; /* as understood, for CLI_RUN */
    const char *says;                /* on either stream */
} rows[] = {
    {"a verb", "status", CLI_RUN, "status", "", ""},
    {"a noun and a verb", "policy fill corp.example", CLI_RUN, "policy fill", "corp.example", ""},
    {"the other words are arguments", "policy network set a 10.0.0.0/8", CLI_RUN,
     "policy network", "set a 10.0.0.0/8", ""},
    {"options behind", "policy fill a --reason because_so --yes", CLI_RUN, "policy fill", "a",
     "--reason=because_so --yes="},
    {"options before and between", "--yes policy --reason x fill --network=n a", CLI_RUN,
     "policy fill", "a", "--yes= --reason=x --network=n"},
    {"an option's value is not the verb", "--reason status policy fill a", CLI_RUN, "policy fill",
     "a", "--reason=status"},
    {"an option's value may look like an option", "policy fill a --reason --yes", CLI_RUN,
     "policy fill", "a", "--reason=--yes"},
    {"a value with =", "policy fill a --reason=a=b", CLI_RUN, "policy fill", "a", "--reason=a=b"},
    {"an empty value", "policy fill a --reason=", CLI_RUN, "policy fill", "a", "--reason="},
    {"an option many times", "policy fill a --network x --network y", CLI_RUN, "policy fill", "a",
     "--network=x --network=y"},
    {"a short flag", "policy fill a -f", CLI_RUN, "policy fill", "a", "-f="},
    {"-- ends options", "policy fill -- --yes -f", CLI_RUN, "policy fill", "--yes -f", ""},
    {"- is an argument", "policy fill -", CLI_RUN, "policy fill", "-", ""},
    {"common options", "status -c x.yaml -o a.b=1 -o=c.d=2 --json", CLI_RUN, "status", "",
     "-c=x.yaml -o=a.b=1 -o=c.d=2 --json="},

    {"nothing", "", EXIT_USAGE, NULL, NULL, NULL, "usage: waymarkctl "},
    {"--help", "--help", EXIT_DONE, NULL, NULL, NULL, "  policy fill SUFFIX..."},
    {"-h and a verb", "explain -h", EXIT_DONE, NULL, NULL, NULL,
     "usage: waymarkctl explain SUFFIX | NAME TYPE [OPTION]..."},
    {"--help of a verb that lacks arguments", "policy fill --help", EXIT_DONE, NULL, NULL, NULL,
     "--network N ..."},
    {"a noun alone", "policy", EXIT_USAGE, NULL, NULL, NULL, "usage: waymarkctl policy VERB"},
    {"help of a noun", "policy --help", EXIT_DONE, NULL, NULL, NULL,
     "  policy network set|add NAME PREFIX..."},
    {"--version", "--version", EXIT_DONE, NULL, NULL, NULL, "waymarkctl " PACKAGE_VERSION "\n"},
    {"--version and a verb", "status --version", EXIT_DONE, NULL, NULL, NULL,
     "waymarkctl " PACKAGE_VERSION "\n"},

    {"a verb mistyped", "statsu", EXIT_USAGE, NULL, NULL, NULL,
     "unknown verb statsu, did you mean status?"},
    {"a noun mistyped", "polcy fill a", EXIT_USAGE, NULL, NULL, NULL, "did you mean policy?"},
    {"a noun's verb mistyped", "policy fil a", EXIT_USAGE, NULL, NULL, NULL,
     "unknown verb policy fil, did you mean fill?"},
    {"nothing like it", "xyzzy", EXIT_USAGE, NULL, NULL, NULL, "waymarkctl --help lists all"},
    {"an option mistyped", "policy fill a --raeson x", EXIT_USAGE, NULL, NULL, NULL,
     "unknown option --raeson, did you mean --reason?"},
    {"an option mistyped, with its value", "policy fill a --raeson=x", EXIT_USAGE, NULL, NULL, NULL,
     "unknown option --raeson, did you mean --reason?"},
    {"an option mistyped before the verb", "--jsno status", EXIT_USAGE, NULL, NULL, NULL,
     "did you mean --json?"},
    {"an option mistyped whose value hides the verb", "--raeson x policy fill a", EXIT_USAGE, NULL,
     NULL, NULL, "did you mean --reason?"},
    {"another verb's option", "status --reason x", EXIT_USAGE, NULL, NULL, NULL,
     "unknown option --reason"},
    {"a value missing", "policy fill a --reason", EXIT_USAGE, NULL, NULL, NULL,
     "--reason needs a value: --reason TEXT"},
    {"a value too many", "policy fill a --yes=no", EXIT_USAGE, NULL, NULL, NULL,
     "--yes takes no value"},
    {"an option twice", "policy fill a --reason x --reason y", EXIT_USAGE, NULL, NULL, NULL,
     "--reason is given twice"},
    {"an argument missing", "policy fill", EXIT_USAGE, NULL, NULL, NULL,
     "too few arguments: waymarkctl policy fill SUFFIX..."},
    {"an argument too many", "explain a b c", EXIT_USAGE, NULL, NULL, NULL,
     "too many arguments: waymarkctl explain"},
    {"an argument where there is none", "status x", EXIT_USAGE, NULL, NULL, NULL,
     "status takes no argument: x"},
    {"two formats", "status --json --csv", EXIT_USAGE, NULL, NULL, NULL, "exclude each other"},
    {"a mistake cannot steer the terminal", "\033[2J", EXIT_USAGE, NULL, NULL, NULL,
     "unknown verb \\x1b[2J"},
};

static void check_understood(const struct row *r, const struct ctl *c)
{
    char name[CTL_NAME], text[1024] = "";

    assert_string_equal(ctl_verb_name(c->verb, name), r->verb);
    for (int i = 0; i < c->argc; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", c->argv[i]);
    assert_string_equal(text, r->args);
    assert_null(c->argv[c->argc]);
    text[0] = '\0';
    for (int i = 0; i < c->n_given; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s=%s", i ? " " : "",
                 c->given[i].option->name, c->given[i].value);
    assert_string_equal(text, r->given);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    char line[256], *argv[WORDS] = {"waymarkctl"}, *save = NULL;
    struct ctl c = {0};
    int argc = 1, code;

    snprintf(line, sizeof line, "%s", r->line);
    for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    capture_begin(&out);
    code = cli_parse(tables, &c, argc, argv);
    capture_end(&out);
    assert_int_equal(code, r->code);
    if (r->code == CLI_RUN)
        check_understood(r, &c);
    if (r->says && !strstr(out.text[code == EXIT_DONE ? 0 : 1], r->says))
        fail_msg("\"%s\" is not said in\n%s%s", r->says, out.text[0], out.text[1]);
    if (code > EXIT_DONE) /* data stays clean */
        assert_string_equal(out.text[0], "");
    free(c.argv);
}

static void common_options_are_taken(void **state)
{
    char last[] = "-o=c.d=2";
    char *argv[] = {"waymarkctl", "status", "-o", "a.b=1", "--csv", "-c", "f", last};
    struct ctl c = {0};

    assert_int_equal(cli_parse(tables, &c, 8, argv), CLI_RUN);
    assert_int_equal(c.format, FORMAT_CSV);
    assert_string_equal(ctl_option_at(&c, "-o", 1), "c.d=2");
    assert_null(ctl_option_at(&c, "-o", 2));
    assert_null(ctl_option(&c, "--json"));
    free(c.argv);
}

/* --- the real tables */

static const struct ctl_verb *const ctl_verbs[] = {ctl_daemon_verbs, ctl_policy_verbs,
                                                   ctl_audit_verbs, NULL};

static const struct ctl_verb *verb_at(int n)
{
    for (int t = 0; ctl_verbs[t]; t++)
        for (const struct ctl_verb *v = ctl_verbs[t]; v->verb; v++)
            if (n-- == 0)
                return v;
    return NULL;
}

static void rows_are_complete(void **state)
{
    char a[CTL_NAME], b[CTL_NAME];
    const struct ctl_verb *v, *w;

    for (int i = 0; (v = verb_at(i)) != NULL; i++) {
        assert_non_null(v->run);
        assert_true(v->help && *v->help);
        assert_true(v->most < 0 || v->least <= v->most);
        assert_true(strlen(ctl_verb_name(v, a)) < CTL_NAME - 1);
        for (int k = 0; k < i; k++) {
            w = verb_at(k);
            assert_string_not_equal(ctl_verb_name(w, b), a);
        }
        for (int t = 0; v->options[t]; t++)
            for (const struct ctl_option *o = v->options[t]; o->name; o++) {
                assert_int_equal(o->name[0], '-');
                assert_true(o->help && *o->help);
                for (const struct ctl_option *common = cli_options; common->name; common++)
                    assert_string_not_equal(o->name, common->name);
            }
    }
}

static void check_same(const struct ctl_option *a, const struct ctl_verb *v)
{
    char name[CTL_NAME];

    for (int t = 0; v->options[t]; t++)
        for (const struct ctl_option *b = v->options[t]; b->name; b++)
            if (strcmp(a->name, b->name) == 0 && !a->value != !b->value)
                fail_msg("%s of %s has a value, or not, unlike elsewhere", b->name,
                         ctl_verb_name(v, name));
}

/* Else an option before the verb could not be read. */
static void an_option_has_a_value_everywhere_or_nowhere(void **state)
{
    const struct ctl_verb *v, *w;

    for (int i = 0; (v = verb_at(i)) != NULL; i++)
        for (int t = 0; v->options[t]; t++)
            for (const struct ctl_option *o = v->options[t]; o->name; o++)
                for (int k = 0; (w = verb_at(k)) != NULL; k++)
                    check_same(o, w);
}

static void help_names_every_verb(void **state)
{
    const struct ctl_verb *v;
    char name[CTL_NAME], *argv[] = {"waymarkctl", "--help"};

    capture_begin(&out);
    assert_int_equal(cli_main(ctl_verbs, 2, argv), EXIT_DONE);
    capture_end(&out);
    for (int i = 0; (v = verb_at(i)) != NULL; i++)
        if (!strstr(out.text[0], ctl_verb_name(v, name)))
            fail_msg("%s is not in the help", name);
    assert_has(out.text[0], "\noptions of every verb\n  -c FILE ");
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(common_options_are_taken);
    TEST(rows_are_complete);
    TEST(an_option_has_a_value_everywhere_or_nowhere);
    TEST(help_names_every_verb);
    return RUN("cli");
}
