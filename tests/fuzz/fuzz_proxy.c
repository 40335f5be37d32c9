/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_proxy.c -- any octets as the head that a load balancer writes. A head that is taken is not taken
 * with an octet less, and needs none of those behind it; a head that is not leaves the client as it was.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "wire/proxy.h"

static int head_of(const uint8_t *data, size_t size, bool stream, struct addr *client, size_t *len)
{
    struct cursor c = cursor_make(data, size);
    int rc;

    *client = (struct addr){.port = 4711};
    rc = proxy_read(&c, stream, client);
    must(rc == 0 || rc == -EAGAIN || rc == -EBADMSG);
    must(rc == 0 || addr_same(client, &(struct addr){.port = 4711}));
    *len = size - cursor_left(&c);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct addr client, again;
    size_t len, len_again;

    for (int stream = 0; stream < 2; stream++) {
        if (head_of(data, size, stream != 0, &client, &len) != 0)
            continue;
        must(len >= 16 && len <= size);
        must(head_of(data, len - 1, stream != 0, &again, &len_again) == -EAGAIN);
        must(head_of(data, len, stream != 0, &again, &len_again) == 0);
        must(len == len_again && addr_same(&client, &again));
    }
    return 0;
}
