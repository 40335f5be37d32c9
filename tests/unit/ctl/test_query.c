/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_query.c -- `query` against a DNS server that a child plays: how replies
 * are matched, truncation, and what is printed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/wait.h>

#include "tests/unit/ctl/capture.h"

enum { SIZE = 700 };

enum play {
    UDP,
    LATE,      /* by 20 ms */
    STRANGERS, /* at first: wrong ID, wrong name, a query, rubbish, wrong type, nothing */
    TRUNCATED, /* over UDP; then as TCP */
    TCP,
    WRONG_TCP, /* a reply to another question */
    CLOSED_TCP,
    NOBODY
};

/* A 192.0.2.1 with TTL 60; an OPT with NSID, and an extended error that would steer a terminal. */
static const char records[] = "\300\14\0\1\0\1\0\0\0\74\0\4\300\0\2\1"
                              "\0\0\51\4\320\0\0\0\0\0\24\0\3\0\4name\0\17\0\10\0\35\33[2J\377x";

static size_t make_reply(const uint8_t *query, ssize_t len, uint8_t *reply)
{
    size_t n = (size_t)len - 11; /* its OPT is the end */

    assert_memory_equal(query + 2, "\1\0\0\1\0\0\0\0\0\1", 10);
    assert_memory_equal(query + n, "\0\0\51", 3);
    memcpy(reply, query, n);
    memcpy(reply + 2, "\201\200\0\1\0\1", 6);
    memcpy(reply + n, records, sizeof records - 1);
    return n + sizeof records - 1;
}

static void serve(int udp, int tcp, enum play play)
{
    uint8_t query[SIZE], reply[2 + SIZE], bad[SIZE];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    size_t len;
    int fd;

    if (play <= TRUNCATED) {
        len = make_reply(query, recvfrom(udp, query, SIZE, 0, (struct sockaddr *)&from, &from_len),
                         reply);
        connect(udp, (struct sockaddr *)&from, from_len);
        for (int i = 0; i < 6 && play == STRANGERS; i++) {
            memcpy(bad, reply, len);
            bad[len + 16 - sizeof records] = 66; /* 192.0.2.66 */
            bad[0] ^= i == 0;
            bad[13] ^= i == 1;
            bad[2] &= i == 2 ? 0x7f : 0xff;
            bad[26] ^= i == 4 ? 3 : 0;
            send(udp, bad, i == 3 ? 7 : i == 5 ? 0 : len, 0);
        }
        reply[2] |= play == TRUNCATED ? 0x02 : 0;
        usleep(play == LATE ? 20000 : 0);
        send(udp, reply, len, 0);
    }
    if (play >= TRUNCATED) {
        fd = accept(tcp, NULL, NULL);
        len = (size_t)recv(fd, query, 2, MSG_WAITALL);
        len = make_reply(query, recv(fd, query, bytes_u16(query), MSG_WAITALL), reply + 2);
        memcpy(reply, (uint8_t[]){(uint8_t)(len >> 8), (uint8_t)len}, 2);
        reply[2] ^= play == WRONG_TCP;
        for (size_t i = 0; i < len + 2 && play != CLOSED_TCP; i += 20) /* in pieces */
            send(fd, reply + i, i + 20 < len + 2 ? 20 : len + 2 - i, MSG_NOSIGNAL);
    }
}

#define QUERY "query www.example"
#define SCREEN                                                                                     \
    "question  www.example A\nstatus    NOERROR, flags rd ra\n"                                    \
    "          extended error 29 \\x1b[2J\\xffx\n"                                                 \
    "answer    www.example. 60 IN A 192.0.2.1\nserver    127.0.0.1:"

static const struct row {
    const char *line;
    enum play play;
    int code;
    const char *has;    /* of stdout, or of stderr when it fails; "!...": what it has not */
    const char *listen; /* NULL: 127.0.0.1 */
} rows[] = {
    {QUERY, UDP, 0, SCREEN, "0.0.0.0"},
    {QUERY " AAAA", UDP, 0, "question  www.example AAAA\n"},
    {"query _vlmcs._tcp.corp", UDP, 0, "  _vlmcs._tcp.corp SRV\n"},
    {QUERY " --tcp", TCP, 0, SCREEN},
    {QUERY, TRUNCATED, 0, SCREEN},
    {QUERY " --json", TRUNCATED, 0, "\"transport\": \"tcp\""},
    {QUERY " --json", LATE, 0, "!\"ms\": 0,"},
    {QUERY, STRANGERS, 0, SCREEN},
    {QUERY " --tcp", WRONG_TCP, EXIT_FAILED, "not one to this question"},
    {QUERY " --tcp", CLOSED_TCP, EXIT_NO_DAEMON, "Connection reset"},
    {QUERY " --json", UDP, 0,
     "\"flags\": [\n    \"rd\",\n    \"ra\"\n  ],\n  \"answer\": [\n    \"w"},
    {QUERY " --json", UDP, 0, "\"code\": 29,\n    \"text\": \"\\\\x1b"},
    {QUERY, NOBODY, EXIT_NO_DAEMON, ": Connection refused; start it with"},
    {QUERY " --tcp", NOBODY, EXIT_NO_DAEMON, ": Connection refused"},
    {"query a..b", NOBODY, EXIT_USAGE, "a..b is not a domain name"},
    {"query a.b NOTYPE", NOBODY, EXIT_USAGE, "NOTYPE is not a record type"},
    {"query a.b --csv", NOBODY, EXIT_USAGE, "use --json"},
};

/* Sockets on one free port; returns its number. */
static int open_port(int *udp, int *tcp)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof to;

    for (;; close(*udp), close(*tcp)) {
        to.sin_port = 0;
        *udp = socket(AF_INET, SOCK_DGRAM, 0);
        *tcp = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(*udp, (struct sockaddr *)&to, sizeof to), 0);
        assert_int_equal(getsockname(*udp, (struct sockaddr *)&to, &len), 0);
        if (bind(*tcp, (struct sockaddr *)&to, sizeof to) == 0 && listen(*tcp, 4) == 0)
            return ntohs(to.sin_port);
    }
}

static void check_row(void **state)
{
    const struct row *r = *state;
    int udp, tcp, port = open_port(&udp, &tcp);
    pid_t child;

    child = r->play < NOBODY ? fork() : -1;
    if (child == 0) {
        alarm(20);
        serve(udp, tcp, r->play);
        _exit(0);
    }
    close(udp);
    close(tcp);
    assert_int_equal(capture_line(real, "-c /dev/null -o server.listen=[\"%s:%d\"] %s",
                                  r->listen ? r->listen : "127.0.0.1", port, r->line),
                     r->code);
    waitpid(child, NULL, 0);
    if (!has_or_not(out.text[r->code != 0], r->has))
        fail_msg("%s: %s", r->has, out.text[r->code != 0]);
}

TESTS("query", ROWS(rows, check_row))
