/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzzer's corpus as a test: each file of a folder is an input and a line of TAP. An input that fails ends the
 * process, after its name was printed. An empty corpus is a failure. */

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static int not_hidden(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

static void fail(const char *what, const char *name) {
        printf("Bail out! %s %s: %s\n", what, name, strerror(errno));
        exit(EXIT_FAILURE);
}

/* Runs the fuzzer over one file, in a buffer of just its size, so that a read beyond it shows. */
static void replay(const char *name) {
        struct stat st;
        FILE *file = fopen(name, "re");
        uint8_t *data;
        size_t size;

        if (!file || fstat(fileno(file), &st) < 0) {
                fail("cannot open", name);
        }
        size = (size_t) st.st_size;
        data = malloc(size ? size : 1);
        if (!data || fread(data, 1, size, file) != size) {
                fail("cannot read", name);
        }
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
}

int main(int argc, char *argv[]) {
        struct dirent **entries = NULL;
        int n;

        if (argc != 2) {
                fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
                return EXIT_FAILURE;
        }
        n = scandir(argv[1], &entries, not_hidden, alphasort);
        if (n < 0 || chdir(argv[1]) < 0) {
                fail("cannot read", argv[1]);
        }
        if (n == 0) {
                printf("1..1\nnot ok 1 - %s holds no input\n", argv[1]);
        } else {
                printf("1..%d\n", n);
        }
        for (int i = 0; i < n; i++) {
                printf("# %s\n", entries[i]->d_name);
                fflush(stdout);
                replay(entries[i]->d_name);
                printf("ok %d - %s\n", i + 1, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return n == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
