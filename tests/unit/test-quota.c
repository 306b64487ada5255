/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/quota: what domains take, and whether more fits. */

#include <string.h>

#include "service/core/quota.h"
#include "service/core/text.h"
#include "tests/unit/testing.h"

static Quota filled(uint64_t value) {
        Quota quota;

        quota_fill(&quota, value);
        return quota;
}

static void test_of_definition(void **state) {
        Definition definition = { .size = 1 << 21, .max_peers = 100, .vectors = 8 };
        Quota quota;

        quota_of_definition(&definition, &quota);
        assert_int_equal(quota.values[RESOURCE_DOMAINS], 1);
        assert_int_equal(quota.values[RESOURCE_BYTES], 1 << 21);
        assert_int_equal(quota.values[RESOURCE_HUGE_PAGE_BYTES], 0);
        assert_int_equal(quota.values[RESOURCE_PEERS], 100);
        assert_int_equal(quota.values[RESOURCE_VECTORS], 800);
        definition.huge_pages = HUGE_PAGES_2M;
        quota_of_definition(&definition, &quota);
        assert_int_equal(quota.values[RESOURCE_HUGE_PAGE_BYTES], 1 << 21);
}

static const struct {
        uint64_t limit, used, more;
        bool fits;
} cases[] = {
        { 4, 3, 1, true },
        { 4, 4, 1, false },
        { 4, 3, 2, false },
        { 4, 5, 0, true }, /* what is not asked for is not refused */
        { 0, 0, 1, false },
        { 0, 0, 0, true },
        { QUOTA_UNLIMITED, UINT64_MAX - 2, 100, true },
        { UINT64_MAX - 3, UINT64_MAX - 3, UINT64_MAX - 3, false }, /* the sum does not wrap around */
};

static void test_fits(void **state) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                for (int resource = 0; resource < _RESOURCE_MAX; resource++) {
                        Quota limit = filled(QUOTA_UNLIMITED), used = filled(0), more = filled(0);
                        Resource found = _RESOURCE_MAX;

                        limit.values[resource] = cases[i].limit;
                        used.values[resource] = cases[i].used;
                        more.values[resource] = cases[i].more;
                        if (quota_fits(&limit, &used, &more, &found) != cases[i].fits) {
                                fail_msg("row %zu of %s", i, resource_names[resource]);
                        }
                        assert_int_equal(found, cases[i].fits ? _RESOURCE_MAX : resource);
                }
        }
}

static void test_add(void **state) {
        Quota sum = filled(UINT64_MAX - 2), more = filled(5);

        quota_add(&sum, &more);
        assert_true(sum.values[0] < QUOTA_UNSET);
        /* Nor does a sum that is no overflow mean something else. */
        sum = filled(QUOTA_UNSET - 5);
        quota_add(&sum, &more);
        assert_true(sum.values[0] < QUOTA_UNSET);
        sum = filled(3);
        quota_add(&sum, &more);
        assert_int_equal(sum.values[RESOURCE_VECTORS], 8);
}

static void test_words(void **state) {
        char text[RESOURCE_TEXT_MAX];

        resource_format(RESOURCE_DOMAINS, 4, text);
        assert_string_equal(text, "4 domains");
        resource_format(RESOURCE_DOMAINS, 1, text);
        assert_string_equal(text, "1 domain");
        resource_format(RESOURCE_BYTES, UINT64_C(3) << 30, text);
        assert_string_equal(text, "3G of memory");
        resource_format(RESOURCE_PEERS, QUOTA_UNLIMITED, text);
        assert_string_equal(text, "unlimited peers");
}

static void test_names(void **state) {
        for (int i = 0; i < _RESOURCE_MAX; i++) {
                assert_int_equal(NAME_PARSE(resource_names, resource_names[i]), i);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_of_definition), TEST(test_fits),  TEST(test_add),
                TEST(test_words),         TEST(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
