/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/feed: each conversation as the text of what a peer is told. */

#include "service/core/feed.h"

#include <string.h>

#include "tests/unit/testing.h"

static Seats *new_seats(void *ctx, uint32_t vectors, Topology topology) {
        Seats *seats = NULL;

        assert_int_equal(seats_new(ctx, 8, vectors, topology, &seats), 0);
        return seats;
}

static Feed join(Seats *seats, uint32_t vm_id) {
        assert_int_equal(seats_take(seats, vm_id, "x"), 0);
        return feed_begin(seats, vm_id);
}

static char *append_message(char *text, const FeedMessage *message) {
        switch (message->kind) {
        case FEED_VERSION:
                return talloc_asprintf_append(text, "version ");
        case FEED_VM_ID:
                return talloc_asprintf_append(text, "id%lld ", (long long) message->value);
        case FEED_MEMORY:
                return talloc_asprintf_append(text, "memory ");
        default:
                assert_int_equal(message->value, message->vm_id);
                return talloc_asprintf_append(text, "%u.%u ", message->vm_id, message->vector);
        }
}

/* Sends up to `max` messages, `batch` at a time, and compares them with the text. */
static void expect(const Seats *seats, Feed *feed, size_t max, size_t batch, const char *expected) {
        char *text = talloc_strdup(seats, "");
        size_t sent = 0;

        while (sent < max) {
                FeedMessage messages[16];
                size_t n = feed_peek(seats, feed, messages, batch < max - sent ? batch : max - sent);

                for (size_t i = 0; i < n; i++) {
                        text = append_message(text, &messages[i]);
                }
                if (n == 0) {
                        break;
                }
                feed->cursor = messages[n - 1].next;
                sent += n;
        }
        assert_string_equal(text, expected);
        talloc_free(text);
}

#define ALL 1000

static void test_first_peer(void **state) {
        Seats *seats = new_seats(*state, 2, TOPOLOGY_MESH);
        Feed feed = join(seats, 0);

        assert_true(feed_is_behind(seats, &feed));
        expect(seats, &feed, ALL, 16, "version id0 memory 0.0 0.1 ");
        assert_false(feed_is_behind(seats, &feed));
        talloc_free(seats);
}

static void test_own_comes_after_the_others_and_before_later_ones(void **state) {
        Seats *seats = new_seats(*state, 2, TOPOLOGY_MESH);
        Feed feed;

        join(seats, 0);
        join(seats, 1);
        seats_leave(seats, 0);
        join(seats, 2);
        feed = join(seats, 0);
        join(seats, 3);
        /* Seat 0 was opened first, but its new occupant hears of itself last of those open at its join. */
        expect(seats, &feed, ALL, 3, "version id0 memory 1.0 1.1 2.0 2.1 0.0 0.1 3.0 3.1 ");
        talloc_free(seats);
}

static void test_vacant_seats_are_told(void **state) {
        Seats *seats = new_seats(*state, 1, TOPOLOGY_MESH);
        Feed feed;

        join(seats, 0);
        join(seats, 1);
        seats_leave(seats, 1);
        feed = join(seats, 2);
        expect(seats, &feed, ALL, 16, "version id2 memory 0.0 1.0 2.0 ");
        talloc_free(seats);
}

static void test_who_comes_back_costs_the_others_nothing(void **state) {
        Seats *seats = new_seats(*state, 1, TOPOLOGY_MESH);
        Feed first = join(seats, 0);

        join(seats, 1);
        expect(seats, &first, ALL, 16, "version id0 memory 0.0 1.0 ");
        seats_leave(seats, 1);
        join(seats, 1);
        assert_false(feed_is_behind(seats, &first));
        talloc_free(seats);
}

