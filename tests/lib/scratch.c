/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A test's own directory. */

#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
        (void) remove(path);
        return 0;
}

static int scratch_destructor(Scratch *scratch) {
        (void) nftw(scratch->path, remove_one, /* nopenfd= */ 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
        return 0;
}

int scratch_new(const void *ctx, Scratch **ret) {
        Scratch *scratch = talloc_zero(ctx, Scratch);
        const char *parent = getenv("TMPDIR");
        int r = -ENOMEM;

        if (!scratch) {
                return -ENOMEM;
        }
        scratch->path = talloc_asprintf(scratch, "%s/ivshmem-test-XXXXXX", parent ? parent : "/tmp");
        if (!scratch->path) {
                goto fail;
        }
        if (!mkdtemp(scratch->path)) {
                r = errno_negative();
                goto fail;
        }
        talloc_set_destructor(scratch, scratch_destructor);
        if (chmod(scratch->path, 0755) < 0) {
                r = errno_negative();
                goto fail;
        }
        *ret = scratch;
        return 0;

fail:
        talloc_free(scratch);
        return r;
}

char *scratch_path(Scratch *scratch, const char *name) {
        return talloc_asprintf(scratch, "%s/%s", scratch->path, name);
}

int scratch_write(Scratch *scratch, const char *name, const char *text, char **ret_path) {
        char *path = scratch_path(scratch, name);
        size_t length = strlen(text);
        cleanup_close int fd = -EBADF;
        ssize_t n;

        if (!path) {
                return -ENOMEM;
        }
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0) {
                return errno_negative();
        }
        n = write(fd, text, length);
        if (n < 0) {
                return errno_negative();
        }
        *ret_path = path;
        return (size_t) n == length ? 0 : -EIO;
}

int scratch_mkdir(Scratch *scratch, const char *name) {
        char *path = scratch_path(scratch, name), *slash = path ? path + strlen(scratch->path) + 1 : NULL;
        int r = path ? 0 : -ENOMEM;

        while (r == 0 && slash) {
                slash = strchr(slash, '/');
                if (slash) {
                        *slash = '\0';
                }
                if (mkdir(path, 0755) < 0 && errno != EEXIST) {
                        r = errno_negative();
                }
                if (slash) {
                        *slash++ = '/';
                }
        }
        talloc_free(path);
        return r;
}
