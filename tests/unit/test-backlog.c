/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/backlog: who waits for a server that cannot start is answered, and nobody waits any more. */

#include "service/server/backlog.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "service/core/wire.h"
#include "tests/unit/testing.h"

#define FOREVER (1000 * 1000)
#define CLIENTS 3U

typedef struct Fixture {
        int listener;
        int clients[CLIENTS];
} Fixture;

/* The kernel chooses a name for the socket. */
static Fixture fixture_open(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(sa_family_t);
        Fixture fixture = { .listener = socket(AF_UNIX, SOCK_STREAM, 0) };

        assert_int_equal(bind(fixture.listener, (struct sockaddr *) &address, length), 0);
        assert_int_equal(listen(fixture.listener, CLIENTS), 0);
        length = sizeof(address);
        assert_int_equal(getsockname(fixture.listener, (struct sockaddr *) &address, &length), 0);
        for (size_t i = 0; i < CLIENTS; i++) {
                fixture.clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
                assert_int_equal(connect(fixture.clients[i], (struct sockaddr *) &address, length), 0);
        }
        return fixture;
}

static void fixture_close(Fixture *fixture) {
        for (size_t i = 0; i < CLIENTS; i++) {
                close(fixture->clients[i]);
        }
        close(fixture->listener);
}

static void check_answer(int client) {
        uint8_t bytes[WIRE_MESSAGE_SIZE];

        assert_int_equal(recv(client, bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_int_equal(wire_decode(bytes), REFUSAL_STOPPING);
        assert_int_equal(recv(client, bytes, sizeof(bytes), 0), 0);
}

static void test_all_are_answered(void **state) {
        Fixture fixture = fixture_open();

        for (size_t i = 0; i < CLIENTS; i++) {
                /* They want nothing more: nothing is waited for, or the test would not end. */
                assert_int_equal(shutdown(fixture.clients[i], SHUT_WR), 0);
        }
        backlog_refuse(fixture.listener, FOREVER, /* pace_msec= */ 0);
        for (size_t i = 0; i < CLIENTS; i++) {
                check_answer(fixture.clients[i]);
        }
        fixture_close(&fixture);
}

static void test_who_does_not_close_is_not_waited_for_for_ever(void **state) {
        Fixture fixture = fixture_open();

        backlog_refuse(fixture.listener, /* wait_msec= */ 1, /* pace_msec= */ 0);
        check_answer(fixture.clients[0]);
        fixture_close(&fixture);
}

static void test_nobody_waits_afterwards(void **state) {
        Fixture fixture = fixture_open();

        backlog_refuse(fixture.listener, /* wait_msec= */ 0, /* pace_msec= */ 0);
        /* The listener does not block any more either. */
        assert_int_equal(accept(fixture.listener, NULL, NULL), -1);
        assert_int_equal(errno, EAGAIN);
        fixture_close(&fixture);
}

static void test_nobody_at_all(void **state) {
        Fixture fixture = fixture_open();

        backlog_refuse(fixture.listener, /* wait_msec= */ 0, /* pace_msec= */ 0);
        /* Neither is anybody waited for, nor a pace kept, or the test would not end. */
        backlog_refuse(fixture.listener, FOREVER, FOREVER);
        fixture_close(&fixture);
}

static uint64_t now_msec(void) {
        struct timespec now;

        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
        return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static void test_the_pace_is_kept(void **state) {
        Fixture fixture = fixture_open();
        uint64_t begin = now_msec();

        backlog_refuse(fixture.listener, /* wait_msec= */ 0, /* pace_msec= */ 20);
        assert_true(now_msec() - begin >= 20);
        fixture_close(&fixture);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_all_are_answered),        TEST(test_who_does_not_close_is_not_waited_for_for_ever),
                TEST(test_nobody_waits_afterwards), TEST(test_nobody_at_all),
                TEST(test_the_pace_is_kept),
        };

        return cmocka_run_group_tests_name("backlog", tests, NULL, NULL);
}
