/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A token bucket: so many events a second, in bursts of at most so many. The clock is the caller's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Bucket Bucket;

struct Bucket {
        uint32_t rate;  /* tokens a second; 0: no limit */
        uint32_t burst; /* tokens when full */
        uint64_t level; /* millionths of a token */
        uint64_t last;  /* microseconds, when level was true */
};

/* A full bucket. */
Bucket bucket_full(uint32_t rate, uint32_t burst, uint64_t now_usec);

/* Takes a token if there is one. `now_usec` must not run backwards. */
bool bucket_take(Bucket *bucket, uint64_t now_usec);

/* Whether nothing would be lost by forgetting the bucket: it is full again. */
bool bucket_is_full(const Bucket *bucket, uint64_t now_usec);
