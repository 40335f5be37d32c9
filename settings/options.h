/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- every option: the only place that knows its name, type, limits
 * and default. It is included twice: settings.h makes the struct of it, and
 * settings.c the rows, from which file, -o, --check, --print-config and reload are made.
 *
 * A new option is a row here, and some words in conf/waymark.yaml.sample, which
 * --print-sample prints. A test reads the sample: it has every option that is used, with
 * its default and its limits.
 *
 * An option: section, member, name, limits or check, default as written (NULL: it depends
 * on the machine or on others), flags. Defaults are texts that the ordinary parser reads,
 * so they obey the limits.
 */
SECTION(server)
TEXT(server, name, "name", check_host, 253, NULL, RESTART)
ADDRESSES(server, listen, n_listen, "listen", 1, 64, "[\"127.0.0.1:53\", \"[::1]:53\"]", RESTART)
YESNO(server, open_resolver, "open-resolver", "no", 0)
YESNO(server, hide_identity, "hide-identity", "no", 0)
YESNO(server, hide_version, "hide-version", "yes", 0)
NUMBER(server, workers, "workers", 0, 256, "0", RESTART)
TEXT(server, user, "user", check_user, 32, "waymark", RESTART)
TEXT(server, state_dir, "state-dir", check_path, 1024, NULL, RESTART)
TEXT(server, run_dir, "run-dir", check_path, 1024, NULL, RESTART)
WORD(server, log_level, "log-level", log_levels, LOG_ERR, "info", RESTART)
END(server)

RECORDS(access, n_access, access_rule, "access", NULL)
RECORDS(routes, n_routes, route, "forward", "[]")

SECTION(cache)
SIZE(cache, size, "size", MEGA, 64 * GIGA, "64M", RESTART)
DURATION(cache, min_ttl_ms, "min-ttl", 0, HOUR, "0", 0)
DURATION(cache, max_ttl_ms, "max-ttl", 0, YEAR, "1d", 0)
DURATION(cache, max_negative_ttl_ms, "max-negative-ttl", 0, DAY, "5m", 0)
DURATION(cache, serve_stale_ms, "serve-stale", 0, 30 * DAY, "1d", 0)
YESNO(cache, rotate, "rotate", "yes", 0)
/* These and those of probes are of a later version: read, checked, and not used. */
DURATION(cache, stale_deadline_ms, "stale-deadline", 10, 30 * SECOND, "1800ms", 0)
YESNO(cache, prefetch, "prefetch", "yes", 0)
YESNO(cache, persist, "persist", "yes", RESTART)
END(cache)

SECTION(kms)
WORD(kms, mode, "mode", mode_names, 0, "live", 0)
DURATION(kms, upstream_deadline_ms, "upstream-deadline", 10, 10 * SECOND, "700ms", 0)
DURATION(kms, max_negative_ttl_ms, "max-negative-ttl", 0, DAY, "60s", 0)
YESNO(kms, explain_in_edns, "explain-in-edns", "no", 0)
DURATION(kms, probe_interval_ms, "probe-interval", SECOND, DAY, "30s", 0)
DURATION(kms, probe_timeout_ms, "probe-timeout", 10, MINUTE, "2s", 0)
END(kms)

SECTION(policy)
DURATION(policy, history_ms, "history", DAY, 100 * YEAR, "2y", 0)
YESNO(policy, require_reason, "require-reason", "no", 0)
END(policy)

SECTION(audit)
DURATION(audit, retention_ms, "retention", SECOND, 100 * YEAR, "90d", 0)
DURATION(audit, ledger_retention_ms, "ledger-retention", SECOND, 100 * YEAR, "400d", 0)
SIZE(audit, max_size, "max-size", MEGA, 30 * GIGA, "1G", 0)
NUMBER(audit, max_rate, "max-rate", 1, 10000000, "5000", 0)
NUMBER(audit, max_rate_client, "max-rate-client", 1, 1000000, "10", 0)
NUMBER(audit, max_clients, "max-clients", 1, 100000000, "1000000", 0)
NUMBER(audit, max_suffixes, "max-suffixes", 1, 100000000, "100000", 0)
DURATION(audit, commit_interval_ms, "commit-interval", 10, MINUTE, "1s", 0)
WORD(audit, client_address, "client-address", client_addresses, CLIENT_FULL, "full", 0)
NOTHING(audit, outputs, "outputs")
END(audit)

SECTION(limits)
NUMBER(limits, client_rate, "client-rate", 0, 0, "0", 0)
NUMBER(limits, tcp_connections, "tcp-connections", 1, 1000000, "1024", 0)
NUMBER(limits, tcp_per_client, "tcp-per-client", 1, 1000000, "32", 0)
DURATION(limits, tcp_idle_ms, "tcp-idle", 100, HOUR, "10s", 0)
NUMBER(limits, in_flight, "in-flight", 16, 1000000, "4096", 0)
END(limits)

SECTION(control)
/* sockaddr_un has room for 108 characters, one of them the final NUL. */
TEXT(control, socket, "socket", check_path, 107, NULL, RESTART)
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