static void test_set_up_is_after_the_last_own_doorbell(void **state) {
        Seats *seats = new_seats(*state, 2, TOPOLOGY_MESH);
        Feed feed;

        join(seats, 0);
        feed = join(seats, 1);
        join(seats, 2);
        expect(seats, &feed, 6, 16, "version id1 memory 0.0 0.1 1.0 ");
        assert_false(feed_is_set_up(seats, &feed));
        expect(seats, &feed, 1, 16, "1.1 ");
        assert_true(feed_is_set_up(seats, &feed));
        assert_true(feed_is_behind(seats, &feed));
        talloc_free(seats);
}

static void test_retired_seats_are_left_out_but_not_in_the_middle(void **state) {
        Seats *seats = new_seats(*state, 3, TOPOLOGY_MESH);
        Feed feed;

        join(seats, 0);
        join(seats, 1);
        feed = join(seats, 2);
        expect(seats, &feed, 4, 16, "version id2 memory 0.0 ");
        seats_retire(seats, 0);
        seats_retire(seats, 1);
        expect(seats, &feed, ALL, 2, "0.1 0.2 2.0 2.1 2.2 ");
        talloc_free(seats);
}

static void test_star(void **state) {
        Seats *seats = new_seats(*state, 1, TOPOLOGY_STAR);
        Feed leaf1 = join(seats, 1), leaf2 = join(seats, 2), hub = join(seats, 0), leaf3 = join(seats, 3);

        expect(seats, &leaf1, ALL, 16, "version id1 memory 1.0 0.0 ");
        expect(seats, &leaf2, ALL, 16, "version id2 memory 2.0 0.0 ");
        expect(seats, &hub, ALL, 16, "version id0 memory 1.0 2.0 0.0 3.0 ");
        expect(seats, &leaf3, ALL, 16, "version id3 memory 0.0 3.0 ");
        join(seats, 4);
        assert_false(feed_is_behind(seats, &leaf1));
        assert_false(feed_is_behind(seats, &leaf3));
        expect(seats, &hub, ALL, 16, "4.0 ");
        talloc_free(seats);
}

static void test_validity_of_a_foreign_feed(void **state) {
        Seats *seats = new_seats(*state, 2, TOPOLOGY_MESH);
        Feed good, feed;

        join(seats, 0);
        good = join(seats, 1);
        good.cursor = 7;
        assert_true(feed_is_valid(seats, &good));
        feed = good;
        feed.vm_id = 8;
        assert_false(feed_is_valid(seats, &feed));
        feed = good;
        feed.vm_id = 2; /* not opened */
        assert_false(feed_is_valid(seats, &feed));
        feed = good;
        feed.joined = 3; /* more than were ever opened */
        assert_false(feed_is_valid(seats, &feed));
        feed = good;
        feed.joined = 1; /* before its own seat was opened */
        assert_false(feed_is_valid(seats, &feed));
        feed = good;
        feed.cursor = 8; /* behind the end */
        assert_false(feed_is_valid(seats, &feed));
        talloc_free(seats);
}

/* The leaf of a star never has a cursor in or behind a seat that it does not see: it would be told the rest of it. */
static void test_validity_in_a_star(void **state) {
        Seats *seats = new_seats(*state, 2, TOPOLOGY_STAR);
        Feed leaf;

        join(seats, 0);
        join(seats, 1);
        leaf = join(seats, 2);
        for (uint64_t cursor = 0; cursor <= 10; cursor++) {
                leaf.cursor = cursor;
                assert_int_equal(feed_is_valid(seats, &leaf), cursor <= 5 || (cursor >= 8 && cursor <= 9));
        }
        talloc_free(seats);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_first_peer),
                TEST(test_own_comes_after_the_others_and_before_later_ones),
                TEST(test_vacant_seats_are_told),
                TEST(test_who_comes_back_costs_the_others_nothing),
                TEST(test_set_up_is_after_the_last_own_doorbell),
                TEST(test_retired_seats_are_left_out_but_not_in_the_middle),
                TEST(test_star),
                TEST(test_validity_of_a_foreign_feed),
                TEST(test_validity_in_a_star),
        };

        return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
