/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's huge pages: what there is to be had of each size. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct HugePool HugePool;

#define HUGE_POOLS_DIRECTORY "/sys/kernel/mm/hugepages"

struct HugePool {
        uint64_t page_size; /* bytes */
        uint64_t pages;     /* surplus ones are among them */
        uint64_t free;      /* some of them may be promised to somebody already */
};

/* The pools of a directory like the one above, by size, as a chunk of `ctx`. One that cannot be read is left out; a machine
 * without has none. -ENOMEM. */
int pools_read(void *ctx, const char *directory, HugePool **ret, size_t *ret_n);
