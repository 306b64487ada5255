/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/refused: who was refused is told so, and closed late rather than early. */

#include "service/server/refused.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/testing.h"

#define FOREVER (UINT64_C(1000) * 1000000)

typedef struct Fixture {
        Event *event;
        RefusedPeers *refused;
} Fixture;

static Fixture *fixture_new(void *ctx, uint64_t keep_usec) {
        Fixture *fixture = talloc_zero(ctx, Fixture);

        assert_int_equal(event_new(fixture, &fixture->event), 0);
        assert_int_equal(refused_new(fixture, fixture->event, keep_usec, &fixture->refused), 0);
        return fixture;
}

/* Does all that can be done without waiting. */
static void settle(Fixture *fixture) {
        while (sd_event_run(fixture->event->loop, 0) > 0) {
        }
}

/* Refuses a client of this user; returns the client's end. */
static int refuse(Fixture *fixture, uint32_t uid) {
        int pair[2];
        Fd *socket;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        assert_int_equal(fd_new(fixture, pair[0], &socket), 0);
        refusal_send(pair[0], REFUSAL_NOT_PERMITTED);
        refused_keep(fixture->refused, uid, socket);
        return pair[1];
}

/* Reads the answer. Returns whether the connection is still open behind it. */
static bool is_open(int client) {
        uint8_t bytes[WIRE_MESSAGE_SIZE];
        ssize_t n = recv(client, bytes, sizeof(bytes), 0);

        if (n == (ssize_t) sizeof(bytes)) {
                assert_int_equal(wire_decode(bytes), 403);
                n = recv(client, bytes, sizeof(bytes), 0);
        }
        return n < 0 && errno == EAGAIN;
}

static void test_stays_open_until_the_client_closes(void **state) {
        Fixture *fixture = fixture_new(*state, FOREVER);
        size_t before = talloc_total_blocks(fixture);
        int client = refuse(fixture, 1000);

        settle(fixture);
        assert_true(is_open(client));
        close(client);
        settle(fixture);
        assert_int_equal(talloc_total_blocks(fixture), before);
        talloc_free(fixture);
}

static void test_closed_when_its_time_is_over(void **state) {
        Fixture *fixture = fixture_new(*state, 1000);
        int client = refuse(fixture, 1000);

        /* Waits for the timer, and for the reaper behind it. */
        while (is_open(client)) {
                assert_true(sd_event_run(fixture->event->loop, FOREVER) > 0);
        }
        close(client);
        talloc_free(fixture);
}

static void test_a_user_drives_out_its_own_oldest(void **state) {
        Fixture *fixture = fixture_new(*state, FOREVER);
        int other = refuse(fixture, 1), clients[REFUSED_OF_A_USER_MAX + 1];

        for (size_t i = 0; i <= REFUSED_OF_A_USER_MAX; i++) {
                clients[i] = refuse(fixture, 1000);
        }
        settle(fixture);
        assert_true(is_open(other));
        assert_false(is_open(clients[0]));
        for (size_t i = 1; i <= REFUSED_OF_A_USER_MAX; i++) {
                assert_true(is_open(clients[i]));
        }
        for (size_t i = 0; i <= REFUSED_OF_A_USER_MAX; i++) {
                close(clients[i]);
        }
        close(other);
        talloc_free(fixture);
}

static void test_many_users_are_bounded_too(void **state) {
        Fixture *fixture = fixture_new(*state, FOREVER);
        int clients[REFUSED_MAX + 1];

        for (uint32_t i = 0; i <= REFUSED_MAX; i++) {
                clients[i] = refuse(fixture, i);
        }
        settle(fixture);
        assert_false(is_open(clients[0]));
        assert_true(is_open(clients[1]));
        for (uint32_t i = 0; i <= REFUSED_MAX; i++) {
                close(clients[i]);
        }
        talloc_free(fixture);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_stays_open_until_the_client_closes),
                TEST(test_closed_when_its_time_is_over),
                TEST(test_a_user_drives_out_its_own_oldest),
                TEST(test_many_users_are_bounded_too),
        };

        return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}
