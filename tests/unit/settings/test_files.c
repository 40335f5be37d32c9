/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_files.c -- settings from files, conf.d and -o; who may ask.
 */
#include "tests/unit/settings/helpers.h"

#include <errno.h>

/* ---- files and -o, in a folder of the test's own ---- */

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Reads main.yaml of the folder with -o; what it says is left in *problems. */
static struct settings *read_main(const char *const *assign, char **problems)
{
    struct settings *s = NULL;
    struct diags d;
    int rc;

    diags_init(&d);
    rc = settings_read(&s, "main.yaml", assign, &d);
    assert_int_equal(rc == 0, d.all == 0);
    *problems = problems_of(&d);
    diags_fini(&d);
    return s;
}

static void expect_workers(const char *const *assign, uint32_t want)
{
    char *problems;
    struct settings *s = read_main(assign, &problems);

    assert_string_equal(problems, "");
    assert_int_equal(s->server.workers, want);
    free(problems);
    settings_free(s);
}

static void expect_problem(const char *const *assign, const char *file, const char *want)
{
    char *problems, line[500];

    assert_null(read_main(assign, &problems));
    snprintf(line, sizeof line, "%s%s", file, want);
    assert_has(problems, line);
    free(problems);
}

static void later_files_override(void **state)
{
    write_file("main.yaml", "server: {workers: 1, listen: [10.0.0.1, 10.0.0.2]}");
    expect_workers(NULL, 1);
    write_file("conf.d/20.yaml", "server: {workers: 3}");
    write_file("conf.d/10.yaml", "server: {workers: 2, listen: [10.0.0.3]}");
    expect_workers(NULL, 3);
    expect_workers((const char *[]){"server.workers=4", NULL}, 4);
    expect_workers((const char *[]){"server.workers=4", "server.workers=5", NULL}, 5);
}

static void a_later_list_replaces(void **state)
{
    struct settings *s;
    char *problems;

    write_file("main.yaml", "server: {listen: [10.0.0.1, 10.0.0.2]}");
    write_file("conf.d/a.yaml", "server: {listen: [10.0.0.3]}");
    s = read_main(NULL, &problems);
    assert_string_equal(problems, "");
    assert_int_equal(s->server.n_listen, 1);
    assert_int_equal(s->server.listen[0].ip[15], 3);
    free(problems);
    settings_free(s);
}

static void other_names_do_not_count(void **state)
{
    write_file("main.yaml", "server: {workers: 1}");
    write_file("conf.d/.hidden.yaml", "server: {workers: 2}");
    write_file("conf.d/a.yaml.bak", "server: {workers: 3}");
    write_file("conf.d/b.yaml~", "server: {workers: 4}");
    write_file("conf.d/README", "no YAML: [");
    expect_workers(NULL, 1);
}

static void files_that_cannot_be_read(void **state)
{
    expect_problem(NULL, "main.yaml", ": cannot be read: No such file or directory\n");
    write_file("main.yaml", "");
    assert_int_equal(symlink("loop.yaml", "conf.d/loop.yaml"), 0);
    expect_problem(NULL, "conf.d/loop.yaml",
                   ": cannot be read: Too many levels of symbolic links\n");
    assert_int_equal(unlink("conf.d/loop.yaml"), 0);
    assert_int_equal(symlink("nowhere", "conf.d/dangling.yaml"), 0);
    expect_problem(NULL, "conf.d/dangling.yaml", ": cannot be read: No such file");
    assert_int_equal(unlink("conf.d/dangling.yaml"), 0);
    assert_int_equal(mkfifo("conf.d/pipe.yaml", 0600), 0);
    expect_problem(NULL, "conf.d/pipe.yaml", ": is not a file\n");
    assert_int_equal(unlink("conf.d/pipe.yaml"), 0);
    assert_int_equal(truncate("main.yaml", (16 << 20) + 1), 0);
    expect_problem(NULL, "main.yaml", ": is larger than 16 MB\n");
}

