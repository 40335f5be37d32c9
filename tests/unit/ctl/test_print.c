/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_print.c -- screens by templates, and the three forms of a list, as bytes.
 */
#include <pty.h>
#include <stdlib.h>
#include <time.h>

#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"

static struct capture out;

/* --- templates */

static const struct template_row {
    const char *what, *about, *template, *object, *want;
} templates[] = {
    {"fields", NULL, "{a} {b.c} {b.d.1}", "{'a': 1, 'b': {'c': 'x', 'd': [5, 6]}}",
     "L         1 x 6\n"},
    {"what is missing", NULL, "{a} {b.c} {e} {f}", "{'a': null, 'e': [], 'f': ''}",
     "L         - - - -\n"},
    {"an array, a truth", NULL, "{a}, {b}", "{'a': ['x', 'y'], 'b': true}", "L         x y, yes\n"},
    {"times and sizes", NULL, "{a:time}, {b:time}, {c:span}, {d:mib}",
     "{'a': 1795338000123, 'b': 0, 'c': 93784, 'd': 1572864}",
     "L         2026-11-22 09:00:00, never, 1 d 2 h, 1.5\n"},
    {"one and many", NULL, "x{a:s} x{b:s} entr{a:y} entr{b:y}", "{'a': 1, 'b': 2}",
     "L         x xs entry entries\n"},
    {"lines", NULL, "{a}:{l:lines}", "{'a': 'x', 'l': ['y', 'z']}", "L         x:y\n  z\n"},
    {"blanks", NULL, "{a}{:6}b", "{'a': 'x'}", "L         x     b\n"},
    {"a part that may be missing", NULL, "a[ {b}][ {c}][ {d}][ {e}].",
     "{'b': 1, 'c': '', 'd': false}", "L         a 1.\n"},
    {"one of several", NULL, "[{a}|{?b}got b|else], [{c}|{a}|else]", "{'b': true}",
     "L         got b, else\n"},
    {"the first of several", NULL, "[{a}|{b}|else]", "{'a': 1, 'b': 2}", "L         1\n"},
    {"a word", NULL, "[{?a=x}is x|{?a=y}is y]", "{'a': 'y'}", "L         is y\n"},
    {"a part within", NULL, "[{a}[ and {b}]|none]", "{'a': 1}", "L         1\n"},
    {"nothing to say", NULL, "[{a}]", "{}", ""},
    {"a list, in columns", "l", "{n}\t{.}\t{m}", "{'l': [{'n': 'a', 'm': 1}, {'n': 'bcd'}]}",
     "L         a    -  1\n          bcd  -  -\n"},
    {"texts", "l", "! {.}", "{'l': ['a', 'b']}", "L         ! a\n          ! b\n"},
    {"an object within", "o", "{a} {b}", "{'o': {'a': 1}}", "L         1 -\n"},
    {"about nothing", "l", "x{.}", "{'l': null}", ""},
    {"nothing in the last column", "l", "{n}\t[{m}]", "{'l': [{'n': 'a'}, {'n': 'b', 'm': 1}]}",
     "L         a\n          b  1\n"},
    {"hostile texts", NULL, "{a}", "{'a': '\\u001b[2J\\t\\u202ex\\u009b'}",
     "L         \\x1b[2J \\xe2\\x80\\xaex\\xc2\\x9b\n"},
};

/* JSON, in which ' stands for ". */
static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_t *value;

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    value = json_loads(copy, JSON_ALLOW_NUL, NULL);
    free(copy);
    return value;
}

static void check_template(void **state)
{
    const struct template_row *r = *state;
    const struct ctl_row screen[] = {{"L", r->about, r->template}, {0}};
    json_t *object = parse(r->object);

    assert_non_null(object);
    capture_begin(&out);
    ctl_show(object, screen);
    capture_end(&out);
    json_decref(object);
    assert_string_equal(out.text[0], r->want);
}

/* --- tables */

static const struct column columns[] = {
    {"name", "name", COLUMN_TEXT},  {"count", "questions", COLUMN_NUMBER},
    {"at", "last", COLUMN_TIME},    {"span", "took", COLUMN_DURATION_MS},
    {"list", "hosts", COLUMN_LIST}, {0},
};
#define HEAD "name,count,at,span,list\r\n"

