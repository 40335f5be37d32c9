/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_query.c -- `query` against a DNS server that a child plays: how replies
 * are matched, truncation, and what is printed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"
#include "wire/types.h"

static const struct ctl_verb *const tables[] = {ctl_daemon_verbs, NULL};
static struct capture out;

/* --- the server's part */

enum play {
    ANSWER,
    STRANGERS_FIRST, /* wrong ID, wrong name, a query, rubbish; then the answer */
    STEERING,        /* an extended error that would steer a terminal */
    TRUNCATED,       /* over UDP; then as TCP */
    TCP,
    WRONG_TCP, /* a reply to another question */
    CLOSED_TCP
};

/* A reply to the query: header, question, A 192.0.2.1 TTL 60, OPT with an NSID and an EDE. */
static size_t make_reply(const uint8_t *query, size_t len, const char *ede, uint8_t *reply)
{
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
    size_t n = 12, text = strlen(ede);
    uint8_t opt[] = {0,
                     0,
                     41,
                     4,
                     208,
                     0,
                     0,
                     0,
                     0,
                     0,
                     (uint8_t)(11 + text),
                     0,
                     3,
                     0,
                     1,
                     'x',
                     0,
                     15,
                     0,
                     (uint8_t)(2 + text),
                     0,
                     29};

    while (n < len && query[n])
        n += query[n] + 1u;
    n += 5;
    memcpy(reply, query, n);
    memcpy(reply + 2, (const uint8_t[]){0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 1}, 10); /* QR RD RA */
    memcpy(reply + n, record, sizeof record);
    memcpy(reply + n + sizeof record, opt, sizeof opt);
    memcpy(reply + n + sizeof record + sizeof opt, ede, text);
    return n + sizeof record + sizeof opt + text;
}

