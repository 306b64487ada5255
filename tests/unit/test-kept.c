/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/kept and load: the definition for a successor, and what somebody else may have made of it. */

#include "service/server/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/fd.h"
#include "service/server/load.h"
#include "tests/unit/testing.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* The layout, which a successor may be older or newer than. */
#define AT_CURRENT 8
#define AT_LENGTHS 12

static Definition *definition(void *ctx, uint32_t vectors) {
        Definition *new;

        assert_int_equal(definition_new(ctx, &new), 0);
        new->size = 1U << 20;
        new->vectors = vectors;
        return new;
}

/* What a successor finds: the vectors, or a negative errno. */
static int loaded(void *ctx, int fd) {
        Definition *found = NULL;
        char *error = NULL;
        int r = load_kept(ctx, fd, &found, &error);

        if (r >= 0) {
                r = (int) found->vectors;
                talloc_free(found);
        } else {
                assert_non_null(error);
                talloc_free(error);
        }
        return r;
}

static void put(int fd, off_t at, uint32_t value) {
        assert_int_equal(pwrite(fd, &value, sizeof(value), at), sizeof(value));
}

static void test_the_last_one_counts(void **state) {
        void *ctx = *state;
        cleanup_close int fd = -EBADF;
        Kept *kept, *again;

        assert_int_equal(kept_new(ctx, &kept, &fd), 0);
        assert_int_equal(loaded(ctx, fd), -ENODATA);
        for (uint32_t vectors = 1; vectors <= 5; vectors++) {
                Definition *next = definition(ctx, vectors);

                assert_int_equal(kept_set(kept, next), 0);
                assert_int_equal(loaded(ctx, fd), vectors);
                talloc_free(next);
        }
        talloc_free(kept);
        assert_int_equal(kept_open(ctx, fd, &again), 0);
        assert_int_equal(loaded(ctx, fd), 5);
        talloc_free(again);
}

/* A kill before the number is written leaves the one before. */
static void test_the_one_before_is_whole(void **state) {
        void *ctx = *state;
        cleanup_close int fd = -EBADF;
        Definition *first = definition(ctx, 3), *second = definition(ctx, 4);
        uint32_t current;
        Kept *kept;

        assert_int_equal(kept_new(ctx, &kept, &fd), 0);
        assert_int_equal(kept_set(kept, first), 0);
        assert_int_equal(pread(fd, &current, sizeof(current), AT_CURRENT), sizeof(current));
        assert_int_equal(kept_set(kept, second), 0);
        put(fd, AT_CURRENT, current);
        assert_int_equal(loaded(ctx, fd), 3);
        talloc_free(kept);
        talloc_free(first);
        talloc_free(second);
}

static void test_what_no_text_says_is_not_kept(void **state) {
        void *ctx = *state;
        cleanup_close int fd = -EBADF;
        Definition *good = definition(ctx, 2), *bad = definition(ctx, 3);
        Kept *kept;

        bad->size = 12345; /* no power of two */
        assert_int_equal(kept_new(ctx, &kept, &fd), 0);
        assert_int_equal(kept_set(kept, good), 0);
        assert_int_equal(kept_set(kept, bad), -EINVAL);
        assert_int_equal(loaded(ctx, fd), 2);
        talloc_free(kept);
        talloc_free(good);
        talloc_free(bad);
}

/* What looks like one as far as it goes. */
static void test_one_that_is_too_short(void **state) {
        cleanup_close int fd = -EBADF, part = memfd_create("part", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        Definition *good = definition(*state, 3);
        char bytes[4096];
        Kept *kept;

        assert_int_equal(kept_new(*state, &kept, &fd), 0);
        assert_int_equal(kept_set(kept, good), 0);
        assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_int_equal(write(part, bytes, sizeof(bytes)), sizeof(bytes));
        assert_int_equal(fcntl(part, F_ADD_SEALS, SEALS), 0);
        assert_int_equal(loaded(*state, part), -EINVAL);
        talloc_free(kept);
        talloc_free(good);
}

static void test_nonsense_is_none(void **state) {
        static const struct {
                off_t at;
                uint32_t value;
        } table[] = {
                { 0, 7 },
                { AT_CURRENT, 2 },
                { AT_CURRENT, UINT32_MAX },
                { AT_LENGTHS, 0 },
                { AT_LENGTHS + 4, 0 },
                { AT_LENGTHS + 4, UINT32_MAX },
                { AT_LENGTHS + 4, DEFINITION_TEXT_MAX + 1 },
                { AT_LENGTHS + 4, 64U << 20 }, /* what is not there, and not too much for talloc */
                { AT_LENGTHS + 8 + DEFINITION_TEXT_MAX, 0 },
        };
        void *ctx = *state;

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                cleanup_close int fd = -EBADF;
                Definition *good = definition(ctx, 2);
                Kept *kept;

                assert_int_equal(kept_new(ctx, &kept, &fd), 0);
                assert_int_equal(kept_set(kept, good), 0);
                assert_int_equal(loaded(ctx, fd), 2);
                put(fd, table[i].at, table[i].value);
                /* The other text's length does not matter. */
                assert_int_equal(loaded(ctx, fd) < 0, table[i].at != AT_LENGTHS);
                talloc_free(kept);
                talloc_free(good);
        }
}

/* What could shrink would end the server that reads it. */
static void test_unsealed_is_refused(void **state) {
        void *ctx = *state;
        cleanup_close int good = -EBADF;
        cleanup_close int bad = memfd_create("bad", MFD_ALLOW_SEALING | MFD_CLOEXEC);
        uint64_t magic;
        struct stat st;
        Kept *kept;

        assert_int_equal(kept_new(ctx, &kept, &good), 0);
        assert_int_equal(fcntl(good, F_GET_SEALS) & SEALS, SEALS);
        assert_int_equal(fstat(good, &st), 0);
        talloc_free(kept);
        assert_int_equal(ftruncate(bad, st.st_size), 0);
        assert_int_equal(pread(good, &magic, sizeof(magic), 0), sizeof(magic));
        assert_int_equal(pwrite(bad, &magic, sizeof(magic), 0), sizeof(magic));
        assert_int_equal(kept_open(ctx, bad, &kept), -EINVAL);
        assert_int_equal(fcntl(bad, F_ADD_SEALS, SEALS), 0);
        assert_int_equal(kept_open(ctx, bad, &kept), 0);
        talloc_free(kept);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_the_last_one_counts),
                TEST(test_the_one_before_is_whole),
                TEST(test_what_no_text_says_is_not_kept),
                TEST(test_one_that_is_too_short),
                TEST(test_nonsense_is_none),
                TEST(test_unsealed_is_refused),
        };

        return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
