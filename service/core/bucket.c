/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A token bucket in integers: one microsecond adds `rate` millionths of a token. */

#include "service/core/bucket.h"

#define MILLION UINT64_C(1000000)

Bucket bucket_full(uint32_t rate, uint32_t burst, uint64_t now_usec) {
        return (Bucket){ .rate = rate, .burst = burst, .level = burst * MILLION, .last = now_usec };
}

static uint64_t bucket_level(const Bucket *bucket, uint64_t now_usec) {
        uint64_t full = bucket->burst * MILLION;
        uint64_t added;

        if (__builtin_mul_overflow(now_usec - bucket->last, (uint64_t) bucket->rate, &added) ||
            added > full - bucket->level) {
                return full;
        }
        return bucket->level + added;
}

bool bucket_take(Bucket *bucket, uint64_t now_usec) {
        if (bucket->rate == 0) {
                return true;
        }
        bucket->level = bucket_level(bucket, now_usec);
        bucket->last = now_usec;
        if (bucket->level < MILLION) {
                return false;
        }
        bucket->level -= MILLION;
        return true;
}

bool bucket_is_full(const Bucket *bucket, uint64_t now_usec) {
        return bucket->rate == 0 || bucket_level(bucket, now_usec) == bucket->burst * MILLION;
}
