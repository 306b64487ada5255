/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/seats: which VM ID a peer gets. */

#include "service/core/seats.h"

#include <errno.h>

#include "tests/unit/testing.h"

static Seats *new_seats(void *ctx, uint32_t max_peers) {
        Seats *seats = NULL;

        assert_int_equal(seats_new(ctx, max_peers, 1, TOPOLOGY_MESH, &seats), 0);
        return seats;
}

/* Joins as a peer without a reservation; returns its VM ID. */
static uint32_t join(Seats *seats, const char *identity) {
        uint32_t vm_id = UINT32_MAX;

        assert_int_equal(seats_choose(seats, identity, &vm_id), SEAT_OK);
        assert_int_equal(seats_take(seats, vm_id, identity), 0);
        return vm_id;
}

static void test_bounds(void **state) {
        Seats *seats = NULL;

        assert_int_equal(seats_new(*state, 0, 1, TOPOLOGY_MESH, &seats), -EINVAL);
        assert_int_equal(seats_new(*state, VM_IDS_MAX + 1, 1, TOPOLOGY_MESH, &seats), -EINVAL);
        assert_int_equal(seats_new(*state, 1, 0, TOPOLOGY_MESH, &seats), -EINVAL);
        assert_int_equal(seats_new(*state, 1, VECTORS_MAX + 1, TOPOLOGY_MESH, &seats), -EINVAL);
        assert_null(seats);
        assert_int_equal(seats_new(*state, VM_IDS_MAX, VECTORS_MAX, TOPOLOGY_MESH, &seats), 0);
        talloc_free(seats);
}

static void test_ids_are_dense_and_end(void **state) {
        Seats *seats = new_seats(*state, 3);
        uint32_t vm_id = 77;

        assert_int_equal(join(seats, "a"), 0);
        assert_int_equal(join(seats, "b"), 1);
        assert_int_equal(join(seats, "c"), 2);
        assert_int_equal(seats_choose(seats, "d", &vm_id), SEAT_NONE_FREE);
        assert_int_equal(vm_id, 77);
        assert_int_equal(seats_opened(seats), 3);
        assert_int_equal(seats_taken(seats), 3);
        talloc_free(seats);
}

static void test_who_comes_back_finds_its_seat(void **state) {
        Seats *seats = new_seats(*state, 4);

        join(seats, "a");
        join(seats, "b");
        join(seats, "c");
        seats_leave(seats, 0);
        seats_leave(seats, 1);
        assert_int_equal(join(seats, "b"), 1);
        assert_int_equal(seats_opened(seats), 3);
        talloc_free(seats);
}

static void test_of_own_seats_the_lowest(void **state) {
        Seats *seats = new_seats(*state, 4);

        for (int i = 0; i < 4; i++) {
                join(seats, "uid:107");
        }
        seats_leave(seats, 3);
        seats_leave(seats, 1);
        assert_int_equal(join(seats, "uid:107"), 1);
        talloc_free(seats);
}

static void test_stranger_gets_an_unopened_seat_before_a_vacant_one(void **state) {
        Seats *seats = new_seats(*state, 3);

        join(seats, "a");
        join(seats, "b");
        seats_leave(seats, 0);
        assert_int_equal(join(seats, "c"), 2);
        assert_int_equal(join(seats, "d"), 0);
        assert_string_equal(seats_get(seats, 0)->identity, "d");
        talloc_free(seats);
}

static void test_stranger_gets_the_seat_left_longest_ago(void **state) {
        Seats *seats = new_seats(*state, 4);

        for (int i = 0; i < 4; i++) {
                join(seats, "a");
        }
        seats_leave(seats, 2);
        seats_leave(seats, 0);
        seats_leave(seats, 1);
        assert_int_equal(join(seats, "x"), 2);
        assert_int_equal(join(seats, "y"), 0);
        assert_int_equal(join(seats, "z"), 1);
        talloc_free(seats);
}

static void test_an_idle_domain_begins_at_the_lowest(void **state) {
        Seats *seats = new_seats(*state, 4);

        join(seats, "a");
        join(seats, "b");
        seats_leave(seats, 0);
        seats_leave(seats, 1);
        /* "b" sat on 1, but with nobody connected the lowest is given. */
        assert_int_equal(join(seats, "b"), 0);
        talloc_free(seats);
}

static void test_retired_ids_are_not_given_again(void **state) {
        Seats *seats = new_seats(*state, 2);
        uint32_t vm_id;

        join(seats, "a");
        seats_retire(seats, 0);
        assert_int_equal(seats_taken(seats), 0);
        assert_int_equal(seats_check(seats, 0), SEAT_IS_RETIRED);
        assert_int_equal(join(seats, "a"), 1);
        seats_leave(seats, 1);
        seats_retire(seats, 1);
        assert_int_equal(seats_choose(seats, "a", &vm_id), SEAT_NONE_FREE);
        talloc_free(seats);
}

static void test_reserved_seats_are_passed_over(void **state) {
        Seats *seats = new_seats(*state, 3);
        uint32_t vm_id;

        assert_int_equal(seats_reserve(seats, 0, true), 0);
        assert_int_equal(join(seats, "a"), 1);
        assert_int_equal(seats_check(seats, 0), SEAT_OK);
        assert_int_equal(seats_take(seats, 0, "master"), 0);
        assert_int_equal(seats_check(seats, 0), SEAT_IS_TAKEN);
        seats_leave(seats, 0);
        assert_int_equal(join(seats, "master"), 2);
        assert_int_equal(seats_choose(seats, "b", &vm_id), SEAT_NONE_FREE);
        assert_int_equal(seats_reserve(seats, 0, false), 0);
        assert_int_equal(join(seats, "b"), 0);
        talloc_free(seats);
}

static void test_opening_order_is_remembered(void **state) {
        Seats *seats = new_seats(*state, 4);

        assert_int_equal(seats_take(seats, 2, "a"), 0);
        assert_int_equal(seats_take(seats, 0, "b"), 0);
        seats_leave(seats, 2);
        assert_int_equal(seats_take(seats, 2, "c"), 0);
        assert_int_equal(seats_opened(seats), 2);
        assert_int_equal(seats_opened_id(seats, 0), 2);
        assert_int_equal(seats_opened_id(seats, 1), 0);
        assert_int_equal(seats_get(seats, 0)->index, 1);
        talloc_free(seats);
}

static void test_star_sees_through_seat_0(void **state) {
        Seats *seats;

        assert_int_equal(seats_new(*state, 4, 1, TOPOLOGY_STAR, &seats), 0);
        assert_true(seats_sees(seats, 0, 3));
        assert_true(seats_sees(seats, 3, 0));
        assert_true(seats_sees(seats, 3, 3));
        assert_false(seats_sees(seats, 3, 1));
        talloc_free(seats);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_bounds),
                TEST(test_ids_are_dense_and_end),
                TEST(test_who_comes_back_finds_its_seat),
                TEST(test_of_own_seats_the_lowest),
                TEST(test_stranger_gets_an_unopened_seat_before_a_vacant_one),
                TEST(test_stranger_gets_the_seat_left_longest_ago),
                TEST(test_an_idle_domain_begins_at_the_lowest),
                TEST(test_retired_ids_are_not_given_again),
                TEST(test_reserved_seats_are_passed_over),
                TEST(test_opening_order_is_remembered),
                TEST(test_star_sees_through_seat_0),
        };

        return cmocka_run_group_tests_name("seats", tests, NULL, NULL);
}
