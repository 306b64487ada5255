/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/ctl/human: numbers as people read them, and what they type as numbers. */

#include "client/ctl/human.h"

#include <errno.h>
#include <locale.h>
#include <stdbool.h>

#include "tests/unit/testing.h"

static void test_sizes(void **state) {
        static const struct {
                uint64_t bytes;
                const char *text;
        } table[] = {
                { 0, "0" },
                { 1023, "1023" },
                { 4096, "4K" },
                { UINT64_C(64) << 20, "64M" },
                { (UINT64_C(3) << 20) / 2, "1.5M" },
                { UINT64_C(8) << 30, "8G" },
                { UINT64_C(1) << 40, "1T" },
                { UINT64_MAX, "16.0E" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                assert_string_equal(human_size(*state, table[i].bytes), table[i].text);
        }
        talloc_free_children(*state);
}

static void test_plurals(void **state) {
        assert_string_equal(human_plural(0), "s");
        assert_string_equal(human_plural(1), "");
        assert_string_equal(human_plural(2), "s");
}

static void test_spans(void **state) {
        assert_string_equal(human_span(*state, 0), "0s");
        assert_string_equal(human_span(*state, 59999999), "59s");
        assert_string_equal(human_span(*state, UINT64_C(60000000)), "1min");
        assert_string_equal(human_span(*state, UINT64_C(200000000)), "3min 20s");
        assert_string_equal(human_span(*state, UINT64_C(86400000000) * 2 + 1), "2d");
        assert_string_equal(human_span(*state, UINT64_C(86400000000) + UINT64_C(7200000000)), "1d 2h");
        talloc_free_children(*state);
}

static void test_safe_text(void **state) {
        assert_string_equal(human_safe(*state, "ring \xc3\xa4"), "ring \xc3\xa4");
        assert_string_equal(human_safe(*state, "\x1b[31mred\n\x7f"), "?[31mred??");
        assert_string_equal(human_safe(*state, "\xff\xc3"), "??");
        assert_string_equal(human_safe(*state, "a\xc2\x9b"
                                               "b"),
                            "a?b"); /* a C1 control character */
        talloc_free_children(*state);
}

static void test_parse_sizes(void **state) {
        uint64_t size = 7;

        assert_int_equal(human_parse_size("0", &size), 0);
        assert_int_equal(size, 0);
        assert_int_equal(human_parse_size("64K", &size), 0);
        assert_int_equal(size, 65536);
        assert_int_equal(human_parse_size("0x1F", &size), 0);
        assert_int_equal(size, 31);
        assert_int_equal(human_parse_size("16777216T", &size), -ERANGE);
        assert_int_equal(human_parse_size("0x", &size), -EINVAL);
        assert_int_equal(human_parse_size("0x11112222333344445", &size), -ERANGE);
        assert_int_equal(human_parse_size("K", &size), -EINVAL);
        assert_int_equal(human_parse_size("", &size), -EINVAL);
        assert_int_equal(human_parse_size("-1", &size), -EINVAL);
        assert_int_equal(human_parse_size("4k", &size), -EINVAL);
        assert_int_equal(human_parse_size("11112222333344445555666677778888", &size), -EINVAL);
        assert_int_equal(size, 31);
}

static void test_parse_numbers(void **state) {
        uint64_t number = 7;

        assert_int_equal(human_parse_number("65535", 65535, &number), 0);
        assert_int_equal(number, 65535);
        assert_int_equal(human_parse_number("65536", 65535, &number), -ERANGE);
        assert_int_equal(human_parse_number("18446744073709551616", UINT64_MAX, &number), -ERANGE);
        assert_int_equal(human_parse_number("1a", 65535, &number), -EINVAL);
        assert_int_equal(human_parse_number(" 1", 65535, &number), -EINVAL);
        assert_int_equal(number, 65535);
}

static void test_parse_booleans(void **state) {
        bool value = false;

        assert_int_equal(human_parse_boolean("on", &value), 0);
        assert_true(value);
        assert_int_equal(human_parse_boolean("false", &value), 0);
        assert_false(value);
        assert_int_equal(human_parse_boolean("maybe", &value), -EINVAL);
}

static void test_users(void **state) {
        uint32_t uid = 7;

        assert_string_equal(human_user(*state, 0), "root");
        assert_string_equal(human_user(*state, 3999999999U), "3999999999");
        assert_int_equal(human_parse_user("root", &uid), 0);
        assert_int_equal(uid, 0);
        assert_int_equal(human_parse_user("1234", &uid), 0);
        assert_int_equal(uid, 1234);
        assert_int_equal(human_parse_user("no such user", &uid), -ESRCH);
        talloc_free_children(*state);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_sizes),          TEST(test_spans),       TEST(test_plurals),
                TEST(test_safe_text),      TEST(test_parse_sizes), TEST(test_parse_numbers),
                TEST(test_parse_booleans), TEST(test_users),
        };

        setlocale(LC_CTYPE, "C.UTF-8");
        return cmocka_run_group_tests_name("ctl-human", tests, NULL, NULL);
}
