/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What service/server/memory promises to be able to do behind the walls: memory of each kind is wiped, handed out
 * read-only and removed by a confined child, and looked at from outside. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/server/isolation.h"
#include "tests/unit/huge-pool.h"
#include "tests/unit/memory-fixture.h"

#define SIZE (8 * MIB)
#define SLICE (3 * MIB)

/* Which step went wrong in the child; it must not assert, for it would go on with the parent's tests. */
typedef enum Step {
        STEP_NONE,
        STEP_ISOLATION,
        STEP_WIPE,
        STEP_READONLY,
        STEP_REMOVE,
        STEP_KILLED,
} Step;

static HugePool pool = { .lock = -1 };

static int release_pool(void **state) {
        huge_pool_release(&pool);
        return memory_leak_check_teardown(state);
}

static int isolate(void *ctx, const Memory *memory, int answer) {
        int fds[MEMORY_FDS_MAX + 1], directory = memory_directory_fd(memory);
        size_t n = memory_list_fds(memory, fds);
        const char *stage;

        fds[n++] = answer;
        return isolation_enter(ctx,
                               &(Isolation){
                                       .keep_fds = fds,
                                       .n_keep_fds = n,
                                       .remove_fds = &directory,
                                       .n_remove_fds = directory >= 0,
                               },
                               &stage);
}

static Step confined(void *ctx, Memory *memory, int answer) {
        int fd;

        if (isolate(ctx, memory, answer) < 0) {
                return STEP_ISOLATION;
        }
        for (uint64_t offset = 0; offset < memory_size(memory);) {
                if (memory_wipe(memory, offset, SLICE, &offset) != 0) {
                        return STEP_WIPE;
                }
        }
        fd = memory_readonly_fd(memory);
        if (fd < 0 || (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY) {
                return STEP_READONLY;
        }
        return memory_remove(memory) < 0 ? STEP_REMOVE : STEP_NONE;
}

static Step run_confined(void *ctx, Memory *memory) {
        uint8_t result = STEP_KILLED;
        int answer[2];
        pid_t pid;

        assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Step step = confined(ctx, memory, answer[1]);

                result = (uint8_t) step;
                (void) !write(answer[1], &result, sizeof(result));
                _exit(0);
        }
        assert_int_equal(close(answer[1]), 0);
        assert_true(read(answer[0], &result, sizeof(result)) >= 0);
        assert_int_equal(close(answer[0]), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        return (Step) result;
}

static void check(void **state, const Definition *definition, bool stays_allocated) {
        Memory *memory = memory_make(*state, definition);
        uint64_t before;

        for (uint64_t offset = 0; offset < SIZE; offset += 64 * KIB) {
                memory_poke(memory, offset, 0xff);
        }
        before = memory_blocks(memory);
        assert_int_equal(run_confined(*state, memory), STEP_NONE);
        assert_int_equal(memory_blocks(memory), stays_allocated ? before : 0);
        for (uint64_t offset = 0; offset < SIZE; offset += 64 * KIB) {
                assert_int_equal(memory_peek(memory, offset), 0);
        }
        talloc_free(memory);
}

static void test_sparse(void **state) {
        Definition definition = memory_definition(SIZE);

        check(state, &definition, /* stays_allocated= */ false);
}

static void test_prefaulted(void **state) {
        Definition definition = memory_definition(SIZE);

        definition.prefault = true;
        check(state, &definition, /* stays_allocated= */ true);
}

static void test_huge(void **state) {
        Definition definition = memory_definition(SIZE);

        if (!huge_pool_take(&pool, 2048, SIZE / (2 * MIB))) {
                skip();
        }
        definition.huge_pages = HUGE_PAGES_2M;
        check(state, &definition, /* stays_allocated= */ true);
}

/* Pages that a peer has given back are had again, by the other way of wiping when they must be. */
static void test_huge_punched(void **state) {
        Definition definition = memory_definition(SIZE);
        Memory *memory;

        if (!huge_pool_take(&pool, 2048, SIZE / (2 * MIB))) {
                skip();
        }
        definition.huge_pages = HUGE_PAGES_2M;
        memory = memory_make(*state, &definition);
        assert_int_equal(
                fallocate(memory_fd(memory), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4 * MIB), 0);
        assert_int_equal(run_confined(*state, memory), STEP_NONE);
        assert_int_equal(memory_blocks(memory), SIZE);
        talloc_free(memory);
}

static void check_named(void **state, const char *parent, bool prefault, bool stays_allocated) {
        Definition definition = memory_definition(SIZE);
        char directory[64], path[80];

        snprintf(directory, sizeof(directory), "%s/ivshmem-confined-XXXXXX", parent);
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/ring", directory);
        definition.path = path;
        definition.prefault = prefault;
        check(state, &definition, stays_allocated);
        /* Without what memory_remove() took away. */
        assert_int_equal(rmdir(directory), 0);
}

static void test_named(void **state) {
        check_named(state, "/dev/shm", /* prefault= */ false, /* stays_allocated= */ false);
        check_named(state, "/dev/shm", /* prefault= */ true, /* stays_allocated= */ true);
}

static void test_on_a_disk(void **state) {
        if (!is_on_a_disk("/var/tmp")) {
                skip();
        }
        check_named(state, "/var/tmp", /* prefault= */ false, /* stays_allocated= */ true);
}

#define CONFINED_TEST(function) \
        cmocka_unit_test_setup_teardown(function, memory_leak_check_setup, release_pool)

int main(void) {
        static const struct CMUnitTest tests[] = {
                CONFINED_TEST(test_sparse), CONFINED_TEST(test_prefaulted),
                CONFINED_TEST(test_huge),   CONFINED_TEST(test_huge_punched),
                CONFINED_TEST(test_named),  CONFINED_TEST(test_on_a_disk),
        };

        return cmocka_run_group_tests_name("memory-confined", tests, NULL, NULL);
}
