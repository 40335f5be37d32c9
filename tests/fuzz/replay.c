/* SPDX-License-Identifier: BSD-2-Clause
 *
 * replay.c -- runs a fuzz target over files, without a fuzzer.
 *
 * Each argument is a file or a folder of files. Every crash that was found
 * becomes a file in tests/fuzz/corpus/, and `make check` replays them all.
 */
#include "tests/fuzz/fuzz.h"

#include <ftw.h>

static long done;

/* The copy has exactly the size of the input, so that a sanitizer sees each
 * read behind its end. */
static int run_file(const char *path, const struct stat *st, int type, struct FTW *where)
{
    size_t n = (size_t)st->st_size;
    uint8_t *copy;
    FILE *file;

    (void)where;
    if (type == FTW_D)
        return 0;
    file = fopen(path, "rb");
    copy = malloc(n > 0 ? n : 1);
    must(file != NULL && copy != NULL);
    must(fread(copy, 1, n, file) == n);
    fclose(file);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    done++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], run_file, 16, FTW_PHYS) != 0) {
            perror(argv[i]);
            return 1;
        }
    }
    printf("%s: %ld inputs\n", argv[0], done);
    return done == 0; /* an empty corpus checks nothing */
}
