/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_yaml.c -- what a YAML text becomes, what is refused and in which words,
 * and that what yaml_print() writes is read back the same; how problems are kept
 * and printed, and which word is suggested.
 */
#include "base/fields.h"
#include "base/str.h"
#include "tests/unit/rows.h"

static struct arena *arena; /* of all tests */

/* Writes the tree in one line: {key:value,...} [value,...], quoted scalars in
 * double quotes; with places in front of all, where they are asked for. */
static void show(struct str *s, const struct yaml_node *n, bool places)
{
    const char *const *around = n->kind == YAML_MAP    ? (const char *[]){"{", "}"}
                                : n->kind == YAML_LIST ? (const char *[]){"[", "]"}
                                                       : (const char *[]){"", ""};

    if (places)
        str_addf(s, "%u:%u", n->line, n->column);
    str_addf(s, n->quoted ? "%s\"%s\"" : "%s%s", around[0], n->text);
    for (const struct yaml_node *child = n->first; child != NULL; child = child->next) {
        if (child->key != NULL && places)
            str_addf(s, "%u:%u ", child->key_line, child->key_column);
        if (child->key != NULL)
            str_addf(s, "%s:", child->key);
        show(s, child, places);
        str_add(s, child->next != NULL ? "," : "");
    }
    str_add(s, around[1]);
}

#define AT(place) "f:" place ": "
#define WRITE(c, word) "a value that begins with " c " needs quotes: write \"" word "\""
#define QUOTES(place, c, word) AT(place) WRITE(c, word)
#define ANCHOR(place, word) AT(place) "anchors are not supported; " WRITE("&", word)
#define TAG(place, word) AT(place) "tags are not supported; " WRITE("!", word)
#define TWICE(place, line) AT(place) "duplicate key \"a\"; it was given in line " line
#define BEGINS(line) " (it begins in line " line ")"
#define COLON                                                                                      \
    "a \":\" is not allowed here: if it belongs to the value, put the value into quotes; "         \
    "if it ends a key, check the indentation of the line"
#define CHECK ": check the indentation of the line, and quotes and brackets before it"
#define KEY "a key must be a word or a quoted text; { and [ in a key need quotes"

