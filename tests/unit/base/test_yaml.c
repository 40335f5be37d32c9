/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_yaml.c -- what a YAML text becomes, what is refused and in which words,
 * and that what yaml_print() writes is read back the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/yaml.h"
#include "tests/unit/rows.h"

static struct arena *arena; /* of all tests */

/* Writes the tree in one line: {key:value,...} [value,...], quoted scalars in
 * double quotes. */
static void show(struct str *s, const struct yaml_node *n)
{
    const struct yaml_node *child;

    if (n->kind == YAML_SCALAR) {
        str_addf(s, n->quoted ? "\"%s\"" : "%s", n->text);
        return;
    }
    str_add(s, n->kind == YAML_MAP ? "{" : "[");
    for (child = n->first; child != NULL; child = child->next) {
        if (child->key != NULL)
            str_addf(s, "%s:", child->key);
        show(s, child);
        if (child->next != NULL)
            str_add(s, ",");
    }
    str_add(s, n->kind == YAML_MAP ? "}" : "]");
}

#define COLON                                                                                      \
    "a \":\" is not allowed here: if it belongs to the value, put the value into quotes; "         \
    "if it ends a key, check the indentation of the line"
#define CHECK ": check the indentation of the line, and quotes and brackets before it"
#define ANCHOR "anchors are not supported; a value that begins with & needs quotes: write "
#define TAG "tags are not supported; a value that begins with ! needs quotes: write "
#define KEY "a key must be a word or a quoted text; { and [ in a key need quotes"

