/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_query.c -- `query` against a DNS server that a child plays: how replies
 * are matched, truncation, and what is printed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "tests/unit/ctl/capture.h"
#include "wire/types.h"
#include "tests/unit/rows.h"

enum { WORDS = 16 };

static const struct ctl_verb *const tables[] = {ctl_daemon_verbs, NULL};
static struct capture out;

/* --- the server's part */

enum play {
    ANSWER,
    ANSWER_OVER_TCP, /* UDP is truncated */
    STRANGERS_FIRST, /* wrong ID, wrong name, a query, rubbish; then the answer */
    STEERING,        /* an extended error that would steer a terminal */
};

/* A reply to the query: header, question, A 192.0.2.1 TTL 60, OPT with an EDE. */
static size_t make_reply(const uint8_t *query, size_t len, const char *ede, uint8_t *reply)
{
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
    size_t question = 12, n, text = strlen(ede);
    uint8_t opt[] = {
        0, 0, 41, 4, 208, 0, 0, 0, 0, 0, (uint8_t)(6 + text), 0, 15, 0, (uint8_t)(2 + text), 0, 29};

    while (question < len && query[question])
        question += query[question] + 1u;
    n = question + 5;
    memcpy(reply, query, n);
    reply[2] = 0x81; /* QR RD */
    reply[3] = 0x80; /* RA NOERROR */
    memcpy(reply + 4, (const uint8_t[]){0, 1, 0, 1, 0, 0, 0, 1}, 8);
    memcpy(reply + n, record, sizeof record);
    n += sizeof record;
    memcpy(reply + n, opt, sizeof opt);
    n += sizeof opt;
    memcpy(reply + n, ede, text);
    return n + text;
}

static void strangers(int fd, const struct sockaddr_in *to, const uint8_t *good, size_t len)
{
    uint8_t bad[600];

    for (int i = 0; i < 4; i++) {
        memcpy(bad, good, len);
        memset((uint8_t *)memmem(bad, len, "\300\0\2\1", 4) + 3, 66, 1); /* 192.0.2.66 */
        bad[0] ^= i == 0;                                                /* ID */
        bad[13] ^= i == 1 ? 0x01 : 0;                                    /* name */
        bad[2] &= i == 2 ? 0x7f : 0xff;                                  /* a query */
        sendto(fd, bad, i == 3 ? 7 : len, 0, (const struct sockaddr *)to, sizeof *to);
    }
}

