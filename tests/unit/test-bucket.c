/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/bucket: rates and bursts with a clock of our own. */

#include "service/core/bucket.h"

#include "tests/unit/testing.h"

#define SECOND UINT64_C(1000000)

static uint32_t take_all(Bucket *bucket, uint64_t now) {
        uint32_t n = 0;

        while (n < 1000 && bucket_take(bucket, now)) {
                n++;
        }
        return n;
}

static void test_burst_then_rate(void **state) {
        Bucket bucket = bucket_full(10, 50, 7 * SECOND);

        assert_int_equal(take_all(&bucket, 7 * SECOND), 50);
        assert_int_equal(take_all(&bucket, 7 * SECOND), 0);
        assert_int_equal(take_all(&bucket, 7 * SECOND + 99999), 0);
        assert_int_equal(take_all(&bucket, 7 * SECOND + 100000), 1);
        assert_int_equal(take_all(&bucket, 8 * SECOND + 100000), 10);
}

static void test_refills_up_to_the_burst(void **state) {
        Bucket bucket = bucket_full(10, 50, 0);

        take_all(&bucket, 0);
        assert_false(bucket_is_full(&bucket, 5 * SECOND - 1));
        assert_true(bucket_is_full(&bucket, 5 * SECOND));
        assert_int_equal(take_all(&bucket, UINT64_MAX), 50);
}

static void test_rate_0_is_no_limit(void **state) {
        Bucket bucket = bucket_full(0, 0, 0);

        assert_int_equal(take_all(&bucket, 0), 1000);
        assert_true(bucket_is_full(&bucket, 0));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_burst_then_rate),
                TEST(test_refills_up_to_the_burst),
                TEST(test_rate_0_is_no_limit),
        };

        return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
