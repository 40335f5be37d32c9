/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay.c -- plays scenario files: what clients ask, what servers say, what
 * must come of it. Time and chance are the scenario's, so a run is repeatable.
 *
 *   replay FILE...
 *
 * A file is a list of scenarios, each begun by `scenario NAME`; each has a
 * world of its own. A command is a line, and the indented lines below belong to
 * it; `#` begins a comment at the start of a line. The commands are in run.c,
 * run_client.c and run_server.c.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/replay/run.h"

enum { FILE_MAX = 1 << 20, BLOCK_MAX = 16384 };

struct totals {
    int passed, failed;
};

/* Splits a line into words; a word in the command points into the line. */
static void split(struct command *c, char *line)
{
    c->n = 0;
    for (char *p = strtok(line, " \t"); p != NULL && c->n < RUN_WORDS; p = strtok(NULL, " \t"))
        c->word[c->n++] = p;
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r")] == '\0' || line[0] == '#';
}

/* The next line, ended by NUL; NULL at the end. */
static char *next_line(char **at, unsigned *line)
{
    char *start = *at;
    size_t n = strcspn(start, "\n");

    if (*start == '\0')
        return NULL;
    *at = start + n + (start[n] == '\n');
    start[n] = '\0';
    ++*line;
    return start;
}

/* The indented lines below a command, without the indentation of the first. */
static void read_block(char **at, unsigned *line, char out[BLOCK_MAX])
{
    size_t indent = 0, len = 0;

    out[0] = '\0';
    while (**at == ' ' || **at == '\t' || **at == '\n') {
        char *text = next_line(at, line);
        size_t own = strspn(text, " \t");

        if (is_blank(text))
            continue;
        if (indent == 0)
            indent = own;
        text += own < indent ? own : indent;
        len += (size_t)snprintf(out + len, BLOCK_MAX - len, "%s\n", text);
        if (len >= BLOCK_MAX) {
            fprintf(stderr, "a block is too long\n");
            exit(2);
        }
    }
}

static struct run *begin(void)
{
    struct run *r = calloc(1, sizeof *r);

    if (r == NULL)
        abort();
    r->world = world_new();
    return r;
}

static void end(struct run *r, const char *file, const char *name, unsigned line, bool good,
                struct totals *t)
{
    if (r == NULL)
        return;
    if (good && !(good = run_end(r)))
        fprintf(stderr, "%s:%u: at the end of the scenario: %s\n", file, line, r->problem);
    printf("%-60s %s\n", name, good ? "ok" : "FAILED");
    *(good ? &t->passed : &t->failed) += 1;
    world_free(r->world);
    free(r);
}

static void play(const char *file, char *at, struct totals *t)
{
    static char block[BLOCK_MAX];
    struct run *r = NULL;
    char name[256] = "";
    unsigned line = 0;
    bool good = true;
    char *text;

    while ((text = next_line(&at, &line)) != NULL) {
        struct command c = {.line = line, .block = block};

        if (is_blank(text))
            continue;
        if (strncmp(text, "scenario ", 9) == 0) {
            end(r, file, name, line, good, t);
            r = begin();
            good = true;
            snprintf(name, sizeof name, "%s", text + 9);
            continue;
        }
        read_block(&at, &line, block);
        split(&c, text);
        if (r == NULL) {
            fprintf(stderr, "%s:%u: a file begins with `scenario NAME`\n", file, c.line);
            t->failed++;
            return;
        }
        if (good && !(good = run_command(r, &c)))
            fprintf(stderr, "%s:%u: %s: %s\n", file, c.line, c.word[0], r->problem);
    }
    end(r, file, name, line, good, t);
}

int main(int argc, char **argv)
{
    struct totals t = {0, 0};

    for (int i = 1; i < argc; i++) {
        char *text;
        size_t len;
        int rc = file_read(argv[i], FILE_MAX, &text, &len);

        if (rc != 0) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(-rc));
            t.failed++;
            continue;
        }
        play(argv[i], text, &t);
        free(text);
    }
    printf("%d passed, %d failed\n", t.passed, t.failed);
    return t.failed > 0 ? 1 : 0;
}
