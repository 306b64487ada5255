/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine has of pages, and how to say that it is too little. The kernel's answer decides; these numbers only
 * explain it.
 */

#include <stdio.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/core/text.h"
#include "service/server/memory-parts.h"

#define POOL_PATH_MAX 96U

typedef struct HugePool {
        char path[POOL_PATH_MAX];
        uint64_t total;
        uint64_t free; /* and not promised to anybody */
} HugePool;

/* `node` -1: the machine's. */
static void pool_path(char path[static POOL_PATH_MAX], uint64_t page_size, int node) {
        unsigned long long kilobytes = page_size / 1024U;

        if (node < 0) {
                snprintf(path, POOL_PATH_MAX, "/sys/kernel/mm/hugepages/hugepages-%llukB", kilobytes);
        } else {
                snprintf(path, POOL_PATH_MAX, "/sys/devices/system/node/node%d/hugepages/hugepages-%llukB",
                         node, kilobytes);
        }
}

/* 0 when there is no such file; a node has no resv_hugepages. */
static uint64_t pool_read_number(const char *path, const char *name) {
        char file[POOL_PATH_MAX + 32];
        unsigned long long number = 0;
        FILE *stream;

        snprintf(file, sizeof(file), "%s/%s", path, name);
        stream = fopen(file, "re");
        if (!stream) {
                return 0;
        }
        if (fscanf(stream, "%llu", &number) != 1) {
                number = 0;
        }
        fclose(stream);
        return number;
}

static HugePool pool_read(uint64_t page_size, int node) {
        uint64_t reserved, surplus;
        HugePool pool;

        pool_path(pool.path, page_size, node);
        pool.total = pool_read_number(pool.path, "nr_hugepages");
        pool.free = pool_read_number(pool.path, "free_hugepages");
        reserved = pool_read_number(pool.path, "resv_hugepages");
        surplus = pool_read_number(pool.path, "surplus_hugepages");
        pool.free = pool.free > reserved ? pool.free - reserved : 0;
        pool.total = pool.total > surplus ? pool.total - surplus : 0;
        return pool;
}

int memory_pool_check(Memory *memory) {
        char path[POOL_PATH_MAX], page_size[SIZE_TEXT_MAX];

        pool_path(path, memory->page_size, /* node= */ -1);
        if (access(path, F_OK) == 0) {
                return 0;
        }
        size_format(memory->page_size, page_size);
        return memory_fail(memory, -ENODEV, "this machine has no huge pages of %s: there is no %s",
                           page_size, path);
}

/* The pool that is short: the machine's, or the one with the least on the nodes that the memory is bound to. The free
 * pages are those of all of them. */
static HugePool pool_of_nodes(uint64_t page_size, const struct bitmask *nodes) {
        HugePool least = { .free = UINT64_MAX };
        uint64_t sum = 0;

        if (!nodes) {
                return pool_read(page_size, /* node= */ -1);
        }
        for (unsigned int i = 0; i < nodes->size; i++) {
                if (numa_bitmask_isbitset(nodes, i)) {
                        HugePool pool = pool_read(page_size, (int) i);

                        sum += pool.free;
                        least = pool.free < least.free ? pool : least;
                }
        }
        least.free = sum;
        return least;
}

int memory_pool_fail(Memory *memory, const struct bitmask *nodes, int cause) {
        HugePool pool = pool_of_nodes(memory->page_size, nodes);
        unsigned long long wanted = (memory->size - memory->adopted) / memory->page_size;
        /* What was taken so far goes back when the file is closed. */
        unsigned long long had = pool.free +
                                 (memory_allocated(memory) - memory->adopted) / memory->page_size;
        char size[SIZE_TEXT_MAX], page_size[SIZE_TEXT_MAX];

        size_format(memory->size, size);
        size_format(memory->page_size, page_size);
        if (had >= wanted) {
                return memory_fail(
                        memory, cause,
                        "Size=%s: cannot have %llu page%s of %s although %s has %llu free: %m; is there a "
                        "limit of the control group or of the mount?",
                        size, wanted, plural(wanted), page_size, pool.path, had);
        }
        return memory_fail(memory, -ENOSPC,
                           "Size=%s needs %llu page%s of %s, and %s has %llu free: as root, run: echo %llu "
                           ">%s/nr_hugepages",
                           size, wanted, plural(wanted), page_size, pool.path, had,
                           pool.total + wanted - had, pool.path);
}

/* Bytes of one line of a meminfo file, if it is one of those that count as to be had. */
static uint64_t ram_of_line(const char *line) {
        static const char *const names[] = {
                "MemAvailable:", "SwapFree:",                        /* the machine */
                "MemFree:",      "Active(file):", "Inactive(file):", /* a node, after "Node N " */
        };
        size_t first = 0, last = 2;
        unsigned long long kilobytes;

        if (strncmp(line, "Node ", 5) == 0) {
                line = strchrnul(line + 5, ' ');
                line += *line == ' ';
                first = 2;
                last = sizeof(names) / sizeof(*names);
        }
        for (size_t i = first; i < last; i++) {
                size_t length = strlen(names[i]);

                if (strncmp(line, names[i], length) == 0 && sscanf(line + length, "%llu", &kilobytes) == 1) {
                        return kilobytes * 1024U;
                }
        }
        return 0;
}

/* What can be had without anything being killed, in bytes; UINT64_MAX when the kernel does not say. */
static uint64_t ram_of_file(const char *path) {
        FILE *stream = fopen(path, "re");
        uint64_t sum = 0;
        char line[128];

        if (!stream) {
                return UINT64_MAX;
        }
        while (fgets(line, sizeof(line), stream)) {
                sum += ram_of_line(line);
        }
        fclose(stream);
        return sum > 0 ? sum : UINT64_MAX;
}

static uint64_t ram_of_nodes(const struct bitmask *nodes) {
        uint64_t sum = 0;

        for (unsigned int i = 0; i < nodes->size; i++) {
                if (numa_bitmask_isbitset(nodes, i)) {
                        char path[POOL_PATH_MAX];
                        uint64_t bytes;

                        snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/meminfo", i);
                        bytes = ram_of_file(path);
                        sum = bytes > UINT64_MAX - sum ? UINT64_MAX : sum + bytes;
                }
        }
        return sum;
}

int memory_ram_check(Memory *memory, const struct bitmask *nodes) {
        uint64_t wanted = memory->size - memory->adopted, available;
        char size[SIZE_TEXT_MAX];
        char *list;
        int r;

        if (memory->store != MEMORY_STORE_SHMEM) {
                return 0;
        }
        available = nodes ? ram_of_nodes(nodes) : ram_of_file("/proc/meminfo");
        if (wanted <= available) {
                return 0;
        }
        list = nodes ? memory_nodes_print(memory, nodes) : NULL;
        size_format(memory->size, size);
        r = memory_fail(memory, -ENOMEM,
                        "Prefault=yes: Size=%s needs %llu MiB more memory, and %s%s can give %llu MiB", size,
                        (unsigned long long) (wanted >> 20), list ? "NUMANodes=" : "this machine",
                        list ? list : "", (unsigned long long) (available >> 20));
        talloc_free(list);
        return r;
}
