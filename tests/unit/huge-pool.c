/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking huge pages from the machine for a while. */

#include "tests/unit/huge-pool.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define POOL_PATH_MAX 128U
#define SETTLE_MSEC 10000

static FILE *pool_open(const HugePool *pool, const char *name, const char *mode) {
        char path[POOL_PATH_MAX];

        snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB/%s", pool->kilobytes, name);
        return fopen(path, mode);
}

uint64_t huge_pool_number(const HugePool *pool, const char *name) {
        FILE *stream = pool_open(pool, name, "re");
        unsigned long long number = 0;

        if (stream) {
                if (fscanf(stream, "%llu", &number) != 1) {
                        number = 0;
                }
                fclose(stream);
        }
        return number;
}

static void pool_resize(const HugePool *pool, uint64_t pages) {
        FILE *stream = pool_open(pool, "nr_hugepages", "we");

        if (stream) {
                fprintf(stream, "%llu\n", (unsigned long long) pages);
                fclose(stream);
        }
}

/* Pages that were taken from the pool while somebody had them, and go when they are given back. The kernel lets go of what
 * a process had a moment after the process is gone. */
static void pool_settle(const HugePool *pool) {
        for (int i = 0; i < SETTLE_MSEC && huge_pool_number(pool, "surplus_hugepages") > 0; i++) {
                (void) poll(NULL, 0, 1);
        }
}

static int pool_lock(const HugePool *pool) {
        char path[POOL_PATH_MAX];
        int fd;

        snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%ukB", pool->kilobytes);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) {
                return fd;
        }
        fprintf(stderr, "# waiting for the huge pages of %u kB, which another test has\n", pool->kilobytes);
        if (flock(fd, LOCK_EX) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

bool huge_pool_take(HugePool *pool, unsigned int kilobytes, uint64_t pages) {
        uint64_t free_pages;

        *pool = (HugePool){ .kilobytes = kilobytes };
        pool->lock = pool_lock(pool);
        if (pool->lock < 0) {
                fprintf(stderr, "# this machine has no huge pages of %u kB\n", kilobytes);
                return false;
        }
        pool_settle(pool);
        pool->before = huge_pool_number(pool, "nr_hugepages") - huge_pool_number(pool, "surplus_hugepages");
        free_pages = huge_pool_number(pool, "free_hugepages") - huge_pool_number(pool, "resv_hugepages");
        pool_resize(pool, huge_pool_number(pool, "nr_hugepages") + pages - free_pages);
        free_pages = huge_pool_number(pool, "free_hugepages") - huge_pool_number(pool, "resv_hugepages");
        if (free_pages != pages) {
                fprintf(stderr, "# wanted %llu free huge pages of %u kB, got %llu\n",
                        (unsigned long long) pages, kilobytes, (unsigned long long) free_pages);
                huge_pool_release(pool);
                return false;
        }
        return true;
}

void huge_pool_release(HugePool *pool) {
        if (pool->lock < 0) {
                return;
        }
        pool_resize(pool, pool->before);
        pool_settle(pool);
        close(pool->lock);
        pool->lock = -1;
}
