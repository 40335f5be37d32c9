/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.c -- reads the command line, prints help, tells shells how a line may go on, runs the verb: all
 * from the tables of verbs; and who runs it.
 *
 * Options stand anywhere, also before the verb that takes them, so the line is read with those of
 * all verbs, and whether this verb takes them is asked afterwards. An option therefore has a
 * value, or has none, in all tables alike, which tests/unit/ctl/test_cli.c checks.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"

enum { RUN = -1, USAGE = 256 };
enum { LEFT = 34 }; /* columns of what help explains; what is longer has a line of its own */

typedef const struct ctl_verb *const verb_tables; /* ended by NULL */

#define EACH_VERB(tables, v)                                                                       \
    for (verb_tables *table_ = (tables); *table_; table_++)                                        \
        for (const struct ctl_verb *v = *table_; v->verb; v++)

const struct ctl_option cli_options[] = {
    {"-c", "FILE", false, "settings file (default: that of waymarkd)"},
    {"-o", "SECTION.KEY=VALUE", true, "one setting for this call, over the file's"},
    {"--json", NULL, false, "print JSON: one document"},
    {"--csv", NULL, false, "print lists as CSV"},
    {"--wide", NULL, false, "print tables with all their columns, however narrow the terminal is"},
    {"--help", NULL, false, "explain the verb"},
    {"-h", NULL, false, "the same as --help"},
    {"--version", NULL, false, "print the version"},
    {0},
};

static void print_pair(FILE *f, const char *left, const char *right)
{
    bool fits = strlen(left) <= LEFT;

    fprintf(f, "  %-*s%s%*s  %s\n", LEFT, left, fits ? "" : "\n", fits ? 0 : LEFT + 2, "", right);
}

static void print_options(FILE *f, const char *title, const struct ctl_option *list)
{
    char left[128];

    fputs(title, f);
    for (; list->name; list++) {
        snprintf(left, sizeof left, "%s%s%s%s", list->name, list->value ? " " : "",
                 list->value ? list->value : "", list->many ? " ..." : "");
        print_pair(f, left, list->help);
    }
}

/* "policy fill SUFFIX..." */
static const char *usage(const struct ctl_verb *v, char out[USAGE])
{
    snprintf(out, USAGE, "%s%s%s%s%s", v->noun, *v->noun && *v->verb ? " " : "", v->verb,
             *v->arguments ? " " : "", v->arguments);
    return out;
}

/* The line has no verb: help on all of them, or those of its noun; or a mistake. */
static int without_verb(verb_tables *tables, const struct ctl *c, bool asked)
{
    const char *noun = "", *word, *group = NULL;
    char meant[DIAG_MEANT] = "", left[USAGE];
    FILE *f = asked ? stdout : stderr;
    unsigned best = 0;

    EACH_VERB(tables, v)
    if (c->argc > 0 && strcmp(v->noun, c->argv[0]) == 0)
        noun = v->noun;
    if (c->argc > 0 && (*noun == '\0' || (c->argc > 1 && !asked))) {
        word = c->argv[*noun ? 1 : 0];
        EACH_VERB(tables, v)
        if (*v->verb && (*noun == '\0' || strcmp(v->noun, noun) == 0))
            diag_nearer(word, *noun == '\0' && *v->noun ? v->noun : v->verb, &best, meant);
        return ctl_misused("unknown verb %s%s%s%s (waymarkctl --help lists all)", noun,
                           *noun ? " " : "", word, meant);
    }
    if (*noun)
        fprintf(f, "usage: waymarkctl %s VERB ...\n", noun);
    else
        fputs("usage: waymarkctl [-c FILE] [-o SECTION.KEY=VALUE]... VERB | NOUN VERB ...\n"
              "Shows and changes what waymarkd, the forwarder that points Windows to its KMS "
              "hosts, does.\nOptions may stand anywhere; -- ends them.\n",
              f);
    EACH_VERB(tables, v)
    if (*noun == '\0' || strcmp(v->noun, noun) == 0) {
        fputs(group && strcmp(v->noun, group) == 0 ? "" : "\n", f);
        group = v->noun;
        print_pair(f, usage(v, left), v->help);
    }
    if (*noun == '\0')
        print_options(f, "\noptions of every verb\n", cli_options);
    fputs("\nwaymarkctl VERB --help explains one verb; the manual is waymarkctl(8).\n", f);
    return asked ? EXIT_DONE : EXIT_USAGE;
}

