/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_daemon.c -- the verbs that talk to the daemon, from command line to
 * screen: a child answers on a UNIX socket with what the
 * row gives, and tells what it was asked.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "tests/unit/ctl/capture.h"
#include "tests/unit/rows.h"

enum { WORDS = 16, ASKED = 1024 };

static const struct ctl_verb *const tables[] = {ctl_daemon_verbs, NULL};
static struct capture out;
static char dir[64], path[100], settings[100], asked[ASKED];

static int set_up(void **state)
{
    FILE *f;

    strcpy(dir, "/tmp/waymark-ctl-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/control.sock", dir);
    snprintf(settings, sizeof settings, "%s/waymark.yaml", dir);
    f = fopen(settings, "w");
    assert_non_null(f);
    fprintf(f, "control: {socket: %s}\n", path);
    fclose(f);
    return 0;
}

static int tear_down(void **state)
{
    unlink(path);
    unlink(settings);
    assert_int_equal(rmdir(dir), 0);
    return 0;
}

/* Runs a command line (words by space) with our settings. */
static int run(const char *line)
{
    char copy[512], *argv[WORDS] = {"waymarkctl", "-c", settings}, *save = NULL;
    int argc = 3, code;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    capture_begin(&out);
    code = cli_main(tables, argc, argv);
    capture_end(&out);
    return code;
}

/* --- the daemon's part, in a child */

/* Reads one request; false when the peer only knocked. */
static bool read_request(int fd, char *to, size_t size)
{
    size_t len = 0;
    const char *end = NULL, *length;

    while (!end || len < (size_t)(end + 4 - to) + ((length = strstr(to, "Content-Length: "))
                                                       ? strtoul(length + 16, NULL, 10)
                                                       : 0)) {
        ssize_t n = read(fd, to + len, size - 1 - len);

        if (n <= 0)
            return false;
        len += (size_t)n;
        to[len] = '\0';
        end = strstr(to, "\r\n\r\n");
    }
    return true;
}

static void serve(int listener, int tell, int status, const char *body)
{
    char request[4096], head[200];

    for (;;) {
        int fd = accept(listener, NULL, NULL), n;

        if (fd < 0)
            _exit(1);
        if (!read_request(fd, request, sizeof request)) {
            close(fd);
            continue;
        }
        n = snprintf(
            head, sizeof head,
            "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
            status, strlen(body));
        if (write(fd, head, (size_t)n) < 0 || write(fd, body, strlen(body)) < 0 ||
            write(tell, request, strlen(request)) < 0)
            _exit(1);
        _exit(0);
    }
}

/* Starts the child; its listener is ready on return. *tell: what it was asked. */
static pid_t start_http(int status, const char *body, int *tell)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), pipes[2];
    pid_t child;

    strcpy(at.sun_path, path);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(pipe(pipes), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        serve(listener, pipes[1], status, body);
    }
    close(listener);
    close(pipes[1]);
    *tell = pipes[0];
    return child;
}

/* --- rows: a command line, the daemon's answer, what is seen */

#define FABRIKAM                                                                                   \
    "{\"client\":{\"address\":\"10.20.64.7\",\"networks\":[{\"name\":\"kiosks\",\"prefix\":\"10."  \
    "20.64.0/18\"}],"                                                                              \
    "\"access\":{\"action\":\"allow\",\"by\":\"10.0.0.0/8\"}},"                                    \
    "\"question\":{\"name\":\"_vlmcs._tcp.hr.fabrikam.local\",\"type\":\"SRV\"},"                  \
    "\"real\":{\"verdict\":\"nxdomain\",\"server\":\"10.9.0.53\",\"route\":\"fabrikam.local\","    \
    "\"ms\":51,"                                                                                   \
    "\"cached\":true,\"ttl_s\":41},"                                                               \
    "\"rules\":[{\"rule\":\"dmz-mak\",\"acts\":false,\"why\":\"client is not in dmz\"},"           \
    "{\"rule\":\"kiosks-anything\",\"acts\":false,\"why\":\"shadow (it would fill)\"},"            \
    "{\"rule\":\"merged-domains\",\"acts\":false,\"why\":\"has fabrikam.local, which covers that " \
    "name only\"}],"                                                                               \
    "\"decision\":{\"outcome\":\"missing\",\"reason\":\"no-rule\",\"rule\":null,"                  \
    "\"text\":\"no rule acts, the real answer is delivered\"},"                                    \
    "\"answer\":{\"rcode\":\"NXDOMAIN\",\"ttl_s\":41,\"records\":[]},"                             \
    "\"windows\":{\"code\":\"0x8007232B\",\"text\":\"DNS name does not exist\"},"                  \
    "\"hint\":\"waymarkctl policy rule add merged-domains '*.fabrikam.local'\","                   \
    "\"policy\":{\"serial\":42,\"digest\":\"9f2c61d0\"}}"

