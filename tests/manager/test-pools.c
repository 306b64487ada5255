/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/manager/pools: what the kernel says of huge pages, and what is none of it. */

#include "service/manager/pools.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/scratch.h"
#include "tests/unit/testing.h"

static void make_pool(Scratch *scratch, const char *name, const char *pages, const char *free_pages) {
        char *path;

        assert_int_equal(mkdir(scratch_path(scratch, name), 0755), 0);
        assert_int_equal(
                scratch_write(scratch, talloc_asprintf(scratch, "%s/nr_hugepages", name), pages, &path), 0);
        if (free_pages) {
                path = talloc_asprintf(scratch, "%s/free_hugepages", name);
                assert_int_equal(scratch_write(scratch, path, free_pages, &path), 0);
        }
}

/* The scratch directory goes with its files, not with its folders. */
static void remove_pool(Scratch *scratch, const char *name) {
        const char *folder = scratch_path(scratch, name);

        (void) unlink(talloc_asprintf(scratch, "%s/nr_hugepages", folder));
        (void) unlink(talloc_asprintf(scratch, "%s/free_hugepages", folder));
        assert_int_equal(rmdir(folder), 0);
}

static void test_by_size(void **state) {
        Scratch *scratch;
        HugePool *pools;
        size_t n;

        assert_int_equal(scratch_new(*state, &scratch), 0);
        make_pool(scratch, "hugepages-1048576kB", "4\n", "1\n");
        make_pool(scratch, "hugepages-2048kB", "512\n", "500\n");
        make_pool(scratch, "hugepages-64kB", "7\n", NULL);
        make_pool(scratch, "something-else", "1\n", "1\n");
        make_pool(scratch, "hugepages-16384kB", "many\n", "1\n");
        assert_int_equal(pools_read(*state, scratch->path, &pools, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(pools[0].page_size, 2 << 20);
        assert_int_equal(pools[0].pages, 512);
        assert_int_equal(pools[0].free, 500);
        assert_int_equal(pools[1].page_size, 1 << 30);
        for (const char *const *name =
                     (const char *const[]){ "hugepages-1048576kB", "hugepages-2048kB", "hugepages-64kB",
                                            "something-else", "hugepages-16384kB", NULL };
             *name; name++) {
                remove_pool(scratch, *name);
        }
        talloc_free(pools);
        talloc_free(scratch);
}

static void test_a_machine_without(void **state) {
        HugePool *pools;
        size_t n = 4711;

        assert_int_equal(pools_read(*state, "/nowhere", &pools, &n), 0);
        assert_int_equal(n, 0);
        assert_null(pools);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_by_size),
                TEST(test_a_machine_without),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
