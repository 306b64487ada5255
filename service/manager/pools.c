/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /sys/kernel/mm/hugepages/hugepages-NUMBERkB/. */

#include "service/manager/pools.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

/* A number of the kernel's in a file. */
static int read_number(int directory, const char *name, uint64_t *ret) {
        cleanup_close int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
        char text[24];
        ssize_t n;

        if (fd < 0) {
                return errno_negative();
        }
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0) {
                return n < 0 ? errno_negative() : -ENODATA;
        }
        text[n] = '\0';
        return sscanf(text, "%" SCNu64, ret) == 1 ? 0 : -EINVAL;
}

static int read_pool(int directory, const char *name, HugePool *ret) {
        cleanup_close int fd = openat(directory, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        HugePool pool;
        int r;

        if (sscanf(name, "hugepages-%" SCNu64 "kB", &pool.page_size) != 1 || fd < 0) {
                return -EINVAL;
        }
        pool.page_size *= 1024;
        r = read_number(fd, "nr_hugepages", &pool.pages);
        if (r >= 0) {
                r = read_number(fd, "free_hugepages", &pool.free);
        }
        if (r < 0) {
                return r;
        }
        *ret = pool;
        return 0;
}

static int compare_pools(const void *a, const void *b) {
        const HugePool *left = a, *right = b;

        return (left->page_size > right->page_size) - (left->page_size < right->page_size);
}

static int read_pools(void *ctx, DIR *directory, HugePool **ret, size_t *ret_n) {
        HugePool *pools = NULL;
        size_t n = 0;

        for (const struct dirent *entry; (entry = readdir(directory));) {
                HugePool pool, *grown;

                if (read_pool(dirfd(directory), entry->d_name, &pool) < 0) {
                        continue;
                }
                grown = talloc_realloc(ctx, pools, HugePool, n + 1);
                if (!grown) {
                        talloc_free(pools);
                        return -ENOMEM;
                }
                pools = grown;
                pools[n++] = pool;
        }
        if (n > 0) {
                qsort(pools, n, sizeof(*pools), compare_pools);
        }
        *ret = pools;
        *ret_n = n;
        return 0;
}

int pools_read(void *ctx, const char *directory, HugePool **ret, size_t *ret_n) {
        DIR *opened = opendir(directory);
        int r;

        if (!opened) {
                *ret = NULL;
                *ret_n = 0;
                return 0;
        }
        r = read_pools(ctx, opened, ret, ret_n);
        closedir(opened);
        return r;
}
