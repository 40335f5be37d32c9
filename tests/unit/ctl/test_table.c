/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_table.c -- the three forms of a list, as bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"

static const struct column columns[] = {
    {"name", "name", COLUMN_TEXT},  {"count", "questions", COLUMN_NUMBER},
    {"at", "last", COLUMN_TIME},    {"span", "took", COLUMN_DURATION_MS},
    {"list", "hosts", COLUMN_LIST}, {0},
};

static const struct column ranked[] = {
    {"name", "name", COLUMN_TEXT},
    {"count", "questions", COLUMN_NUMBER | RANK(2)},
    {"at", "last", COLUMN_TEXT | RANK(1)},
    {"list", "hosts", COLUMN_LIST | RANK(2)},
    {"more", "more", COLUMN_TEXT | RANK_WIDE},
    {0},
};

static struct capture out;

static const struct row {
    const char *what;
    enum ctl_format format;
    bool colour, object;
    const char *rows; /* JSON */
    const char *want;
} rows[] = {
    {"columns are aligned, numbers stand right", FORMAT_TABLE, false, false,
     "[{\"name\":\"a\",\"count\":5,\"at\":0,\"span\":7,\"list\":[\"x\"]},"
     "{\"name\":\"long-name\",\"count\":1234567890,\"at\":null,\"span\":61000,\"list\":[\"x\","
     "\"y\"]}]",
     "name        questions  last     took  hosts\n"
     "a                   5  -        7 ms  x\n"
     "long-name  1234567890  -     1 m 1 s  x y\n"},
    {"UTF-8 counts by characters", FORMAT_TABLE, false, false,
     "[{\"name\":\"Zürich\",\"count\":1,\"list\":[]},{\"name\":\"Bern\",\"count\":2,\"list\":[]}]",
     "name    questions  last  took  hosts\n"
     "Zürich          1  -        -  -\n"
     "Bern            2  -        -  -\n"},
    {"only the header is bold, and only with colour", FORMAT_TABLE, true, false,
     "[{\"name\":\"a\",\"count\":1}]",
     "\033[1mname\033[0m  \033[1mquestions\033[0m  \033[1mlast\033[0m  \033[1mtook\033[0m  "
     "\033[1mhosts\033[0m\n"
     "a             1  -        -  -\n"},
    {"no rows: the header", FORMAT_TABLE, false, false, "[]",
     "name  questions  last  took  hosts\n"},
    {"what could steer a terminal is written out", FORMAT_TABLE, false, false,
     "[{\"name\":\"\\u001b[2J\\n\\u202ex\\u009b\",\"count\":1,\"list\":[\"\\u0007\"]}]",
     "name                              questions  last  took  hosts\n"
     "\\x1b[2J\\x0a\\xe2\\x80\\xaex\\xc2\\x9b          1  -        -  \\x07\n"},
    {"longer spans", FORMAT_TABLE, false, false,
     "[{\"name\":\"a\",\"span\":1500},{\"name\":\"b\",\"span\":7500000},{\"name\":\"c\",\"span\":"
     "93784000}]",
     "name  questions  last     took  hosts\n"
     "a             -  -       1.5 s  -\n"
     "b             -  -     2 h 5 m  -\n"
     "c             -  -     1 d 2 h  -\n"},
    {"CSV: header, UTC, lists by space, CRLF", FORMAT_CSV, true, false,
     "[{\"name\":\"a\",\"count\":5,\"at\":1795338000123,\"span\":61000,\"list\":[\"x\",\"y\"]}]",
     "name,count,at,span,list\r\na,5,2026-11-22T09:00:00.123Z,61000,x y\r\n"},
    {"CSV: quotes and commas", FORMAT_CSV, false, false,
     "[{\"name\":\"say \\\"hi\\\", you\",\"count\":null}]",
     "name,count,at,span,list\r\n\"say \"\"hi\"\", you\",,,,\r\n"},
    {"CSV: no formula", FORMAT_CSV, false, false,
     "[{\"name\":\"=1+1\",\"count\":-5},{\"name\":\"@x\"},{\"name\":\"+1\"},{\"name\":\"-1,2\"},{"
     "\"name\":\"a=1\"}]",
     "name,count,at,span,list\r\n'=1+1,-5,,,\r\n'@x,,,,\r\n'+1,,,,\r\n\"'-1,2\",,,,\r\na=1,,,,"
     "\r\n"},
    {"CSV: a formula in a list", FORMAT_CSV, false, false, "[{\"name\":\"a\",\"list\":[\"=cmd\"]}]",
     "name,count,at,span,list\r\na,,,,'=cmd\r\n"},
    {"JSON: one key, times in UTC, more fields stay", FORMAT_JSON, true, false,
     "[{\"name\":\"a\",\"at\":1795338000123,\"more\":{\"b\":1}},{\"name\":\"=1\",\"at\":0}]",
     "{\n  \"clients\": [\n    {\n      \"name\": \"a\",\n      \"at\": "
     "\"2026-11-22T09:00:00.123Z\",\n"
     "      \"more\": {\n        \"b\": 1\n      }\n    },\n    {\n      \"name\": \"=1\",\n      "
     "\"at\": null\n    }\n"
     "  ]\n}\n"},
    {"JSON: no rows", FORMAT_JSON, false, false, "[]", "{\n  \"clients\": []\n}\n"},
    {"an object as lines", FORMAT_TABLE, false, true,
     "{\"name\":\"a\",\"count\":5,\"list\":[\"x\"]}",
     "name       a\nquestions  5\nlast       -\ntook       -\nhosts      x\n"},
    {"an object as CSV", FORMAT_CSV, false, true, "{\"name\":\"a\",\"count\":5}",
     "name,count,at,span,list\r\na,5,,,\r\n"},
    {"an object as JSON", FORMAT_JSON, false, true, "{\"name\":\"a\",\"at\":1795338000123}",
     "{\n  \"name\": \"a\",\n  \"at\": \"2026-11-22T09:00:00.123Z\"\n}\n"},
    {"yes and no", FORMAT_TABLE, false, true, "{\"name\":true,\"count\":false}",
     "name       yes\nquestions  no\nlast       -\ntook       -\nhosts      -\n"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    struct ctl c = {.format = r->format, .colour = r->colour};
    json_t *value = json_loads(r->rows, 0, NULL);

    assert_non_null(value);
    capture_begin(&out);
    if (r->object)
        table_print(&c, NULL, columns, value);
    else
        table_print(&c, "clients", columns, value);
    capture_end(&out);
    json_decref(value);
    assert_string_equal(out.text[0], r->want);
}

/* name 4 and questions 9 and last 4 and hosts 5: 28 with what is between. */
static const struct fit_row {
    const char *what;
    size_t width;
    bool wide;
    const char *rows, *head, *said;
} fits[] = {
    {"no terminal: all but what only --wide shows", 0, false,
     "{\"count\":1,\"at\":\"x\",\"list\":[],\"more\":\"m\"}", "name  questions  last  hosts\n", ""},
    {"--wide shows all", 10, true, "{\"count\":1,\"at\":\"x\",\"list\":[],\"more\":\"m\"}",
     "name  questions  last  hosts  more\n", ""},
    {"it fits", 28, false, "{\"count\":1,\"at\":\"x\",\"list\":[]}", "name  questions  last  hosts\n",
     ""},
    {"one too narrow: the last of the highest rank", 27, false,
     "{\"count\":1,\"at\":\"x\",\"list\":[]}", "name  questions  last\n",
     "too narrow for: list (--wide shows them)\n"},
    {"then the next of that rank", 20, false, "{\"count\":1,\"at\":\"x\",\"list\":[]}", "name  last\n",
     "too narrow for: list count (--wide shows them)\n"},
    {"without a rank it stays", 3, false, "{\"count\":1,\"at\":\"x\",\"list\":[]}", "name\n",
     "too narrow for: list count at (--wide shows them)\n"},
    {"what no row has a value for is not missed", 28, false, "{\"count\":null,\"at\":\"x\"}",
     "name  last\n", ""},
};

static void check_fit(void **state)
{
    const struct fit_row *r = *state;
    struct ctl c = {.format = FORMAT_TABLE, .width = r->width, .wide = r->wide};
    json_t *list = json_pack("[o]", json_loads(r->rows, 0, NULL));

    capture_begin(&out);
    table_print(&c, "rows", ranked, list);
    capture_end(&out);
    json_decref(list);
    *(strchr(out.text[0], '\n') + 1) = '\0';
    assert_string_equal(out.text[0], r->head);
    assert_string_equal(out.text[1], r->said);
}

static void local_time_in_tables(void **state)
{
    struct ctl c = {.format = FORMAT_TABLE};
    static const struct column at[] = {{"at", "at", COLUMN_TIME}, {0}};
    json_t *value = json_pack("{s:I}", "at", (json_int_t)1795338000123);

    setenv("TZ", "XXX-1", 1);
    tzset();
    capture_begin(&out);
    table_print(&c, NULL, at, value);
    capture_end(&out);
    json_decref(value);
    assert_string_equal(out.text[0], "at  2026-11-22 10:00:00\n");
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof *rows, FITS = sizeof fits / sizeof *fits };

    ROWS(rows, check_row);
    ROWS(fits, check_fit);
    TEST(local_time_in_tables);
    return RUN("table");
}
