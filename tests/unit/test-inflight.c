/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/inflight: windows that shrink, and what the kernel really charges. */

#include "service/server/inflight.h"

#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/testing.h"

static bool is_power_of_two(uint32_t n) {
        return n && !(n & (n - 1));
}

static uint32_t first_window(const Inflight *inflight) {
        return inflight_first_window(inflight);
}

static uint32_t largest_window(const Inflight *inflight) {
        return inflight_next_window(inflight, WINDOW_MAX);
}

/* So many stuck readers that the last one has the least: each fills the window that it is given, and none is given more
 * than the one before it. Returns what is unread of all. */
static uint32_t fill_windows(Inflight *inflight, uint32_t n,
                             uint32_t (*window_of)(const Inflight *inflight)) {
        uint32_t last = window_of(inflight), total = 0;

        for (uint32_t i = 0; i < n; i++) {
                uint32_t window = window_of(inflight);

                assert_true(is_power_of_two(window));
                assert_in_range(window, WINDOW_MIN, last);
                inflight_add(inflight, window);
                total += window;
                last = window;
        }
        assert_int_equal(last, WINDOW_MIN);
        return total;
}

static void test_first_windows_shrink_and_never_close(void **state) {
        Inflight inflight = inflight_begin(16384, 0); /* a budget of 12288 */
        uint32_t total;

        assert_int_equal(inflight_first_window(&inflight), WINDOW_FIRST_MAX);
        total = fill_windows(&inflight, 1000, first_window);
        /* A thousand of them leave room in what the kernel allows. */
        assert_true(total < 12288 + 1000 * WINDOW_MIN);
        inflight_remove(&inflight, total);
        assert_int_equal(inflight_first_window(&inflight), WINDOW_FIRST_MAX);
}

static void test_who_reads_has_more_each_time(void **state) {
        Inflight inflight = inflight_begin(16384, 0);
        uint32_t window = WINDOW_MIN;

        while (window < WINDOW_MAX) {
                uint32_t next = inflight_next_window(&inflight, window);

                assert_int_equal(next, 2 * window);
                window = next;
        }
        assert_int_equal(inflight_next_window(&inflight, WINDOW_MAX), WINDOW_MAX);
        assert_int_equal(inflight_next_window(&inflight, 0), WINDOW_MIN);
}

/* So many stuck peers that a first window is a fraction of what it was, and one that reads still has the most. */
static void test_who_reads_is_not_held_up_by_stuck_ones(void **state) {
        Inflight inflight = inflight_begin(16384, 0);
        uint32_t window;

        for (int i = 0; i < 150; i++) {
                inflight_add(&inflight, inflight_first_window(&inflight));
        }
        window = inflight_first_window(&inflight);
        assert_true(window < WINDOW_FIRST_MAX);
        while (window < WINDOW_MAX) {
                assert_int_equal(inflight_next_window(&inflight, window), 2 * window);
                window *= 2;
        }
}

/* Who reads until it has the largest window and then stops; one after another. */
static void test_grown_windows_shrink_too(void **state) {
        Inflight inflight = inflight_begin(4096, 0); /* a budget of 3072 */

        assert_int_equal(largest_window(&inflight), WINDOW_MAX);
        assert_true(fill_windows(&inflight, 200, largest_window) < 3072 + 200 * WINDOW_MIN);
}

static void test_each_peer_is_certain_of_the_least(void **state) {
        static const uint32_t peers[] = { 1, 60, 1000 };

        for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
                uint64_t nofile = inflight_least(peers[i]), total = 0;
                Inflight inflight = inflight_begin(nofile, peers[i]);

                /* None of them reads anything. */
                for (uint32_t peer = 0; peer < peers[i]; peer++) {
                        uint32_t window = inflight_next_window(&inflight, WINDOW_MAX);

                        inflight_add(&inflight, window);
                        total += window;
                }
                assert_in_range(total, peers[i] * WINDOW_MIN, nofile);
        }
}

static void test_measuring_pays(void **state) {
        Inflight inflight = inflight_begin(4096, 0);

        assert_false(inflight_is_worth_measuring(&inflight));
        inflight_add(&inflight, 768);
        assert_true(inflight_is_worth_measuring(&inflight));
        inflight_measured(&inflight);
        assert_false(inflight_is_worth_measuring(&inflight));
        inflight_add(&inflight, 768);
        assert_true(inflight_is_worth_measuring(&inflight));
}

static bool is_writable(int socket) {
        struct pollfd pollfd = { .fd = socket, .events = POLLOUT };

        return poll(&pollfd, 1, 0) == 1;
}

/* Reads until the other end is writable; returns how many messages are unread then. */
static uint32_t read_until_writable(int socket, int from, uint32_t unread) {
        char message[8];

        while (!is_writable(from)) {
                assert_int_equal(read(socket, message, sizeof(message)), sizeof(message));
                unread--;
        }
        return unread;
}

static uint32_t fill(int socket) {
        uint32_t n = 0;

        while (send(socket, "12345678", 8, MSG_DONTWAIT) == 8) {
                n++;
        }
        return n;
}

static void test_the_kernel_keeps_the_window(void **state) {
        static const uint32_t windows[] = { WINDOW_MIN, 16, WINDOW_FIRST_MAX, WINDOW_MAX };

        for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
                int size = inflight_send_buffer(windows[i]), pair[2], outq;
                uint32_t sent;

                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
                assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
                sent = fill(pair[0]);
                assert_in_range(sent, windows[i] / 2, windows[i] + 1);
                /* The measure is never less than what is unread. */
                assert_int_equal(ioctl(pair[0], SIOCOUTQ, &outq), 0);
                assert_in_range(inflight_unread((uint32_t) outq), sent, 4 * sent);
                /* When there is room again, no more is unread than is said. */
                assert_in_range(read_until_writable(pair[1], pair[0], sent), 1,
                                inflight_unread_when_writable(windows[i]));
                assert_in_range(inflight_unread_when_writable(windows[i]), 1, windows[i] / 2);
                close(pair[0]);
                close(pair[1]);
        }
        assert_int_equal(inflight_unread(0), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_first_windows_shrink_and_never_close),
                TEST(test_who_reads_has_more_each_time),
                TEST(test_who_reads_is_not_held_up_by_stuck_ones),
                TEST(test_grown_windows_shrink_too),
                TEST(test_each_peer_is_certain_of_the_least),
                TEST(test_measuring_pays),
                TEST(test_the_kernel_keeps_the_window),
        };

        return cmocka_run_group_tests_name("inflight", tests, NULL, NULL);
}
