/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must be equal between engine and model. Nothing here changes either. */

#include "tests/model/driver-internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

ModelMessage driver_message(const FeedMessage *message) {
        return (ModelMessage){ message->kind, message->value, message->vm_id, message->vector };
}

static size_t smaller(size_t a, size_t b) {
        return a < b ? a : b;
}

bool driver_peek(Driver *driver, const Feed *feed, const ModelView *view, size_t at, FeedMessage *messages,
                 size_t window, size_t *ret_n) {
        const FeedMessage canary = { .value = 0x5a5a5a, .next = UINT64_MAX };
        size_t expected = smaller(window, view->n_messages - at), n;

        for (size_t i = expected; i <= window; i++) {
                messages[i] = canary;
        }
        n = feed_peek(driver->seats, feed, messages, window);
        EXPECT(driver, n == expected, "VM ID %u, told %zu of %zu: %zu more instead of %zu", feed->vm_id, at,
               view->n_messages, n, expected);
        for (size_t i = 0; i < n; i++) {
                const ModelMessage *want = &view->messages[at + i];
                const ModelMessage got = driver_message(&messages[i]);

                EXPECT(driver, messages_equal(want, &got),
                       "VM ID %u, message %zu: kind %d value %" PRId64
                       " %u.%u instead of kind %d value %" PRId64 " %u.%u",
                       feed->vm_id, at + i, got.kind, got.value, got.vm_id, got.vector, want->kind,
                       want->value, want->vm_id, want->vector);
                EXPECT(driver, messages[i].next > (i > 0 ? messages[i - 1].next : feed->cursor),
                       "VM ID %u, message %zu: the cursor does not advance", feed->vm_id, at + i);
        }
        EXPECT(driver, messages[n].value == canary.value && messages[n].next == canary.next,
               "VM ID %u: written behind %zu messages", feed->vm_id, n);
        *ret_n = n;
        return true;
}

ModelView driver_peer_view(const Driver *driver, const DriverPeer *peer) {
        return model_view(driver->model, peer->model->vm_id,
                          model_opened_at_join(driver->model, peer->model), &peer->model->told);
}

bool driver_check_choice(Driver *driver, int identity, ModelRule *ret_rule, uint32_t *ret_vm_id) {
        uint32_t expected = 0, vm_id = UINT32_MAX;
        SeatResult result;
        char text[64];

        driver_identity(identity, text, sizeof(text));
        *ret_rule = model_choose(driver->model, identity, &expected);
        result = seats_choose(driver->seats, text, &vm_id);
        if (*ret_rule == MODEL_NO_SEAT) {
                EXPECT(driver, result == SEAT_NONE_FREE,
                       "'%s' is given VM ID %u, result %d, where none is free", text, vm_id, result);
                EXPECT(driver, vm_id == UINT32_MAX, "the output was touched without a seat");
                return true;
        }
        EXPECT(driver, result == SEAT_OK, "'%s' is given no VM ID, result %d, instead of %u by rule %d",
               text, result, expected, *ret_rule);
        EXPECT(driver, vm_id == expected, "'%s' is given VM ID %u instead of %u by rule %d", text, vm_id,
               expected, *ret_rule);
        *ret_vm_id = vm_id;
        return true;
}

SeatResult driver_expected_check(const ModelSeat *seat) {
        if (seat->retired) {
                return SEAT_IS_RETIRED;
        }
        return seat->taken ? SEAT_IS_TAKEN : SEAT_OK;
}

bool driver_check_rest(Driver *driver, Feed feed, const ModelView *view, size_t at) {
        FeedMessage messages[DRIVER_WINDOW_MAX + 1];
        size_t n, sent;

        for (;;) {
                size_t window = 1 + driver_sample(driver, DRIVER_WINDOW_MAX);

                EXPECT(driver, feed_is_behind(driver->seats, &feed) == (at < view->n_messages),
                       "VM ID %u, told %zu of %zu, is %sbehind", feed.vm_id, at, view->n_messages,
                       at < view->n_messages ? "not " : "");
                if (!driver_peek(driver, &feed, view, at, messages, window, &n)) {
                        return false;
                }
                if (n == 0) {
                        return true;
                }
                sent = n - driver_sample(driver, (n + 1) / 2);
                feed.cursor = messages[sent - 1].next;
                at += sent;
        }
}

/* Whatever the model thinks: the N-th message with a VM ID carries vector N-1, and there are no more than vectors. */
static bool check_vectors(Driver *driver, const DriverPeer *peer, const ModelView *view) {
        uint32_t *counts = talloc_zero_array(NULL, uint32_t, driver->config.max_peers);
        bool good = true;

        if (!counts) {
                abort();
        }
        for (size_t i = 0; good && i < view->n_messages; i++) {
                const ModelMessage *message = &view->messages[i];

                if (message->kind == FEED_DOORBELL) {
                        good = message->vector == counts[message->vm_id]++ &&
                               message->vector < driver->config.vectors;
                }
        }
        talloc_free(counts);
        EXPECT(driver, good, "VM ID %u: vectors are shifted", peer->model->vm_id);
        return true;
}