static const struct row {
    const char *what;
    enum ctl_format format;
    bool colour;
    const char *rows, *want;
} rows[] = {
    {"columns are aligned, numbers stand right", FORMAT_TABLE, false,
     "[{'name':'a','count':5,'at':0,'span':7,'list':['x']},"
     "{'name':'long-name','count':1234567890,'at':null,'span':61000,'list':['x','y']}]",
     "name        questions  last     took  hosts\n"
     "a                   5  -        7 ms  x\n"
     "long-name  1234567890  -     1 m 1 s  x y\n"},
    {"UTF-8 counts by characters", FORMAT_TABLE, false,
     "[{'name':'Zürich','count':1,'list':[]},{'name':'Bern','count':2,'list':[]}]",
     "name    questions  last  took  hosts\nZürich          1  -        -  -\n"
     "Bern            2  -        -  -\n"},
    {"only the header is bold, and only with colour", FORMAT_TABLE, true,
     "[{'name':'a','count':1}]",
     "\033[1mname\033[0m  \033[1mquestions\033[0m  \033[1mlast\033[0m  \033[1mtook\033[0m  "
     "\033[1mhosts\033[0m\na             1  -        -  -\n"},
    {"no rows: the header", FORMAT_TABLE, false, "[]", "name  questions  last  took  hosts\n"},
    {"spans", FORMAT_TABLE, false,
     "[{'name':'a','span':999},{'name':'b','span':1000},{'name':'c','span':60000},"
     "{'name':'d','span':7500000},{'name':'e','span':86400000}]",
     "name  questions  last     took  hosts\na             -  -      999 ms  -\n"
     "b             -  -       1.0 s  -\nc             -  -     1 m 0 s  -\n"
     "d             -  -     2 h 5 m  -\ne             -  -     1 d 0 h  -\n"},
    {"CSV: header, UTC, lists by space, CRLF", FORMAT_CSV, true,
     "[{'name':'a','count':5,'at':1795338000123,'span':61000,'list':['x','y']}]",
     HEAD "a,5,2026-11-22T09:00:00.123Z,61000,x y\r\n"},
    {"CSV: quotes and commas", FORMAT_CSV, false, "[{'name':'say \\'hi\\', you','count':null}]",
     HEAD "\"say \"\"hi\"\", you\",,,,\r\n"},
    {"CSV: no formula", FORMAT_CSV, false,
     "[{'name':'=1+1','count':-5},{'name':'@x'},{'name':'+1'},{'name':'-1,2'},{'name':'a=1'},"
     "{'name':'a','list':['=cmd']}]",
     HEAD "'=1+1,-5,,,\r\n'@x,,,,\r\n'+1,,,,\r\n\"'-1,2\",,,,\r\na=1,,,,\r\na,,,,'=cmd\r\n"},
    {"JSON: one key, times in UTC, more fields stay", FORMAT_JSON, true,
     "[{'name':'a','at':1795338000123,'more':{'b':1}},{'name':'=1','at':0}]",
     "{\n  \"clients\": [\n    {\n      \"name\": \"a\",\n"
     "      \"at\": \"2026-11-22T09:00:00.123Z\",\n      \"more\": {\n        \"b\": 1\n      }\n"
     "    },\n    {\n      \"name\": \"=1\",\n      \"at\": null\n    }\n  ]\n}\n"},
    {"JSON: no rows", FORMAT_JSON, false, "[]", "{\n  \"clients\": []\n}\n"},
    {"an object as lines; yes and no", FORMAT_TABLE, false, "{'name':true,'count':5,'list':['x']}",
     "name       yes\nquestions  5\nlast       -\ntook       -\nhosts      x\n"},
    {"an object as CSV", FORMAT_CSV, false, "{'name':false,'count':5}", HEAD "no,5,,,\r\n"},
    {"an object as JSON", FORMAT_JSON, false, "{'name':'a','at':1795338000123}",
     "{\n  \"name\": \"a\",\n  \"at\": \"2026-11-22T09:00:00.123Z\"\n}\n"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct ctl c = {.format = r->format, .colour = r->colour};
    json_t *value = parse(r->rows);

    assert_non_null(value);
    capture_begin(&out);
    table_print(&c, *r->rows == '[' ? "clients" : NULL, columns, value);
    capture_end(&out);
    json_decref(value);
    assert_string_equal(out.text[0], r->want);
}

/* NAME 4 and questions 9 and last 4 and hosts 5: 28 with what is between. */
static const struct column ranked[] = {
    {"name", NULL, COLUMN_TEXT},
    {"count", "questions", COLUMN_NUMBER | RANK(2)},
    {"at", "last", COLUMN_TIME | RANK(1)},
    {"list_of", "hosts", COLUMN_LIST | RANK(2)},
    {"more_of", NULL, COLUMN_TEXT | RANK_WIDE},
    {0},
};
#define FULL "{'name': 'n', 'count': 1, 'at': 1795338000123, 'list_of': ['x'], 'more_of': 'm'}"

static const struct fit_row {
    const char *what;
    size_t width;
    bool wide;
    const char *row, *head, *said;
} fits[] = {
    {"no terminal: all but what only --wide shows", 0, false, FULL,
     "NAME  questions  last                 hosts\n", ""},
    {"--wide shows all", 10, true, FULL, "NAME  questions  last                 hosts  MORE OF\n",
     ""},
    {"it fits", 43, false, FULL, "NAME  questions  last                 hosts\n", ""},
    {"one too narrow: the last of the highest rank", 42, false, FULL, "NAME  questions  last\n",
     "too narrow for: list_of (--wide shows them)\n"},
    {"then the next of that rank", 35, false, FULL, "NAME  last\n",
     "too narrow for: list_of count (--wide shows them)\n"},
    {"without a rank it stays", 3, false, FULL, "NAME\n",
     "too narrow for: list_of count at (--wide shows them)\n"},
    {"what no row has a value for is not missed", 28, false, "{'count': null, 'at': 0}", "NAME\n",
     ""},
};

static void check_fit(void **state)
{
    const struct fit_row *r = *state;
    struct ctl c = {.format = FORMAT_TABLE, .width = r->width, .wide = r->wide};
    json_t *list = json_pack("[o]", parse(r->row));
    size_t len = strcspn(r->head, "\n");

    capture_begin(&out);
    table_print(&c, "rows", ranked, list);
    capture_end(&out);
    json_decref(list);
    for (len = strcspn(out.text[0], "\n"); len > 0 && out.text[0][len - 1] == ' ';)
        len--;
    memcpy(out.text[0] + len, "\n", 2);
    assert_string_equal(out.text[0], r->head);
    assert_string_equal(out.text[1], r->said);
}

static void problems_are_listed(void **state)
{
    struct diags d;

    diags_init(&d);
    for (int i = 0; i < DIAG_MAX + 3; i++)
        diags_add(&d, "w.yaml", 3, 1, "a tab");
    capture_begin(&out);
    assert_int_equal(ctl_invalid(&d), EXIT_INVALID);
    capture_end(&out);
    diags_fini(&d);
    assert_has(out.text[1], "w.yaml:3:1: a tab\n");
    assert_has(out.text[1], "3 more problems are not shown\n");
}

static const struct ask_row {
    const char *what, *typed; /* NULL: on no terminal */
    bool yes, want;
} asks[] = {
    {"--yes", NULL, true, true},     {"no terminal", NULL, false, false},
    {"y", "y\n", false, true},       {"Y", "Y\n", false, true},
    {"yes", "yes\n", false, true},   {"no", "n\n", false, false},
    {"nothing", "\n", false, false}, {"the end of the text", "\004", false, false},
};

static void check_ask(void **state)
{
    const struct ask_row *r = *state;
    struct ctl c = {.yes = r->yes};
    int saved = dup(STDIN_FILENO), ends[2];

    if (r->typed)
        assert_int_equal(openpty(&ends[1], &ends[0], NULL, NULL, NULL), 0);
    else
        assert_int_equal(pipe(ends), 0);
    if (r->typed)
        assert_true(write(ends[1], r->typed, strlen(r->typed)) > 0);
    dup2(ends[0], STDIN_FILENO);
    clearerr(stdin);
    capture_begin(&out);
    assert_int_equal(ctl_ask(&c, "Go on?\033"), r->want);
    capture_end(&out);
    dup2(saved, STDIN_FILENO);
    assert_string_equal(out.text[1], r->yes ? ""
                                     : r->typed
                                         ? "Go on?\\x1b [y/N] "
                                         : "waymarkctl: Go on?\\x1b (there is no terminal to "
                                           "ask on: give --yes)\n");
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    ROWS(templates, check_template);
    ROWS(rows, check_row);
    ROWS(fits, check_fit);
    ROWS(asks, check_ask);
    TEST(problems_are_listed);
    return RUN("print");
}
