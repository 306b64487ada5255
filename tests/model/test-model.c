/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine against the naive model, through many random lives of domains of all shapes. A failure prints its seed
 * and step; `test-model SEED STEPS` replays it.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/progress.h"
#include "tests/model/script.h"
#include "tests/unit/testing.h"

typedef struct Family Family;

/* Runs of one kind. Run n of family f has the seed f * SEEDS_OF_FAMILY + n, of which all else follows. */
struct Family {
        const char *name;
        uint32_t max_peers_low;
        uint32_t max_peers_high;
        uint32_t vectors[5];
        uint32_t n_vectors;
        uint32_t n_runs;
        uint32_t n_steps;
        uint32_t
                check_every; /* steps; the step before is part of what is compared, so little is lost by > 1 */
};

enum {
        FAMILY_SMALL,
        FAMILY_MIDDLE,
        FAMILY_VECTORS,
        FAMILY_LARGE,
        FAMILY_FULL,
        _FAMILY_MAX,
};

#define SEEDS_OF_FAMILY 1000U

static const Family families[_FAMILY_MAX] = {
        [FAMILY_SMALL] = { "small", 1, 6, { 1, 2, 3, 8, 64 }, 5, 1000, 300, 1 },
        [FAMILY_MIDDLE] = { "middle", 7, 24, { 1, 2, 3, 8 }, 4, 240, 400, 1 },
        [FAMILY_VECTORS] = { "vectors", 4, 16, { 64 }, 1, 60, 300, 1 },
        [FAMILY_LARGE] = { "large", 100, 200, { 1, 2, 3 }, 3, 18, 500, 1 },
        [FAMILY_FULL] = { "full", VM_IDS_MAX, VM_IDS_MAX, { 2 }, 1, 2, 600, 0 },
};

static DriverConfig draw_config(const Family *family, uint64_t seed, Source *source) {
        static const uint32_t identities[] = { 1, 3, 10, 40 };
        uint32_t n = seed % SEEDS_OF_FAMILY;
        DriverConfig config = {
                .topology = n % 2 == 0 ? TOPOLOGY_MESH : TOPOLOGY_STAR,
                .vectors = family->vectors[n / 2 % family->n_vectors],
        };

        config.max_peers = family->max_peers_low +
                           source_draw(source, family->max_peers_high - family->max_peers_low + 1);
        config.identities = identities[source_draw(source, 4)];
        return config;
}

static bool run_steps(Driver *driver, Source *source, const Family *family, uint64_t seed, uint32_t n_steps,
                      uint32_t *ret_step) {
        Script script;

        for (*ret_step = 0; *ret_step < n_steps; (*ret_step)++) {
                if (*ret_step % 100 == 0) {
                        script = script_draw(source);
                }
                progress_set(seed, *ret_step);
                if (!script_weighted_step(&script, driver, source)) {
                        return false;
                }
                if (*ret_step % family->check_every == 0 && !driver_check(driver)) {
                        return false;
                }
        }
        return script_finish(driver);
}

/* A few of the things that may happen, each cheap in a domain of 65,536 peers. */
static bool full_step(Driver *driver, Source *source) {
        uint32_t peer = source_draw(source, driver->n_peers);
        uint32_t vm_id = source_draw(source, driver->config.max_peers);
        int identity = (int) source_draw(source, driver->config.identities);

        switch (source_draw(source, 8)) {
        case 0:
        case 1:
                return driver_leave(driver, peer);
        case 2:
                return driver_join(driver, identity);
        case 3:
                return driver_join_at(driver, vm_id, identity);
        case 4:
                return driver->model->seats[vm_id].retired || driver_retire(driver, vm_id);
        case 5:
                return driver_reserve(driver, vm_id, source_draw(source, 2) > 0);
        default:
                return driver_deliver(driver, peer, 256, source_draw(source, 101));
        }
}

/* Everybody joins, half of them where the engine says, half of them all over the place. */
static bool fill(Driver *driver, Source *source) {
        uint32_t max_peers = driver->config.max_peers;

        while (driver->n_peers < 500) {
                if (!driver_join(driver, (int) source_draw(source, driver->config.identities))) {
                        return false;
                }
        }
        for (uint32_t i = 0; i < max_peers; i++) {
                /* 40503 is odd, so that this comes by each VM ID once. */
                if (!driver_join_at(driver, i * 40503U % max_peers,
                                    (int) source_draw(source, driver->config.identities))) {
                        return false;
                }
        }
        return true;
}

