/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a connection is sent next, from its cursor and the list of opened seats.
 *
 * The cursor counts messages: three of greeting, then one slot of V doorbells for each seat of the list. The first
 * `joined` slots are the seats that were open at the join with the peer's own moved to their end; slot q >= joined is
 * simply the q-th seat. So a slot's seat is computed, not stored, and an append to the list is all that telling
 * everybody of a new seat takes.
 */

#include "service/core/feed.h"

#include <assert.h>

#define GREETING 3U

#define NO_SLOT UINT32_MAX

Feed feed_begin(const Seats *seats, uint32_t vm_id) {
        assert(seats_get(seats, vm_id)->state == SEAT_TAKEN);
        return (Feed){ .vm_id = vm_id, .joined = seats_opened(seats) };
}

static uint32_t own_slot(const Feed *feed) {
        return feed->joined - 1;
}

/* The VM ID that a slot tells of. */
static uint32_t slot_vm_id(const Seats *seats, const Feed *feed, uint32_t slot) {
        uint32_t own_index = seats_get(seats, feed->vm_id)->index;

        if (slot == own_slot(feed)) {
                return feed->vm_id;
        }
        return seats_opened_id(seats, slot < feed->joined && slot >= own_index ? slot + 1 : slot);
}

static bool slot_is_told(const Seats *seats, const Feed *feed, uint32_t slot) {
        return seats_get(seats, slot_vm_id(seats, feed, slot))->state != SEAT_RETIRED;
}

/* The slot that tells of an opened seat: the inverse of slot_vm_id(). */
static uint32_t vm_id_slot(const Seats *seats, const Feed *feed, uint32_t vm_id) {
        uint32_t own_index = seats_get(seats, feed->vm_id)->index;
        uint32_t index = seats_get(seats, vm_id)->index;

        if (vm_id == feed->vm_id) {
                return own_slot(feed);
        }
        return index < feed->joined && index > own_index ? index - 1 : index;
}

/* In a star all but seat 0 are told of two seats only, so that their slots need not be searched. */
static uint32_t next_told_slot_of_leaf(const Seats *seats, const Feed *feed, uint32_t slot) {
        uint32_t own = own_slot(feed), next = NO_SLOT;

        if (seats_get(seats, 0)->state != SEAT_UNOPENED) {
                uint32_t hub = vm_id_slot(seats, feed, 0);

                if (hub >= slot && slot_is_told(seats, feed, hub)) {
                        next = hub;
                }
        }
        return own >= slot && own < next ? own : next;
}

/* The next slot, `slot` or a later one, that the peer is told of. NO_SLOT: none as yet. */
static uint32_t next_told_slot(const Seats *seats, const Feed *feed, uint32_t slot) {
        if (seats_topology(seats) == TOPOLOGY_STAR && feed->vm_id != 0) {
                return next_told_slot_of_leaf(seats, feed, slot);
        }
        for (; slot < seats_opened(seats); slot++) {
                if (slot_is_told(seats, feed, slot)) {
                        return slot;
                }
        }
        return NO_SLOT;
}

static uint32_t cursor_slot(const Seats *seats, uint64_t cursor) {
        return (uint32_t) ((cursor - GREETING) / seats_vectors(seats));
}

static uint32_t cursor_vector(const Seats *seats, uint64_t cursor) {
        return (uint32_t) ((cursor - GREETING) % seats_vectors(seats));
}

static uint64_t slot_cursor(const Seats *seats, uint32_t slot) {
        return GREETING + (uint64_t) slot * seats_vectors(seats);
}

/* The message of the greeting at a cursor below GREETING. */
static FeedMessage greeting_message(const Feed *feed, uint64_t cursor) {
        static const FeedMessageKind kinds[GREETING] = { FEED_VERSION, FEED_VM_ID, FEED_MEMORY };
        const int64_t values[GREETING] = { 0, feed->vm_id, -1 };

        return (FeedMessage){ .kind = kinds[cursor], .value = values[cursor], .next = cursor + 1 };
}

/* Writes the doorbells of the slot at the cursor from its vector on; returns how many. */
static size_t slot_messages(const Seats *seats, const Feed *feed, uint64_t cursor, FeedMessage *ret,
                            size_t max) {
        uint32_t vm_id = slot_vm_id(seats, feed, cursor_slot(seats, cursor));
        uint32_t first = cursor_vector(seats, cursor);
        size_t n = 0;

        for (uint32_t vector = first; vector < seats_vectors(seats) && n < max; vector++, n++) {
                ret[n] = (FeedMessage){
                        .kind = FEED_DOORBELL,
                        .value = vm_id,
                        .vm_id = vm_id,
                        .vector = vector,
                        .next = cursor + n + 1,
                };
        }
        return n;
}

size_t feed_peek(const Seats *seats, const Feed *feed, FeedMessage *ret_messages, size_t max) {
        uint64_t cursor = feed->cursor;
        size_t n = 0;

        while (n < max && cursor < GREETING) {
                ret_messages[n++] = greeting_message(feed, cursor++);
        }
        while (n < max) {
                /* In the middle of a slot it is finished, whatever became of the seat. */
                if (cursor_vector(seats, cursor) == 0) {
                        uint32_t slot = next_told_slot(seats, feed, cursor_slot(seats, cursor));

                        if (slot == NO_SLOT) {
                                break;
                        }
                        cursor = slot_cursor(seats, slot);
                }
                n += slot_messages(seats, feed, cursor, ret_messages + n, max - n);
                cursor = ret_messages[n - 1].next;
        }
        return n;
}

bool feed_is_behind(const Seats *seats, const Feed *feed) {
        FeedMessage message;

        return feed_peek(seats, feed, &message, 1) > 0;
}

bool feed_is_set_up(const Seats *seats, const Feed *feed) {
        return feed->cursor >= slot_cursor(seats, feed->joined);
}

/* A cursor only ever stands behind a message that was sent, so never behind or in the middle of a seat that the peer
 * does not see. That the seat may be retired by now is no objection. */
static bool cursor_is_valid(const Seats *seats, const Feed *feed) {
        if (feed->cursor <= GREETING) {
                return true;
        }
        return feed->cursor <= slot_cursor(seats, seats_opened(seats)) &&
               seats_sees(seats, feed->vm_id, slot_vm_id(seats, feed, cursor_slot(seats, feed->cursor - 1)));
}

bool feed_is_valid(const Seats *seats, const Feed *feed) {
        const Seat *seat;

        if (feed->vm_id >= seats_max(seats)) {
                return false;
        }
        seat = seats_get(seats, feed->vm_id);
        return seat->state == SEAT_TAKEN && feed->joined <= seats_opened(seats) &&
               seat->index < feed->joined && cursor_is_valid(seats, feed);
}
