/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- every option: the only place that knows its name, type, limits,
 * default and help. It is included twice: settings.h makes the struct of it, and
 * settings.c the rows, from which file, -o, --check, --print-config, --print-sample
 * and reload are made.
 *
 * A new option is a row here. Then print the sample file anew: `waymarkd --print-sample`.
 *
 * An option: section, member, name, limits or check, default as written (NULL and in
 * words: it depends on the machine or on others), flags, help. Defaults are texts
 * that the ordinary parser reads, so they obey the limits.
 */
SECTION(server, "The process. All of these but open-resolver, hide-identity and hide-version "
                "need a restart.")
TEXT(server, name, "name", check_host, 253, NULL, "the host name", RESTART,
     "The name of this forwarder in the audit, and for clients that ask who answers.")
ADDRESSES(server, listen, n_listen, "listen", 1, 64, "[\"127.0.0.1:53\", \"[::1]:53\"]", RESTART,
          "Where questions are taken, by UDP and TCP. The port is 53 unless written. 0.0.0.0 and "
          "[::] mean all addresses of the machine.")
YESNO(server, open_resolver, "open-resolver", "no", 0,
      "Confirms that the access list may allow the whole Internet where it may reach us. Else such "
      "settings are refused: open resolvers are used to attack others.")
YESNO(server, hide_identity, "hide-identity", "no", 0,
      "server.name is not told to clients: id.server and hostname.bind, CH TXT; EDNS NSID.")
YESNO(server, hide_version, "hide-version", "yes", 0,
      "The version is not told: version.server and version.bind, CH TXT.")
NUMBER(server, workers, "workers", 0, 256, "0", RESTART,
       "How many threads answer questions; 0 is one per core.")
TEXT(server, user, "user", check_user, 32, "waymark", NULL, RESTART,
     "Whom the daemon becomes when root starts it; with \"\" it stays root.")
TEXT(server, state_dir, "state-dir", check_path, 1024, NULL,
     "lib/waymark below the local state directory, as built", RESTART,
     "The folder of the policy database and the audit.")
TEXT(server, run_dir, "run-dir", check_path, 1024, NULL,
     "waymark below the run directory, as built", RESTART, "The folder of the control socket.")
WORD(server, log_level, "log-level", log_levels, LOG_ERR, "info", RESTART,
     "The least important messages that are logged.")
END(server)

RECORDS(access, n_access, access_rule, "access", 4096, NULL,
        "loopback and the networks of the machine's own interfaces are allowed",
        "Who may ask. The longest net that contains the client decides; in no net it gets REFUSED. "
        "A list replaces the default. Loopback is allowed unless the list names a net inside "
        "127.0.0.0/8 or ::1.")
RECORDS(routes, n_routes, route, "forward", 4096, "[]", "the servers of /etc/resolv.conf",
        "Which servers are asked: those of the longest zone that contains the name.")

SECTION(cache, "The cache of answers.")
SIZE(cache, size, "size", MEGA, 64 * GIGA, "64M", RESTART, "How much memory the answers may take.")
DURATION(cache, min_ttl_ms, "min-ttl", 0, HOUR, "0", 0,
         "An answer is kept for at least this time, whatever its TTL says.")
DURATION(cache, max_ttl_ms, "max-ttl", 0, YEAR, "1d", 0, "An answer is kept for at most this time.")
DURATION(cache, max_negative_ttl_ms, "max-negative-ttl", 0, DAY, "5m", 0,
         "A negative answer (NXDOMAIN, NODATA) is kept for at most this time.")
DURATION(cache, serve_stale_ms, "serve-stale", 0, 30 * DAY, "1d", 0,
         "When no server answers, an expired answer is given for this time after its end (RFC "
         "8767); 0 is never. It also decides KMS questions.")
YESNO(cache, rotate, "rotate", "yes", 0,
      "A kept answer begins with another record each time, which spreads its clients.")
DURATION(cache, stale_deadline_ms, "stale-deadline", 10, 30 * SECOND, "1800ms", UNUSED,
         "A client waits for this time before it gets an expired answer.")
YESNO(cache, prefetch, "prefetch", "yes", UNUSED,
      "The daemon asks again in the last tenth of an answer's life.")
YESNO(cache, persist, "persist", "yes", RESTART | UNUSED, "The answers are kept over a restart.")
END(cache)

SECTION(kms, "Questions for _vlmcs._tcp.<suffix> SRV, with which Windows looks for its KMS host.")
WORD(kms, mode, "mode", mode_names, 0, "live", 0,
     "live: the policy decides. shadow: its decision is recorded, the answer of the real DNS is "
     "delivered. off: these questions are forwarded like any other.")