static void conf_d_must_be_a_folder(void **state)
{
    write_file("main.yaml", "");
    assert_int_equal(rmdir("conf.d"), 0);
    expect_workers(NULL, 0);
    write_file("conf.d", "");
    expect_problem(NULL, "conf.d", ": cannot be read: Not a directory\n");
}

/* The problem stands where the value that wins was written. */
static void rules_name_the_file_that_won(void **state)
{
    write_file("main.yaml", "server: {listen: [0.0.0.0]}\naccess: []");
    write_file("conf.d/a.yaml", "\naccess: [{net: 0.0.0.0/0, action: allow}]");
    expect_problem(NULL, "conf.d/a.yaml", ":2:10: access: 0.0.0.0/0 is the whole Internet");
    write_file("conf.d/b.yaml", "access: [{net: 10.0.0.0/8, action: allow}]");
    expect_workers(NULL, 0);
}

static void the_default_file_may_be_missing(void **state)
{
    struct settings *s = NULL;
    struct diags d;

    if (access(SETTINGS_DEFAULT_PATH, F_OK) == 0)
        skip();
    diags_init(&d);
    assert_int_equal(settings_read(&s, NULL, NULL, &d), 0);
    assert_int_equal(d.all, 0);
    assert_int_equal(s->server.n_listen, 2);
    settings_free(s);
    diags_fini(&d);
}

static const struct assign_row {
    const char *what, *assign, *key, *is, *problem;
} assigned[] = {
    {"-o number", "server.workers=4", "server.workers", "4"},
    {"-o list", "server.listen=[\"127.0.0.1:5353\"]", "server.listen", "[\"127.0.0.1:5353\"]"},
    {"-o route", "forward=[{zone: ., servers: [\"127.0.0.1:5301\"]}]", "forward",
     "[{zone: \".\", servers: [\"127.0.0.1:5301\"], strategy: ordered, timeout: 1s, trust-ad: no, "
     "edns: yes, fall-back: no}]"},
    {"-o access", "access=[]", "access", "[]"},
    {"-o nothing is an empty text", "server.user=", "server.user", "\"\""},
    {"-o value with =", "server.state-dir=/a=b", "server.state-dir", "\"/a=b\""},
    {"-o without =", "server.workers", NULL, NULL, "server.workers: write it as section.key=value"},
    {"-o unknown", "server.worker=1", NULL, NULL,
     "server.worker=1: unknown key \"worker\" in server; did you mean workers?"},
    {"-o unknown, near a late row", "audit.retenion=1d", NULL, NULL,
     "audit.retenion=1d: unknown key \"retenion\" in audit; did you mean retention?"},
    {"-o section", "server={workers: 1}", "server.workers", "1"},
    {"-o unknown section", "sever.workers=1", NULL, NULL,
     "sever.workers=1: unknown key \"sever\" in the settings; did you mean server?"},
    {"-o out of range", "cache.size=1K", NULL, NULL,
     "cache.size=1K: cache.size: \"1K\" is out of range: 1M to 64G"},
    {"-o bad YAML", "server.listen=[", NULL, NULL, "server.listen=[: "},
    {"-o own address", "forward=[{zone: ., servers: [127.0.0.1]}]", NULL, NULL,
     "forward=[{zone: ., servers: [127.0.0.1]}]: forward.servers: 127.0.0.1:53 is in "
     "server.listen"},
};

static void check_assigned(void **state)
{
    const struct assign_row *row = *state;
    const char *assign[] = {row->assign, NULL};
    struct settings *base = good(""), *s;
    char *problems;

    write_file("main.yaml", "");
    if (row->problem != NULL) {
        expect_problem(assign, "-o: ", row->problem);
    } else {
        s = read_main(assign, &problems);
        assert_string_equal(problems, "");
        assert_string_equal(compare(base, s, row->key).is, row->is);
        free(problems);
        settings_free(s);
    }
    settings_free(base);
}

