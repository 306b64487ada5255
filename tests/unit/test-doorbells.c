/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/doorbells: eventfds that live as long as the domain, with a peer's tricks played on them. */

#include "service/server/doorbells.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/testing.h"

static bool is_rung(int fd) {
        struct pollfd pollfd = { .fd = fd, .events = POLLIN };

        return poll(&pollfd, 1, 0) == 1;
}

static Doorbells *new_doorbells(void *ctx, uint32_t vectors) {
        Doorbells *doorbells = NULL;

        assert_int_equal(doorbells_new(ctx, vectors, &doorbells), 0);
        return doorbells;
}

static void test_opening_again_changes_nothing(void **state) {
        Doorbells *doorbells = new_doorbells(*state, 2);
        int fd;

        assert_int_equal(doorbells_open(doorbells, 100), 0);
        fd = doorbells_fd(doorbells, 100, 1);
        assert_int_not_equal(fd, doorbells_fd(doorbells, 100, 0));
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(doorbells_open(doorbells, 100), 0);
        assert_int_equal(doorbells_fd(doorbells, 100, 1), fd);
        talloc_free(doorbells);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_drained_though_a_peer_made_it_blocking(void **state) {
        Doorbells *doorbells = new_doorbells(*state, 2);
        int rung, empty;

        assert_int_equal(doorbells_open(doorbells, 0), 0);
        rung = doorbells_fd(doorbells, 0, 0);
        empty = doorbells_fd(doorbells, 0, 1);
        /* The flag belongs to the open file, which each peer holds. */
        assert_int_equal(fcntl(rung, F_SETFL, 0), 0);
        assert_int_equal(fcntl(empty, F_SETFL, 0), 0);
        assert_int_equal(eventfd_write(rung, 5), 0);
        assert_true(is_rung(rung));
        doorbells_drain(doorbells, 0);
        assert_false(is_rung(rung));
        doorbells_drain(doorbells, 1); /* never opened */
        doorbells_drain(doorbells, 60000);
        talloc_free(doorbells);
}

static void test_ringing_never_waits(void **state) {
        Doorbells *doorbells = new_doorbells(*state, 2);
        eventfd_t count;
        int fd;

        assert_int_equal(doorbells_open(doorbells, 0), 0);
        fd = doorbells_fd(doorbells, 0, 1);
        doorbells_ring(doorbells, 0, 1);
        doorbells_ring(doorbells, 0, 1);
        assert_false(is_rung(doorbells_fd(doorbells, 0, 0)));
        assert_int_equal(eventfd_read(fd, &count), 0);
        assert_int_equal(count, 2);
        /* Full, and made to wait by a peer. */
        assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
        assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
        doorbells_ring(doorbells, 0, 1);
        assert_int_equal(eventfd_read(fd, &count), 0);
        assert_true(count == UINT64_MAX - 1);
        talloc_free(doorbells);
}

static void test_all_or_none_without_descriptors(void **state) {
        Doorbells *doorbells = new_doorbells(*state, 8);
        struct rlimit limit, low;
        int probe = dup(0);

        close(probe);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = (struct rlimit){ .rlim_cur = (rlim_t) probe + 4, .rlim_max = limit.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(doorbells_open(doorbells, 3), -EMFILE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        /* Those that were made are closed again. */
        assert_int_equal(fcntl(probe, F_GETFD), -1);
        assert_int_equal(doorbells_open(doorbells, 3), 0);
        talloc_free(doorbells);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_opening_again_changes_nothing),
                TEST(test_drained_though_a_peer_made_it_blocking),
                TEST(test_ringing_never_waits),
                TEST(test_all_or_none_without_descriptors),
        };

        return cmocka_run_group_tests_name("doorbells", tests, NULL, NULL);
}