static bool check_some(Driver *driver, Source *source) {
        for (uint32_t i = 0; i < 3; i++) {
                if (!driver_check_peer(driver, i == 0 ? 0 : source_draw(source, driver->n_peers))) {
                        return false;
                }
        }
        return driver_check_domain(driver);
}

static bool full_run(Driver *driver, Source *source, uint64_t seed, uint32_t n_steps, uint32_t *ret_step) {
        *ret_step = 0;
        if (!fill(driver, source) || !check_some(driver, source)) {
                return false;
        }
        for (*ret_step = 0; *ret_step < n_steps; (*ret_step)++) {
                progress_set(seed, *ret_step);
                if (!full_step(driver, source) || (*ret_step % 300 == 0 && !check_some(driver, source))) {
                        return false;
                }
        }
        return driver_deliver_all(driver, 0) && check_some(driver, source);
}

/* One life of a domain. Prints what went wrong and how to see it again. */
static bool run_seed(void *ctx, uint64_t seed, uint32_t n_steps, uint64_t *corners) {
        const Family *family = &families[seed / SEEDS_OF_FAMILY];
        Source source = source_from_seed(seed);
        DriverConfig config = draw_config(family, seed, &source);
        Driver *driver;
        uint32_t step;
        bool good;

        if (driver_new(ctx, &config, &driver) < 0) {
                return false;
        }
        good = family->check_every > 0 ? run_steps(driver, &source, family, seed, n_steps, &step)
                                       : full_run(driver, &source, seed, n_steps, &step);
        if (!good) {
                print_error("%s, %u seats, %u vectors, seed %" PRIu64 ", step %u: %s\n"
                            "replay with: test-model %" PRIu64 " %u\n",
                            config.topology == TOPOLOGY_MESH ? "mesh" : "star", config.max_peers,
                            config.vectors, seed, step, driver->failure, seed, step + 1);
        }
        for (size_t i = 0; i < _CORNER_MAX; i++) {
                corners[i] += driver->corners[i];
        }
        talloc_free(driver);
        return good;
}

static void run_family(void *ctx, uint32_t n, uint64_t *corners) {
        const Family *family = &families[n];

        for (uint32_t i = 0; i < family->n_runs; i++) {
                assert_true(run_seed(ctx, n * SEEDS_OF_FAMILY + i, family->n_steps, corners));
        }
}

/* The driver is worth something only when it gets to the corners. */
static void assert_corners(const uint64_t *corners, uint64_t at_least) {
        for (size_t i = 0; i < _CORNER_MAX; i++) {
                if (corners[i] < at_least) {
                        print_error("only %" PRIu64 " %s\n", corners[i], driver_corner_names[i]);
                }
                assert_in_range(corners[i], at_least, UINT64_MAX);
        }
}

static void test_family(void **state, uint32_t family, uint64_t at_least) {
        uint64_t corners[_CORNER_MAX] = { 0 };

        run_family(*state, family, corners);
        assert_corners(corners, at_least);
}

static void test_small(void **state) {
        test_family(state, FAMILY_SMALL, /* at_least= */ 200);
}

static void test_middle(void **state) {
        test_family(state, FAMILY_MIDDLE, /* at_least= */ 100);
}

static void test_vectors(void **state) {
        test_family(state, FAMILY_VECTORS, /* at_least= */ 20);
}

static void test_large(void **state) {
        test_family(state, FAMILY_LARGE, /* at_least= */ 0);
}

static void test_full(void **state) {
        test_family(state, FAMILY_FULL, /* at_least= */ 0);
}

static int replay(int argc, char **argv) {
        uint64_t seed = strtoull(argv[1], NULL, 10);
        uint32_t n_steps = argc > 2 ? (uint32_t) strtoul(argv[2], NULL, 10) : UINT32_MAX;
        uint64_t corners[_CORNER_MAX] = { 0 };

        if (seed / SEEDS_OF_FAMILY >= _FAMILY_MAX) {
                fprintf(stderr, "seeds are below %u\n", _FAMILY_MAX * SEEDS_OF_FAMILY);
                return EXIT_FAILURE;
        }
        if (n_steps == UINT32_MAX) {
                n_steps = families[seed / SEEDS_OF_FAMILY].n_steps;
        }
        return run_seed(NULL, seed, n_steps, corners) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
        static const struct CMUnitTest tests[] = {
                TEST(test_small), TEST(test_middle), TEST(test_vectors), TEST(test_large), TEST(test_full),
        };

        progress_begin("test-model");
        if (argc > 1) {
                return replay(argc, argv);
        }
        return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