/* want: the tree; or the first problem, with its place */
static const struct row {
    const char *what, *text, *want;
} rows[] = {
    {"mapping", "a: 1\nb: two\n", "{a:1,b:two}"},
    {"list", "- a\n- b\n", "[a,b]"},
    {"scalar", "a\n", "a"},
    {"lists and mappings in each other", "a:\n  - b: 1\n    c: [x, {y: z}]\n  - d\n",
     "{a:[{b:1,c:[x,{y:z}]},d]}"},
    {"empty text", "", "{}"},
    {"comments alone", "# nothing\n\n# here\n", "{}"},
    {"document mark alone", "---\n", "{}"},
    {"document marks around", "---\na: 1\n...\n", "{a:1}"},
    {"empty value", "a:\nb: ''\n", "{a:,b:\"\"}"},
    {"empty list and mapping", "a: []\nb: {}\n", "{a:[],b:{}}"},
    {"quoted words are texts", "a: yes\nb: \"yes\"\nc: 'yes'\n", "{a:yes,b:\"yes\",c:\"yes\"}"},
    {"text block", "a: |\n  x\n  y\n", "{a:\"x\ny\n\"}"},
    {"quoted wildcard", "s: [\"*\", '*.corp.example', .]", "{s:[\"*\",\"*.corp.example\",.]}"},
    {"IPv6 prefix in a list", "n: [10.0.0.0/8, 2001:db8::/32]", "{n:[10.0.0.0/8,2001:db8::/32]}"},
    {"URL with a colon", "u: http://[::1]:80/x", "{u:http://[::1]:80/x}"},
    {"byte order mark",
     "\xef\xbb\xbf"
     "a: 1\n",
     "{a:1}"},
    {"Windows line ends", "a: 1\r\nb:\r\n  - c\r\n", "{a:1,b:[c]}"},
    {"UTF-8", "a: \xc3\xa4\n", "{a:\xc3\xa4}"},
    {"same key in two mappings", "a: {x: 1}\nb: {x: 1}\n", "{a:{x:1},b:{x:1}}"},
    {"key as value", "a: a\nb: b\n", "{a:a,b:b}"},
    {"32 levels", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
    {"wildcard without quotes", "s: *.corp.example",
     "f:1:4: a value that begins with * needs quotes: write \"*.corp.example\""},
    {"wildcard without quotes in [ ]", "s: [a, *.corp.example]",
     "f:1:8: a value that begins with * needs quotes: write \"*.corp.example\""},
    {"wildcard without quotes behind -", "s:\n  - a\n  - *.corp.example\n",
     "f:3:5: a value that begins with * needs quotes: write \"*.corp.example\""},
    {"wildcard without quotes behind UTF-8", "k: \xc3\xa4\ns: [\xe2\x82\xac, *.x]\n",
     "f:2:8: a value that begins with * needs quotes: write \"*.x\""},
    {"wildcard without quotes as key", "*.corp.example: 1",
     "f:1:1: a value that begins with * needs quotes: write \"*.corp.example\""},
    {"star alone", "s: [*]", "f:1:5: a value that begins with * needs quotes: write \"*\""},
    {"alias", "a: *b", "f:1:4: a value that begins with * needs quotes: write \"*b\""},
    {"anchor", "a: &b c", "f:1:4: " ANCHOR "\"&b\""},
    {"anchor on a list", "a: &b [c]", "f:1:4: " ANCHOR "\"&b\""},
    {"anchor on a mapping", "a: &b {c: d}", "f:1:4: " ANCHOR "\"&b\""},
    {"anchor that is none", "a: &.b",
     "f:1:4: a value that begins with & needs quotes: write \"&.b\""},
    {"tag", "a: !b c", "f:1:4: " TAG "\"!b\""},
    {"standard tag", "a: !!int 1", "f:1:4: " TAG "\"!!int\""},
    {"tag on a list", "a: !b [c]", "f:1:4: " TAG "\"!b\""},
    {"tag with unknown handle", "a: !b!c d",
     "f:1:4: a value that begins with ! needs quotes: write \"!b!c\""},
    {"at sign", "a: @b", "f:1:4: a value that begins with @ needs quotes: write \"@b\""},
    {"backtick", "a: `b", "f:1:4: a value that begins with ` needs quotes: write \"`b\""},
    {"text block in a list", "[|]", "f:1:2: a value that begins with | needs quotes: write \"|\""},
    {"percent sign", "%a: b", "f:1:1: a value that begins with % needs quotes: write \"%a\""},
    {"percent sign in a value", "a: %b",
     "f:1:4: a value that begins with % needs quotes: write \"%b\""},
    {"tab before a key", "a:\n\tb: 1\n", "f:2:1: a tab cannot indent; use spaces"},
    {"tab before a list", "a:\n\t- b\n", "f:2:1: a tab cannot indent; use spaces"},
    {"tab in a text block", "a: |\n\tb\n",
     "f:2:1: a tab cannot indent; use spaces (it begins in line 1)"},
    {"colon in a value", "a: b: c", "f:1:5: " COLON},
    {"key too far right", "a: b\n  c: d\n", "f:2:4: " COLON},
    {"key too far left", "a:\n   b: 1\n  c: 1\n",
     "f:3:3: a key was expected here" CHECK " (it begins in line 1)"},
    {"key among list items", "a:\n  - b\n  c: 1\n",
     "f:3:3: a \"-\" was expected here" CHECK " (it begins in line 2)"},
    {"word without a colon", "a: 1\nb\nc: 1\n", "f:2:1: there is no \":\" behind this key"},
    {"list on the line of its key", "a: - b",
     "f:1:4: a list with \"-\" cannot begin here: begin it on a line of its own"},
    {"text behind a quoted value", "a: \"b\" c", "f:1:8: a key was expected here" CHECK},
    {"list not closed", "a: [b\nc: d\n",
     "f:2:2: a \",\" or \"]\" is missing in the list [...] (it begins in line 1)"},
    {"mapping not closed", "a: {b: c\nd: e\n",
     "f:2:2: a \",\" or \"}\" is missing in the mapping {...} (it begins in line 1)"},
    {"double quote not closed", "a: 1\nb: \"c\n",
     "f:2:4: the quotation mark that opens here is never closed"},
    {"single quote not closed", "a: 'b\n",
     "f:1:4: the quotation mark that opens here is never closed"},
    {"Windows path in double quotes", "a: \"C:\\data\"",
     "f:1:7: no such escape: in double quotes a backslash is written \\\\; or use single quotes"},
    {"value that begins with a colon", "a: [::1]",
     "f:1:5: a value is missing here; one that begins with : or , needs quotes"},
    {"second document", "a: 1\n---\nb: 1\n",
     "f:2:1: a second document begins here; one is allowed"},
    {"duplicate key", "a: 1\nb: 2\na: 3\n", "f:3:1: duplicate key \"a\"; it was given in line 1"},
    {"duplicate key, quoted once", "a: 1\n\"a\": 3\n",
     "f:2:1: duplicate key \"a\"; it was given in line 1"},
    {"duplicate key in { }", "x: {a: 1, a: 2}",
     "f:1:11: duplicate key \"a\"; it was given in line 1"},
    {"list as key", "[a]: b", "f:1:1: " KEY},
    {"list as key behind ?", "? [a]\n: b\n", "f:1:3: " KEY},
    {"mapping as key", "{{a: b}: c}", "f:1:2: " KEY},
    {"33 levels", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
     "f:1:33: more than 32 levels of lists and mappings"},
    {"33 levels of mappings in lists",
     "- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - a: 1",
     "f:1:65: more than 32 levels of lists and mappings"},
    {"NUL as escape", "a: \"b\\0c\"", "f:1:4: a NUL byte is not allowed in a text"},
    {"NUL as escape in a key", "\"\\0\": 1", "f:1:1: a NUL byte is not allowed in a text"},
    {"control character", "a: 1\nb: \x01",
     "f:2:4: a control character; in double quotes it can be written \\x01"},
    {"Latin-1", "a: 1\nb: caf\xe9\n", "f:2:7: not UTF-8; save the text as UTF-8"},
    {"UTF-16", "\xff\xfe:", "f:1:1: not UTF-8; save the text as UTF-8"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    const struct yaml_node *y = NULL;
    struct diags d;
    char buf[256] = "";
    struct str s;
    int rc;

    diags_init(&d);
    rc = yaml_read(&y, arena, "f", r->text, strlen(r->text), &d);
    str_init(&s, buf, sizeof buf);
    if (strncmp(r->want, "f:", 2) != 0) {
        assert_int_equal(rc, 0);
        assert_int_equal(d.all, 0);
        show(&s, y);
    } else {
        assert_int_equal(rc, -EINVAL);
        assert_null(y);
        assert_true(d.n > 0);
        str_addf(&s, "%s:%u:%u: %s", d.list[0].file, d.list[0].line, d.list[0].column,
                 d.list[0].text);
    }
    assert_string_equal(buf, r->want);
    diags_fini(&d);
}

static void nul_byte(void **state)
{
    static const char text[] = "a: 1\nb: \0";
    const struct yaml_node *y;
    struct diags d;

    diags_init(&d);
    assert_int_equal(yaml_read(&y, arena, "f", text, sizeof text - 1, &d), -EINVAL);
    assert_int_equal(d.list[0].line, 2);
    assert_int_equal(d.list[0].column, 4);
    assert_string_equal(d.list[0].text, "a NUL byte is not allowed; save the text as UTF-8");
    diags_fini(&d);
    assert_int_equal(yaml_read(&y, arena, "f", text, sizeof text - 1, NULL), -EINVAL);
}

static void places(void **state)
{
    static const char text[] = "# c\nrules:\n  \xc3\xa4: {b: [x,  \"y\"]}\n";
    const struct yaml_node *n;
    const struct yaml_node *y;

    assert_int_equal(yaml_read(&y, arena, "f", text, strlen(text), NULL), 0);
    n = yaml_get(y, "rules");
    assert_non_null(n);
    assert_int_equal(n->key_line, 2);
    assert_int_equal(n->key_column, 1);
    n = yaml_get(n, "\xc3\xa4");
    assert_non_null(n);
    assert_int_equal(n->key_line, 3);
    assert_int_equal(n->key_column, 3);
    assert_int_equal(n->line, 3);
    assert_int_equal(n->column, 6);
    n = yaml_get(n, "b");
    assert_non_null(n);
    assert_int_equal(n->n, 2);
    assert_int_equal(n->first->next->column, 15);
    assert_null(n->first->key);
    assert_null(yaml_get(n, "x"));
    assert_null(yaml_get(y, "rule"));
}

static void all_problems_are_listed(void **state)
{
    static const char text[] = "a: 1\na: 2\nb: *x\nc: &y z\na: 3\nd: !t u\n";
    static const unsigned lines[] = {2, 3, 4, 5, 6};
    const struct yaml_node *y;
    struct diags d;

    diags_init(&d);
    assert_int_equal(yaml_read(&y, arena, "f", text, strlen(text), &d), -EINVAL);
    assert_int_equal(d.n, ARRAY_LEN(lines));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_int_equal(d.list[i].line, lines[i]);
    diags_fini(&d);
}

/* Large enough that comparing each key with each other would not end soon. */
static void many_keys(void **state)
{
    enum { KEYS = 300000 };
    size_t size = KEYS * 16, len = 0;
    char *text = malloc(size);
    const struct yaml_node *y;
    struct diags d;

    assert_non_null(text);
    for (unsigned i = 0; i < KEYS; i++)
        len += (size_t)snprintf(text + len, size - len, "k%u: v\n", i);
    assert_int_equal(yaml_read(&y, arena, "f", text, len, NULL), 0);
    assert_int_equal(y->n, KEYS);

    len += (size_t)snprintf(text + len, size - len, "k%u: v\nk0: v\nk16: v\n", KEYS / 2);
    diags_init(&d);
    assert_int_equal(yaml_read(&y, arena, "f", text, len, &d), -EINVAL);
    assert_int_equal(d.n, 3);
    assert_int_equal(d.list[0].line, KEYS + 1);
    diags_fini(&d);
    free(text);
}

static const struct quote_row {
    const char *what, *text, *want;
} quote_rows[] = {
    {"name", "corp.example", "corp.example"},
    {"IPv6 prefix", "2001:db8::/32", "2001:db8::/32"},
    {"underscore", "_vlmcs._tcp", "_vlmcs._tcp"},
    {"absolute path", "/var/lib/waymark", "/var/lib/waymark"},
    {"time", "2027-01-31T18:00:00+01:00", "2027-01-31T18:00:00+01:00"},
    {"blanks inside", "CHG0042 merger", "CHG0042 merger"},
    {"empty", "", "\"\""},
    {"wildcard", "*.corp.example", "\"*.corp.example\""},
    {"dot", ".", "\".\""},
    {"end of document", "...", "\"...\""},
    {"begin of document", "---", "\"---\""},
    {"hyphen", "-", "\"-\""},
    {"colon at the end", "2001:db8::", "\"2001:db8::\""},
    {"colon at the beginning", "::1", "\"::1\""},
    {"colon and blank", "a: b", "\"a: b\""},
    {"blank at the beginning", " a", "\" a\""},
    {"blank at the end", "a ", "\"a \""},
    {"comment", "a #b", "\"a #b\""},
    {"comma", "a,b", "\"a,b\""},
    {"tilde", "~", "\"~\""},
    {"double quotes and backslash", "say \"\\032\"", "\"say \\\"\\\\032\\\"\""},
    {"line ends and tab", "a\nb\tc\r", "\"a\\x0ab\\x09c\\x0d\""},
    {"control characters", "\x01\x1b\x7f", "\"\\x01\\x1b\\x7f\""},
    {"UTF-8", "\xc3\xa4 \xf0\x9f\x98\x80", "\"\xc3\xa4 \xf0\x9f\x98\x80\""},
    {"characters that YAML takes for line ends",
     "a\xc2\x85"
     "b\xe2\x80\xa8"
     "c\xe2\x80\xa9",
     "\"a\\x85b\\u2028c\\u2029\""},
    {"byte order mark inside", "a\xef\xbb\xbf", "\"a\\ufeff\""},
};

static void quoted(const char *text, char *out, size_t size)
{
    FILE *f = fmemopen(out, size, "w");

    assert_non_null(f);
    yaml_print(f, text);
    fclose(f);
}

/* What is written is what was expected, and is read back the same, alone, in
 * a mapping, and in [ ] and { }. */
static void quote(void **state)
{
    static const char *const around[] = {"%s",   "a: %s",   "%s: b",   "- %s",
                                         "[%s]", "[%s, x]", "{a: %s}", "{%s: b}"};
    const struct quote_row *r = *state;
    char out[128], text[256];

    quoted(r->text, out, sizeof out);
    assert_string_equal(out, r->want);
    for (size_t i = 0; i < ARRAY_LEN(around); i++) {
        const struct yaml_node *n;
        const char *percent = strchr(around[i], '%');
        const struct yaml_node *y;

        snprintf(text, sizeof text, "%.*s%s%s", (int)(percent - around[i]), around[i], out,
                 percent + 2);
        assert_int_equal(yaml_read(&y, arena, "f", text, strlen(text), NULL), 0);
        n = y;
        if (n->kind != YAML_SCALAR)
            n = n->first;
        assert_string_equal(strstr(around[i], "%s:") != NULL ? n->key : n->text, r->text);
    }
}

static void quote_bytes_that_are_no_utf8(void **state)
{
    char out[128];

    quoted("a\xff\xc3\xc0\x80\xed\xa0\x80\xe0\x80\xaf\xf4\x90\x80\x80", out, sizeof out);
    assert_string_equal(
        out, "\"a\\xff\\xc3\\xc0\\x80\\xed\\xa0\\x80\\xe0\\x80\\xaf\\xf4\\x90\\x80\\x80\"");
}

int main(void)
{
    int rc;

    ROWS(rows, check_row);
    ROWS(quote_rows, quote);
    TEST(quote_bytes_that_are_no_utf8);
    TEST(nul_byte);
    TEST(places);
    TEST(all_problems_are_listed);
    TEST(many_keys);
    arena = arena_new();
    rc = RUN("yaml");
    arena_free(arena);
    return rc;
}
