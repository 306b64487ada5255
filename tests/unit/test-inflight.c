/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/inflight: windows that shrink, and what the kernel really charges. */

#include "service/server/inflight.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/testing.h"

static void test_windows_shrink_and_never_close(void **state) {
        Inflight inflight = inflight_begin(4096, 0); /* a budget of 3072 */
        uint32_t last = inflight_window(&inflight), total = 0;

        assert_int_equal(last, WINDOW_MAX);
        /* Stuck readers, each filling its window. */
        for (int i = 0; i < 200; i++) {
                uint32_t window = inflight_window(&inflight);

                assert_true(window <= last);
                assert_true(window >= WINDOW_MIN);
                inflight_add(&inflight, window);
                total += window;
                last = window;
        }
        assert_int_equal(last, WINDOW_MIN);
        /* 200 of them leave room in what the kernel allows. */
        assert_true(total < 4096 + 200 * WINDOW_MIN);
        inflight_remove(&inflight, total);
        assert_int_equal(inflight_window(&inflight), WINDOW_MAX);
}

static void test_each_peer_is_certain_of_the_least(void **state) {
        static const uint32_t peers[] = { 1, 60, 1000 };

        for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
                uint64_t nofile = inflight_least(peers[i]), total = 0;
                Inflight inflight = inflight_begin(nofile, peers[i]);

                /* None of them reads anything. */
                for (uint32_t peer = 0; peer < peers[i]; peer++) {
                        uint32_t window = inflight_window(&inflight);

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

static uint32_t fill(int socket) {
        uint32_t n = 0;

        while (send(socket, "12345678", 8, MSG_DONTWAIT) == 8) {
                n++;
        }
        return n;
}

static void test_the_kernel_keeps_the_window(void **state) {
        static const uint32_t windows[] = { WINDOW_MIN, 16, 100, WINDOW_MAX };

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
                close(pair[0]);
                close(pair[1]);
        }
        assert_int_equal(inflight_unread(0), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_windows_shrink_and_never_close),
                TEST(test_each_peer_is_certain_of_the_least),
                TEST(test_measuring_pays),
                TEST(test_the_kernel_keeps_the_window),
        };

        return cmocka_run_group_tests_name("inflight", tests, NULL, NULL);
}