/* The option of this name of the verb (NULL: of any), or that every verb takes. NULL: there is
 * none; which is meant. */
static const struct ctl_option *find_option(verb_tables *tables, const struct ctl_verb *verb,
                                            const char *name, char meant[DIAG_MEANT])
{
    unsigned best = 0;

    EACH_VERB(tables, v)
    for (int i = -1; (verb == NULL || verb == v) && (i < 0 || v->options[i]); i++)
        for (const struct ctl_option *o = i < 0 ? cli_options : v->options[i]; o->name; o++) {
            if (strcmp(o->name, name) == 0)
                return o;
            diag_nearer(name, o->name, &best, meant);
        }
    return NULL;
}

const char *ctl_option_at(const struct ctl *c, const char *name, int i)
{
    for (int k = 0; k < c->n_given; k++)
        if (strcmp(c->given[k].name, name) == 0 && i-- == 0)
            return c->given[k].value;
    return NULL;
}

int ctl_number(const struct ctl *c, const char *name, uint64_t most, uint64_t *out)
{
    const char *text = ctl_option(c, name);

    if (text == NULL ||
        (most > 0 ? number_parse(out, text, most) : time_parse(out, text, c->now.wall_ms)) == 0)
        return 0;
    return ctl_misused("%s %s: %s", name, text,
                       most > 0
                           ? "a number is needed"
                           : "a time is needed, as 2026-11-22, \"2026-11-22 09:00\", 09:00, or "
                             "7d for seven days ago");
}

/* How many words of the line call the verb; 0: they call another. */
static int words_of(const struct ctl_verb *v, int argc, char **argv)
{
    int words = *v->noun && *v->verb ? 2 : 1;

    if (argc < words || (*v->verb == '\0' && argc > 1) ||
        strcmp(*v->verb ? v->verb : v->noun, argv[words - 1]) != 0 ||
        (words == 2 && strcmp(v->noun, argv[0]) != 0))
        return 0;
    return words;
}

/* --- completion: a script of the shell asks with the words of the line, and offers what it is told */

struct offer {
    const char *begun; /* the word at the cursor: what does not begin so is not offered */
    const char *helps; /* stands between an offer and its help; NULL: the shell shows none */
};

static void offer(const struct offer *o, const char *word, size_t len, const char *help)
{
    if (len == 0 || len < strlen(o->begun) || strncmp(word, o->begun, strlen(o->begun)) != 0)
        return;
    printf("%.*s%s%s\n", (int)len, word, o->helps ? o->helps : "", o->helps ? help : "");
}

/* The words that a usage spells in small letters: "set NAME | add NAME". What is in capitals is for
 * the user to give; options are offered apart. */
static void offer_usage(const struct offer *o, const char *text, const char *help)
{
    for (size_t len; *text; text += len) {
        len = strspn(text, "abcdefghijklmnopqrstuvwxyz-");
        if (text[0] != '-' && strchr(" |]", text[len])) /* or the end */
            offer(o, text, len, help);
        len += strcspn(text + len, " |[");
        len += strspn(text + len, " |[]");
    }
}

static void offer_options(const struct offer *o, const struct ctl_option *list)
{
    for (; list->name; list++)
        offer(o, list->name, strlen(list->name), list->help);
}

