/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_daemon.c -- the verbs that talk to the daemon, from command line to screen: a thread
 * answers on a UNIX socket. Its answers were recorded from a daemon
 * (answers.json, see tests/live/test_answers.py); a row may change some of their fields.
 */
#include <fnmatch.h>
#include <libgen.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "tests/unit/ctl/capture.h"
#include "tests/unit/scratch.h"

static json_t *recorded;

/* --- the daemon's part, in a thread */

static int listener, status;
static char asked[1024], all[sizeof asked + sizeof out.text];

/* Answers one request, in two pieces. */
static void *serve(void *body)
{
    int fd = accept(listener, NULL, NULL);
    const char *end = NULL;
    size_t len = 0, want = 0;

    while (fd >= 0 && (end == NULL || strlen(end) < want)) {
        len += (size_t)read(fd, asked + len, sizeof asked - 1 - len);
        end = strstr(asked, "\r\n\r\n");
        want = end ? 4 + strtoul(strstr(asked, "Content-Length: ") + 16, NULL, 10) : 0;
    }
    if (fd >= 0) {
        dprintf(fd, "HTTP/1.1 %d X\r\nServer: ", status);
        dprintf(fd, "test\r\n\r\n%s", (const char *)body);
        close(fd);
    }
    return NULL;
}

/* What there is instead of a daemon that answers. */
static const char nobody[] = "no socket", deaf[] = "none listens", closed[] = "others may not";

static int run(const char *line, const char *body)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char dir[SCRATCH];
    pthread_t thread;
    int code;

    scratch_make(dir);
    snprintf(to.sun_path, sizeof to.sun_path, "%s/control.sock", dir);
    memset(asked, 0, sizeof asked);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (body != nobody)
        assert_int_equal(bind(listener, (struct sockaddr *)&to, sizeof to), 0);
    if (body != nobody && body != deaf)
        assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve, (void *)(uintptr_t)body), 0);
    if (body == closed)
        assert_int_equal(chmod(to.sun_path, 0600) + chmod(dir, 0755) + seteuid(65534), 0);
    code = capture_line(real, "-c /dev/null -o control.socket=%s %s", to.sun_path, line);
    assert_int_equal(seteuid(getuid()), 0);
    shutdown(listener, SHUT_RDWR); /* when nobody has asked */
    pthread_join(thread, NULL);
    close(listener);
    scratch_remove(dir);
    return code;
}

