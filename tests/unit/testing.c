/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The leak check around each cmocka test. */

#include "tests/unit/testing.h"

#include <stdio.h>

int leak_check_setup(void **state) {
        talloc_enable_null_tracking();
        *state = talloc_named_const(NULL, 0, "test");
        return *state ? 0 : -1;
}

int leak_check_teardown(void **state) {
        size_t left = talloc_total_blocks(*state) - 1;
        size_t roots;

        if (left > 0) {
                fprintf(stderr, "# %zu talloc chunks left by the test:\n", left);
                talloc_report_full(*state, stderr);
        }
        talloc_free(*state);
        /* The null context itself is one block; whatever else hangs there was allocated without a parent. */
        roots = talloc_total_blocks(NULL) - 1;
        if (roots > 0) {
                fprintf(stderr, "# %zu talloc chunks left without a parent:\n", roots);
                talloc_report_full(NULL, stderr);
        }
        talloc_disable_null_tracking();
        return left + roots > 0 ? -1 : 0;
}
