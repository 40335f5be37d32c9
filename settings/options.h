/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- every option: settings.h makes the struct of it, settings.c the rows, from which
 * file, -o, --check, --print-config, --print-sample and reload are made. A new one is a row here.
 *
 * An option: section, member, kind with its limits, name, default as the parser reads it
 * (NULL: it depends on the machine or on others), flags, help. TEXT: the default in words,
 * if it depends on something.
 */
SECTION(server,
        "The process. All but proxy-from, open-resolver, hide-identity and hide-version need a "
        "restart.")
OPTION(server, name, TEXT, (check_host, 253, "the host name"), "name", NULL, RESTART,
       "The name in the audit, and for clients that ask who answers.")
LISTED(server, listen, n_listen, addr, "listen", 1, 64, "[\"127.0.0.1:53\", \"[::1]:53\"]", RESTART,
       "Where questions are taken, by UDP and TCP; port 53 unless written. 0.0.0.0 and [::] are "
       "all addresses of the machine.")
LISTED(server, proxy_from, n_proxy_from, prefix, "proxy-from", 0, 64, "[]", 0,
       "Load balancers (addresses or prefixes) that write the client's address in front of what it "
       "sends: PROXY protocol, version 2. From them nothing else is taken, from others never that.")
OPTION(server, open_resolver, YESNO, (), "open-resolver", "no", 0,
       "Confirms that the whole Internet may ask. Else such settings are refused: open resolvers "
       "are used to attack others.")
OPTION(server, hide_identity, YESNO, (), "hide-identity", "no", 0,
       "server.name is not told to clients: id.server and hostname.bind, CH TXT; EDNS NSID.")
OPTION(server, hide_version, YESNO, (), "hide-version", "yes", 0,
       "The version is not told: version.server and version.bind, CH TXT.")
OPTION(server, workers, NUMBER, (0, 256), "workers", "0", RESTART,
       "How many threads answer questions; 0 is one per core.")
OPTION(server, user, TEXT, (check_user, 32, NULL), "user", "waymark", RESTART,
       "Whom the daemon becomes when root starts it; with \"\" it stays root.")
OPTION(server, state_dir, TEXT,
       (check_path, 1024, "lib/waymark below the local state directory, as built"), "state-dir",
       STATEDIR "/waymark", RESTART,
       "The folder of the policy database, the audit and cache.snapshot.")
OPTION(server, run_dir, TEXT, (check_path, 1024, "waymark below the run directory, as built"),
       "run-dir", RUNDIR "/waymark", RESTART, "The folder of the control socket.")
OPTION(server, landlock, YESNO, (), "landlock", "yes", RESTART,
       "Where the kernel has Landlock, the daemon gives up all files but its own: it writes in "
       "state-dir, run-dir and the folders of audit.outputs, and reads below /etc, /run, /usr and "
       "the folders of its settings.")
OPTION(server, seccomp, WORD, (seccomp_words, SECCOMP_NO), "seccomp", "no", RESTART,
       "yes: the daemon gives up all system calls but those that it needs; others fail. kill: they "
       "end it, for tests. The systemd unit sets yes.")
OPTION(server, log_level, WORD, (log_levels, LOG_ERR), "log-level", "info", RESTART,
       "The least important messages that are logged.")
END(server)

RECORDS(access, n_access, access_rule, "access", NULL,
        "loopback and the networks of the machine's own interfaces are allowed",
        "Who may ask: the longest net that contains the client decides; others get REFUSED. A list "
        "replaces the default. Loopback may ask unless a net inside 127.0.0.0/8 or ::1 is named.")
RECORDS(routes, n_routes, route, "forward", "[]", "the servers of /etc/resolv.conf",
        "Which servers are asked: those of the longest zone that contains the name.")

SECTION(cache, "The cache of answers.")
OPTION(cache, size, SIZE, (MEGA, 64 * GIGA), "size", "64M", RESTART,
       "How much memory the answers may take.")
OPTION(cache, min_ttl_ms, DURATION, (0, HOUR), "min-ttl", "0", 0,
       "An answer is kept for at least this time.")
OPTION(cache, max_ttl_ms, DURATION, (0, YEAR), "max-ttl", "1d", 0,
       "An answer is kept for at most this time.")
