/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Engine and naive model side by side. */

#include "tests/model/driver-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

const char *const driver_corner_names[_CORNER_MAX] = {
        [CORNER_RULES + MODEL_NO_SEAT] = "joins without a seat",
        [CORNER_RULES + MODEL_ALONE] = "joins of the only peer",
        [CORNER_RULES + MODEL_SAME_IDENTITY] = "joins on one's former seat",
        [CORNER_RULES + MODEL_NEVER_OPENED] = "joins on a new seat",
        [CORNER_RULES + MODEL_LEFT_LONGEST_AGO] = "joins on another's former seat",
        [CORNER_RETIRED_UNTOLD] = "seats retired before a peer was told",
        [CORNER_RETIRED_MIDDLE] = "seats retired in the middle of telling",
        [CORNER_RETIRED_TOLD] = "seats retired after a peer was told",
        [CORNER_RESERVED_JOIN] = "joins on a certain seat",
        [CORNER_IS_TAKEN] = "certain seats that were taken",
        [CORNER_IS_RETIRED] = "certain seats that were retired",
        [CORNER_PARTIAL_SEND] = "batches sent in part",
        [CORNER_FOREIGN_VALID] = "foreign feeds accepted",
        [CORNER_FOREIGN_INVALID] = "foreign feeds refused",
        [CORNER_MESSAGE] = "messages",
};

bool driver_fail(Driver *driver, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        driver->failure = talloc_vasprintf(driver, format, ap);
        va_end(ap);
        return false;
}

uint32_t driver_sample(Driver *driver, uint32_t bound) {
        driver->salt = driver->salt * 1664525U + 1013904223U;
        return (driver->salt >> 8) % bound;
}

/* Different identities that a sloppy comparison would take for one. */
void driver_identity(int identity, char *text, size_t size) {
        static const char *const names[] = {
                "uid:1000", "uid:100",    "uid:10000",   "machine:vm",       "machine:vm1",
                "unit:vm",  "machine:VM", "machine:vm ", "machine:uid:1000", "",
        };
        const int n_names = sizeof(names) / sizeof(*names);

        if (identity < n_names) {
                snprintf(text, size, "%s", names[identity]);
        } else {
                snprintf(text, size, "uid:%d", 5000 + identity);
        }
}

int driver_new(void *ctx, const DriverConfig *config, Driver **ret) {
        Driver *driver = talloc_zero(ctx, Driver);
        int r;

        if (!driver) {
                return -ENOMEM;
        }
        driver->config = *config;
        r = seats_new(driver, config->max_peers, config->vectors, config->topology, &driver->seats);
        if (r < 0) {
                talloc_free(driver);
                return r;
        }
        driver->model = model_new(driver, config->max_peers, config->vectors,
                                  config->topology == TOPOLOGY_STAR);
        driver->peers = talloc_zero_array(driver, DriverPeer *, config->max_peers);
        if (!driver->peers) {
                abort();
        }
        *ret = driver;
        return 0;
}

static bool take_seat(Driver *driver, uint32_t vm_id, int identity) {
        DriverPeer *peer = talloc_zero(driver, DriverPeer);
        char text[64];

        if (!peer) {
                abort();
        }
        driver_identity(identity, text, sizeof(text));
        EXPECT(driver, seats_take(driver->seats, vm_id, text) == 0, "VM ID %u cannot be taken", vm_id);
        memset(text, 0x7f, sizeof(text) - 1); /* the engine must have made a copy */
        peer->model = model_join(driver->model, vm_id, identity);
        peer->feed = feed_begin(driver->seats, vm_id);
        peer->identity = identity;
        driver->peers[driver->n_peers++] = peer;
        EXPECT(driver, peer->feed.vm_id == vm_id, "the feed of VM ID %u is one of %u", vm_id,
               peer->feed.vm_id);
        return driver_keep_take(driver, peer);
}

bool driver_join(Driver *driver, int identity) {
        ModelRule rule;
        uint32_t vm_id;

        if (!driver_check_choice(driver, identity, &rule, &vm_id)) {
                return false;
        }
        driver->corners[CORNER_RULES + rule]++;
        return rule == MODEL_NO_SEAT || take_seat(driver, vm_id, identity);
}

bool driver_join_at(Driver *driver, uint32_t vm_id, int identity) {
        SeatResult expected = driver_expected_check(&driver->model->seats[vm_id]);
        SeatResult result = seats_check(driver->seats, vm_id);

        EXPECT(driver, result == expected, "VM ID %u checks as %d instead of %d", vm_id, result, expected);
        driver->corners[CORNER_IS_TAKEN] += result == SEAT_IS_TAKEN;
        driver->corners[CORNER_IS_RETIRED] += result == SEAT_IS_RETIRED;
        driver->corners[CORNER_RESERVED_JOIN] += result == SEAT_OK;
        return result != SEAT_OK || take_seat(driver, vm_id, identity);
}

static void remove_peer(Driver *driver, uint32_t n) {
        talloc_free(driver->peers[n]);
        driver->peers[n] = driver->peers[--driver->n_peers];
}

bool driver_leave(Driver *driver, uint32_t n) {
        DriverPeer *peer = driver->peers[n];
        uint32_t vm_id = peer->feed.vm_id;

        seats_leave(driver->seats, vm_id);
        model_leave(driver->model, peer->model);
        remove_peer(driver, n);
        return driver_keep_leave(driver, vm_id);
}