#define FILLED                                                                                     \
    "{\"client\":{\"address\":\"10.1.1.1\",\"networks\":[],\"access\":{\"action\":\"refuse\","     \
    "\"by\":null}},"                                                                               \
    "\"question\":{\"name\":\"_vlmcs._tcp.a\",\"type\":\"SRV\"},"                                  \
    "\"real\":{\"verdict\":\"nxdomain\",\"server\":null},"                                         \
    "\"rules\":[{\"rule\":\"r\",\"acts\":true,\"why\":\"suffix a, any client\"}],"                 \
    "\"decision\":{\"outcome\":\"filled\",\"text\":\"rule r fills\"},"                             \
    "\"late\":{\"outcome\":\"filled\",\"rule\":\"q\",\"text\":\"800 ms is too long\"},"            \
    "\"answer\":{\"rcode\":\"NOERROR\",\"ttl_s\":300,\"records\":[\"0 0 1688 kms01.contoso.com\"," \
    "\"10 0 1688 "                                                                                 \
    "\\u001b[2Jkms02\"]},\"windows\":null,\"hint\":null,\"policy\":{\"serial\":1,\"digest\":"      \
    "\"00000001\"}}"

#define STATUS(problems) STATUS_WITH(problems, "")
#define STATUS_WITH(problems, reverse)                                                             \
    "{\"version\":\"0.1.0\",\"name\":\"dns1\",\"pid\":812,\"user\":0,\"started\":"                 \
    "1795338000123,"                                                                               \
    "\"uptime_s\":93784,\"listen\":[\"127.0.0.1:53\",\"[::1]:53\"],\"workers\":2,"                 \
    "\"settings\":{\"file\":\"/etc/waymark/"                                                       \
    "waymark.yaml\",\"generation\":3,\"read\":1795338000123},"                                     \
    "\"policy\":{\"open\":true,\"serial\":42,\"digest\":\"9f2c61d0\",\"networks\":2,\"pools\":1,"  \
    "\"rules\":4,"                                                                                 \
    "\"suffixes\":6,\"approved\":1,\"error\":null},\"audit\":{\"open\":true,\"recorded\":8,"       \
    "\"counted\":1,"                                                                               \
    "\"dropped\":0,\"questions\":9,\"pending\":0,\"error\":null,\"last_commit\":1795338000123},"   \
    "\"cache\":{\"entries\":10,\"bytes\":1048576,\"size\":67108864,\"hits\":3,\"misses\":1},"      \
    "\"queries\":100,\"kms_questions\":9,\"local_reverse\":[" reverse "],\"problems\":[" problems  \
    "]}"

#define UPSTREAMS                                                                                  \
    "{\"routes\":[{\"zone\":\".\",\"strategy\":\"ordered\",\"timeout_ms\":1000,\"servers\":[{"     \
    "\"address\":"                                                                                 \
    "\"192.0.2.53:53\",\"state\":\"up\",\"rtt_ms\":12,\"queries\":7,\"replies\":6,\"positive\":4," \
    "\"nodata\":1,\"nxdomain\":1,\"failures\":0,\"timeouts\":1,"                                   \
    "\"errors\":0,"                                                                                \
    "\"last_error\":null}]}]}"

