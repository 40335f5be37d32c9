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
 * An option: section, member, kind, name, default as written (NULL: it depends on the
 * machine or on others), flags, limits or what the kind needs. Defaults are texts that the
 * ordinary parser reads, so they obey the limits.
 */
SECTION(server)
OPTION(server, name, TEXT, "name", NULL, RESTART, check_host, 253)
ADDRESSES(server, listen, n_listen, "listen", 1, 64, "[\"127.0.0.1:53\", \"[::1]:53\"]", RESTART)
OPTION(server, open_resolver, YESNO, "open-resolver", "no", 0)
OPTION(server, hide_identity, YESNO, "hide-identity", "no", 0)
OPTION(server, hide_version, YESNO, "hide-version", "yes", 0)
OPTION(server, workers, NUMBER, "workers", "0", RESTART, 0, 256)
OPTION(server, user, TEXT, "user", "waymark", RESTART, check_user, 32)
OPTION(server, state_dir, TEXT, "state-dir", NULL, RESTART, check_path, 1024)
OPTION(server, run_dir, TEXT, "run-dir", NULL, RESTART, check_path, 1024)
OPTION(server, log_level, WORD, "log-level", "info", RESTART, log_levels, LOG_ERR)
END(server)

RECORDS(access, n_access, access_rule, "access", NULL)
RECORDS(routes, n_routes, route, "forward", "[]")

SECTION(cache)
OPTION(cache, size, SIZE, "size", "64M", RESTART, MEGA, 64 * GIGA)
OPTION(cache, min_ttl_ms, DURATION, "min-ttl", "0", 0, 0, HOUR)
OPTION(cache, max_ttl_ms, DURATION, "max-ttl", "1d", 0, 0, YEAR)
OPTION(cache, max_negative_ttl_ms, DURATION, "max-negative-ttl", "5m", 0, 0, DAY)
OPTION(cache, serve_stale_ms, DURATION, "serve-stale", "1d", 0, 0, 30 * DAY)
OPTION(cache, rotate, YESNO, "rotate", "yes", 0)
/* These and those of probes are of a later version: read, checked, and not used. */
OPTION(cache, stale_deadline_ms, DURATION, "stale-deadline", "1800ms", 0, 10, 30 * SECOND)
OPTION(cache, prefetch, YESNO, "prefetch", "yes", 0)
OPTION(cache, persist, YESNO, "persist", "yes", RESTART)
END(cache)

SECTION(kms)
OPTION(kms, mode, WORD, "mode", "live", 0, mode_names, 0)
OPTION(kms, upstream_deadline_ms, DURATION, "upstream-deadline", "700ms", 0, 10, 10 * SECOND)
OPTION(kms, max_negative_ttl_ms, DURATION, "max-negative-ttl", "60s", 0, 0, DAY)
OPTION(kms, explain_in_edns, YESNO, "explain-in-edns", "no", 0)
OPTION(kms, probe_interval_ms, DURATION, "probe-interval", "30s", 0, SECOND, DAY)
OPTION(kms, probe_timeout_ms, DURATION, "probe-timeout", "2s", 0, 10, MINUTE)
END(kms)

SECTION(policy)
OPTION(policy, history_ms, DURATION, "history", "2y", 0, DAY, 100 * YEAR)
OPTION(policy, require_reason, YESNO, "require-reason", "no", 0)
END(policy)

SECTION(audit)
OPTION(audit, retention_ms, DURATION, "retention", "90d", 0, SECOND, 100 * YEAR)
OPTION(audit, ledger_retention_ms, DURATION, "ledger-retention", "400d", 0, SECOND, 100 * YEAR)
OPTION(audit, max_size, SIZE, "max-size", "1G", 0, MEGA, 30 * GIGA)
OPTION(audit, max_rate, NUMBER, "max-rate", "5000", 0, 1, 10000000)
OPTION(audit, max_rate_client, NUMBER, "max-rate-client", "10", 0, 1, 1000000)
OPTION(audit, max_clients, NUMBER, "max-clients", "1000000", 0, 1, 100000000)
OPTION(audit, max_suffixes, NUMBER, "max-suffixes", "100000", 0, 1, 100000000)
OPTION(audit, commit_interval_ms, DURATION, "commit-interval", "1s", 0, 10, MINUTE)
OPTION(audit, client_address, WORD, "client-address", "full", 0, client_addresses, CLIENT_FULL)
NOTHING(audit, outputs, "outputs")
END(audit)

SECTION(limits)
OPTION(limits, client_rate, NUMBER, "client-rate", "0", 0, 0, 0)
OPTION(limits, tcp_connections, NUMBER, "tcp-connections", "1024", 0, 1, 1000000)
OPTION(limits, tcp_per_client, NUMBER, "tcp-per-client", "32", 0, 1, 1000000)
OPTION(limits, tcp_idle_ms, DURATION, "tcp-idle", "10s", 0, 100, HOUR)
OPTION(limits, in_flight, NUMBER, "in-flight", "4096", 0, 16, 1000000)
END(limits)

SECTION(control)
/* sockaddr_un has room for 108 characters, one of them the final NUL. */
OPTION(control, socket, TEXT, "socket", NULL, RESTART, check_path, 107)
END(control)

#undef SECTION
#undef END
#undef OPTION
#undef ADDRESSES
#undef NOTHING
#undef RECORDS