bool driver_reserve(Driver *driver, uint32_t vm_id, bool reserved) {
        EXPECT(driver, seats_reserve(driver->seats, vm_id, reserved) == 0, "VM ID %u cannot be reserved",
               vm_id);
        driver->model->seats[vm_id].reserved = reserved;
        return true;
}

static void count_retired(Driver *driver, uint32_t vm_id) {
        for (uint32_t i = 0; i < driver->n_peers; i++) {
                const ModelPeer *peer = driver->peers[i]->model;
                uint32_t n;

                if (peer->vm_id == vm_id || !model_sees(driver->model, peer->vm_id, vm_id)) {
                        continue;
                }
                n = view_count(&peer->told, vm_id);
                driver->corners[CORNER_RETIRED_UNTOLD] += n == 0;
                driver->corners[CORNER_RETIRED_MIDDLE] += n > 0 && n < driver->config.vectors;
                driver->corners[CORNER_RETIRED_TOLD] += n == driver->config.vectors;
        }
}

bool driver_retire(Driver *driver, uint32_t vm_id) {
        count_retired(driver, vm_id);
        seats_retire(driver->seats, vm_id);
        for (uint32_t i = 0; i < driver->n_peers; i++) {
                if (driver->peers[i]->model->vm_id == vm_id) {
                        model_retire(driver->model, vm_id, driver->peers[i]->model);
                        remove_peer(driver, i);
                        return driver_keep_leave(driver, vm_id);
                }
        }
        model_retire(driver->model, vm_id, NULL);
        return driver_keep_leave(driver, vm_id);
}

static WireEventKind event_of(FeedMessageKind kind) {
        static const WireEventKind events[] = {
                [FEED_VERSION] = WIRE_EVENT_VERSION,
                [FEED_VM_ID] = WIRE_EVENT_VM_ID,
                [FEED_MEMORY] = WIRE_EVENT_MEMORY,
                [FEED_DOORBELL] = WIRE_EVENT_CONNECT,
        };

        return events[kind];
}

/* As bytes through the decoder, which counts for itself and so knows the vector. */
static bool receive(Driver *driver, DriverPeer *peer, const FeedMessage *message) {
        bool has_descriptor = message->kind == FEED_MEMORY || message->kind == FEED_DOORBELL;
        uint8_t bytes[WIRE_MESSAGE_SIZE];
        WireEvent event = { 0 };
        WireResult result;

        if (!peer->decoder && wire_decoder_new(peer, &peer->decoder) < 0) {
                abort();
        }
        wire_encode(message->value, bytes);
        result = wire_decoder_step(peer->decoder, wire_decode(bytes), has_descriptor, &event);
        EXPECT(driver, result == WIRE_OK, "VM ID %u cannot read its message %zu: %s", peer->feed.vm_id,
               peer->model->told.n_messages, wire_result_name(result));
        EXPECT(driver, event.kind == event_of(message->kind), "VM ID %u reads an event %d from a message %d",
               peer->feed.vm_id, event.kind, message->kind);
        if (message->kind == FEED_DOORBELL) {
                EXPECT(driver, event.vm_id == message->vm_id && event.vector == message->vector,
                       "VM ID %u reads %u.%u where %u.%u was sent", peer->feed.vm_id, event.vm_id,
                       event.vector, message->vm_id, message->vector);
                EXPECT(driver, event.own == (event.vm_id == peer->feed.vm_id),
                       "VM ID %u takes %u for its own", peer->feed.vm_id, event.vm_id);
        }
        driver->corners[CORNER_MESSAGE]++;
        return true;
}

static bool deliver(Driver *driver, DriverPeer *peer, const ModelView *view, uint32_t window, uint32_t part,
                    size_t *ret_n) {
        FeedMessage messages[DRIVER_WINDOW_MAX + 1];
        size_t n, sent;

        if (window > DRIVER_WINDOW_MAX) {
                window = DRIVER_WINDOW_MAX;
        }
        if (!driver_peek(driver, &peer->feed, view, peer->model->told.n_messages, messages, window, &n)) {
                return false;
        }
        sent = n * part / 100;
        driver->corners[CORNER_PARTIAL_SEND] += sent > 0 && sent < n;
        for (size_t i = 0; i < sent; i++) {
                const ModelMessage message = driver_message(&messages[i]);

                if (!receive(driver, peer, &messages[i])) {
                        return false;
                }
                model_told(peer->model, &message);
        }
        *ret_n = sent;
        if (sent == 0) {
                return true;
        }
        if (!driver_keep_sent(driver, peer, messages, n, sent)) {
                return false;
        }
        peer->feed.cursor = messages[sent - 1].next;
        return true;
}

bool driver_deliver(Driver *driver, uint32_t n, uint32_t window, uint32_t part) {
        DriverPeer *peer = driver->peers[n];
        ModelView view = driver_peer_view(driver, peer);
        size_t n_sent;
        bool good;

        good = deliver(driver, peer, &view, window, part, &n_sent);
        view_free(&view);
        return good;
}

bool driver_deliver_all(Driver *driver, uint32_t n) {
        DriverPeer *peer = driver->peers[n];
        ModelView view = driver_peer_view(driver, peer);
        size_t n_sent;
        bool good;

        do {
                good = deliver(driver, peer, &view, DRIVER_WINDOW_MAX, /* part= */ 100, &n_sent);
        } while (good && n_sent > 0);
        view_free(&view);
        return good;
}