OPTION(cache, max_negative_ttl_ms, DURATION, (0, DAY), "max-negative-ttl", "5m", 0,
       "The same for NXDOMAIN and NODATA.")
OPTION(cache, serve_stale_ms, DURATION, (0, 30 * DAY), "serve-stale", "1d", 0,
       "When no server answers, an expired answer is given for this time after its end (RFC 8767); "
       "0 is never.")
OPTION(cache, rotate, YESNO, (), "rotate", "yes", 0,
       "A kept answer begins with another record each time, which spreads its clients.")
OPTION(cache, stale_deadline_ms, DURATION, (10, 30 * SECOND), "stale-deadline", "1800ms", 0,
       "While the servers have not answered, an expired answer is given after this time.")
OPTION(cache, max_failure_ttl_ms, DURATION, (SECOND, 5 * MINUTE), "max-failure-ttl", "30s", 0,
       "A question that failed is not asked again for 5 s, and each time that it fails again for "
       "twice as long, up to this (RFC 9520).")
OPTION(cache, nxdomain_cut, YESNO, (), "nxdomain-cut", "no", 0,
       "NXDOMAIN counts for every type of its name and for all names below it (RFC 8020), but for "
       "no discovery name.")
OPTION(cache, prefetch, YESNO, (), "prefetch", "yes", 0,
       "What is asked for in the last tenth of its life is asked for again, so that its clients "
       "never wait.")
OPTION(cache, persist, YESNO, (), "persist", "yes", RESTART,
       "The answers are kept over a restart, in STATE/cache.snapshot.")
END(cache)

SECTION(kms, "Questions for _vlmcs._tcp.<suffix> SRV, with which Windows looks for its KMS host.")
OPTION(kms, mode, WORD, (mode_names, 0), "mode", "live", 0,
       "live: the policy decides. shadow: only recorded is what it would do. off: such questions "
       "are forwarded like any other.")
OPTION(kms, upstream_deadline_ms, DURATION, (10, 10 * SECOND), "upstream-deadline", "700ms", 0,
       "The policy waits so long for the real DNS. Windows asks again after one second.")
OPTION(kms, max_negative_ttl_ms, DURATION, (0, DAY), "max-negative-ttl", "60s", 0,
       "A negative answer to them is kept for at most this time.")
OPTION(kms, explain_in_edns, YESNO, (), "explain-in-edns", "no", 0,
       "Clients with EDNS are told which rule decided (RFC 8914).")
OPTION(
    kms, probe_interval_ms, DURATION, (0, DAY), "probe-interval", "30s", 0,
    "How often each KMS host of a pool is tried by a TCP connection, closed at once; one that is "
    "down is not given while another is up. 0 is never.")
OPTION(kms, probe_timeout_ms, DURATION, (10, MINUTE), "probe-timeout", "2s", 0,
       "How long one such try waits.")
OPTION(kms, probe_rise, NUMBER, (1, 10), "probe-rise", "1", 0,
       "A host that is down is up again after so many good tries in a row.")
OPTION(
    kms, probe_fall, NUMBER, (1, 10), "probe-fall", "2", 0,
    "A host is down after so many failed tries in a row. A failed one is repeated after a quarter "
    "of the interval.")
END(kms)

SECTION(policy, "The policy database, which `waymarkctl` edits.")
OPTION(policy, history_ms, DURATION, (DAY, 100 * YEAR), "history", "2y", 0,
       "The log of policy changes is kept for this time.")
OPTION(policy, require_reason, YESNO, (), "require-reason", "no", 0,
       "`waymarkctl` refuses a change of the policy without --reason.")
END(policy)

SECTION(audit, "The record of every discovery question.")
OPTION(audit, retention_ms, DURATION, (SECOND, 100 * YEAR), "retention", "90d", 0,
       "Events are kept for this time.")
OPTION(audit, ledger_retention_ms, DURATION, (SECOND, 100 * YEAR), "ledger-retention", "400d", 0,
       "A row of the ledger is kept for this time after the last question that touched it.")
OPTION(audit, max_size, SIZE, (MEGA, 30 * GIGA), "max-size", "1G", 0,
       "The size on disk; above 90 % of it the oldest events are removed.")
