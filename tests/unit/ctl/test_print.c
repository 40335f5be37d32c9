/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_print.c -- screens by templates, and the three forms of a list, as bytes.
 */
#include <pty.h>

#include "tests/unit/ctl/capture.h"

/* JSON, in which ' stands for ". */
static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_t *value;

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    value = json_loads(copy, 0, NULL);
    assert_non_null(value);
    free(copy);
    return value;
}

/* --- templates */

static const struct template_row {
    const char *what, *about, *template, *object, *want; /* without the label of the first line */
} templates[] = {
    /* what the screens of test_daemon.c do not show */
    {"fields", NULL, "{a} {b.c} {b.d}, {e}", "{'a': 1, 'b': {'c': 'x', 'd': [5, 6]}, 'e': true}",
     "1 x 5 6, yes\n"},
    {"what is missing", NULL, "{a} {b.c} {e} {f} {g:time}", "{'a': null, 'e': [], 'f': '', 'g': 0}",
     "- - - - never\n"},
    {"a part that may be missing", NULL, "a[ {b}][ {c}][ {d}][ {e}].",
     "{'b': 1, 'c': '', 'd': false}", "a 1.\n"},
    {"the first of several", NULL, "[{a}|{?b}got b|{c}], [{a}|{e}|else]", "{'b': true, 'c': 1}",
     "got b, else\n"},
    {"a part within", NULL, "[{a}[ and {b}]|none]", "{'a': 1}", "1\n"},
    {"nothing to say", NULL, "[{a}]", "{}", NULL},
    {"about nothing", "l", "x{.}", "{'l': null}", NULL},
    {"nothing in the last column", "l", "{n}\t[{m}]", "{'l': [{'n': 'a'}, {'n': 'bc', 'm': 1}]}",
     "a\n          bc  1\n"},
    {"hostile texts", NULL, "{a}", "{'a': '\\u001b[2J\\t\\u202ex\\u009b'}",
     "\\x1b[2J \\xe2\\x80\\xaex\\xc2\\x9b\n"},
};

static void check_template(void **state)
{
    const struct template_row *r = *state;
    const struct ctl_row screen[] = {{"L", r->about, r->template}, {0}};
    json_t *object = parse(r->object);

    capture_begin();
    ctl_show(object, screen);
    capture_end();
    json_decref(object);
    assert_memory_equal(out.text[0], r->want ? "L         " : "", r->want ? 10 : 1);
    assert_string_equal(out.text[0] + (r->want ? 10 : 0), r->want ? r->want : "");
}

/* --- tables */

static const char columns[] =
    "name|count:n=questions|at:time=last|span:span=took|list_of:list=hosts";
/* n 1, questions 9, last 19, hosts 5, and 2 between each: 40. */
static const char ranked[] =
    "name=n|count:n/2=questions|at:time/1=last|list_of:list/2=hosts|more_of/9";
#define HEAD "name,count,at,span,list_of\r\n"
#define FULL "[{'name':'n','count':1,'at':1795338000123,'list_of':['x'],'more_of':'m'}]"
#define TIME "2026-11-22 09:00:00"
#define OUT(columns) "too narrow for: " columns " (--wide shows them)\n"

