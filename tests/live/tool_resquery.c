/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tool_resquery.c -- asks with the resolver of the C library it is built with:
 * tool_resquery PORT NAME SRV|A.
 *
 * The server is set in this process alone, so the machine's resolv.conf is
 * neither needed nor touched. Prints the targets or addresses of the answer.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
static void use(int port)
{
    _res.nscount = 1;
    _res.nsaddr_list[0] = (struct sockaddr_in){.sin_family = AF_INET,
                                               .sin_port = htons((uint16_t)port),
                                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
#else
/* musl has no such state: it asks port 53 of those in resolv.conf, and of
 * 127.0.0.1 when there is no such file. Linked statically, these two functions
 * take the place of its own. */
static int server_port;

static void use(int port)
{
    server_port = port;
}

uint16_t htons(uint16_t n)
{
    return __builtin_bswap16(n == 53 ? (uint16_t)server_port : n);
}

FILE *__fopen_rb_ca(const char *path, FILE *f, unsigned char *buf, size_t len)
{
    (void)path, (void)f, (void)buf, (void)len;
    errno = ENOENT;
    return NULL;
}
#endif

static int print_records(const unsigned char *reply, int len)
{
    char text[NS_MAXDNAME];
    ns_msg m;
    ns_rr rr;

    if (ns_initparse(reply, len, &m) < 0)
        return 1;
    for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
        if (ns_parserr(&m, ns_s_an, i, &rr) < 0)
            return 1;
        if (ns_rr_type(rr) == ns_t_a && ns_rr_rdlen(rr) == 4)
            puts(inet_ntop(AF_INET, ns_rr_rdata(rr), text, sizeof text));
        else if (ns_rr_type(rr) == ns_t_srv && ns_rr_rdlen(rr) > 6 &&
                 ns_name_uncompress(reply, reply + len, ns_rr_rdata(rr) + 6, text, sizeof text) > 0)
            puts(text);
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned char reply[NS_MAXMSG];
    int len;

    if (argc != 4 || res_init() < 0)
        return 2;
    use(atoi(argv[1]));
    len = res_query(argv[2], ns_c_in, strcmp(argv[3], "A") == 0 ? ns_t_a : ns_t_srv, reply,
                    sizeof reply);
    return len < 0 ? 1 : print_records(reply, len);
}
