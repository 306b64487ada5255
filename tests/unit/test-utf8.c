/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/utf8: the borders of each form, and what merely looks like it. */

#include "service/core/utf8.h"

#include <string.h>

#include "tests/unit/testing.h"

static void test_characters(void **state) {
        static const struct {
                const char *text;
                Utf8Result result;
                size_t offset;
        } table[] = {
                { "", UTF8_OK, 0 },
                { "plain ~", UTF8_OK, 7 },
                { "a\303\274\342\202\254\360\237\220\247z", UTF8_OK, 11 },
                { "\302\240", UTF8_OK, 2 },         /* U+00A0 */
                { "\337\277", UTF8_OK, 2 },         /* U+07FF */
                { "\340\240\200", UTF8_OK, 3 },     /* U+0800 */
                { "\355\237\277", UTF8_OK, 3 },     /* U+D7FF */
                { "\356\200\200", UTF8_OK, 3 },     /* U+E000 */
                { "\360\220\200\200", UTF8_OK, 4 }, /* U+10000 */
                { "\364\217\277\277", UTF8_OK, 4 }, /* U+10FFFF */
                { "a\tb", UTF8_CONTROL, 1 },
                { "ab\177", UTF8_CONTROL, 2 },
                { "a\302\200", UTF8_CONTROL, 1 }, /* U+0080 */
                { "a\302\237", UTF8_CONTROL, 1 }, /* U+009F */
                { "a\200", UTF8_MALFORMED, 1 },   /* goes on with nothing */
                { "a\303", UTF8_MALFORMED, 1 },   /* stops early */
                { "a\342\202", UTF8_MALFORMED, 1 },
                { "\303a", UTF8_MALFORMED, 0 },
                { "\303\303", UTF8_MALFORMED, 0 },
                { "\301\277", UTF8_MALFORMED, 0 }, /* overlong U+007F */
                { "\340\237\277", UTF8_MALFORMED, 0 },
                { "\360\217\277\277", UTF8_MALFORMED, 0 },
                { "\355\240\200", UTF8_MALFORMED, 0 }, /* surrogates */
                { "\355\277\277", UTF8_MALFORMED, 0 },
                { "\364\220\200\200", UTF8_MALFORMED, 0 },
                { "\370\210\200\200\200", UTF8_MALFORMED, 0 },
                { "\377", UTF8_MALFORMED, 0 },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                size_t offset = SIZE_MAX;

                assert_int_equal(utf8_check(table[i].text, strlen(table[i].text), &offset), table[i].result);
                assert_int_equal(offset, table[i].offset);
        }
        assert_int_equal(utf8_check("a\0b", 3, NULL), UTF8_CONTROL);
}

int main(void) {
        static const struct CMUnitTest tests[] = { TEST(test_characters) };

        return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
