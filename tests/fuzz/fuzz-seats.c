/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as the life of a domain: its shape, then joins, leaves, evictions, partial reads and the rest as
 * tests/model/script.c reads them. After each step engine and naive model must agree.
 */

#include <talloc.h>

#include "tests/fuzz/fuzz.h"
#include "tests/model/script.h"

/* Enough for every corner, and few enough for many runs a second. */
#define SEATS_MAX 24U
#define IDENTITIES_MAX 10U
#define STEPS_MAX 200U

static void expect(const Driver *driver, bool good, uint32_t step) {
        if (!good) {
                fprintf(stderr, "step %u: %s\n", step, driver->failure);
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Source source = source_from_bytes(data, size);
        DriverConfig config = source_draw_config(&source, SEATS_MAX, IDENTITIES_MAX);
        Driver *driver;
        uint32_t step;

        FUZZ_CHECK(driver_new(NULL, &config, &driver) == 0);
        for (step = 0; step < STEPS_MAX && !source_is_dry(&source); step++) {
                expect(driver, script_step(driver, &source), step);
                expect(driver, driver_check(driver), step);
        }
        expect(driver, script_finish(driver), step);
        talloc_free(driver);
        return 0;
}