static bool check_told(Driver *driver, const DriverPeer *peer, const ModelView *view) {
        const ModelView *told = &peer->model->told;

        EXPECT(driver, told->n_messages <= view->n_messages, "VM ID %u was told %zu messages of %zu",
               peer->model->vm_id, told->n_messages, view->n_messages);
        for (size_t i = 0; i < told->n_messages; i++) {
                EXPECT(driver, messages_equal(&told->messages[i], &view->messages[i]),
                       "VM ID %u: message %zu was told differently", peer->model->vm_id, i);
        }
        return true;
}

static bool check_view(Driver *driver, const DriverPeer *peer, const ModelView *view) {
        return check_told(driver, peer, view) && check_vectors(driver, peer, view) &&
               driver_check_rest(driver, peer->feed, view, peer->model->told.n_messages);
}

bool driver_check_peer(Driver *driver, uint32_t n) {
        const DriverPeer *peer = driver->peers[n];
        bool set_up = model_is_set_up(driver->model, peer->model);
        ModelView view = driver_peer_view(driver, peer);
        bool good = check_view(driver, peer, &view);

        view_free(&view);
        if (!good) {
                return false;
        }
        EXPECT(driver, feed_is_valid(driver->seats, &peer->feed), "VM ID %u has an invalid feed",
               peer->feed.vm_id);
        EXPECT(driver, feed_is_set_up(driver->seats, &peer->feed) == set_up, "VM ID %u is %sset up",
               peer->feed.vm_id, set_up ? "not " : "");
        return true;
}

static SeatState expected_state(const ModelSeat *seat) {
        if (seat->retired) {
                return SEAT_RETIRED;
        }
        if (seat->taken) {
                return SEAT_TAKEN;
        }
        return seat->opened ? SEAT_VACANT : SEAT_UNOPENED;
}

static bool check_seat(Driver *driver, uint32_t vm_id) {
        const ModelSeat *want = &driver->model->seats[vm_id];
        const Seat *seat = seats_get(driver->seats, vm_id);
        char text[64];

        EXPECT(driver, seat->state == expected_state(want), "VM ID %u is in state %d instead of %d", vm_id,
               seat->state, expected_state(want));
        EXPECT(driver, seat->reserved == want->reserved, "VM ID %u is wrongly reserved or not", vm_id);
        EXPECT(driver, seats_check(driver->seats, vm_id) == driver_expected_check(want),
               "VM ID %u checks as %d", vm_id, seats_check(driver->seats, vm_id));
        if (want->identity == MODEL_NOBODY) {
                EXPECT(driver, !seat->identity, "VM ID %u has an identity before its first occupant", vm_id);
                return true;
        }
        driver_identity(want->identity, text, sizeof(text));
        EXPECT(driver, seat->identity && strcmp(seat->identity, text) == 0,
               "VM ID %u is '%s' instead of '%s'", vm_id, seat->identity, text);
        return true;
}

static bool check_counts(Driver *driver) {
        const Seats *seats = driver->seats;
        const Model *model = driver->model;

        EXPECT(driver, seats_max(seats) == model->max_peers, "%u seats", seats_max(seats));
        EXPECT(driver, seats_vectors(seats) == model->vectors, "%u vectors", seats_vectors(seats));
        EXPECT(driver, seats_topology(seats) == driver->config.topology, "another topology");
        EXPECT(driver, seats_opened(seats) == model->n_opened, "%u seats opened instead of %u",
               seats_opened(seats), model->n_opened);
        EXPECT(driver, seats_taken(seats) == model->n_peers, "%u seats taken instead of %u",
               seats_taken(seats), model->n_peers);
        for (uint32_t i = 0; i < model->n_opened; i++) {
                uint32_t vm_id = seats_opened_id(seats, i);

                EXPECT(driver, vm_id == model->opened[i], "seat %u was opened as VM ID %u instead of %u", i,
                       vm_id, model->opened[i]);
                EXPECT(driver, seats_get(seats, vm_id)->index == i, "VM ID %u was opened as number %u",
                       vm_id, i);
        }
        return true;
}

static bool check_sees(Driver *driver, uint32_t vm_id, uint32_t other) {
        EXPECT(driver, seats_sees(driver->seats, vm_id, other) == model_sees(driver->model, vm_id, other),
               "VM ID %u wrongly sees %u or does not", vm_id, other);
        return true;
}

bool driver_check_domain(Driver *driver) {
        uint32_t max_peers = driver->config.max_peers, vm_id;
        bool good = check_counts(driver);
        ModelRule rule;

        for (uint32_t id = 0; good && id < max_peers; id++) {
                good = check_seat(driver, id) && check_sees(driver, id, 0) && check_sees(driver, 0, id) &&
                       check_sees(driver, id, id) &&
                       check_sees(driver, id, driver_sample(driver, max_peers));
        }
        for (uint32_t i = 0; good && i < driver->config.identities; i++) {
                good = driver_check_choice(driver, i, &rule, &vm_id);
        }
        return good;
}

bool driver_check(Driver *driver) {
        bool good = driver_check_domain(driver);

        for (uint32_t i = 0; good && i < driver->n_peers; i++) {
                good = driver_check_peer(driver, i);
        }
        return good;
}