DURATION(kms, upstream_deadline_ms, "upstream-deadline", 10, 10 * SECOND, "700ms", 0,
         "The policy waits for the real DNS for this time, then decides without it. Windows asks "
         "again after one second.")
DURATION(kms, max_negative_ttl_ms, "max-negative-ttl", 0, DAY, "60s", 0,
         "A negative answer to such a question is kept for at most this time.")
YESNO(kms, explain_in_edns, "explain-in-edns", "no", 0,
      "Clients that send EDNS are told the name of the rule that decided (RFC 8914).")
DURATION(kms, probe_interval_ms, "probe-interval", SECOND, DAY, "30s", UNUSED,
         "How often the KMS hosts of the policy are tried by TCP.")
DURATION(kms, probe_timeout_ms, "probe-timeout", 10, MINUTE, "2s", UNUSED,
         "How long one such try waits.")
END(kms)

SECTION(policy, "The policy database, which `waymarkctl` edits.")
DURATION(policy, history_ms, "history", DAY, 100 * YEAR, "2y", 0,
         "The log of policy changes is kept for this time.")
YESNO(policy, require_reason, "require-reason", "no", 0,
      "`waymarkctl` refuses a change of the policy without --reason.")
END(policy)

SECTION(audit, "The record of every discovery question.")
DURATION(audit, retention_ms, "retention", SECOND, 100 * YEAR, "90d", 0,
         "Events, the records of single questions, are kept for this time.")
DURATION(audit, ledger_retention_ms, "ledger-retention", SECOND, 100 * YEAR, "400d", 0,
         "A row of the ledger (sums by client, suffix, target and rule) is kept for this time "
         "after the last question that touched it.")
SIZE(audit, max_size, "max-size", MEGA, 30 * GIGA, "1G", 0,
     "The size of the audit on disk; above 90 % of it the oldest events are removed.")
NUMBER(audit, max_rate, "max-rate", 1, 10000000, "5000", 0,
       "How many questions in a second are events; those above are counted in the ledger only.")
NUMBER(audit, max_rate_client, "max-rate-client", 1, 1000000, "10", 0, "The same for one client.")
NUMBER(audit, max_clients, "max-clients", 1, 100000000, "1000000", 0,
       "How many clients have a row in the ledger; all others share the row \"(other)\".")
NUMBER(audit, max_suffixes, "max-suffixes", 1, 100000000, "100000", 0,
       "The same for suffixes, for hosts and for rules, each on its own.")
DURATION(audit, commit_interval_ms, "commit-interval", 10, MINUTE, "1s", 0,
         "How often events are written to disk; a crash loses at most those of this time.")
WORD(audit, client_address, "client-address", client_addresses, CLIENT_FULL, "full", 0,
     "How a client is recorded. full: its address. prefix: only its /24 (IPv4) or /56 (IPv6).")
NOTHING(audit, outputs, "outputs", "Copies of the events to files and to syslog.")
END(audit)

SECTION(limits, "Limits on what clients may use.")
NUMBER(limits, client_rate, "client-rate", 0, 0, "0", 0,
       "Questions of a client in a second; 0 is without limit, and the only value in this version.")
NUMBER(limits, tcp_connections, "tcp-connections", 1, 1000000, "1024", 0,
       "TCP connections at most; another one closes the one that has been idle longest.")
NUMBER(limits, tcp_per_client, "tcp-per-client", 1, 1000000, "32", 0,
       "The same for one client: another one closes its own that has been idle longest.")
DURATION(limits, tcp_idle_ms, "tcp-idle", 100, HOUR, "10s", 0,
         "A connection without a question is closed after this time.")
NUMBER(limits, in_flight, "in-flight", 16, 1000000, "4096", 0,
       "Questions that may wait for a server; another one takes the place of the oldest of the "
       "clients that have most.")
END(limits)

SECTION(control, "The socket over which `waymarkctl` talks to the daemon.")
/* sockaddr_un has room for 108 characters, one of them the final NUL. */
TEXT(control, socket, "socket", check_path, 107, NULL, "control.sock in server.run-dir", RESTART,
     "The UNIX socket. The group of server.user may read over it; its user and root may also "
     "change things.")
END(control)

#undef SECTION
#undef END
#undef TEXT
#undef ADDRESSES
#undef YESNO
#undef NUMBER
#undef SIZE
#undef DURATION
#undef WORD
#undef NOTHING
#undef RECORDS
