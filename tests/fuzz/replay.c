/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay.c -- runs a fuzz target over files, without a fuzzer.
 *
 * Each argument is a file or a folder of files. Every crash that was found
 * becomes a file in tests/fuzz/corpus/, and `make check` replays them all.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

/* The copy has exactly the size of the input, so that a sanitizer sees each
 * read behind its end. */
static int run_file(const char *path)
{
    static uint8_t buf[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    uint8_t *copy;
    size_t n;

    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    n = fread(buf, 1, sizeof buf, file);
    fclose(file);
    copy = malloc(n > 0 ? n : 1);
    if (copy == NULL)
        return -1;
    memcpy(copy, buf, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    return 0;
}

/* The number of inputs that ran, or -1. */
static long run_folder(const char *path)
{
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort), failed = 0;
    char file[4096];
    long done = 0;

    if (n < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.') {
            snprintf(file, sizeof file, "%s/%s", path, list[i]->d_name);
            failed |= run_file(file) != 0;
            done++;
        }
        free(list[i]);
    }
    free(list);
    return failed ? -1 : done;
}

int main(int argc, char **argv)
{
    long done = 0;

    for (int i = 1; i < argc; i++) {
        struct stat st;
        long n;

        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
            n = run_folder(argv[i]);
        else
            n = run_file(argv[i]) == 0 ? 1 : -1;
        if (n < 0)
            return 1;
        done += n;
    }
    printf("%s: %ld inputs\n", argv[0], done);
    return done == 0; /* an empty corpus checks nothing */
}
