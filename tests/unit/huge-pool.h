/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Huge pages for tests. The machine has one pool of each size, so a test program locks the pool (flock on its directory
 * in sysfs, as other test programs do), brings it to the size it wants, and gives back what it took.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct HugePool HugePool;

struct HugePool {
        unsigned int kilobytes; /* of a page: 2048 or 1048576 */
        int lock;               /* -1: not taken */
        uint64_t before;
};

/* Makes the pool have `pages` free pages. False, with the pool as it was and a line on standard error that says why,
 * when that cannot be had. */
bool huge_pool_take(HugePool *pool, unsigned int kilobytes, uint64_t pages);

/* Puts the pool back to its size. To be called also when the test failed; does nothing when the pool was not taken. */
void huge_pool_release(HugePool *pool);

/* A number of the pool: "free_hugepages", "nr_hugepages". */
uint64_t huge_pool_number(const HugePool *pool, const char *name);
