/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger through random lives of domains: at each operation its keeper dies in each way that tests/model/keeper.h
 * knows, and now and then the engine is made anew of the ledger, while the naive model goes on unaware.
 * A failure prints its seed and step; `test-ledger-model SEED STEPS` replays it.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/model/progress.h"
#include "tests/model/script.h"
#include "tests/unit/testing.h"

#define RUNS 120U
#define STEPS 150U

/* Few seats, so that each is taken, left and taken again often. Identities are none of the empty ones of the driver,
 * which credentials never give. */
#define SEATS_MAX 6U
#define IDENTITIES_MAX 9U

static Keeper *new_keeper(Driver *driver, uint32_t trials, uint64_t seed) {
        const LedgerShape shape = {
                .memory_size = UINT64_C(1) << 26,
                .huge_pages = HUGE_PAGES_2M,
                .max_peers = driver->config.max_peers,
                .vectors = driver->config.vectors,
                .topology = driver->config.topology,
        };

        return keeper_new(driver, &shape, trials, seed);
}

static bool run_steps(Driver *driver, Source *source, uint64_t seed, uint32_t n_steps, uint32_t *ret_step) {
        Script script = script_draw(source);

        for (*ret_step = 0; *ret_step < n_steps; (*ret_step)++) {
                progress_set(seed, *ret_step);
                if (!script_weighted_step(&script, driver, source)) {
                        return false;
                }
                if (source_draw(source, 4) == 0 && !driver_restart(driver)) {
                        return false;
                }
                if (!driver_check(driver)) {
                        return false;
                }
        }
        return driver_restart(driver) && script_finish(driver);
}

static bool run_seed(void *ctx, uint64_t seed, uint32_t n_steps, KeeperDeaths *deaths) {
        Source source = source_from_seed(seed);
        DriverConfig config = source_draw_config(&source, SEATS_MAX, IDENTITIES_MAX);
        Driver *driver;
        uint32_t step;
        bool good;

        if (driver_new(ctx, &config, &driver) < 0) {
                return false;
        }
        driver->keeper = new_keeper(driver, /* trials= */ 6, seed);
        good = run_steps(driver, &source, seed, n_steps, &step);
        if (!good) {
                print_error("%s, %u seats, %u vectors, seed %" PRIu64 ", step %u: %s\n"
                            "replay with: test-ledger-model %" PRIu64 " %u\n",
                            config.topology == TOPOLOGY_MESH ? "mesh" : "star", config.max_peers,
                            config.vectors, seed, step, driver->failure, seed, step + 1);
        }
        deaths->before += driver->keeper->deaths.before;
        deaths->between += driver->keeper->deaths.between;
        deaths->sending += driver->keeper->deaths.sending;
        talloc_free(driver);
        return good;
}

static void test_lives_with_restarts(void **state) {
        KeeperDeaths deaths = { 0 };

        for (uint64_t seed = 0; seed < RUNS; seed++) {
                assert_true(run_seed(*state, seed, STEPS, &deaths));
        }
        print_message("# deaths before a commit %" PRIu64 ", among stores %" PRIu64 ", in a batch %" PRIu64
                      "\n",
                      deaths.before, deaths.between, deaths.sending);
        assert_true(deaths.before > 10000 && deaths.between > 10000 && deaths.sending > 1000);
}

/* Each operation by itself, with many deaths. */
static void test_each_operation_closely(void **state) {
        const DriverConfig config = {
                .max_peers = 2, .vectors = 3, .topology = TOPOLOGY_MESH, .identities = 3
        };
        Driver *driver = NULL;

        assert_int_equal(driver_new(*state, &config, &driver), 0);
        driver->keeper = new_keeper(driver, /* trials= */ 3000, /* seed= */ 1);
        assert_true(driver_join_at(driver, 1, 0)); /* a seat that was never opened */
        assert_true(driver_deliver(driver, 0, 64, 50));
        assert_true(driver_leave(driver, 0));
        assert_true(driver_join_at(driver, 1, 1)); /* retaken by another */
        assert_true(driver_deliver_all(driver, 0));
        assert_true(driver_leave(driver, 0));
        assert_true(driver_join_at(driver, 1, 1)); /* retaken by the same */
        assert_true(driver_join_at(driver, 0, 2));
        assert_true(driver_deliver_all(driver, 0));
        assert_true(driver_retire(driver, 0));
        assert_true(driver_leave(driver, 0));
        assert_true(driver_retire(driver, 1)); /* a vacant one */
        assert_true(driver_restart(driver));
        assert_true(driver_check(driver));
        talloc_free(driver);
}

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                TEST(test_lives_with_restarts),
                TEST(test_each_operation_closely),
        };

        progress_begin("test-ledger-model");
        if (argc > 1) {
                uint32_t n_steps = argc > 2 ? (uint32_t) strtoul(argv[2], NULL, 10) : STEPS;
                KeeperDeaths deaths = { 0 };

                return run_seed(NULL, strtoull(argv[1], NULL, 10), n_steps, &deaths) ? EXIT_SUCCESS
                                                                                     : EXIT_FAILURE;
        }
        return cmocka_run_group_tests_name("ledger-model", tests, NULL, NULL);
}
