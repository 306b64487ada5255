/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the driver's files share, and nobody else needs. */
#pragma once

#include "tests/model/driver.h"

/* The largest batch that is peeked at. */
#define DRIVER_WINDOW_MAX 256U

#define EXPECT(driver, condition, ...)                             \
        do {                                                       \
                if (!(condition)) {                                \
                        return driver_fail((driver), __VA_ARGS__); \
                }                                                  \
        } while (0)

/* Writes down what is wrong; false. */
bool driver_fail(Driver *driver, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A number below `bound`. What a check looks at is sampled, not drawn from the script, so that a script means the same
 * whatever is checked. */
uint32_t driver_sample(Driver *driver, uint32_t bound);

ModelMessage driver_message(const FeedMessage *message);

/* All that a peer is told, by the model. Freed by view_free(). */
ModelView driver_peer_view(const Driver *driver, const DriverPeer *peer);

/* Asks both which seat the identity would get. *ret_vm_id is set unless there is none. */
bool driver_check_choice(Driver *driver, int identity, ModelRule *ret_rule, uint32_t *ret_vm_id);

SeatResult driver_expected_check(const ModelSeat *seat);

/* Peeks, and compares what comes with the view from `at` on. Nothing may be written behind what is returned. There must
 * be room for window + 1 messages. */
bool driver_peek(Driver *driver, const Feed *feed, const ModelView *view, size_t at, FeedMessage *messages,
                 size_t window, size_t *ret_n);

/* The rest of what a feed is told, cut into batches of which only a part is sent each time. */
bool driver_check_rest(Driver *driver, Feed feed, const ModelView *view, size_t at);

/* What the keeper says, when there is one. */
bool driver_keep_take(Driver *driver, const DriverPeer *peer);
bool driver_keep_leave(Driver *driver, uint32_t vm_id);
bool driver_keep_sent(Driver *driver, const DriverPeer *peer, const FeedMessage *messages, size_t n,
                      size_t sent);
