/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The driver's ledger: what the engine does is kept, and now and then that is all that is left of it. */

#include <talloc.h>

#include "tests/model/driver-internal.h"

static bool kept(Driver *driver, bool good) {
        return good || driver_fail(driver, "%s", driver->keeper->failure);
}

bool driver_keep_take(Driver *driver, const DriverPeer *peer) {
        return !driver->keeper || kept(driver, keeper_take(driver->keeper, driver->seats, &peer->feed));
}

bool driver_keep_leave(Driver *driver, uint32_t vm_id) {
        return !driver->keeper || kept(driver, keeper_leave(driver->keeper, driver->seats, vm_id));
}

bool driver_keep_sent(Driver *driver, const DriverPeer *peer, const FeedMessage *messages, size_t n,
                      size_t sent) {
        return !driver->keeper ||
               kept(driver, keeper_send(driver->keeper, driver->seats, &peer->feed, messages, n, sent));
}

/* The peer gets its feed from the image, as if nothing else was left. */
static bool restart_peer(Driver *driver, DriverPeer *peer, const LedgerImage *image) {
        uint32_t vm_id = peer->feed.vm_id;

        peer->feed = (Feed){ 0 };
        for (size_t i = 0; i < image->n_connections; i++) {
                if (image->connections[i].feed.vm_id == vm_id) {
                        peer->feed = image->connections[i].feed;
                        return true;
                }
        }
        return driver_fail(driver, "the peer on seat %u is forgotten", vm_id);
}

/* Reservations are the definition's, not the ledger's. */
static bool restore_reservations(Driver *driver) {
        for (uint32_t id = 0; id < driver->config.max_peers; id++) {
                if (driver->model->seats[id].reserved && !driver_reserve(driver, id, true)) {
                        return false;
                }
        }
        return true;
}

bool driver_restart(Driver *driver) {
        LedgerImage *image = keeper_load(driver, driver->keeper, driver->seats);
        bool good = image;

        if (!image) {
                return kept(driver, false);
        }
        EXPECT(driver, image->n_connections == driver->n_peers, "%zu peers are left of %u",
               image->n_connections, driver->n_peers);
        EXPECT(driver, image->last_serial <= driver->keeper->last_serial, "serials run ahead");
        talloc_free(driver->seats);
        driver->seats = talloc_steal(driver, image->seats);
        for (uint32_t i = 0; good && i < driver->n_peers; i++) {
                good = restart_peer(driver, driver->peers[i], image);
        }
        talloc_free(image);
        return good && restore_reservations(driver);
}