/* \2 is a NUL. want: the tree, or the problems, one a line. */
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
    {"wildcard without quotes", "s: *.corp.example", QUOTES("1:4", "*", "*.corp.example")},
    {"wildcard without quotes in [ ]", "s: [a, *.corp.example]",
     QUOTES("1:8", "*", "*.corp.example")},
    {"wildcard without quotes behind -", "s:\n  - a\n  - *.corp.example\n",
     QUOTES("3:5", "*", "*.corp.example")},
    {"wildcard without quotes behind UTF-8", "k: \xc3\xa4\ns: [\xe2\x82\xac, *.x]\n",
     QUOTES("2:8", "*", "*.x")},
    {"wildcard without quotes as key", "*.corp.example: 1", QUOTES("1:1", "*", "*.corp.example")},
    {"star alone", "s: [*]", QUOTES("1:5", "*", "*")},
    {"alias", "a: *b", QUOTES("1:4", "*", "*b")},
    {"anchor", "a: &b c", ANCHOR("1:4", "&b")},
    {"anchor on a list", "a: &b [c]", ANCHOR("1:4", "&b")},
    {"anchor on a mapping", "a: &b {c: d}", ANCHOR("1:4", "&b")},
    {"anchor that is none", "a: &.b", QUOTES("1:4", "&", "&.b")},
    {"tag", "a: !b c", TAG("1:4", "!b")},
    {"standard tag", "a: !!int 1", TAG("1:4", "!!int")},
    {"tag on a list", "a: !b [c]", TAG("1:4", "!b")},
    {"tag with unknown handle", "a: !b!c d", QUOTES("1:4", "!", "!b!c")},
    {"at sign", "a: @b", QUOTES("1:4", "@", "@b")},
    {"backtick", "a: `b", QUOTES("1:4", "`", "`b")},
    {"text block in a list", "[|]", QUOTES("1:2", "|", "|")},
    {"percent sign", "%a: b", QUOTES("1:1", "%", "%a")},
    {"percent sign in a value", "a: %b", QUOTES("1:4", "%", "%b")},
    {"tab before a key", "a:\n\tb: 1\n", "f:2:1: a tab cannot indent; use spaces"},
    {"tab before a list", "a:\n\t- b\n", "f:2:1: a tab cannot indent; use spaces"},
    {"tab in a text block", "a: |\n\tb\n", "f:2:1: a tab cannot indent; use spaces" BEGINS("1")},
    {"colon in a value", "a: b: c", AT("1:5") COLON},
    {"key too far right", "a: b\n  c: d\n", AT("2:4") COLON},
    {"key too far left", "a:\n   b: 1\n  c: 1\n",
     "f:3:3: a key was expected here" CHECK BEGINS("1")},
    {"key among list items", "a:\n  - b\n  c: 1\n",
     AT("3:3") "while parsing a block collection, did not find expected '-' indicator" BEGINS("2")},
    {"word without a colon", "a: 1\nb\nc: 1\n",
     AT("3:1") "while scanning a simple key, could not find expected ':'" BEGINS("2")},
    {"list on the line of its key", "a: - b",
     AT("1:4") "block sequence entries are not allowed in this context"},
    {"text behind a quoted value", "a: \"b\" c", "f:1:8: a key was expected here" CHECK},
    {"list not closed", "a: [b\nc: d\n",
     AT("2:2") "while parsing a flow sequence, did not find expected ',' or ']'" BEGINS("1")},
    {"double quote not closed", "a: 1\nb: \"c\n",
     AT("3:1") "while scanning a quoted scalar, found unexpected end of stream" BEGINS("2")},
    {"Windows path in double quotes", "a: \"C:\\data\"",
     AT("1:7") "while parsing a quoted scalar, found unknown escape character"},
    {"value that begins with a colon", "a: [::1]",
     "f:1:5: a value is missing here; one that begins with : or , needs quotes"},
    {"second document", "a: 1\n---\nb: 1\n",
     "f:2:1: a second document begins here; one is allowed"},
    {"duplicate key", "a: 1\nb: 2\na: 3\n", TWICE("3:1", "1")},
    {"duplicate key, quoted once", "a: 1\n\"a\": 3\n", TWICE("2:1", "1")},
    {"duplicate key in { }", "x: {a: 1, a: 2}", TWICE("1:11", "1")},
    {"list as key", "[a]: b", AT("1:1") KEY},
    {"list as key behind ?", "? [a]\n: b\n", AT("1:3") KEY},
    {"mapping as key", "{{a: b}: c}", AT("1:2") KEY},
    {"33 levels", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
     "f:1:33: more than 32 levels of lists and mappings"},
    {"33 levels of mappings in lists",
     "- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - a: 1",
     "f:1:65: more than 32 levels of lists and mappings"},
    {"NUL as escape", "a: \"b\\0c\"", "f:1:4: a NUL byte is not allowed in a text"},
    {"NUL as escape in a key", "\"\\0\": 1", "f:1:1: a NUL byte is not allowed in a text"},
    {"control character", "a: 1\nb: \x01",
     "f:2:4: a control character; in double quotes it can be written \\x01"},
    {"NUL", "a: 1\nb: \x02", "f:2:4: a NUL byte is not allowed; save the text as UTF-8"},
    {"Latin-1", "a: 1\nb: caf\xe9\n", "f:2:7: not UTF-8; save the text as UTF-8"},
    {"UTF-16", "\xff\xfe:", "f:1:1: not UTF-8; save the text as UTF-8"},
    {"each problem is told", "a: 1\na: 2\nb: *x\nc: &y z\na: 3\nd: !t u\n",
     TWICE("2:1", "1") "\n" QUOTES("3:4", "*", "*x") "\n" ANCHOR("4:4", "&y") "\n" TWICE(
         "5:1", "1") "\n" TAG("6:4", "!t")},
    {"places", "# c\nrules:\n  \xc3\xa4: {b: [x,  \"y\"]}\n",
     "2:1{2:1 rules:3:3{3:3 \xc3\xa4:3:6{3:7 b:3:10[3:11x,3:15\"y\"]}}}"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    const struct yaml_node *y = NULL;
    size_t len = strlen(r->text);
    char buf[1000] = "", *text = malloc(len + 1); /* of its length: a read behind it is seen */
    struct diags d = {0};
    struct str s;
    int rc;

    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = r->text[i] == '\2' ? '\0' : r->text[i];
    rc = yaml_read(&y, arena, "f", text, len, &d);
    assert_int_equal(rc, d.all > 0 ? -EINVAL : 0);
    assert_int_equal(yaml_read(&y, arena, "f", text, len, NULL), rc);
    free(text);
    str_init(&s, buf, sizeof buf);
    if (rc == 0)
        show(&s, y, strcmp(r->what, "places") == 0);
    else
        assert_null(y);
    for (size_t i = 0; i < d.n; i++)
        str_addf(&s, "%s%s", i > 0 ? "\n" : "", d.list[i]);
    assert_string_equal(buf, r->want);
    diags_fini(&d);
}

