/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c -- waymarkd's command line: it reads the options, then prints what they
 * ask for or runs the daemon (daemon.c).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "resolver/daemon.h"
#include "resolver/query.h"

enum { ASSIGN_MAX = 256 };
enum { WANT_RUN, WANT_CHECK, WANT_PRINT_CONFIG, WANT_PRINT_SAMPLE, WANT_VERSION, WANT_HELP };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"option", required_argument, NULL, 'o'},
    {"check", no_argument, NULL, WANT_CHECK},
    {"print-config", no_argument, NULL, WANT_PRINT_CONFIG},
    {"print-sample", no_argument, NULL, WANT_PRINT_SAMPLE},
    {"version", no_argument, NULL, WANT_VERSION},
    {"help", no_argument, NULL, WANT_HELP},
    {NULL, 0, NULL, 0},
};

static void print_help(FILE *to)
{
    fprintf(to,
            "waymarkd [-c FILE] [-o section.key=value]...   runs in the foreground, logs to "
            "standard error\n"
            "\n"
            "  -c, --config FILE        read the settings from FILE (default %s)\n"
            "  -o, --option KEY=VALUE   set one option, over the file; may be repeated\n"
            "      --check              check the settings, print every problem (exit 5); without\n"
            "                           one, print the reverse zones that are answered here\n"
            "      --print-config       print the settings in force\n"
            "      --print-sample       print the sample file: every option, its help and default\n"
            "      --version            print the version\n"
            "      --help               print this\n"
            "\n"
            "Manual: waymarkd(8), waymark.yaml(5). The tool beside it: waymarkctl(8).\n",
            SETTINGS_DEFAULT_PATH);
}

/* --check and --print-config: settings are read as the daemon would. */
static int show_settings(int want, const char *path, const char *const *assign)
{
    struct settings *s = NULL;
    struct view view = {.settings = NULL};
    const char *front = "answered here, since all servers of route . are public: ";
    char zone[SPECIAL_TEXT];
    struct diags d;
    size_t at = 0;
    int rc;

    diags_init(&d);
    rc = daemon_read_settings(path, assign, &s, &d);
    diags_print(&d, stderr);
    diags_fini(&d);
    if (rc != 0)
        return EXIT_INVALID;
    if (want == WANT_PRINT_CONFIG)
        settings_print(s, stdout);
    view.settings = s;
    /* That these names never reach a server is not seen anywhere else. */
    while (want == WANT_CHECK && special_next_reverse(&view, &at, zone)) {
        printf("%s%s", front, zone);
        front = " ";
    }
    if (front[1] == '\0')
        putchar('\n');
    settings_free(s);
    return fflush(stdout) == 0 ? 0 : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *path = NULL, *assign[ASSIGN_MAX + 1] = {NULL};
    int want = WANT_RUN, n = 0, c;

    while ((c = getopt_long(argc, argv, "c:o:", options, NULL)) != -1) {
        if (c == 'c')
            path = optarg;
        else if (c == 'o' && n < ASSIGN_MAX)
            assign[n++] = optarg;
        else if (c == '?' || c == 'o')
            want = -1;
        else
            want = c;
        if (want == -1)
            break;
    }
    if (want == -1 || optind < argc) {
        if (want != -1)
            fprintf(stderr, "waymarkd: unexpected argument: %s\n", argv[optind]);
        fprintf(stderr, "Try `waymarkd --help`.\n");
        return 2;
    }
    if (want == WANT_HELP) {
        print_help(stdout);
    } else if (want == WANT_VERSION) {
        printf("waymarkd %s\n", PACKAGE_VERSION);
    } else if (want == WANT_PRINT_SAMPLE) {
        settings_print_sample(stdout);
    } else if (want == WANT_RUN) {
        return daemon_run(path, assign);
    } else {
        return show_settings(want, path, assign);
    }
    return fflush(stdout) == 0 ? 0 : EXIT_FAILURE;
}