static void serve_udp(int udp, enum play play)
{
    const char *ede = play == STEERING ? "\033[2J\377" : "Synthesized";
    uint8_t query[600], reply[700];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(udp, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
    size_t len = make_reply(query, (size_t)n, ede, reply);

    if (play == STRANGERS_FIRST)
        strangers(udp, &from, reply, len);
    sendto(udp, reply, len, 0, (struct sockaddr *)&from, from_len);
}

static void serve_tcp(int udp, int tcp, bool truncate)
{
    uint8_t query[600], reply[700];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    size_t len;
    ssize_t n;
    int fd;

    if (truncate) {
        n = recvfrom(udp, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
        make_reply(query, (size_t)n, "", reply);
        reply[2] |= 0x02;
        memcpy(reply + 6, (const uint8_t[]){0, 0, 0, 0, 0, 0}, 6);
        for (len = 12; reply[len]; len += reply[len] + 1u)
            ;
        sendto(udp, reply, len + 5, 0, (struct sockaddr *)&from, from_len);
    }
    fd = accept(tcp, NULL, NULL);
    n = recv(fd, query, 2, MSG_WAITALL);
    n = recv(fd, query, (size_t)(query[0] << 8 | query[1]), MSG_WAITALL);
    len = make_reply(query, (size_t)n, "Synthesized", reply + 2);
    reply[0] = (uint8_t)(len >> 8);
    reply[1] = (uint8_t)len;
    send(fd, reply, 1, MSG_NOSIGNAL); /* in pieces */
    send(fd, reply + 1, len + 1, MSG_NOSIGNAL);
}

/* Sockets on one free port; returns it. */
static uint16_t open_port(int *udp, int *tcp)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;

    for (;;) {
        at.sin_port = 0;
        *udp = socket(AF_INET, SOCK_DGRAM, 0);
        *tcp = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(*udp, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(*udp, (struct sockaddr *)&at, &len), 0);
        if (bind(*tcp, (struct sockaddr *)&at, sizeof at) == 0 && listen(*tcp, 4) == 0)
            return ntohs(at.sin_port);
        close(*udp);
        close(*tcp);
    }
}

static int run(const char *line, unsigned port)
{
    char copy[512], listen_at[64], *argv[WORDS] = {"waymarkctl", "-o", listen_at}, *save = NULL;
    int argc = 3, code;

    snprintf(listen_at, sizeof listen_at, "server.listen=[\"127.0.0.1:%u\"]", port);
    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    capture_begin(&out);
    code = cli_main(tables, argc, argv);
    capture_end(&out);
    return code;
}

static const struct row {
    const char *what, *line;
    enum play play;
    const char *has[4];
} rows[] = {
    {"an answer",
     "query www.example",
     ANSWER,
     {"question  www.example A\nstatus    NOERROR, flags rd ra\n          extended error 29 "
      "Synthesized\nanswer    www.example.",
      "192.0.2.1\nserver    127.0.0.1:", ", udp, "}},
    {"a type", "query www.example AAAA", ANSWER, {"question  www.example AAAA\n"}},
    {"the type of discovery names",
     "query _vlmcs._tcp.corp",
     ANSWER,
     {"question  _vlmcs._tcp.corp SRV\n"}},
    {"TCP", "query www.example --tcp", ANSWER_OVER_TCP, {"192.0.2.1\nserver", ", tcp, "}},
    {"too long for UDP", "query www.example", ANSWER_OVER_TCP, {"192.0.2.1\nserver", ", tcp, "}},
    {"replies that belong to something else",
     "query www.example",
     STRANGERS_FIRST,
     {"192.0.2.1\nserver", ", udp, "}},
    {"a text that would steer the terminal",
     "query www.example",
     STEERING,
     {"extended error 29 \\x1b[2J\\xff\n"}},
    {"JSON",
     "query www.example --json",
     ANSWER,
     {"\"status\": \"NOERROR\"", "\"transport\": \"udp\"",
      "\"code\": 29,\n    \"text\": \"Synthesized\"",
      "\"flags\": [\n    \"rd\",\n    \"ra\"\n  ]"}},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    int udp, tcp;
    uint16_t port = open_port(&udp, &tcp);
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        if (r->play == ANSWER_OVER_TCP)
            serve_tcp(udp, tcp, strstr(r->line, "--tcp") == NULL);
        else
            serve_udp(udp, r->play);
        _exit(0);
    }
    close(udp);
    close(tcp);
    assert_int_equal(run(r->line, port), EXIT_DONE);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 4 && r->has[i]; i++)
        assert_has(out.text[0], r->has[i]);
}

static void nobody_listens(void **state)
{
    int udp, tcp;
    uint16_t port = open_port(&udp, &tcp);

    close(udp);
    close(tcp);
    assert_int_equal(run("query www.example", port), EXIT_NO_DAEMON);
    assert_non_null(
        strstr(out.text[1], "Connection refused; start it with systemctl start waymark"));
    assert_int_equal(run("query www.example --tcp", port), EXIT_NO_DAEMON);
    assert_string_equal(out.text[0], "");
}

static void what_is_no_question(void **state)
{
    assert_int_equal(run("query a..b", 1), EXIT_USAGE);
    assert_has(out.text[1], "a..b is not a domain name");
    assert_int_equal(run("query a.b NOTYPE", 1), EXIT_USAGE);
    assert_has(out.text[1], "NOTYPE is not a record type");
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof *rows };

    ROWS(rows, check_row);
    TEST(nobody_listens);
    TEST(what_is_no_question);
    return RUN("query");
}