/* Large enough that comparing each key with each other would not end soon. */
static void many_keys(void **state)
{
    enum { KEYS = 300000 };
    size_t size = KEYS * 16, len = 0;
    char *text = malloc(size);
    const struct yaml_node *y;
    struct diags d = {0};

    assert_non_null(text);
    for (unsigned i = 0; i < KEYS; i++)
        len += (size_t)snprintf(text + len, size - len, "k%u: v\n", i);
    len += (size_t)snprintf(text + len, size - len, "k%u: v\nk0: v\nk16: v\n", KEYS / 2);
    assert_int_equal(yaml_read(&y, arena, "f", text, len, &d), -EINVAL);
    assert_int_equal(d.n, 3);
    assert_has(d.list[0], "f:300001:1: ");
    diags_fini(&d);
    free(text);
}

/* Texts, and how they are written: "" as they are, "\"" in quotes. */
static const struct quote_row {
    const char *what, *texts, *want;
} quote_rows[] = {
    {"plain texts",
     "corp.example|2001:db8::/32|_vlmcs._tcp|/var/lib/waymark|2027-01-31T18:00:00+01:00|CHG0042 "
     "merger",
     ""},
    {"texts in quotes",
     "|*.corp.example|.|...|---|-|2001:db8::|::1|a: b| a|a |a #b|a,b|~|\xc3\xa4 \xf0\x9f\x98\x80",
     "\""},
    {"quotes and backslash", "say \"\\032\"", "\"say \\\"\\\\032\\\"\""},
    {"line ends and tab", "a\nb\tc\r", "\"a\\x0ab\\x09c\\x0d\""},
    {"control characters", "\x01\x1b\x7f", "\"\\x01\\x1b\\x7f\""},
    {"first and last characters of a length",
     "\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\""},
    {"line ends of YAML", "a\xc2\x85#\xe2\x80\xa8#\xe2\x80\xa9", "\"a\\x85#\\u2028#\\u2029\""},
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
    static const char *const around[] = {"",  "",  "a: ", "",     "",     ": b", "- ", "",
                                         "[", "]", "[",   ", x]", "{a: ", "}",   "{",  ": b}"};
    const struct quote_row *r = *state;
    char out[128], text[256], *rest = strdupa(r->texts), *one;
    const struct yaml_node *y;

    while ((one = strsep(&rest, "|")) != NULL) {
        quoted(one, out, sizeof out);
        snprintf(text, sizeof text, "%s%s%s", r->want, one, r->want);
        assert_string_equal(out, strlen(r->want) > 1 ? r->want : text);
        for (size_t i = 0; i < ARRAY_LEN(around); i += 2) {
            snprintf(text, sizeof text, "%s%s%s", around[i], out, around[i + 1]);
            assert_int_equal(yaml_read(&y, arena, "f", text, strlen(text), NULL), 0);
            y = y->kind != YAML_SCALAR ? y->first : y;
            assert_string_equal(around[i + 1][0] == ':' ? y->key : y->text, one);
        }
    }
}

