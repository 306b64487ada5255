/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a launcher says of the servers of domains: jobs that end, servers that nobody asked for. */

#include <string.h>

#include "tests/manager/staged.h"
#include "tests/unit/testing.h"

static void test_jobs(void **state) {
        Staged *staged = staged_new(*state);
        Failure refusal;

        assert_null(staged_create(staged, "ring", 0, true, (const char *const[]){ "Size=1M", NULL }));
        (void) failure_set(&refusal, FAILURE_SYSTEM, "not now");
        staged->refusal = &refusal;
        assert_false(
                managed_begin_operation(staged->managed, "ring", &(Request){ .kind = OPERATION_START }));
        assert_string_equal(staged->managed->failure.text, "not now");
        assert_false(manager_is_busy(staged->managed->manager));
        assert_true(managed_begin_operation(staged->managed, "ring", &(Request){ .kind = OPERATION_START }));
        assert_int_equal(staged->verb, LAUNCHER_START);
        assert_true(manager_is_busy(staged->managed->manager));
        staged_tell(staged, "ring", DOMAIN_STARTING, "Preparing memory: 40%");
        assert_int_equal(domain_progress(manager_find(staged->managed->manager, "ring")), 40);
        (void) failure_set(&refusal, FAILURE_START_FAILED, "too late");
        staged_tell(staged, "ring", DOMAIN_FAILED, "why");
        staged_end(staged, &refusal);
        managed_wait(staged->managed, "idle");
        assert_true(staged->managed->failed);
        assert_string_equal(staged->managed->failure.text, "too late");
        assert_string_equal(domain_status(manager_find(staged->managed->manager, "ring")), "why");
        staged_free(staged);
}

/* A domain that runs and that no file is of, and the status of one that says what cannot be shown. */
static void test_unknown(void **state) {
        Staged *staged = staged_new(*state);

        staged_tell(staged, "stray", DOMAIN_FAILED, "");
        assert_null(manager_find(staged->managed->manager, "stray"));
        staged_tell(staged, "stray", DOMAIN_RUNNING, "\xff\n\x1b[31mred");
        assert_int_equal(domain_definition_state(manager_find(staged->managed->manager, "stray")),
                         DEFINITION_REMOVED);
        assert_string_equal(domain_status(manager_find(staged->managed->manager, "stray")), "???[31mred");
        assert_true(manager_is_busy(staged->managed->manager));
        staged_tell(staged, "stray", DOMAIN_STOPPED, "");
        assert_null(manager_find(staged->managed->manager, "stray"));
        assert_false(manager_is_busy(staged->managed->manager));
        staged_free(staged);
}

/* There is a bound on what is under way, however little each of it takes. */
static void test_too_many(void **state) {
        Staged *staged = staged_new(*state);
        Request start = { .kind = OPERATION_START };
        unsigned n = 0;

        assert_null(staged_create(staged, "ring", 0, true, (const char *const[]){ "Size=1M", NULL }));
        while (n < 5000 && managed_begin_operation(staged->managed, "ring", &start)) {
                n++;
        }
        assert_int_equal(n, 4096);
        assert_int_equal(staged->managed->failure.kind, FAILURE_BUSY);
        staged_end(staged, NULL);
        while (staged->managed->n_done < n) {
                staged_turn(staged);
        }
        assert_false(manager_is_busy(staged->managed->manager));
        staged_free(staged);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_jobs),
                TEST(test_unknown),
                TEST(test_too_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