/* ---- access ---- */

#define RULES                                                                                      \
    "access: [{net: 10.0.0.0/8, action: allow}, {net: 10.1.0.0/16, action: drop}, "                \
    "{net: 10.1.2.3, action: allow}, {net: \"2001:db8::/32\", action: allow}]"

static const struct access_row {
    const char *what, *text, *client;
    enum access_action want;
} accesses[] = {
    {"in a net", RULES, "10.2.0.1", ACCESS_ALLOW},
    {"the longer net decides", RULES, "10.1.0.1", ACCESS_DROP},
    {"an address is the longest", RULES, "10.1.2.3", ACCESS_ALLOW},
    {"in none", RULES, "192.168.1.1", ACCESS_REFUSE},
    {"IPv6 in a net", RULES, "2001:db8::7", ACCESS_ALLOW},
    {"IPv6 in none", RULES, "2001:db9::7", ACCESS_REFUSE},
    {"machine's networks do not count with a list", RULES, "172.16.0.9", ACCESS_REFUSE},
    {"loopback without a rule", RULES, "127.0.0.1", ACCESS_ALLOW},
    {"loopback, IPv6", RULES, "::1", ACCESS_ALLOW},
    {"loopback, empty list", "access: []", "127.3.2.1", ACCESS_ALLOW},
    {"others, empty list", "access: []", "172.16.0.9", ACCESS_REFUSE},
    {"a wide net does not name loopback", "access: [{net: 0.0.0.0/0, action: drop}]", "127.0.0.1",
     ACCESS_ALLOW},
    {"but all others", "access: [{net: 0.0.0.0/0, action: drop}]", "9.9.9.9", ACCESS_DROP},
    {"loopback named", "access: [{net: 127.0.0.0/8, action: refuse}]", "127.0.0.1", ACCESS_REFUSE},
    {"a part of loopback named", "access: [{net: 127.0.1.0/24, action: drop}]", "127.0.1.9",
     ACCESS_DROP},
    {"its other part", "access: [{net: 127.0.1.0/24, action: drop}]", "127.0.0.1", ACCESS_ALLOW},
    {"::1 named", "access: [{net: \"::1\", action: drop}]", "::1", ACCESS_DROP},
    {"::/0 is no IPv4 net", "access: [{net: \"::/0\", action: allow}]", "10.0.0.1", ACCESS_REFUSE},
    {"no list: machine's network", "", "172.16.0.9", ACCESS_ALLOW},
    {"no list: another network", "", "172.17.0.9", ACCESS_REFUSE},
    {"no list: loopback", "", "127.0.0.1", ACCESS_ALLOW},
};

static void check_access(void **state)
{
    const struct access_row *row = *state;
    struct settings *s = good(row->text);
    struct access_rule machine = {.action = ACCESS_ALLOW};
    struct addr client;

    assert_int_equal(prefix_parse(&machine.net, "172.16.0.0/16"), 0);
    assert_int_equal(addr_parse(&client, row->client, 0), 0);
    s->machine = &machine;
    s->n_machine = 1;
    assert_int_equal(settings_access(s, &client, NULL), row->want);
    settings_free(s);
}

int main(void)
{
    ROWS_WITH(assigned, check_assigned, make_folder, remove_folder);
    ROWS_WITH(accesses, check_access, make_folder, remove_folder);
    TEST_WITH(later_files_override, make_folder, remove_folder);
    TEST_WITH(a_later_list_replaces, make_folder, remove_folder);
    TEST_WITH(other_names_do_not_count, make_folder, remove_folder);
    TEST_WITH(files_that_cannot_be_read, make_folder, remove_folder);
    TEST_WITH(conf_d_must_be_a_folder, make_folder, remove_folder);
    TEST_WITH(rules_name_the_file_that_won, make_folder, remove_folder);
    TEST(the_default_file_may_be_missing);
    return RUN("settings, files");
}
