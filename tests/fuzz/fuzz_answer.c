/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_answer.c -- any question, any reply of a server, several settings: what is sent to the client. The
 * answer is within the client's limit and reads back, by us and by ldns.
 */
#include "tests/fuzz/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[FUZZ_SETTINGS] = {
        "",
        "cache: {rotate: yes}\n",
        "cache: {min-ttl: 5m, max-ttl: 1h, max-negative-ttl: 10s}\n",
        "server: {hide-identity: yes}\n",
        "forward: [{zone: ., servers: [192.0.2.53], trust-ad: yes}]\naccess: [{net: 0.0.0.0/0, "
        "action: allow}, {net: \"::/0\", action: allow}]\n",
        "forward: [{zone: corp.example, servers: [10.0.0.53]}]\naccess: [{net: 10.0.0.0/8, action: "
        "allow}]\n",
        "cache: {serve-stale: 0, max-ttl: 1s}\nlimits: {tcp-idle: 1m}\n",
        "server: {name: a-name-that-is-as-long-as-the-name-of-a-forwarder-may-be.example}\n",
    };
    static struct settings *all[FUZZ_SETTINGS];
    static struct world *w;
    struct fuzz_input in;

    if (w == NULL)
        w = worlds_new(NULL, texts, all);
    if (!input_read(&in, data, size))
        return 0;
    settings_choose(w, all, in.settings);
    input_answer(w, &in, in.query, in.query_len, NULL);
    return 0;
}
