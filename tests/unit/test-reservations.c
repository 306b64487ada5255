/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/reservations: which seats are kept, from one definition to the next. */

#include "service/core/reservations.h"

#include <string.h>

#include "tests/unit/testing.h"

#define SEATS 6U

/* A definition that reserves these VM IDs, each a digit. */
static Definition *reserving(void *ctx, const char *vm_ids) {
        char *text = talloc_asprintf(ctx, "[Domain]\nSize=1M\nMaxPeers=10\n"), *error = NULL;
        Definition *definition = NULL;

        for (; *vm_ids; vm_ids++) {
                text = talloc_asprintf_append(text, "[Peer p%c]\nVMID=%c\nUser=0\n", *vm_ids, *vm_ids);
        }
        assert_non_null(text);
        assert_int_equal(definition_parse(ctx, "test", text, strlen(text), &definition, &error), 0);
        talloc_free(text);
        return definition;
}

static void assert_reserved(const Seats *seats, const char *vm_ids) {
        for (uint32_t id = 0; id < SEATS; id++) {
                assert_int_equal(seats_get(seats, id)->reserved, strchr(vm_ids, '0' + (int) id) != NULL);
        }
}

static void test_from_one_definition_to_the_next(void **state) {
        static const char *const lives[] = { "", "03", "3", "34", "012345", "5", "" };
        Definition *old = NULL;
        Seats *seats;

        assert_int_equal(seats_new(*state, SEATS, 1, TOPOLOGY_MESH, &seats), 0);
        for (size_t i = 0; i < sizeof(lives) / sizeof(*lives); i++) {
                Definition *new = reserving(*state, lives[i]);

                assert_int_equal(reservations_change(seats, old, new), 0);
                assert_reserved(seats, lives[i]);
                talloc_free(old);
                old = new;
        }
        talloc_free(old);
        talloc_free(seats);
}

/* A definition may ask for more seats than the running domain has. */
static void test_seats_that_the_domain_does_not_have(void **state) {
        Definition *few = reserving(*state, "16"), *more = reserving(*state, "29");
        Seats *seats;

        assert_int_equal(seats_new(*state, SEATS, 1, TOPOLOGY_MESH, &seats), 0);
        assert_int_equal(reservations_change(seats, NULL, few), 0);
        assert_reserved(seats, "1");
        assert_int_equal(reservations_change(seats, few, more), 0);
        assert_reserved(seats, "2");
        talloc_free(few);
        talloc_free(more);
        talloc_free(seats);
}

/* Who sits there stays, and what it was before counts for nothing. */
static void test_seats_in_use(void **state) {
        Definition *definition = reserving(*state, "012"), *none = reserving(*state, "");
        Seats *seats;

        assert_int_equal(seats_new(*state, SEATS, 1, TOPOLOGY_MESH, &seats), 0);
        assert_int_equal(seats_take(seats, 0, "uid:0"), 0);
        assert_int_equal(seats_take(seats, 1, "uid:1"), 0);
        seats_leave(seats, 1);
        assert_int_equal(reservations_change(seats, NULL, definition), 0);
        assert_reserved(seats, "012");
        assert_int_equal(seats_get(seats, 0)->state, SEAT_TAKEN);
        assert_int_equal(seats_get(seats, 1)->state, SEAT_VACANT);
        assert_int_equal(reservations_change(seats, definition, none), 0);
        assert_reserved(seats, "");
        assert_int_equal(seats_taken(seats), 1);
        talloc_free(definition);
        talloc_free(none);
        talloc_free(seats);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_from_one_definition_to_the_next),
                TEST(test_seats_that_the_domain_does_not_have),
                TEST(test_seats_in_use),
        };

        return cmocka_run_group_tests_name("reservations", tests, NULL, NULL);
}
