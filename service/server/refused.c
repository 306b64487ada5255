/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections that were refused and are not closed yet: in the order of their age, bounded for each user and in all. */

#include "service/server/refused.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <talloc.h>

#include "service/base/list.h"
#include "service/server/peers.h"

typedef struct RefusedPeer {
        RefusedPeers *all;
        List link;
        uint32_t uid;
        uint64_t until; /* CLOCK_MONOTONIC, microseconds */
        Fd *socket;
        EventSource *io;
} RefusedPeer;

struct RefusedPeers {
        Event *event;
        List kept; /* the oldest first */
        List gone; /* to be freed outside of their own callbacks */
        uint32_t n_kept;
        uint64_t keep_usec;
        EventSource *expiry;
        EventSource *reaper;
};

void refusal_send(int socket, Refusal refusal) {
        uint8_t bytes[WIRE_MESSAGE_SIZE];

        wire_encode(refusal, bytes);
        (void) !send(socket, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static RefusedPeer *oldest(const RefusedPeers *refused) {
        return list_is_empty(&refused->kept) ? NULL : list_entry(refused->kept.next, RefusedPeer, link);
}

/* No longer kept; it is freed, and so closed, from the reaper. */
static void let_go(RefusedPeer *peer) {
        list_remove(&peer->link);
        list_append(&peer->all->gone, &peer->link);
        peer->all->n_kept--;
        (void) sd_event_source_set_enabled(peer->io->source, SD_EVENT_OFF);
        (void) event_source_arm_once(peer->all->reaper);
}

static int on_reap(sd_event_source *source, void *userdata) {
        RefusedPeers *refused = talloc_get_type_abort(userdata, RefusedPeers);

        LIST_FOREACH(i, &refused->gone) {
                talloc_free(list_entry(i, RefusedPeer, link));
        }
        return 0;
}

/* Whatever it does, it has had its answer. */
static int on_refused(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        let_go(talloc_get_type_abort(userdata, RefusedPeer));
        return 0;
}

static uint64_t now_usec(const RefusedPeers *refused) {
        uint64_t usec = 0;

        (void) sd_event_now(refused->event->loop, CLOCK_MONOTONIC, &usec);
        return usec;
}

/* Waits for the oldest, if there is any. */
static void arm_expiry(RefusedPeers *refused) {
        const RefusedPeer *first = oldest(refused);
        uint64_t now = now_usec(refused);

        if (first) {
                (void) event_source_arm_timer(refused->expiry, first->until > now ? first->until - now : 0);
        }
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata) {
        RefusedPeers *refused = talloc_get_type_abort(userdata, RefusedPeers);
        RefusedPeer *peer;

        while ((peer = oldest(refused)) && peer->until <= usec) {
                let_go(peer);
        }
        arm_expiry(refused);
        return 0;
}

/* Makes room for one more of this user: its own oldest goes first, so that no user can drive out another's. */
static void make_room(RefusedPeers *refused, uint32_t uid) {
        RefusedPeer *oldest_of_user = NULL;
        uint32_t n = 0;

        LIST_FOREACH(i, &refused->kept) {
                RefusedPeer *peer = list_entry(i, RefusedPeer, link);

                if (peer->uid == uid) {
                        oldest_of_user = oldest_of_user ?: peer;
                        n++;
                }
        }
        if (n >= REFUSED_OF_A_USER_MAX) {
                let_go(oldest_of_user);
        } else if (refused->n_kept >= REFUSED_MAX) {
                let_go(oldest(refused));
        }
}

static int refused_peer_destructor(RefusedPeer *peer) {
        TALLOC_FREE(peer->io);
        list_remove(&peer->link);
        return 0;
}

void refused_keep(RefusedPeers *refused, uint32_t uid, Fd *socket) {
        RefusedPeer *peer = talloc_zero(refused, RefusedPeer);

        if (!peer) {
                talloc_free(socket);
                return;
        }
        list_init(&peer->link);
        talloc_set_destructor(peer, refused_peer_destructor);
        peer->all = refused;
        peer->uid = uid;
        peer->socket = talloc_steal(peer, socket);
        peer->until = now_usec(refused) + refused->keep_usec;
        if (event_add_io(peer, refused->event, fd_get(socket), EPOLLIN, PRIORITY_PEER, on_refused, peer,
                         &peer->io) < 0) {
                talloc_free(peer);
                return;
        }
        make_room(refused, uid);
        list_append(&refused->kept, &peer->link);
        refused->n_kept++;
        arm_expiry(refused);
}

int refused_new(void *ctx, Event *event, uint64_t keep_usec, RefusedPeers **ret) {
        RefusedPeers *refused = talloc_zero(ctx, RefusedPeers);
        int r;

        if (!refused) {
                return -ENOMEM;
        }
        refused->event = event;
        refused->keep_usec = keep_usec;
        list_init(&refused->kept);
        list_init(&refused->gone);
        r = event_add_deferred(refused, event, PRIORITY_PEER, on_reap, refused, &refused->reaper);
        if (r >= 0) {
                r = event_add_timer(refused, event, SD_EVENT_PRIORITY_IDLE, on_expiry, refused,
                                    &refused->expiry);
        }
        if (r < 0) {
                talloc_free(refused);
                return r;
        }
        *ret = refused;
        return 0;
}