static bool is_file(const char *usage)
{
    return strstr(usage, "FILE") != NULL || strcmp(usage, "DIR") == 0;
}

/* What may stand at the cursor, behind n words of a verb and its arguments, or as the value of an
 * option. False: a file. */
static bool offer_next(verb_tables *tables, const struct offer *o, int n, char **words,
                       const struct ctl_option *option)
{
    const bool wants_option = *o->begun == '-';
    const char *noun = "";

    if (option) {
        offer_usage(o, option->value, option->help);
        return !is_file(option->value);
    }
    EACH_VERB(tables, v)
    {
        const int called = words_of(v, n, words);

        if (n == 0 && *v->noun == '\0')
            offer(o, v->verb, strlen(v->verb), v->help);
        else if (n == 0 && strcmp(v->noun, noun) != 0)
            offer(o, v->noun, strlen(v->noun), "its verbs");
        else if (n == 1 && strcmp(v->noun, words[0]) == 0)
            offer(o, v->verb, strlen(v->verb), v->help);
        noun = v->noun;
        if (called == 0)
            continue;
        if (n == called)
            offer_usage(o, v->arguments, v->help);
        if (is_file(v->arguments) && !wants_option)
            return false;
        for (int i = 0; wants_option && v->options[i]; i++)
            offer_options(o, v->options[i]);
    }
    if (wants_option)
        offer_options(o, cli_options);
    return true;
}

static int completion_run(struct ctl *c)
{
    static const struct {
        const char *name, *helps, *script;
    } shells[] = {
        {"bash", NULL,
         "_waymarkctl()\n{\n"
         "    local IFS=$'\\n'\n"
         "    COMPREPLY=($(waymarkctl completion bash -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
         "2>/dev/null)) ||\n"
         "        compopt -o default\n"
         "}\n"
         "complete -F _waymarkctl waymarkctl"},
        {"zsh", ":",
         "#compdef waymarkctl\n"
         "_waymarkctl()\n{\n"
         "    local text\n"
         "    local -a list\n"
         "    text=$(waymarkctl completion zsh -- \"${(@Q)words[2,CURRENT]}\" 2>/dev/null) ||\n"
         "        { _files; return }\n"
         "    list=(\"${(@f)text}\")\n"
         "    _describe waymarkctl list\n"
         "}\n"
         "if [[ $funcstack[1] == _waymarkctl ]]; then _waymarkctl \"$@\"; "
         "else compdef _waymarkctl waymarkctl; fi"},
        {"fish", "\t",
         "function __waymarkctl\n"
         "    waymarkctl completion fish -- (commandline -opc)[2..-1] (commandline -ct) "
         "2>/dev/null\n"
         "    or __fish_complete_path (commandline -ct)\n"
         "end\n"
         "complete -c waymarkctl -f -a '(__waymarkctl)'"},
    };
    const struct ctl_option *option = NULL, *own;
    struct offer o = {.begun = c->argv[c->argc - 1]};
    char **words = c->argv + 1, meant[DIAG_MEANT];
    size_t shell = 0;
    int n = 0;

    while (shell < ARRAY_LEN(shells) && strcmp(shells[shell].name, c->argv[0]) != 0)
        shell++;
    if (shell == ARRAY_LEN(shells))
        return ctl_misused("completion is there for bash, zsh and fish");
    if (c->argc == 1) {
        puts(shells[shell].script);
        return EXIT_DONE;
    }
    o.helps = shells[shell].helps;
    if (strcmp(o.begun, "=") == 0)
        o.begun = "";
    for (int i = 0; i < c->argc - 2; i++) {
        if (strcmp(words[i], "=") == 0) /* bash makes three words of --pool=main */
            continue;
        if (option)
            option = NULL; /* this is its value */
        else if (words[i][0] != '-')
            words[n++] = words[i];
        else if ((option = find_option(c->tables, NULL, words[i], meant)) && option->value == NULL)
            option = NULL;
    }
    EACH_VERB(c->tables, v) /* its option may take other words than that of another verb */
    if (option && words_of(v, n, words) > 0 &&
        (own = find_option(c->tables, v, option->name, meant)) != NULL)
        option = own;
    return offer_next(c->tables, &o, n, words, option) ? EXIT_DONE : EXIT_NOT_FOUND;
}