static void quote_bytes_that_are_no_utf8(void **state)
{
    char out[128];

    quoted(
        "\xff\xc1\xbf\xed\xa0\x80\xed\xbf\xbf\xe0\x9f\xbf\xf0\x8f\xbf\xbf\xf4\x90\x80\x80\xe2\x82",
        out, sizeof out);
    assert_string_equal(
        out, "\"\\xff\\xc1\\xbf\\xed\\xa0\\x80\\xed\\xbf\\xbf\\xe0\\x9f\\xbf\\xf0\\x8f\\xbf"
             "\\xbf\\xf4\\x90\\x80\\x80\\xe2\\x82\"");
}

/* Words, and what is suggested for each. */
static const struct near_row {
    const char *words, *meant;
} near_rows[] = {
    {"forward|FORWARD|forwarb|forard", "forward"},
    {"listten|lsiten", "listen"},
    {"suffix", "suffixes"},
    {"tl|tlt", "ttl"},
    {"pol", "pool"}, /* the nearest of several */
    {"poolss", "pools"},
    {"netorkis|frwrad-to|txx|password|", NULL}, /* mistakes at two places; two in a short word */
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
};

static void nearest(void **state)
{
    static const char *const words[] = {"forward",  "listen",   "ttl",  "mode",  "when",
                                        "networks", "suffixes", "pool", "pools", NULL};
    const struct near_row *r = *state;
    char out[DIAG_MEANT], want[DIAG_MEANT] = "", *rest = strdupa(r->words), *word;

    if (r->meant != NULL)
        snprintf(want, sizeof want, "; did you mean %s?", r->meant);
    while ((word = strsep(&rest, "|")) != NULL)
        assert_string_equal(diag_meant(word, words, out), want);
}

static void check_problems(const struct diags *d, const char *want)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    diags_print(d, out);
    fclose(out);
    assert_has(text, want);
    free(text);
}

static void problems(void **state)
{
    struct diags d = {0};

    assert_int_equal(diags_add(&d, "a.yaml", 3, 7, "bad %s", "x"), -EINVAL);
    assert_int_equal(diags_add(NULL, "a.yaml", 3, 7, "bad %s", "x"), -EINVAL);
    diags_add(&d, "a.yaml", 3, 0, "bad");
    diags_add(&d, "a.yaml", 0, 7, "bad");
    diags_add(&d, NULL, 3, 7, "bad");
    diags_add(&d, NULL, 0, 0, "%s", "a\nb\x1b[1m\x7f#\xc3\xa4");
    check_problems(&d, "a.yaml:3:7: bad x\na.yaml:3: bad\na.yaml: bad\n3:7: bad\n"
                       "a b [1m #\xc3\xa4\n");
    for (unsigned i = 6; i <= DIAG_MAX + 3; i++)
        diags_add(&d, "f", i, 1, "problem");
    assert_true(d.n == DIAG_MAX && d.all == DIAG_MAX + 3);
    check_problems(&d, "f:200:1: problem\n3 more problems are not shown\n");
    diags_fini(&d);
    assert_true(d.n == 0 && d.all == 0); /* it can be used again */
}

int main(void)
{
    int rc;

    ROWS(rows, check_row);
    ROWS(quote_rows, quote);
    TEST(quote_bytes_that_are_no_utf8);
    TEST(many_keys);
    TEST(problems);
    ROWS(near_rows, nearest);
    arena = arena_new();
    rc = RUN("yaml");
    arena_free(arena);
    return rc;
}
