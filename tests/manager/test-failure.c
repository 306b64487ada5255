/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/manager/failure: texts that are fit to be shown, whatever they quote. */

#include <errno.h>
#include <string.h>

#include "service/core/text.h"
#include "service/core/utf8.h"
#include "service/manager/domain.h"
#include "service/manager/failure.h"
#include "tests/unit/testing.h"

static void test_text(void **state) {
        Failure failure;

        assert_int_equal(failure_set(&failure, FAILURE_BUSY, "%s: %d", "why", 7), -EREMOTEIO);
        assert_int_equal(failure.kind, FAILURE_BUSY);
        assert_string_equal(failure.text, "why: 7");
        (void) failure_set(&failure, FAILURE_BUSY, "a\nb\x1b[1m \xff\xc3 \xc3\xa4 \xc2\x85");
        assert_string_equal(failure.text, "a?b?[1m ?? \xc3\xa4 ??");
}

/* Cut at each place of a text whose characters have one to four bytes. */
static void test_cut(void **state) {
        static const char pattern[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
        char *text = talloc_strdup(*state, "");
        Failure failure;

        while (strlen(text) < 600) {
                text = talloc_strdup_append_buffer(text, pattern);
        }
        for (size_t i = 0; i < 10; i++) {
                char filler[16] = "xxxxxxxxxx";

                filler[i] = '\0';
                (void) failure_set(&failure, FAILURE_BUSY, "%s%s", filler, text);
                assert_int_equal(utf8_check(failure.text, strlen(failure.text), NULL), UTF8_OK);
                assert_true(strlen(failure.text) > sizeof(failure.text) - 5);
                assert_null(strchr(failure.text, '?'));
        }
        talloc_free(text);
}

static void test_errno(void **state) {
        Failure failure;

        assert_int_equal(failure_errno(&failure, -ENOSPC, "Cannot write"), -EREMOTEIO);
        assert_int_equal(failure.kind, FAILURE_SYSTEM);
        assert_string_equal(failure.text, "Cannot write: No space left on device");
        (void) failure_errno(&failure, -ENOMEM, "Cannot write");
        assert_int_equal(failure.kind, FAILURE_NO_MEMORY);
        /* One that has been said stays. */
        (void) failure_set(&failure, FAILURE_BUSY, "before");
        assert_int_equal(failure_errno(&failure, -EREMOTEIO, "after"), -EREMOTEIO);
        assert_string_equal(failure.text, "before");
}

/* Each value has a name of its own, and is found by it. */
#define CHECK_NAMES(names, max)                                       \
        for (int i = 0; i < (max); i++) {                             \
                assert_non_null((names)[i]);                          \
                assert_int_equal(NAME_PARSE((names), (names)[i]), i); \
        }

static void test_names(void **state) {
        CHECK_NAMES(failure_kind_names, _FAILURE_KIND_MAX);
        CHECK_NAMES(domain_state_names, _DOMAIN_STATE_MAX);
        CHECK_NAMES(origin_names, _ORIGIN_MAX);
        CHECK_NAMES(definition_state_names, _DEFINITION_STATE_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_text),
                TEST(test_cut),
                TEST(test_errno),
                TEST(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