static const struct row {
    const char *line;
    const char *answer;  /* its name in answers.json; or the body, behind a status other than 200 */
    const char *changes; /* JSON that is merged into it, or NULL */
    int code;
    const char *want; /* what is asked > stdout > stderr, as a pattern */
} rows[] = {
    {"explain hr.fabrikam.local --client 10.20.64.7", "missing", NULL, 0,
     "GET /v1/explain?name=_vlmcs._tcp.hr.fabrikam.local&client=10.20.64.7 *>"
     "client    10.20.64.7, in kiosks (10.20.64.0/18); allowed by access 10.0.0.0/8\n"
     "question  _vlmcs._tcp.hr.fabrikam.local SRV\n"
     "real DNS  nxdomain from 127.0.0.1:53 (route .), 51 ms\n"
     "rules     kiosks-anything  no: shadow (it would fill)\n"
     "          dmz-mak          no: client is not in dmz\n"
     "          merged-domains   no: has fabrikam.local, which covers that name only\n"
     "decision  no rule acts, the real answer is delivered\n"
     "answer    NXDOMAIN, TTL 41                                      outcome missing\n"
     "Windows   0x8007232B, DNS name does not exist\n"
     "article   method 5, step 4: give the suffix a host with a rule, or *, or DHCP option 15\n"
     "          on the machine: ipconfig /flushdns; slmgr.vbs /ckms; slmgr.vbs /ato\n"
     "          or PowerShell: *; Invoke-OSLicense -ActivateOnline\n"
     "to fill   waymarkctl policy rule add merged-domains '*.fabrikam.local'\n"
     "policy    serial 1, digest 9f2c61d0\n>"},
    {"explain a --verdict nxdomain", "filled", NULL, 0,
     "GET /v1/explain?name=_vlmcs._tcp.a&verdict=nxdomain *>*\n"
     "real DNS  nxdomain, supposed: no server was asked\n*\n"
     "          merged-domains   yes: fills from pool kms\n*\n"
     "answer    _vlmcs._tcp.fabrikam.local. 60 IN SRV 0 0 1688 kms01.contoso.com., TTL 41  outcome "
     "filled\n"
     "          _vlmcs._tcp.fabrikam.local. 60 IN SRV 10 0 1688 kms02.contoso.com.\n"
     "Windows   a host is given, so DNS is no obstacle\narticle   method 5, steps 7 to 10: *>"},
    {"explain a", "filled",
     "{\"hosts\": [{\"host\": \"a.b:1688\", \"why\": \"down, refused\", \"since\": 1795338000123},"
     " {\"host\": \"ab.c:99\", \"why\": \"the pool gives k alone\", \"since\": null}]}",
     0,
     "GET *>*\ndecision  *\nhosts     a.b:1688  down, refused; since 2026-*\n          ab.c:99   "
     "the pool "
     "gives k alone\nanswer *>"},
    {"explain a", "refused",
     "{\"client\": {\"networks\": [{\"name\": \"a\", \"prefix\": \"10.0.0.0/8\"},"
     " {\"name\": \"b\", \"prefix\": \"10.9.0.0/16\"}]}}",
     0,
     "GET *>"
     "client    10.9.1.1, in a (10.0.0.0/8), b (10.9.0.0/16); refused by access 10.9.0.0/16\n"
     "*\nreal DNS  not asked\nrules     none is near\n*\n"
     "answer    REFUSED                                               outcome blocked\n*>"},
    {"explain www.contoso.com AAAA --dnssec", "plain",
     "{\"answer\": {\"records\": []}, \"late\": {\"text\": \"800 ms is too long\"}}", 0,
     "GET /v1/explain?name=www.contoso.com&type=AAAA&dnssec=yes *>"
     "client    127.0.0.1, in no network; allowed by default\n*\n"
     "real DNS  present from 127.0.0.1:53 (route .), 51 ms, from cache, 41 s left\n*\n"
     "late      800 ms is too long\n"
     "answer    NOERROR, no records, TTL 41                           outcome -\n*>"},
    {"explain _VLMCS._tcp.a&b", "plain", NULL, 0, "GET /v1/explain?name=_VLMCS._tcp.a%26b *>*>"},
    {"explain .", "{}", NULL, 0,
     "GET /v1/explain?name=_vlmcs._tcp. *>real DNS  not asked\nrules     none is near\n"
     "answer    none                                                  outcome -\n>"},
    {"explain a..b", "not a name", NULL, EXIT_INVALID,
     "GET *>>*waymarkctl: not a domain name: a..b\n*"},

    {"explain a --csv", nobody, NULL, EXIT_USAGE, ">>*explain has no CSV form*"},
    {"explain", nobody, NULL, EXIT_USAGE, ">>*which question? *"},
    {"explain a --search b", nobody, NULL, EXIT_USAGE, ">>*which question? *"},
    {"explain --search ,", nobody, NULL, 0,
     ">ends      without a host\nWindows   0x8007007B, the filename, *\n"
     "          on the machine: slmgr.vbs /skms-domain SUFFIX; slmgr.vbs /ato\n"
     "          or PowerShell: Set-KmsLicenseInfo -Domain SUFFIX; *\nnot known in which order *>"},
    {"explain a", nobody, NULL, EXIT_NO_DAEMON, ">>*does not answer*"},
    {"explain a --verdict nxdomian", nobody, NULL, EXIT_INVALID,
     ">>*not a verdict: nxdomian; did you mean nxdomain*"},
    {"explain a --verdict -", nobody, NULL, EXIT_INVALID, ">>*not a verdict: -*"},
    {"explain a..b --verdict nodata", nobody, NULL, EXIT_INVALID, ">>*not a domain name: *a..b\n"},
    {"explain a.b SRV --verdict nodata", deaf, NULL, EXIT_INVALID,
     ">>*a verdict is for discovery questions*"},
    {"explain _vlmcs._tcp.a A --verdict nodata", deaf, NULL, EXIT_INVALID,
     ">>*a verdict is for discovery questions*"},
    {"explain a --client 1.2.3", nobody, NULL, EXIT_USAGE,
     ">>waymarkctl: --client 1.2.3: not an IP address\n"},
    {"explain --search a --client kms01", nobody, NULL, EXIT_USAGE, ">>*not an IP address\n"},

    {"status", "status",
     "{\"local_reverse\": [\"10.in-addr.arpa\", \"16-31.172.in-addr.arpa\"], \"workers\": 1}", 0,
     "GET /v1/status HTTP/1.0*>"
     "waymarkd  0.1.0 on test, process 812, user root, up 1 d 2 h (since 2026-11-22 09:00:00)\n"
     "listens   127.0.0.1:53, 1 worker\n"
     "settings  /etc/waymark/waymark.yaml, generation 1, read 2026-11-22 09:00:00\n"
     "reverse   answered here, since all servers of route . are public: 10.in-addr.arpa "
     "16-31.172.in-addr.arpa\n"
     "policy    serial 1, digest 9f2c61d0; 3 rules, 4 suffixes, 2 networks, 1 pools, 0 approved\n"
     "audit     1 questions: 1 recorded, 0 counted, 0 dropped, 0 waiting; last commit 2026-11-22 "
     "09:00:00\n"
     "outputs   file:/var/log/waymark/audit.json: up to date\n"
     "          tcp:192.0.2.9:514: 7 records behind, Connection refused\n"
     "cache     3 entries, 1.5 of 64.0 MiB; 1 look-ups hit, 9 missed\n"
     "limits    questions by UDP above client-rate: 12 not answered, 11 sent to TCP; answers above "
     "client-large-rate: 0 sent to TCP\n"
     "queries   2, of them 1 for a KMS host\n>"},
    {"status", "status",
     "{\"problems\": [\"policy: damaged\\n\\u001b[2J\"], \"kms_mode\": \"shadow\", \"user\": "
     "4999999, \"policy\": {\"serial\": null}, \"audit\": {\"open\": false}}",
     EXIT_PROBLEMS,
     "GET *>* user 4999999, *\nlistens   127.0.0.1:53, 2 workers\n*\n"
     "policy    open; its state cannot be read\n"
     "          kms.mode is shadow: decisions are recorded, not delivered\n"
     "audit     not open: nothing is recorded\n*\n! policy: damaged?x0a?x1b?2J\n>"},
    {"status --json", "{\"problems\":[\"x\"]}", NULL, EXIT_PROBLEMS,
     "GET *>{\n  \"problems\": *\"x\"\n*}\n>"},
    {"status --csv", nobody, NULL, EXIT_USAGE, ">>*status has no CSV*"},
    {"stats", "stats", NULL, 0, "GET /v1/stats *>queries 2\nanswers 2\n>"},
    {"upstreams", "upstreams", NULL, 0,
     "GET /v1/upstreams *>ROUTE  STRATEGY  SERVER        STATE  SINCE                  RTT  "
     "QUERIES "
     "*  ERRORS  ASKED WITHOUT\n"
     ".      ordered   127.0.0.1:53  up     2026-11-22 09:00:00  12 ms        3 *  0  EDNS "
     "case\n>"},
    {"upstreams --json", "{\"routes\":[]}", NULL, 0, "GET *>{\n  \"routes\": \\[\\]\n}\n>"},
    {"upstreams", deaf, NULL, EXIT_NO_DAEMON, ">>*"},
    {"upstreams --csv", "{}", NULL, 0, "GET *>*,errors,last_error,without,loop\r\n>"},
    {"reload", "changed", NULL, 0,
     "POST /v1/reload *{}>cache.size  was 64M   is 32M     in use after a restart\n"
     "kms.mode    was live  is shadow  in use now\nsettings generation 3 is in use\n>"},
    {"reload", "not changed", NULL, 0,
     "POST *>nothing changed\nsettings generation 2 is in use\n>"},
    {"reload", "settings with problems", NULL, EXIT_INVALID,
     "POST *>>*waymark.yaml:11:3: unknown key \"wrokers\" in server; did you mean workers?\n"
     "waymarkctl: the settings have problems; nothing was changed\n"
     "waymarkd goes on with the settings it has\n*"},

    {"cache", "cache", "{\"hits\":3,\"misses\":1,\"hit_rate\":75.0,\"stale\":2}", 0,
     "GET /v1/cache *>cache     * entries, 1.5 of 64.0 MiB\nkinds     positive  1  1.5 MiB\n"
     "          nodata    0  1.5 MiB\n          nxdomain  2  1.5 MiB\n*"
     "questions 3 answered from it, 75.0 %; 1 not; 2 got an expired answer\n"
     "kept      */cache.snapshot, not written yet\n>"},
    {"cache", "cache", "{\"snapshot\":{\"file\":\"/x\",\"written\":1795338000123}}", 0,
     "*kept      /x, written 2026-*"},
    {"cache", "cache", "{\"snapshot\":{\"file\":\"/x\",\"error\":\"No space left on device\"}}", 0,
     "*kept      No space left on device: /x cannot be written\n*"},
    {"cache", "cache", "{\"snapshot\":{\"file\":null}}", 0,
     "*kept      a restart forgets it (cache.persist: no)\n*"},
    {"cache x", nobody, NULL, EXIT_USAGE, ">>*unknown verb cache x (*"},
    {"cache gte", nobody, NULL, EXIT_USAGE, ">>*unknown verb cache gte; did you mean get?*"},
    {"cache --help", nobody, NULL, 0,
     ">usage: waymarkctl cache VERB*  cache   *  cache get NAME*>"},
    {"cache get www.contoso.com A", "cached", NULL, 0,
     "GET /v1/cache/www.contoso.com?type=A *>"
     "www.contoso.com A  NOERROR, positive, 41 s left, 19 s old, from 127.0.0.1:53 (route .)\n"
     "  www.contoso.com. 60 IN A 10.0.0.80\n>"},
    {"cache get .", "not cached", NULL, EXIT_NOT_FOUND,
     "GET /v1/cache/. *>>*nothing is cached at .*"},
    {"cache flush www.example", "{\"flushed\":1}", NULL, 0,
     "POST /v1/cache/flush *{\"name\":\"www.example\",\"below\":false}>1 entry forgotten\n>"},
    {"cache flush --below example", "{\"flushed\":7}", NULL, 0,
     "POST *{\"name\":\"example\",\"below\":true}>7 entries forgotten\n>"},
    {"cache flush --all", "{}", NULL, 0, "POST *{\"all\":true}>*>"},
    {"cache flush a\377", nobody, NULL, EXIT_USAGE, ">>*is not UTF-8*"},
    {"cache flush", nobody, NULL, EXIT_USAGE, ">>*say what to remove*"},
    {"cache flush --all x", nobody, NULL, EXIT_USAGE, ">>*say what*"},

    {"status", "[]", NULL, EXIT_FAILED, "GET *>>*not waymarkd*"},
    {"stats", "500 nonsense", NULL, EXIT_FAILED, "GET *>>*is not waymarkd (HTTP 500)*"},
    {"stats", "403 {\"error\":\"only root may\"}", NULL, EXIT_FAILED,
     "GET *>>*only root may: sudo waymarkctl stats ...*"},
    {"stats", "503 {\"error\":\"busy\"}", NULL, EXIT_FAILED, "GET *>>*waymarkctl: busy\n*"},
    {"stats", "413 {\"error\":\"too much\"}", NULL, EXIT_INVALID,
     "GET *>>*waymarkctl: too much\n*"},
    {"status", nobody, NULL, EXIT_NO_DAEMON,
     ">>*control.sock: No such file or directory; start it with systemctl start waymark\n*"},
    {"reload", deaf, NULL, EXIT_NO_DAEMON, ">>*: Connection refused; start it with*"},
    {"doctor", closed, NULL, EXIT_FAILED,
     ">>*sudo waymarkctl doctor ..., or become a member of the group waymark\n"},
    {"cache get x", closed, NULL, EXIT_FAILED,
     ">>*sudo waymarkctl cache get ..., or become a member of the group waymark*"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    const json_t *kept = json_object_get(recorded, r->answer);
    json_t *body = json_deep_copy(json_object_get(kept, "body"));
    json_t *changes = json_loads(r->changes, 0, NULL);
    char *behind, *text = NULL;
    int code;

    if (r->answer == closed && geteuid() != 0)
        skip(); /* nobody else can be played */
    assert_int_equal(json_object_update_recursive(body, changes), changes ? 0 : -1);
    status = kept ? (int)json_integer_value(json_object_get(kept, "status"))
                  : (int)strtol(r->answer, &behind, 10);
    status = status > 0 ? status : 200;
    text = json_dumps(body, 0);
    code = run(r->line, text ? text : behind);
    free(text);
    json_decref(changes);
    json_decref(body);
    assert_int_equal(code, r->code);
    snprintf(all, sizeof all, "%s>%s>%s", asked, out.text[0], out.text[1]);
    if (fnmatch(r->want, all, 0) != 0)
        fail_msg("%s\ninstead of %s", all, r->want);
}

/* How many columns the terminal has; 0: standard output is none. */
static unsigned short columns;

int ioctl(int fd, unsigned long what, ...)
{
    va_list args;
    void *to;

    va_start(args, what);
    to = va_arg(args, void *);
    va_end(args);
    if (what != TIOCGWINSZ || columns == 0)
        return (int)syscall(SYS_ioctl, fd, what, to);
    *(struct winsize *)to = (struct winsize){.ws_col = columns};
    return 0;
}

static const struct narrow {
    const char *what;
    unsigned short columns;
    const char *heads;
} narrow[] = {
    {"half a screen", 40, "ROUTE  SERVER           STATE\n"},
    {"a screen", 80, "ROUTE  SERVER           STATE  SINCE                QUERIES  LAST ERROR\n"},
    {"a wide one", 120,
     "ROUTE  SERVER           STATE  SINCE                QUERIES  REPLIES  TIMEOUTS   ERRORS  "
     "LAST ERROR\n"},
};

/* The servers of a route, one of which fails. */
static void fits_the_terminal(void **state)
{
    static const char servers[] =
        "{\"routes\":[{\"zone\":\".\",\"strategy\":\"ordered\",\"servers\":[{\"address\":"
        "\"192.0.2.53:5353\",\"state\":\"down\",\"since\":1795338000000,\"last_error\":"
        "\"Connection refused\",\"queries\":1000000,\"replies\":1000000,\"positive\":1000000,"
        "\"nodata\":1000000,\"nxdomain\":1000000,\"failures\":1000000,\"timeouts\":1000000,"
        "\"errors\":1000000,\"without\":[\"EDNS\"]}]}]}";
    const struct narrow *r = *state;
    char *rest = out.text[0], *line;

    columns = r->columns;
    status = 200;
    assert_int_equal(run("upstreams", servers), 0);
    columns = 0;
    snprintf(all, sizeof all, "%.*s", (int)strcspn(rest, "\n") + 1, rest);
    if (fnmatch(r->heads, all, 0) != 0)
        fail_msg("%s instead of %s", all, r->heads);
    while ((line = strsep(&rest, "\n")) != NULL)
        assert_in_range(strlen(line), 0, r->columns);
}

int main(void)
{
    char file[] = __FILE__, answers[256];

    setenv("TZ", "UTC", 1);
    snprintf(answers, sizeof answers, "%s/answers.json", dirname(file));
    recorded = json_load_file(answers, 0, NULL);
    assert_non_null(recorded);
    ROWS(rows, check_row);
    ROWS(narrow, fits_the_terminal);
    return RUN("daemon verbs");
}
