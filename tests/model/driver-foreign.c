/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Feeds that come from outside: which of them a peer could have, and what is told to one who has it. */

#include "tests/model/driver-internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* The seat in the n-th place of a peer's order: those open at the join, its own, those opened later. */
static uint32_t seat_in_place(const Model *model, const Feed *feed, uint32_t n) {
        uint32_t others = 0;

        if (n + 1 == feed->joined) {
                return feed->vm_id;
        }
        for (uint32_t i = 0; i < model->n_opened; i++) {
                if (model->opened[i] == feed->vm_id) {
                        continue;
                }
                if (others++ == (n < feed->joined ? n : n - 1)) {
                        return model->opened[i];
                }
        }
        abort();
}

/* Whether a peer who sits there now can have joined at that point and just been sent the message that the cursor
 * stands behind. */
static bool is_reachable(const Driver *driver, const Feed *feed) {
        const Model *model = driver->model;

        if (feed->vm_id >= model->max_peers || !model->seats[feed->vm_id].taken) {
                return false; /* nobody sits there */
        }
        if (feed->joined > model->n_opened || feed->joined <= seats_get(driver->seats, feed->vm_id)->index) {
                return false; /* more seats were open than are, or not even its own */
        }
        if (feed->cursor > 3 + (uint64_t) model->n_opened * model->vectors) {
                return false; /* behind the last message */
        }
        return feed->cursor <= 3 ||
               model_sees(model, feed->vm_id,
                          seat_in_place(model, feed, (feed->cursor - 4) / model->vectors));
}

/* How many doorbells of a seat the cursor stands behind, when it stands in the middle of them; else 0. */
static uint32_t middle_of(const Model *model, const Feed *feed, uint32_t *ret_vm_id) {
        uint32_t n;

        if (feed->cursor <= 3) {
                return 0;
        }
        n = (feed->cursor - 3) % model->vectors;
        if (n > 0) {
                *ret_vm_id = seat_in_place(model, feed, (feed->cursor - 3) / model->vectors);
        }
        return n;
}

/* What a peer with this feed can have been told: the view of one who was told nothing, but with the seat in whose
 * middle it stands, even a retired one. `ret_at` is where in it the feed stands. */
static ModelView foreign_view(const Driver *driver, const Feed *feed, size_t *ret_at) {
        const Model *model = driver->model;
        ModelView told = { 0 }, view;
        uint32_t vm_id, n = middle_of(model, feed, &vm_id);
        size_t at = 0;

        for (uint32_t i = 0; i < n; i++) {
                view_append(NULL, &told, &(ModelMessage){ FEED_DOORBELL, vm_id, vm_id, i });
        }
        view = model_view(model, feed->vm_id, feed->joined, &told);
        view_free(&told);

        /* Count the messages in view whose place is before the cursor. */
        while (at < view.n_messages && at < 3 && at < feed->cursor) {
                at++;
        }
        for (uint64_t place = 3; place < feed->cursor; place++) {
                uint32_t other = seat_in_place(model, feed, (place - 3) / model->vectors);

                at += at < view.n_messages && view.messages[at].kind == FEED_DOORBELL &&
                      view.messages[at].vm_id == other &&
                      view.messages[at].vector == (place - 3) % model->vectors;
        }
        *ret_at = at;
        return view;
}

bool driver_foreign(Driver *driver, const Feed *feed) {
        bool valid = feed_is_valid(driver->seats, feed);
        ModelView view;
        size_t at;
        bool good;

        driver->corners[valid ? CORNER_FOREIGN_VALID : CORNER_FOREIGN_INVALID]++;
        EXPECT(driver, valid == is_reachable(driver, feed),
               "a feed is %svalid: VM ID %u, joined %u, cursor %" PRIu64, valid ? "" : "in", feed->vm_id,
               feed->joined, feed->cursor);
        if (!valid) {
                return true;
        }
        view = foreign_view(driver, feed, &at);
        good = driver_check_rest(driver, *feed, &view, at);
        view_free(&view);
        return good;
}
