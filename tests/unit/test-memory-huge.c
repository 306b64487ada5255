/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/memory: huge pages, sealed and on hugetlbfs mounts. Each test finds exactly PAGES free pages in the
 * machine's pool and must leave as many. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/server/memory.h"
#include "tests/unit/huge-pool.h"
#include "tests/unit/memory-fixture.h"

#define PAGES 8U
#define PAGE (2 * MIB)
#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB"

static HugePool pool = { .lock = -1 };
static HugePool gigantic = { .lock = -1 }; /* taken by single tests, released after each */
static char directory[] = "/tmp/ivshmem-huge-XXXXXX";
static char path[64];
static char error[400];

static uint64_t free_pages(void) {
        return huge_pool_number(&pool, "free_hugepages") - huge_pool_number(&pool, "resv_hugepages");
}

static int pages_setup(void **state) {
        memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
        if (!mkdtemp(directory) || mount("hugetlbfs", directory, "hugetlbfs", 0, "pagesize=2M") < 0) {
                return -1;
        }
        snprintf(path, sizeof(path), "%s/ring", directory);
        return memory_leak_check_setup(state);
}

static int pages_teardown(void **state) {
        int r;

        huge_pool_release(&gigantic);
        r = memory_leak_check_teardown(state);
        if (access(path, F_OK) == 0) {
                fprintf(stderr, "# %s is left\n", path);
                r = -1;
        }
        if (umount2(directory, MNT_DETACH) < 0 || rmdir(directory) < 0) {
                fprintf(stderr, "# %s is left: %m\n", directory);
                r = -1;
        }
        if (free_pages() != PAGES) {
                fprintf(stderr, "# %llu free pages left of %u\n", (unsigned long long) free_pages(), PAGES);
                r = -1;
        }
        return r;
}

#define PAGES_TEST(function) cmocka_unit_test_setup_teardown(function, pages_setup, pages_teardown)

static Definition huge_definition(uint64_t pages) {
        Definition definition = memory_definition(pages * PAGE);

        definition.huge_pages = HUGE_PAGES_2M;
        return definition;
}

static Definition mount_definition(uint64_t pages) {
        Definition definition = memory_definition(pages * PAGE);

        definition.path = path;
        return definition;
}