OPTION(audit, max_rate, NUMBER, (1, 10000000), "max-rate", "5000", 0,
       "Events in a second; questions above are counted in the ledger only.")
OPTION(audit, max_rate_client, NUMBER, (1, 1000000), "max-rate-client", "10", 0,
       "The same for one client.")
OPTION(audit, max_clients, NUMBER, (1, 100000000), "max-clients", "1000000", 0,
       "Clients with a row in the ledger; all others share the row \"(other)\".")
OPTION(audit, max_suffixes, NUMBER, (1, 100000000), "max-suffixes", "100000", 0,
       "The same for suffixes, for hosts and for rules, each on its own.")
OPTION(audit, commit_interval_ms, DURATION, (10, MINUTE), "commit-interval", "1s", 0,
       "How often events are written to disk; a crash loses at most those of this time.")
OPTION(audit, client_address, WORD, (client_addresses, CLIENT_FULL), "client-address", "full", 0,
       "full: the address of a client is recorded. prefix: only its /24 or /56. hmac: a pseudonym, "
       "of which the key is STATE/audit/client.key.")
LISTED(audit, outputs, n_outputs, output, "outputs", 0, 16, "[]", 0,
       "Where each record goes as a line, too, beside the database: "
       "[{to: \"tcp:192.0.2.9:514\", format: cef}].")
END(audit)

SECTION(limits, "Limits on what clients may use.")
OPTION(
    limits, client_rate, NUMBER, (0, 100000), "client-rate", "0", 0,
    "Questions that a client may ask by UDP in a second; 0 is without limit. A client is an IPv4 "
    "address or an IPv6 /56. Over TCP, and with a valid DNS cookie, there is no limit.")
OPTION(limits, client_slip, NUMBER, (0, 10), "client-slip", "2", 0,
       "Of the questions above it every Nth gets an empty answer with TC, so that an honest "
       "client comes by TCP; the others get none. 0: all get none.")
OPTION(limits, client_large_rate, NUMBER, (0, 100000), "client-large-rate", "0", 0,
       "Answers that such a client may get in a second whose packets are more than one and a half "
       "times those of their questions; more have TC and no records. 0 is without limit.")
LISTED(limits, exempt_clients, n_exempt, prefix, "exempt-clients", 0, 1024, "[]", 0,
       "Networks without these limits, such as those of resolvers that ask for many.")
OPTION(limits, any_to_tcp, YESNO, (), "any-to-tcp", "yes", 0,
       "Questions of type ANY get TC by UDP, so that they come by TCP (RFC 8482).")
OPTION(limits, cookie_secret_file, TEXT, (check_file, 1024, NULL), "cookie-secret-file", "\"\"", 0,
       "One or two secrets of 32 hexadecimal digits, one a line, for DNS cookies that several "
       "servers share: the first makes them, both are believed. Without a file it is drawn at the "
       "start.")
OPTION(limits, tcp_connections, NUMBER, (1, 1000000), "tcp-connections", "1024", 0,
       "TCP connections; another one closes the one that has been idle longest.")
OPTION(limits, tcp_per_client, NUMBER, (1, 1000000), "tcp-per-client", "32", 0,
       "The same for one client: another one closes its own that has been idle longest.")
OPTION(limits, tcp_idle_ms, DURATION, (100, HOUR), "tcp-idle", "10s", 0,
       "A connection without a question is closed after this time.")
OPTION(limits, in_flight, NUMBER, (16, 1000000), "in-flight", "4096", 0,
       "Questions that may wait for a server; another one takes the place of the oldest of whoever "
       "has most.")
OPTION(limits, discard_timeout_ms, DURATION, (0, MINUTE), "discard-timeout", "1900ms", 0,
       "Over UDP an answer that comes later than this after its question is not sent: by then the "
       "client asks again. 0 sends all.")
END(limits)

SECTION(control, "The socket over which `waymarkctl` talks to the daemon.")
/* sockaddr_un has room for 108 characters, one of them the final NUL. */
OPTION(control, socket, TEXT, (check_path, 107, "control.sock in server.run-dir"), "socket", NULL,
       RESTART,
       "The UNIX socket. The group of server.user may read; its user and root may also change "
       "things.")
END(control)

#undef SECTION
#undef END
#undef OPTION
#undef LISTED
#undef RECORDS
