/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c -- waymarkd's command line.
 */
#include <getopt.h>

#include "resolver/daemon.h"

enum { ASSIGN_MAX = 256 };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'}, {"option", required_argument, NULL, 'o'},
    {"check", no_argument, NULL, 'C'},        {"print-config", no_argument, NULL, 'P'},
    {"print-sample", no_argument, NULL, 'S'}, {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'H'},         {NULL, 0, NULL, 0},
};

/* --check and --print-config: settings are read as the daemon would. */
static int show_settings(bool check, const char *path, const char *const *assign)
{
    struct settings *s = NULL;
    const char *front = "answered here, since all servers of route . are public: ";
    char zone[SPECIAL_TEXT];
    struct diags d = {0};
    size_t at = 0;
    int rc;

    rc = daemon_read_settings(path, assign, &s, &d);
    diags_print(&d, stderr);
    diags_fini(&d);
    if (rc != 0)
        return EXIT_INVALID;
    if (!check)
        settings_print(s, stdout);
    /* That these names never reach a server is not seen anywhere else. */
    while (check && special_next_reverse(&(struct view){.settings = s}, &at, zone)) {
        printf("%s%s", front, zone);
        front = " ";
    }
    if (front[1] == '\0')
        putchar('\n');
    settings_free(s);
    return 0;
}

int main(int argc, char **argv)
{
    const char *path = NULL, *assign[ASSIGN_MAX + 1] = {NULL};
    int want = 0, n = 0, code = 0, c;

    while (want != '?' && (c = getopt_long(argc, argv, "c:o:", options, NULL)) != -1) {
        if (c == 'c')
            path = optarg;
        else if (c == 'o' && n < ASSIGN_MAX)
            assign[n++] = optarg;
        else
            want = c == 'o' ? '?' : c;
    }
    if (want != '?' && optind < argc)
        fprintf(stderr, "waymarkd: unexpected argument: %s\n", argv[optind]);
    if (want == '?' || optind < argc) {
        fprintf(stderr, "Try `waymarkd --help`.\n");
        return 2;
    }
    if (want == 0)
        return daemon_run(path, assign);
    if (want == 'H')
        printf(
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
    else if (want == 'V')
        printf("waymarkd %s\n", PACKAGE_VERSION);
    else if (want == 'S')
        settings_print_sample(stdout);
    else
        code = show_settings(want == 'C', path, assign);
    return fflush(stdout) == 0 ? code : EXIT_FAILURE;
}