static const struct row {
    const char *what;
    char form; /* a table, wide, with bold head; CSV; JSON */
    size_t width;
    const char *columns, *rows, *want, *said;
} rows[] = {
    {"columns are aligned, numbers stand right", 't', 0, columns,
     "[{'name':'a','count':5,'at':0,'span':7,'list_of':['x']},"
     "{'name':'long-name','count':1234567890,'at':null,'span':61000,'list_of':['x','y']}]",
     "NAME        questions  last     took  hosts\n"
     "a                   5  -        7 ms  x\n"
     "long-name  1234567890  -     1 m 1 s  x y\n"},
    {"UTF-8 counts by characters", 't', 0, columns, "[{'name':'Zürich','count':1}]",
     "NAME    questions  last  took  hosts\nZürich          1  -        -  -\n"},
    {"only the header is bold, and only with colour", 'b', 0, ranked, "[{'name':'a'}]",
     "\033[1mn\033[0m\na\n"},
    {"no rows: the header", 't', 0, columns, "[]", "NAME  questions  last  took  hosts\n"},
    {"spans", 't', 0, "span:span=took|list_of:list=hosts",
     "[{'span':999},{'span':1000},{'span':60000},{'span':7500000},{'span':86400000}]",
     "   took  hosts\n 999 ms  -\n  1.0 s  -\n1 m 0 s  -\n2 h 5 m  -\n1 d 0 h  -\n"},
    {"CSV: UTC, lists by space, CRLF; quotes and commas", 'c', 0, columns,
     "[{'name':'a','count':5,'at':1795338000123,'span':61000,'list_of':['x','y']},"
     "{'name':'say \\'hi\\', you','count':null}]",
     HEAD "a,5,2026-11-22T09:00:00.123Z,61000,x y\r\n\"say \"\"hi\"\", you\",,,,\r\n"},
    {"CSV: no formula", 'c', 0, columns,
     "[{'name':'=1+1','count':-5},{'name':'@x'},{'name':'+1'},{'name':'-1,2'},{'name':'a=1'},"
     "{'name':'a','list_of':['=cmd']}]",
     HEAD "'=1+1,-5,,,\r\n'@x,,,,\r\n'+1,,,,\r\n\"'-1,2\",,,,\r\na=1,,,,\r\na,,,,'=cmd\r\n"},
    {"JSON: one key, times in UTC, more fields stay", 'j', 0, columns,
     "[{'name':'=1','at':1795338000123,'more':{'b':1}},{'at':0}]",
     "{\n  \"clients\": [\n    {\n      \"name\": \"=1\",\n"
     "      \"at\": \"2026-11-22T09:00:00.123Z\",\n      \"more\": {\n        \"b\": 1\n      }\n"
     "    },\n    {\n      \"at\": null\n    }\n  ]\n}\n"},
    {"an object as lines; yes and no", 't', 0, columns, "{'name':true,'count':5,'list_of':['x']}",
     "name       yes\nquestions  5\nlast       -\ntook       -\nhosts      x\n"},
    {"an object as CSV", 'c', 0, columns, "{'name':false,'count':5}", HEAD "no,5,,,\r\n"},
    {"an object as JSON", 'j', 0, ranked, "{'at':1795338000123}",
     "{\n  \"at\": \"2026-11-22T09:00:00.123Z\"\n}\n"},

    {"no terminal: all but what only --wide shows", 't', 0, ranked, FULL,
     "n  questions  last                 hosts\nn          1  " TIME "  x\n"},
    {"--wide shows all", 'w', 10, ranked, FULL,
     "n  questions  last                 hosts  MORE OF\nn          1  " TIME "  x      m\n"},
    {"it fits", 't', 40, ranked, FULL,
     "n  questions  last                 hosts\nn          1  " TIME "  x\n"},
    {"one too narrow: the last of the highest rank", 't', 39, ranked, FULL,
     "n  questions  last\nn          1  " TIME "\n", OUT("list_of")},
    {"then the next of that rank", 't', 32, ranked, FULL, "n  last\nn  " TIME "\n",
     OUT("list_of count")},
    {"without a rank it stays", 't', 3, ranked, FULL, "n\nn\n", OUT("list_of count at")},
    {"what no row has a value for is not missed", 't', 28, ranked,
     "[{'name': 'n', 'count': null, 'at': 0}]", "n\nn\n"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct ctl c = {.width = r->width, .colour = r->form == 'b', .n_given = r->form == 'w'};
    json_t *value = parse(r->rows);

    c.format = r->form == 'j' ? FORMAT_JSON : r->form == 'c' ? FORMAT_CSV : FORMAT_TABLE;
    c.given[0].name = "--wide";
    c.given[0].value = "";
    capture_begin();
    table_print(&c, *r->rows == '[' ? "clients" : NULL, r->columns, value);
    capture_end();
    json_decref(value);
    assert_string_equal(out.text[0], r->want);
    assert_string_equal(out.text[1], r->said ? r->said : "");
}

static void a_question_is_asked_on_a_terminal(void **state)
{
    static const char *const typed[] = {"y\n", "yes\n", "n\n", "\n", "\004"};
    int saved = dup(STDIN_FILENO), ends[2];
    bool yes[ARRAY_LEN(typed)];

    assert_int_equal(openpty(&ends[1], &ends[0], NULL, NULL, NULL), 0);
    dup2(ends[0], STDIN_FILENO);
    capture_begin();
    for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
        yes[i] = write(ends[1], typed[i], strlen(typed[i])) > 0 &&
                 ctl_ask(&(struct ctl){0}, i == 0 ? "Go on?\033" : "");
        clearerr(stdin);
    }
    capture_end();
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    assert_memory_equal(yes, ((bool[]){true, true, false, false, false}), sizeof yes);
    assert_string_equal(out.text[1], "Go on?\\x1b [y/N]  [y/N]  [y/N]  [y/N]  [y/N] \n");
}

TESTS("print", setenv("TZ", "UTC", 1), ROWS(templates, check_template), ROWS(rows, check_row),
      TEST(a_question_is_asked_on_a_terminal))