const struct ctl_verb ctl_shell_verbs[] = {
    {"",
     "completion",
     1,
     -1,
     "bash | zsh | fish",
     {NULL},
     completion_run,
     "print what makes the shell complete these lines: bash: source <(waymarkctl completion bash)"},
    {0},
};

/* --- the line */

/* Reads the line into c; its arguments are moved to the beginning of argv. RUN, or the exit code
 * of a line that is done, all being said. */
static int parse_line(verb_tables *tables, struct ctl *c, int argc, char **argv)
{
    const struct ctl_option *option;
    const struct ctl_verb *v = NULL;
    char line[USAGE], meant[DIAG_MEANT];
    bool options = true, asked;

    /* Whether the verb has an option is asked when that is known. */
    for (int i = 1; i < argc; i++) {
        bool is_option = options && argv[i][0] == '-' && argv[i][1] != '\0';
        char *value = argv[i], *name = is_option ? strsep(&value, "=") : value;

        option = is_option ? find_option(tables, NULL, name, meant) : NULL;
        if (is_option && strcmp(name, "--") == 0)
            options = false;
        else if (!is_option)
            argv[c->argc++] = name;
        else if (option && option->value == NULL && value)
            return ctl_misused("%s takes no value", name);
        else if (option && option->value && value == NULL && (value = argv[++i]) == NULL)
            return ctl_misused("%s needs a value: %s %s", name, name, option->value);
        else if (c->n_given == (int)ARRAY_LEN(c->given))
            return ctl_misused("more than %zu options; use policy import for long lists",
                               ARRAY_LEN(c->given));
        else {
            c->given[c->n_given].name = name;
            c->given[c->n_given++].value = value ? value : "";
        }
    }
    argv[c->argc] = NULL;
    c->argv = argv;
    asked = ctl_option(c, "--help") || ctl_option(c, "-h");
    EACH_VERB(tables, w)
    {
        int words = v ? 0 : words_of(w, c->argc, argv);

        if (words == 0 || (asked && *w->verb == '\0')) /* help on all verbs of the noun */
            continue;
        v = c->verb = w;
        snprintf(c->called, sizeof c->called, "%s%s%s", v->noun, words == 2 ? " " : "", v->verb);
        c->argc -= words;
        c->argv += words;
    }
    for (int i = 0; i < c->n_given; i++) {
        const char *name = c->given[i].name;

        option = find_option(tables, v, name, meant);
        if (option == NULL)
            return ctl_misused("unknown option %s%s (waymarkctl VERB --help names all)", name,
                               meant);
        if (!option->many && ctl_option_at(c, name, 1))
            return ctl_misused("%s is given twice", name);
        c->given[i].option = option;
    }
    if (ctl_option(c, "--version")) {
        printf("waymarkctl %s\n", PACKAGE_VERSION);
        return EXIT_DONE;
    }
    if (v == NULL)
        return without_verb(tables, c, asked);
    usage(v, line);
    if (asked) {
        printf("usage: waymarkctl %s%s\n%s\n", line, v->options[0] ? " [OPTION]..." : "", v->help);
        for (int i = 0; v->options[i]; i++)
            print_options(stdout, i == 0 ? "\noptions\n" : "", v->options[i]);
        print_options(stdout, "\noptions of every verb\n", cli_options);
        return EXIT_DONE;
    }
    if (ctl_option(c, "--json") && ctl_option(c, "--csv"))
        return ctl_misused("--json and --csv exclude each other");
    if (v->most == 0 && c->argc > 0)
        return ctl_misused("%s takes no argument: %s", line, c->argv[0]);
    if (c->argc < v->least || (v->most >= 0 && c->argc > v->most))
        return ctl_misused("too %s arguments: waymarkctl %s", c->argc < v->least ? "few" : "many",
                           line);
    return v->run == completion_run ? completion_run(c) : RUN; /* whatever the settings are */
}