static const struct row {
    const char *what, *line;
    int status;
    const char *body;
    int code;
    const char *request; /* its beginning */
    const char *has;     /* in the request, or NULL */
    const char *prints;  /* stdout, whole */
    const char *says;    /* part of stderr, or NULL */
} rows[] = {
    {"explain: the layout", "explain hr.fabrikam.local --client 10.20.64.7", 200, FABRIKAM, 0,
     "GET /v1/explain?name=_vlmcs._tcp.hr.fabrikam.local&type=SRV&client=10.20.64.7 ", NULL,
     "client    10.20.64.7, in kiosks (10.20.64.0/18); allowed by access 10.0.0.0/8\n"
     "question  _vlmcs._tcp.hr.fabrikam.local SRV\n"
     "real DNS  nxdomain from 10.9.0.53 (route fabrikam.local), 51 ms, from cache, 41 s left\n"
     "rules     dmz-mak          no: client is not in dmz\n"
     "          kiosks-anything  no: shadow (it would fill)\n"
     "          merged-domains   no: has fabrikam.local, which covers that name only\n"
     "decision  no rule acts, the real answer is delivered\n"
     "answer    NXDOMAIN, TTL 41                                      outcome missing\n"
     "Windows   0x8007232B, DNS name does not exist\n"
     "to fill   waymarkctl policy rule add merged-domains '*.fabrikam.local'\n"
     "policy    serial 42, digest 9f2c61d0\n"},
    {"explain: filled, a verdict supposed, hostile octets", "explain a --verdict nxdomain", 200,
     FILLED, 0, "GET /v1/explain?name=_vlmcs._tcp.a&type=SRV&client=127.0.0.1&verdict=nxdomain ",
     NULL,
     "client    10.1.1.1, in no network; refused by default\n"
     "question  _vlmcs._tcp.a SRV\n"
     "real DNS  nxdomain, supposed: no server was asked\n"
     "rules     r  yes: suffix a, any client\n"
     "decision  rule r fills\n"
     "late      800 ms is too long\n"
     "answer    0 0 1688 kms01.contoso.com, TTL 300                   outcome filled\n"
     "          10 0 1688 \\x1b[2Jkms02\n"
     "policy    serial 1, digest 00000001\n"},
    {"explain: a whole discovery name, and what needs escapes", "explain _VLMCS._tcp.a&b", 200,
     "{}", 0, "GET /v1/explain?name=_VLMCS._tcp.a%26b&type=SRV&"},
    {"explain: NAME TYPE", "explain www.example AAAA", 200, "{}", 0,
     "GET /v1/explain?name=www.example&type=AAAA&"},
    {"explain: an empty object does no harm", "explain a", 200, "{}", 0, "GET ", NULL,
     "client    -, in no network; - by default\nquestion  - -\nreal DNS  not asked\nrules     none "
     "is near\n"
     "decision  -\nanswer    none                                                  outcome -\n"
     "policy    serial -, digest -\n"},
    {"explain: the daemon's refusal", "explain a", 400, "{\"error\":\"not a domain name: a\"}",
     EXIT_INVALID, "GET ", NULL, "", "waymarkctl: not a domain name: a\n"},

    {"status", "status", 200, STATUS_WITH("", "\"10.in-addr.arpa\",\"16-31.172.in-addr.arpa\""), 0,
     "GET /v1/status HTTP/1.0\r\n", NULL,
     "waymarkd  0.1.0 on dns1, process 812, user root, up 1 d 2 h (since 2026-11-22 09:00:00)\n"
     "listens   127.0.0.1:53 [::1]:53, 2 workers\n"
     "settings  /etc/waymark/waymark.yaml, generation 3, read 2026-11-22 09:00:00\n"
     "reverse   answered here, since all servers of route . are public: 10.in-addr.arpa "
     "16-31.172.in-addr.arpa\n"
     "policy    serial 42, digest 9f2c61d0; 4 rules, 6 suffixes, 2 networks, 1 pools, 1 approved\n"
     "audit     9 questions: 8 recorded, 1 counted, 0 dropped, 0 waiting; last commit 2026-11-22 "
     "09:00:00\n"
     "cache     10 entries, 1.0 of 64.0 MiB, 75.0 % of 4 look-ups hit\n"
     "queries   100, of them 9 for a KMS host\n"},
    {"status: problems", "status", 200, STATUS("\"policy: damaged\\n\""), EXIT_PROBLEMS, "GET "},
    {"status: a policy whose state cannot be read acts all the same", "status", 200,
     "{\"policy\":{\"open\":true,\"serial\":null}}", 0, "GET ", NULL,
     "waymarkd  - on -, process -, user -, up 0 ms (since never)\nlistens   -, - workers\n"
     "settings  defaults, generation -, read never\n"
     "policy    open; its state cannot be read\naudit     not open: nothing is recorded\n"
     "cache     - entries, 0.0 of 0.0 MiB, 0.0 % of 0 look-ups hit\n"
     "queries   -, of them - for a KMS host\n"},
    {"status: problems in JSON", "status --json", 200, "{\"problems\":[\"x\"]}", EXIT_PROBLEMS,
     "GET ", NULL, "{\n  \"problems\": [\n    \"x\"\n  ]\n}\n"},
    {"status: something else answers", "status", 200, "[]", EXIT_FAILED, "GET ", NULL, "",
     "is not waymarkd"},
    {"status: out of memory over there", "status", 500, "nonsense", EXIT_FAILED, "GET ", NULL, "",
     "gave no reason (HTTP 500)"},

    {"stats", "stats", 200, "{\"stats\":{\"queries\":5,\"a_b\":0}}", 0, "GET /v1/stats ", NULL,
     "queries 5\na_b 0\n"},
    {"stats as CSV", "stats --csv", 200, "{\"stats\":{\"queries\":5}}", 0, "GET ", NULL,
     "name,value\r\nqueries,5\r\n"},
    {"upstreams", "upstreams", 200, UPSTREAMS, 0, "GET /v1/upstreams ", NULL,
     "route  strategy  server         state    RTT  queries  replies  positive  nodata  nxdomain  "
     "failures  timeouts  errors  last error\n"
     ".      ordered   192.0.2.53:53  up     12 ms        7        6         4       1         1  "
     "       0         1       0  -\n"},

    {"reload: changes", "reload", 200,
     "{\"changed\":[{\"key\":\"kms.mode\",\"was\":\"live\",\"is\":\"shadow\",\"restart\":false},"
     "{\"key\":\"server.workers\",\"was\":\"1\",\"is\":\"2\",\"restart\":true}],\"generation\":4}",
     0, "POST /v1/reload ", "\r\n\r\n{}",
     "key             was   is      in use\nkms.mode        live  shadow  now\nserver.workers  1   "
     "  2       after a restart\n",
     "settings generation 4 is in use\n"},
    {"reload: no change", "reload", 200, "{\"changed\":[],\"generation\":2}", 0, "POST ", NULL,
     "nothing changed\n"},
    {"reload: a bad file", "reload", 400,
     "{\"error\":\"nothing was changed\",\"problems\":[\"w.yaml:3:1: tab\"]}", EXIT_INVALID,
     "POST ", NULL, "", "w.yaml:3:1: tab\nwaymarkctl: nothing was changed\n"},
    {"reload: no right", "reload", 403, "{\"error\":\"only root may\"}", EXIT_FAILED, "POST ", NULL,
     "", "only root may: sudo waymarkctl reload"},

    {"cache get", "cache get www.example A", 200,
     "{\"entries\":[{\"name\":\"www.example\",\"type\":\"A\",\"rcode\":\"NOERROR\",\"kind\":"
     "\"positive\",\"ttl_s\":41,"
     "\"age_s\":19,\"server\":\"192.0.2.53:53\",\"records\":[\"www.example. 60 IN A "
     "192.0.2.1\"]}]}",
     0, "GET /v1/cache/www.example?type=A ", NULL,
     "www.example A  NOERROR, positive, 41 s left, 19 s old, from 192.0.2.53:53\n  www.example. 60 "
     "IN A 192.0.2.1\n"},
    {"cache get: the root", "cache get .", 404, "{\"error\":\"nothing is cached at .\"}",
     EXIT_NOT_FOUND, "GET /v1/cache/. ", NULL, "", "nothing is cached at ."},
    {"cache get: a slash", "cache get 0/25.in-addr.arpa", 200, "{}", 0,
     "GET /v1/cache/0%2F25.in-addr.arpa ", NULL, ""},
    {"cache flush NAME", "cache flush www.example", 200, "{\"flushed\":1}", 0,
     "POST /v1/cache/flush ", "{\"name\":\"www.example\",\"below\":false}", "1 entry forgotten\n"},
    {"cache flush --below", "cache flush --below example", 200, "{\"flushed\":7}", 0, "POST ",
     "{\"name\":\"example\",\"below\":true}", "7 entries forgotten\n"},
    {"cache flush --all", "cache flush --all", 200, "{\"flushed\":7}", 0, "POST ",
     "\r\n\r\n{\"all\":true}"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    int tell, code;
    pid_t child = start_http(r->status, r->body, &tell);
    ssize_t n;

    code = run(r->line);
    n = read(tell, asked, sizeof asked - 1);
    close(tell);
    waitpid(child, NULL, 0);
    asked[n > 0 ? n : 0] = '\0';
    assert_int_equal(code, r->code);
    if (strncmp(asked, r->request, strlen(r->request)) != 0)
        fail_msg("asked %s\ninstead of %s", asked, r->request);
    if (r->has && !strstr(asked, r->has))
        fail_msg("%s\nis not in %s", r->has, asked);
    if (r->prints)
        assert_string_equal(out.text[0], r->prints);
    if (r->says && !strstr(out.text[1], r->says))
        fail_msg("%s\nis not in %s", r->says, out.text[1]);
    if (r->code == EXIT_PROBLEMS && !strstr(r->line, "--json"))
        assert_has(out.text[0], "\n! policy: damaged\\x0a\n");
}

/* --- nobody there */

static void no_daemon(void **state)
{
    char want[300];

    snprintf(want, sizeof want,
             "waymarkctl: waymarkd does not answer at %s: No such file or directory; start it with "
             "systemctl start waymark\n",
             path);
    assert_int_equal(run("status"), EXIT_NO_DAEMON);
    assert_string_equal(out.text[1], want);
    assert_string_equal(out.text[0], "");
}

static void dead_socket(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(at.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    close(fd);
    assert_int_equal(run("reload"), EXIT_NO_DAEMON);
    assert_non_null(strstr(out.text[1], ": Connection refused; start it with"));
}

static void no_permission(void **state)
{
    int tell;
    pid_t child;

    if (geteuid() != 0)
        skip(); /* nobody else can be played */
    child = start_http(200, "{}", &tell);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(run("cache get x"), EXIT_FAILED);
    assert_int_equal(seteuid(0), 0);
    assert_has(out.text[1], "sudo waymarkctl cache get");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(tell);
}

static void proxies_of_the_environment_are_ignored(void **state)
{
    int tell;
    pid_t child = start_http(200, "{\"stats\":{}}", &tell);

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    assert_int_equal(run("stats"), 0);
    unsetenv("http_proxy");
    assert_true(read(tell, asked, sizeof asked - 1) > 0);
    assert_memory_equal(asked, "GET /v1/stats ", 14);
    close(tell);
    waitpid(child, NULL, 0);
}

static void bad_settings(void **state)
{
    assert_int_equal(run("status -o server.wrokers=2"), EXIT_INVALID);
    assert_has(out.text[1], "server.wrokers");
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    ROWS_WITH(rows, check_row, set_up, tear_down);
    TEST_WITH(no_daemon, set_up, tear_down);
    TEST_WITH(dead_socket, set_up, tear_down);
    TEST_WITH(no_permission, set_up, tear_down);
    TEST_WITH(proxies_of_the_environment_are_ignored, set_up, tear_down);
    TEST_WITH(bad_settings, set_up, tear_down);
    return RUN("daemon verbs");
}
