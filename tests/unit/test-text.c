/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/text: what is read and what is refused. */

#include "service/core/text.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/testing.h"

static void test_sizes(void **state) {
        static const struct {
                const char *text;
                int result;
                uint64_t size;
        } table[] = {
                { "0", 0, 0 },
                { "4096", 0, 4096 },
                { "64K", 0, UINT64_C(64) << 10 },
                { "64M", 0, UINT64_C(64) << 20 },
                { "8G", 0, UINT64_C(8) << 30 },
                { "1T", 0, UINT64_C(1) << 40 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "16777216T", -ERANGE, 0 },
                { "16777215T", 0, UINT64_C(16777215) << 40 },
                { "", -EINVAL, 0 },
                { "K", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "1k", -EINVAL, 0 },
                { "1KB", -EINVAL, 0 },
                { "1.5G", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                uint64_t size = 0;

                assert_int_equal(size_parse(table[i].text, &size), table[i].result);
                assert_int_equal(size, table[i].size);
        }
}

static void test_sizes_round_trip(void **state) {
        static const struct {
                uint64_t size;
                const char *text;
        } table[] = {
                { 0, "0" },
                { 1, "1" },
                { 1023, "1023" },
                { 1024, "1K" },
                { 1536, "1536" },
                { UINT64_C(1536) << 10, "1536K" },
                { UINT64_C(1) << 63, "8388608T" },
                { UINT64_MAX, "18446744073709551615" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                char text[SIZE_TEXT_MAX];
                uint64_t size;

                size_format(table[i].size, text);
                assert_string_equal(text, table[i].text);
                assert_int_equal(size_parse(text, &size), 0);
                assert_int_equal(size, table[i].size);
        }
}

static void test_booleans(void **state) {
        bool value = false;

        assert_int_equal(boolean_parse("yes", &value), 0);
        assert_true(value);
        assert_int_equal(boolean_parse("off", &value), 0);
        assert_false(value);
        assert_int_equal(boolean_parse("Yes", &value), -EINVAL);
        assert_int_equal(boolean_parse("", &value), -EINVAL);
}

static void test_numbers(void **state) {
        uint32_t value = 7;

        assert_int_equal(number_parse("64", 64, &value), 0);
        assert_int_equal(value, 64);
        assert_int_equal(number_parse("65", 64, &value), -ERANGE);
        assert_int_equal(number_parse("4294967295", UINT32_MAX, &value), 0);
        assert_int_equal(number_parse("4294967296", UINT32_MAX, &value), -ERANGE);
        assert_int_equal(number_parse("6x", 64, &value), -EINVAL);
        assert_int_equal(mode_parse("0660", &value), 0);
        assert_int_equal(value, 0660);
        assert_int_equal(mode_parse("0668", &value), -EINVAL);
        assert_int_equal(mode_parse("1777", &value), -ERANGE);
        assert_int_equal(value, 0660);
}

static void test_plurals(void **state) {
        assert_string_equal(plural(0), "s");
        assert_string_equal(plural(1), "");
        assert_string_equal(plural(2), "s");
        assert_string_equal(plural(UINT64_MAX), "s");
}

static void test_names(void **state) {
        static const char *const names[] = { "mesh", NULL, "star" };

        assert_string_equal(NAME_OF(names, 2), "star");
        assert_null(NAME_OF(names, 3));
        assert_null(NAME_OF(names, -EINVAL));
        assert_int_equal(NAME_PARSE(names, "star"), 2);
        assert_int_equal(NAME_PARSE(names, "ring"), -EINVAL);
}

static void test_domain_names(void **state) {
        assert_true(domain_name_is_valid("a"));
        assert_true(domain_name_is_valid("ring-0_b"));
        assert_true(domain_name_is_valid("abcdefghijklmnopqrstuvwxyz0"));
        assert_false(domain_name_is_valid("abcdefghijklmnopqrstuvwxyz01"));
        assert_false(domain_name_is_valid(""));
        assert_false(domain_name_is_valid("0a"));
        assert_false(domain_name_is_valid("-a"));
        assert_false(domain_name_is_valid("Ring"));
        assert_false(domain_name_is_valid("a.b"));
        assert_false(domain_name_is_valid("../a"));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_sizes),        TEST(test_sizes_round_trip), TEST(test_booleans),
                TEST(test_numbers),      TEST(test_plurals),          TEST(test_names),
                TEST(test_domain_names),
        };

        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
