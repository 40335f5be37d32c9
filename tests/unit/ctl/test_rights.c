/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_rights.c -- who changes something, and the words when a store cannot be opened. That root
 * becomes the daemon's user is in tests/live/test_rights.py, and its cases are in test_file.c.
 */
#include "tests/unit/ctl/capture.h"

static struct settings settings = {.server = {.state_dir = "/x", .user = "nobody"}};
static struct ctl c = {.called = "policy fill", .settings = &settings};

static const struct row {
    const char *what;
    uid_t uid;
    int err;
    const char *says;
} rows[] = {
    {"a file system for reading", 0, EROFS, "cannot open /x/policy: Read-only file system"},
    {"no store yet", 0, -ENOENT, "/x/policy does not exist: waymarkd has not run yet"},
    {"root must not", 0, -EACCES, "/x/policy as the user nobody: its owner is another; chown -R"},
    {"a user must not", 1, EPERM, "no permission for /x/policy: sudo waymarkctl policy fill ..."},
};

static void check_row(void **state)
{
    const struct row *r = *state;

    c.uid = r->uid;
    capture_begin();
    assert_int_equal(ctl_store_error(&c, "/x/policy", r->err), EXIT_FAILED);
    capture_end();
    assert_has(out.text[1], r->says);
}

static const struct author_row {
    const char *what;
    uid_t uid;
    const char *sudo, *author;
} authors[] = {
    {"the author is who called sudo", 0, "alice\033[2J", "alice\\x1b[2J"},
    {"only root's word counts", 4999999, "alice", "uid 4999999"},
    {"root without sudo", 0, "", "root"},
};

static void check_author(void **state)
{
    const struct author_row *r = *state;
    char author[64], login[16] = "";
    int fd = open("/proc/self/loginuid", O_RDONLY);

    if (read(fd, login, sizeof login - 1) > 0 && strcmp(login, "4294967295") != 0)
        skip(); /* the kernel knows better than the environment */
    close(fd);
    setenv("SUDO_USER", r->sudo, 1);
    c.uid = r->uid;
    ctl_author(&c, author);
    assert_string_equal(author, r->author);
}

TESTS("rights", ROWS(rows, check_row), ROWS(authors, check_author))
