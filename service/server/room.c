/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arithmetic with the limits of descriptors: no system calls here. */

#include "service/server/room.h"

#include <errno.h>
#include <inttypes.h>
#include <talloc.h>

#include "service/core/definition.h"
#include "service/core/fdname.h"
#include "service/server/inflight.h"
#include "service/server/refused.h"

/* For everything but peers and doorbells: the event loop, sockets, memory, credentials being read; and for peers that
 * were refused. */
#define DESCRIPTORS_OF_OUR_OWN (64U + REFUSED_MAX)

/* Each seat takes two places in the fd store, and memory, ledger and definition three more. A domain that runs goes on
 * with two, as many as a server took that did not keep the definition. */
static int check_store(void *ctx, const Room *room, const Definition *definition, char **ret_error) {
        uint64_t needed = (uint64_t) definition->max_peers * 2 + (room->is_running ? 2 : 3);

        if (room->fd_store == 0 || needed <= room->fd_store) {
                return 0;
        }
        *ret_error = talloc_asprintf(
                ctx,
                "MaxPeers=%" PRIu32 " takes %" PRIu64 " places in systemd's fd store, but it has %" PRIu32
                "; %s",
                definition->max_peers, needed, room->fd_store,
                needed <= FD_STORE_MAX ? "raise FileDescriptorStoreMax= and --fd-store=, or lower MaxPeers="
                                       : "lower MaxPeers=");
        return -ENOSPC;
}

static int check_descriptors(void *ctx, const Room *room, const Definition *definition, char **ret_error) {
        uint64_t doorbells = (uint64_t) definition->max_peers * definition->vectors;
        uint64_t needed = doorbells + definition->max_peers + DESCRIPTORS_OF_OUR_OWN;
        uint64_t in_flight = inflight_least(definition->max_peers);

        if (room->fd_store > 0) {
                /* Doorbells are in flight as long as they are in the store. */
                in_flight += doorbells;
        }
        /* The kernel has one limit for both, and counts each for itself. */
        needed = needed > in_flight ? needed : in_flight;
        if (needed <= room->nofile) {
                return 0;
        }
        *ret_error = talloc_asprintf(ctx,
                                     "MaxPeers=%" PRIu32 " with Vectors=%" PRIu32 " takes %" PRIu64
                                     " descriptors, but the limit is %" PRIu64
                                     "; raise LimitNOFILE=, or lower MaxPeers= or Vectors=",
                                     definition->max_peers, definition->vectors, needed, room->nofile);
        return -EMFILE;
}

int room_check(void *ctx, const Room *room, const Definition *definition, char **ret_error) {
        int r = check_store(ctx, room, definition, ret_error);

        return r < 0 ? r : check_descriptors(ctx, room, definition, ret_error);
}