int cli_main(verb_tables *tables, int argc, char **argv)
{
    const char *no_colour = getenv("NO_COLOR"), *assigned[ARRAY_LEN(((struct ctl *)0)->given) + 1];
    struct ctl c = {
        .tables = tables, .now = clock_now(), .uid = getuid(), .stderr_tty = isatty(STDERR_FILENO)};
    struct winsize size;
    struct diags d = {0};
    int code = parse_line(tables, &c, argc, argv), n = 0;

    if (code == RUN) {
        c.format = ctl_option(&c, "--json")  ? FORMAT_JSON
                   : ctl_option(&c, "--csv") ? FORMAT_CSV
                                             : FORMAT_TABLE;
        c.width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
        c.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || *no_colour == '\0');
        while ((assigned[n] = ctl_option_at(&c, "-o", n)) != NULL)
            n++;
        if (settings_read(&c.settings, ctl_option(&c, "-c"), assigned, &d) < 0)
            code = ctl_invalid(&d);
        else
            code = c.verb->run(&c);
        diags_fini(&d);
        settings_free(c.settings);
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
        code = ctl_fail(EXIT_FAILED, "cannot write to standard output");
    return code;
}

/* --- who the tool is: it becomes the user of waymarkd before it touches a store, so that every file
 * has one owner, and remembers who sits at the keyboard, for the log of changes */

int ctl_become_user(const struct ctl *c)
{
    const struct user_dir dirs[] = {{"server.state-dir", c->settings->server.state_dir}, {0}};
    const char *user = c->settings->server.user;
    struct diags d = {0};
    int code = EXIT_DONE;

    if (geteuid() == 0 && *user && user_become(user, dirs, &d) < 0)
        code = ctl_fail(EXIT_FAILED, "%s", d.list[0]);
    diags_fini(&d);
    return code;
}

void ctl_author(const struct ctl *c, char out[64])
{
    /* Only root's word counts: anybody else can set the variable. */
    const char *sudo = c->uid == 0 ? getenv("SUDO_USER") : NULL;
    const struct passwd *pw = getpwuid(c->uid);
    char *clean;

    /* The kernel remembers who logged in, whatever sudo and su did since. */
    if (getlogin_r(out, 64) == 0)
        return;
    clean = sudo && *sudo ? ctl_clean(sudo)
            : pw          ? ctl_clean(pw->pw_name)
                          : ctl_text("uid %u", c->uid);
    snprintf(out, 64, "%s", clean);
    free(clean);
}

int ctl_no_csv(const struct ctl *c)
{
    return c->format == FORMAT_CSV ? ctl_misused("%s has no CSV form; use --json", c->called) : 0;
}

int ctl_store_error(const struct ctl *c, const char *path, int err)
{
    const char *user = c->settings->server.user;
    bool denied = abs(err) == EACCES || abs(err) == EPERM;

    if (abs(err) == ENOENT)
        return ctl_fail(
            EXIT_FAILED,
            "%s does not exist: waymarkd has not run yet, or server.state-dir is another", path);
    if (denied && c->uid == 0)
        return ctl_fail(EXIT_FAILED,
                        "cannot open %s as the user %s: its owner is another; chown -R %s: %s",
                        path, user, user, c->settings->server.state_dir);
    if (denied)
        return ctl_fail(EXIT_FAILED, "no permission for %s: sudo waymarkctl %s ...", path,
                        c->called);
    return ctl_fail(EXIT_FAILED, "cannot open %s: %s", path, strerror(abs(err)));
}