static void serve_udp(int udp, enum play play)
{
    uint8_t query[600], reply[700], bad[700];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(udp, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
    size_t len = make_reply(query, (size_t)n, play == STEERING ? "\033[2J\377" : "Forged", reply);

    for (int i = 0; i < 5 && play == STRANGERS_FIRST; i++) {
        memcpy(bad, reply, len);
        memset((uint8_t *)memmem(bad, len, "\300\0\2\1", 4) + 3, 66, 1); /* 192.0.2.66 */
        bad[0] ^= i == 0;                                                /* ID */
        bad[13] ^= i == 1 ? 0x01 : 0;                                    /* name */
        bad[2] &= i == 2 ? 0x7f : 0xff;                                  /* a query */
        bad[26] ^= i == 4 ? 3 : 0;                                       /* type */
        sendto(udp, bad, i == 3 ? 7 : len, 0, (struct sockaddr *)&from, from_len);
    }
    if (play == TRUNCATED)
        reply[2] |= 0x02;
    sendto(udp, reply, len, 0, (struct sockaddr *)&from, from_len);
}

static void serve_tcp(int tcp, enum play play)
{
    uint8_t query[600], reply[700];
    int fd = accept(tcp, NULL, NULL);
    ssize_t n = recv(fd, query, 2, MSG_WAITALL);
    size_t len;

    n = recv(fd, query, (size_t)(query[0] << 8 | query[1]), MSG_WAITALL);
    len = make_reply(query, (size_t)n, "Synthesized", reply + 2);
    reply[0] = (uint8_t)(len >> 8);
    reply[1] = (uint8_t)len;
    reply[2] ^= play == WRONG_TCP;
    if (play == CLOSED_TCP)
        return;
    send(fd, reply, 1, MSG_NOSIGNAL); /* in pieces */
    send(fd, reply + 1, 20, MSG_NOSIGNAL);
    send(fd, reply + 21, len - 19, MSG_NOSIGNAL);
}

/* Sockets on one free port; returns it. */
static unsigned open_port(int *udp, int *tcp)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;

    for (;; close(*udp), close(*tcp)) {
        at.sin_port = 0;
        *udp = socket(AF_INET, SOCK_DGRAM, 0);
        *tcp = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(*udp, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(getsockname(*udp, (struct sockaddr *)&at, &len), 0);
        if (bind(*tcp, (struct sockaddr *)&at, sizeof at) == 0 && listen(*tcp, 4) == 0)
            return ntohs(at.sin_port);
    }
}

static int run(const char *line, unsigned port)
{
    char first[100];

    snprintf(first, sizeof first, "-c /dev/null -o server.listen=[\"127.0.0.1:%u\"]", port);
    return capture_line(&out, tables, first, line);
}

static const struct row {
    const char *what, *line;
    enum play play;
    int code;
    const char *has[3]; /* of stdout, or of stderr when it fails */
} rows[] = {
    {"an answer",
     "query www.example",
     ANSWER,
     0,
     {"question  www.example A\nstatus    NOERROR, flags rd ra\n          extended error 29 "
      "Forged\n"
      "answer    www.example.",
      "192.0.2.1\nserver    127.0.0.1:", ", udp, "}},
    {"a type", "query www.example AAAA", ANSWER, 0, {"question  www.example AAAA\n"}},
    {"the type of discovery names",
     "query _vlmcs._tcp.corp",
     ANSWER,
     0,
     {"question  _vlmcs._tcp.corp SRV\n"}},
    {"TCP", "query www.example --tcp", TCP, 0, {"192.0.2.1\nserver", ", tcp, "}},
    {"too long for UDP",
     "query www.example",
     TRUNCATED,
     0,
     {"extended error 29 Synthesized", "192.0.2.1\nserver", ", tcp, "}},
    {"replies that belong to something else",
     "query www.example",
     STRANGERS_FIRST,
     0,
     {"192.0.2.1\nserver", ", udp, "}},
    {"such a reply over TCP",
     "query www.example --tcp",
     WRONG_TCP,
     EXIT_FAILED,
     {"is not one to this question"}},
    {"a connection that ends",
     "query www.example --tcp",
     CLOSED_TCP,
     EXIT_NO_DAEMON,
     {"Connection reset"}},
    {"a text that would steer the terminal",
     "query www.example",
     STEERING,
     0,
     {"extended error 29 \\x1b[2J\\xff\n"}},
    {"JSON",
     "query www.example --json",
     ANSWER,
     0,
     {"\"status\": \"NOERROR\"", "\"code\": 29,\n    \"text\": \"Forged\"",
      "\"flags\": [\n    \"rd\",\n    \"ra\"\n  ]"}},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    int udp, tcp;
    unsigned port = open_port(&udp, &tcp);
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        if (r->play <= TRUNCATED)
            serve_udp(udp, r->play);
        if (r->play >= TRUNCATED)
            serve_tcp(tcp, r->play);
        _exit(0);
    }
    close(udp);
    close(tcp);
    assert_int_equal(run(r->line, port), r->code);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 3 && r->has[i]; i++)
        assert_has(out.text[r->code != 0], r->has[i]);
}

static void nobody_listens(void **state)
{
    int udp, tcp;
    unsigned port = open_port(&udp, &tcp);

    close(udp);
    close(tcp);
    assert_int_equal(run("query www.example", port), EXIT_NO_DAEMON);
    assert_has(out.text[1], "Connection refused; start it with systemctl start waymark");
    assert_int_equal(run("query www.example --tcp", port), EXIT_NO_DAEMON);
    assert_string_equal(out.text[0], "");
}

static void what_is_no_question(void **state)
{
    assert_int_equal(run("query a..b", 1), EXIT_USAGE);
    assert_has(out.text[1], "a..b is not a domain name");
    assert_int_equal(run("query a.b NOTYPE", 1), EXIT_USAGE);
    assert_has(out.text[1], "NOTYPE is not a record type");
    assert_int_equal(run("query a.b --csv", 1), EXIT_USAGE);
}

int main(void)
{
    ROWS(rows, check_row);
    TEST(nobody_listens);
    TEST(what_is_no_question);
    return RUN("query");
}