static void test_sealed_and_taken(void **state) {
        Definition definition = huge_definition(4);
        Memory *memory = memory_make(*state, &definition);
        struct stat st;

        assert_string_equal(memory_describe(memory), "8M in 2M pages");
        assert_int_equal(free_pages(), PAGES - 4);
        assert_int_equal(memory_blocks(memory), 4 * PAGE);
        assert_int_equal(fstat(memory_fd(memory), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(ftruncate(memory_fd(memory), 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(memory_fd(memory), 5 * PAGE), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fcntl(memory_fd(memory), F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(errno, EPERM);
        memory_poke(memory, 4 * PAGE - 1, 3);
        assert_int_equal(memory_peek(memory, 4 * PAGE - 1), 3);
        talloc_free(memory);
}

static void test_all_of_the_pool(void **state) {
        Definition definition = huge_definition(PAGES);
        Memory *memory = memory_make(*state, &definition);

        assert_int_equal(free_pages(), 0);
        definition = huge_definition(1);
        snprintf(error, sizeof(error),
                 "Size=2M needs 1 page of 2M, and " POOL " has 0 free: as root, run: echo %llu >" POOL
                 "/nr_hugepages",
                 (unsigned long long) huge_pool_number(&pool, "nr_hugepages") + 1);
        memory_refuse(*state, &definition, -ENOSPC, error);
        talloc_free(memory);
}

/* It takes twice what there is. */
static void refuse_for_want_of_pages(void *ctx, const Definition *definition) {
        snprintf(error, sizeof(error),
                 "Size=32M needs 16 pages of 2M, and " POOL " has 8 free: as root, run: echo %llu >" POOL
                 "/nr_hugepages",
                 (unsigned long long) huge_pool_number(&pool, "nr_hugepages") + PAGES);
        memory_refuse(ctx, definition, -ENOSPC, error);
}

static void test_short_pool(void **state) {
        Definition definition = huge_definition(2 * PAGES);

        refuse_for_want_of_pages(*state, &definition);
        assert_int_equal(free_pages(), PAGES);
}

/* Wanted by one who does not yet have them all: they are promised, not free. */
static void test_reserved_by_another(void **state) {
        Definition definition = huge_definition(PAGES);
        Memory *memory = memory_make(*state, &definition);

        assert_int_equal(
                fallocate(memory_fd(memory), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE), 0);
        assert_int_equal(free_pages(), 3);
        memory_poke(memory, 0, 1);
        definition = huge_definition(4);
        snprintf(error, sizeof(error),
                 "Size=8M needs 4 pages of 2M, and " POOL " has 2 free: as root, run: echo %llu >" POOL
                 "/nr_hugepages",
                 (unsigned long long) huge_pool_number(&pool, "nr_hugepages") + 2);
        memory_refuse(*state, &definition, -ENOSPC, error);
        talloc_free(memory);
}

static void test_size_below_a_page(void **state) {
        Definition definition = huge_definition(1);

        definition.size = 1 * MIB;
        memory_refuse(*state, &definition, -EINVAL,
                      "Size=1M is not a multiple of 2M, the page size of anonymous memory");
}

static void test_numa_bound(void **state) {
        Definition definition = huge_definition(2);
        Memory *memory;

        definition.numa_nodes = (char *) "0";
        memory = memory_make(*state, &definition);
        assert_string_equal(memory_describe(memory), "4M in 2M pages, NUMA nodes 0");
        assert_int_equal(free_pages(), PAGES - 2);
        talloc_free(memory);
}

static int test_progress(uint64_t done, uint64_t total, void *userdata) {
        *(uint64_t *) userdata = done;
        assert_int_equal(total, 4 * PAGE);
        return 0;
}

static void test_progress_is_told(void **state) {
        Definition definition = huge_definition(4);
        MemoryRequest request = memory_request(&definition);
        uint64_t done = 0;
        Memory *memory;
        char *reason;

        request.progress = test_progress;
        request.userdata = &done;
        assert_int_equal(memory_new(*state, &request, &memory, &reason), 0);
        assert_int_equal(done, 4 * PAGE);
        talloc_free(memory);
}

static void fill(const Memory *memory) {
        for (uint64_t offset = 0; offset < memory_size(memory); offset += 256 * KIB) {
                memory_poke(memory, offset, 0xff);
        }
}

static void check_zero(const Memory *memory) {
        for (uint64_t offset = 0; offset < memory_size(memory); offset += 256 * KIB) {
                assert_int_equal(memory_peek(memory, offset), 0);
        }
}

/* In slices of less than a page, of more, and over its borders. The pages never go back to the pool. */
static void test_wipe(void **state) {
        static const uint64_t slices[] = { 4 * KIB * 100, PAGE, 3 * MIB, UINT64_MAX };

        for (size_t i = 0; i < sizeof(slices) / sizeof(*slices); i++) {
                Definition definition = huge_definition(4);
                Memory *memory = memory_make(*state, &definition);

                fill(memory);
                assert_int_equal(memory_wipe_all(memory, slices[i]), 0);
                assert_int_equal(memory_blocks(memory), 4 * PAGE);
                assert_int_equal(free_pages(), PAGES - 4);
                check_zero(memory);
                talloc_free(memory);
        }
}

/* A peer gives pages back, and somebody else takes them. The server wipes what there is, and lives. */
static void test_wipe_when_pages_are_lost(void **state) {
        Definition definition = huge_definition(PAGES);
        Memory *memory = memory_make(*state, &definition), *thief;
        uint64_t next = 0;

        fill(memory);
        assert_int_equal(
                fallocate(memory_fd(memory), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE), 0);
        definition = huge_definition(2);
        thief = memory_make(*state, &definition);
        assert_int_equal(memory_wipe(memory, 0, PAGE, &next), 0);
        assert_int_equal(memory_wipe(memory, next, PAGE, &next), MEMORY_WIPE_SHORT);
        assert_int_equal(next, 2 * PAGE);
        assert_int_equal(memory_wipe_all(memory, UINT64_MAX), MEMORY_WIPE_SHORT);
        assert_int_equal(memory_blocks(memory), (PAGES - 2) * PAGE);
        talloc_free(thief);
        /* Had again as soon as they are there. */
        assert_int_equal(memory_wipe_all(memory, PAGE), 0);
        assert_int_equal(memory_blocks(memory), PAGES * PAGE);
        check_zero(memory);
        talloc_free(memory);
}

static void test_mount(void **state) {
        static const HugePages given[] = { HUGE_PAGES_NONE, HUGE_PAGES_2M };

        for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
                Definition definition = mount_definition(4);
                Memory *memory;
                struct stat st;

                definition.huge_pages = given[i];
                definition.path_mode = 0640;
                memory = memory_make(*state, &definition);
                snprintf(error, sizeof(error), "8M in 2M pages at %s", path);
                assert_string_equal(memory_describe(memory), error);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0640);
                assert_int_equal(free_pages(), PAGES - 4);
                fill(memory);
                assert_int_equal(memory_wipe_all(memory, 3 * MIB), 0);
                assert_int_equal(free_pages(), PAGES - 4);
                check_zero(memory);
                assert_int_equal(memory_remove(memory), 0);
                talloc_free(memory);
        }
}

static void test_mount_with_other_pages(void **state) {
        Definition definition = mount_definition(PAGES);

        definition.huge_pages = HUGE_PAGES_1G;
        definition.size = 1 * GIB;
        snprintf(error, sizeof(error),
                 "HugePages=1G needs a Path= on a hugetlbfs mount with pagesize=1G; %s has pages of 2M",
                 directory);
        memory_refuse(*state, &definition, -EINVAL, error);
        definition.huge_pages = HUGE_PAGES_NONE;
        definition.size = 1 * MIB;
        snprintf(error, sizeof(error), "Size=1M is not a multiple of 2M, the page size of %s", directory);
        memory_refuse(*state, &definition, -EINVAL, error);
}

static void test_mount_second_server(void **state) {
        Definition definition = mount_definition(4);
        Memory *memory = memory_make(*state, &definition);

        snprintf(error, sizeof(error),
                 "%s is in use: process %d holds its lock; stop that server, or take another Path=", path,
                 getpid());
        memory_refuse(*state, &definition, -EBUSY, error);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

static void test_mount_short_pool(void **state) {
        Definition definition = mount_definition(2 * PAGES);

        refuse_for_want_of_pages(*state, &definition);
        assert_int_equal(access(path, F_OK), -1);
}

/* A file with two of eight pages is adopted: only six are wanted, and when they cannot be had it stays as it was. */
static void test_mount_adopted(void **state) {
        Definition definition = mount_definition(PAGES), other = huge_definition(3);
        int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        Memory *memory, *thief = memory_make(*state, &other);
        struct stat st;

        assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
        assert_int_equal(fallocate(fd, 0, 5 * PAGE, 2 * PAGE), 0);
        snprintf(error, sizeof(error),
                 "Size=16M needs 6 pages of 2M, and " POOL " has 3 free: as root, run: echo %llu >" POOL
                 "/nr_hugepages",
                 (unsigned long long) huge_pool_number(&pool, "nr_hugepages") + 3);
        memory_refuse(*state, &definition, -ENOSPC, error);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_blocks * 512, 2 * PAGE);
        talloc_free(thief);
        memory = memory_make(*state, &definition);
        assert_int_equal(free_pages(), 0);
        memory_poke(memory, 6 * PAGE, 1);
        talloc_free(memory);
        memory = memory_make(*state, &definition);
        assert_int_equal(memory_peek(memory, 6 * PAGE), 1);
        talloc_free(memory);
        assert_int_equal(close(fd), 0);
        assert_int_equal(unlink(path), 0);
}

/* -m DIRECTORY */
static void test_mount_nameless(void **state) {
        Definition definition = mount_definition(4);
        MemoryRequest request = memory_request(&definition);
        Memory *memory;
        char *reason;

        definition.path = directory;
        request.unlinked = true;
        assert_int_equal(memory_new(*state, &request, &memory, &reason), 0);
        snprintf(error, sizeof(error), "8M in 2M pages in %s", directory);
        assert_string_equal(memory_describe(memory), error);
        assert_int_equal(free_pages(), PAGES - 4);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

static void test_mount_with_a_limit(void **state) {
        Definition definition = mount_definition(4);
        char small[48];

        snprintf(small, sizeof(small), "%s-small", directory);
        assert_int_equal(mkdir(small, 0700), 0);
        assert_int_equal(mount("hugetlbfs", small, "hugetlbfs", 0, "pagesize=2M,size=4M"), 0);
        snprintf(path, sizeof(path), "%s/ring", small);
        snprintf(error, sizeof(error),
                 "8192 KiB more do not fit the file system of %s: it has 4096 KiB free", small);
        memory_refuse(*state, &definition, -ENOSPC, error);
        assert_int_equal(umount2(small, MNT_DETACH), 0);
        assert_int_equal(rmdir(small), 0);
}

/* More than a test may ask of a machine that has been running for long. */
static void test_gigantic(void **state) {
        Definition definition = memory_definition(1 * GIB);
        Memory *memory;

        if (!huge_pool_take(&gigantic, 1048576, 1)) {
                skip();
        }
        definition.huge_pages = HUGE_PAGES_1G;
        memory = memory_make(*state, &definition);
        assert_string_equal(memory_describe(memory), "1G in 1G pages");
        assert_int_equal(huge_pool_number(&gigantic, "free_hugepages"), 0);
        memory_poke(memory, 1 * GIB - 1, 1);
        assert_int_equal(memory_wipe_all(memory, 256 * MIB), 0);
        assert_int_equal(memory_blocks(memory), 1 * GIB);
        talloc_free(memory);
}

static void test_gigantic_short_pool(void **state) {
        Definition definition = memory_definition(1 * GIB);

        if (!huge_pool_take(&gigantic, 1048576, 0)) {
                skip();
        }
        definition.huge_pages = HUGE_PAGES_1G;
        snprintf(
                error, sizeof(error),
                "Size=1G needs 1 page of 1G, and /sys/kernel/mm/hugepages/hugepages-1048576kB has 0 free: as "
                "root, run: echo %llu >/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages",
                (unsigned long long) huge_pool_number(&gigantic, "nr_hugepages") + 1);
        memory_refuse(*state, &definition, -ENOSPC, error);
}

static int take_pages(void **state) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0) {
                fprintf(stderr, "# no mount namespace: %m\n");
                return -1;
        }
        return 0;
}

static int give_back_pages(void **state) {
        huge_pool_release(&pool);
        return 0;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                PAGES_TEST(test_sealed_and_taken),
                PAGES_TEST(test_all_of_the_pool),
                PAGES_TEST(test_short_pool),
                PAGES_TEST(test_reserved_by_another),
                PAGES_TEST(test_size_below_a_page),
                PAGES_TEST(test_numa_bound),
                PAGES_TEST(test_progress_is_told),
                PAGES_TEST(test_wipe),
                PAGES_TEST(test_wipe_when_pages_are_lost),
                PAGES_TEST(test_mount),
                PAGES_TEST(test_mount_with_other_pages),
                PAGES_TEST(test_mount_second_server),
                PAGES_TEST(test_mount_short_pool),
                PAGES_TEST(test_mount_adopted),
                PAGES_TEST(test_mount_nameless),
                PAGES_TEST(test_mount_with_a_limit),
                PAGES_TEST(test_gigantic),
                PAGES_TEST(test_gigantic_short_pool),
        };

        if (geteuid() != 0) {
                printf("1..0 # SKIP needs root: huge pages, mounts\n");
                return 77;
        }
        if (!huge_pool_take(&pool, 2048, PAGES)) {
                printf("1..0 # SKIP cannot get %u huge pages of 2M\n", PAGES);
                return 77;
        }
        return cmocka_run_group_tests_name("memory-huge", tests, take_pages, give_back_pages);
}
