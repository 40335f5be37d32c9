/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tool_resquery.c -- asks with glibc's resolver: tool_resquery PORT NAME.
 *
 * The server is set in this process alone, so the machine's resolv.conf is
 * neither needed nor touched. Prints the targets of the SRV answer.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>

static int print_targets(const unsigned char *reply, int len)
{
    char host[NS_MAXDNAME];
    ns_msg m;
    ns_rr rr;

    if (ns_initparse(reply, len, &m) < 0)
        return 1;
    for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
        if (ns_parserr(&m, ns_s_an, i, &rr) < 0)
            return 1;
        if (ns_rr_type(rr) != ns_t_srv || ns_rr_rdlen(rr) < 7)
            continue;
        if (ns_name_uncompress(reply, reply + len, ns_rr_rdata(rr) + 6, host, sizeof host) < 0)
            return 1;
        printf("%s:%d\n", host, ns_get16(ns_rr_rdata(rr) + 4));
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct __res_state state = {0};
    unsigned char reply[NS_MAXMSG];
    int len;

    if (argc != 3 || res_ninit(&state) < 0)
        return 2;
    state.nscount = 1;
    state.nsaddr_list[0] = (struct sockaddr_in){.sin_family = AF_INET,
                                                .sin_port = htons((uint16_t)atoi(argv[1])),
                                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    len = res_nquery(&state, argv[2], ns_c_in, ns_t_srv, reply, sizeof reply);
    res_nclose(&state);
    return len < 0 ? 1 : print_targets(reply, len);
}
