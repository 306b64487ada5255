/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connected peers: who is fed next, who waits for room, who is gone. What each is told is feed.c's. */

#include "service/server/peers.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <talloc.h>
#include <time.h>

#include "service/base/error.h"
#include "service/server/batch.h"
#include "service/server/doorbells.h"
#include "service/server/inflight.h"
#include "service/server/memory.h"
#include "service/server/succession.h"
#include "service/server/tenant.h"

/* Batches sent in one go before the loop looks at other events. */
#define TURNS 64U

/* Of so many turns one is for peers that are set up, even when newcomers wait. */
#define TURNS_FOR_NEWCOMERS 4U

/* When the kernel has no room for descriptors in flight it does not tell when it has again. */
#define STARVED_RETRY_USEC 10000U

struct Peers {
        Domain *domain;
        PeersOps ops;
        List connected;
        List doomed;
        List newcomers; /* rings */
        List others;
        List starved; /* would be in a ring, but the kernel has no room */
        uint32_t n_connected;
        uint32_t n_turns;
        uint64_t last_order;
        Inflight inflight;
        Batch *batch;
        bool feeding; /* in turns at this moment: who is queued gets one, or there are more */
        EventSource *feeder;
        EventSource *more; /* turns, after others have had theirs */
        EventSource *reaper;
        EventSource *retry;
        Event *event;
};

const char *const leave_names[_LEAVE_MAX] = {
        [LEAVE_CLOSED] = "it closed the connection",
        [LEAVE_LOST] = "the connection was lost",
        [LEAVE_BREACH] = "breach of protocol: it sent data, which only the server may",
        [LEAVE_EVICTED] = "it was evicted",
};

static Peer *turn_peer(List *turn) {
        return list_entry(turn, Peer, turn);
}

/* ---- Who is fed next ---- */

static void peer_queue(Peer *peer) {
        Peers *peers = peer->peers;
        bool set_up = feed_is_set_up(peers->domain->seats, &peer->feed);

        list_remove(&peer->turn);
        list_append(set_up ? &peers->others : &peers->newcomers, &peer->turn);
        if (!peers->feeding) {
                (void) event_source_arm_once(peers->feeder);
        }
}

static Peer *peers_next(Peers *peers) {
        bool newcomer = !list_is_empty(&peers->newcomers) &&
                        (list_is_empty(&peers->others) || peers->n_turns++ % TURNS_FOR_NEWCOMERS != 0);
        List *ring = newcomer ? &peers->newcomers : &peers->others;

        return list_is_empty(ring) ? NULL : turn_peer(ring->next);
}

/* ---- Sending ---- */

/* It is known that no more than `unread` messages are unread. */
static void peer_has_unread(Peer *peer, uint32_t unread) {
        if (unread < peer->unread) {
                inflight_remove(&peer->peers->inflight, peer->unread - unread);
                peer->unread = unread;
        }
}

/* UINT32_MAX: not known. */
static uint32_t peer_measure(const Peer *peer) {
        int outq;

        return ioctl(fd_get(peer->socket), SIOCOUTQ, &outq) < 0 ? UINT32_MAX
                                                                : inflight_unread((uint32_t) outq);
}

/* Counts what is really unread, for the bound only rises as we send. */
static void peers_measure(Peers *peers) {
        LIST_FOREACH(i, &peers->connected) {
                Peer *peer = list_entry(i, Peer, link);

                if (peer->unread > 0) {
                        peer_has_unread(peer, peer_measure(peer));
                }
        }
        inflight_measured(&peers->inflight);
}

/* A smaller buffer than is in use is possible: then nothing more fits until enough of it was read. */
static void peer_set_buffer(Peer *peer) {
        int size;

        if (peer->window == 0) {
                peer->window = inflight_first_window(&peer->peers->inflight);
        }
        size = inflight_send_buffer(peer->window);
        /* Should it fail, the buffer is what it was before: a bound, but a larger one. */
        if (peer->window != peer->buffer &&
            setsockopt(fd_get(peer->socket), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) >= 0) {
                peer->buffer = peer->window;
        }
}

static int message_fd(const Domain *domain, const FeedMessage *message) {
        switch (message->kind) {
        case FEED_MEMORY:
                return memory_fd(domain->memory);
        case FEED_DOORBELL:
                return doorbells_fd(domain->doorbells, message->vm_id, message->vector);
        default:
                return -EBADF;
        }
}

/* Sends one batch of what comes next, and moves the cursor by what went. Returns how many of how many. */
static int peer_send(Peer *peer, size_t *ret_wanted) {
        FeedMessage messages[BATCH_MAX];
        Peers *peers = peer->peers;
        Domain *domain = peers->domain;
        size_t n = feed_peek(domain->seats, &peer->feed, messages, BATCH_MAX);
        int sent;

        *ret_wanted = n;
        if (n == 0) {
                return 0;
        }
        for (size_t i = 0; i < n; i++) {
                batch_set(peers->batch, i, messages[i].value, message_fd(domain, &messages[i]));
        }
        succession_sending(domain->succession, &peer->feed, messages, n);
        sent = batch_send(peers->batch, fd_get(peer->socket), n);
        if (sent > 0) {
                peer->feed.cursor = messages[sent - 1].next;
                peer->unread += (uint32_t) sent;
                inflight_add(&peers->inflight, (uint32_t) sent);
                domain->counters.messages_sent += (uint32_t) sent;
                peers->ops.fed(peers->ops.userdata);
        }
        succession_sent(domain->succession, &peer->feed);
        return sent;
}

static void peer_block(Peer *peer) {
        list_remove(&peer->turn);
        peer->blocked = true;
        (void) sd_event_source_set_io_events(peer->io->source, EPOLLIN | EPOLLOUT);
}

/* It has read most of what it had, so it may have more. */
static void peer_unblock(Peer *peer) {
        Inflight *inflight = &peer->peers->inflight;

        peer->blocked = false;
        if (peer->buffer > 0) {
                peer_has_unread(peer, inflight_unread_when_writable(peer->buffer));
        }
        peer->window = inflight_next_window(inflight, peer->window);
        (void) sd_event_source_set_io_events(peer->io->source, EPOLLIN);
        peer_queue(peer);
}

static void peer_starve(Peer *peer) {
        list_remove(&peer->turn);
        list_append(&peer->peers->starved, &peer->turn);
        (void) event_source_arm_timer(peer->peers->retry, STARVED_RETRY_USEC);
}

/* One turn. Returns 0, or a negative errno when the connection is of no more use. */
static int peer_feed(Peer *peer) {
        size_t wanted;
        int sent;

        if (inflight_is_worth_measuring(&peer->peers->inflight)) {
                peers_measure(peer->peers);
        }
        peer_set_buffer(peer);
        sent = peer_send(peer, &wanted);
        switch (sent) {
        case -EAGAIN:
                peer_block(peer);
                return 0;
        case -ETOOMANYREFS:
        case -ENOBUFS:
        case -ENOMEM:
                peer_starve(peer);
                return 0;
        }
        if (sent < 0) {
                return sent;
        }
        if ((size_t) sent < wanted) {
                /* Most likely full; if it is not, EPOLLOUT comes at once and the next error tells. */
                peer_block(peer);
        } else if (wanted == BATCH_MAX && feed_is_behind(peer->peers->domain->seats, &peer->feed)) {
                peer_queue(peer);
        } else {
                /* Told everything. What comes later is little, and has to be read to be more. */
                list_remove(&peer->turn);
                peer->window = 0;
        }
        return 0;
}

/* ---- Leaving ---- */

/* The peer is gone: its seat is vacant, or retired, at once. It is freed from the reaper, for this may be its own callback. */
static void peer_leave(Peer *peer, Leave why) {
        Peers *peers = peer->peers;
        Domain *domain = peers->domain;

        list_remove(&peer->turn);
        list_remove(&peer->link);
        list_append(&peers->doomed, &peer->link);
        (void) sd_event_source_set_enabled(peer->io->source, SD_EVENT_OFF);
        inflight_remove(&peers->inflight, peer->unread);
        peer->unread = 0;
        peer->tenant->n_peers--;
        peers->n_connected--;
        /* Whatever copies there are of the socket, the connection is over before the ledger says so. */
        (void) shutdown(fd_get(peer->socket), SHUT_RDWR);
        if (why == LEAVE_EVICTED) {
                seats_retire(domain->seats, peer->feed.vm_id);
        } else {
                seats_leave(domain->seats, peer->feed.vm_id);
        }
        succession_left(domain->succession, domain, peer->feed.vm_id, peer->serial);
        domain->counters.leaves++;
        (void) event_source_arm_once(peers->reaper);
        peers->ops.left(peer, why, peers->ops.userdata);
}

static Peer *peers_find(const Peers *peers, uint32_t vm_id) {
        LIST_FOREACH(i, &peers->connected) {
                Peer *peer = list_entry(i, Peer, link);

                if (peer->feed.vm_id == vm_id) {
                        return peer;
                }
        }
        return NULL;
}

int peers_evict(Peers *peers, uint32_t vm_id) {
        Domain *domain = peers->domain;
        Peer *peer = peers_find(peers, vm_id);

        if (peer) {
                domain->counters.evictions++;
                peer_leave(peer, LEAVE_EVICTED);
                return 0;
        }
        if (vm_id >= seats_max(domain->seats) || seats_get(domain->seats, vm_id)->state != SEAT_VACANT) {
                return -ENOENT;
        }
        domain->counters.evictions++;
        seats_retire(domain->seats, vm_id);
        succession_retired(domain->succession, domain, vm_id);
        return 0;
}

static int on_reap(sd_event_source *source, void *userdata) {
        Peers *peers = talloc_get_type_abort(userdata, Peers);

        LIST_FOREACH(i, &peers->doomed) {
                talloc_free(list_entry(i, Peer, link));
        }
        return 0;
}

/* ---- Events ---- */

static void peers_feed(Peers *peers) {
        Peer *peer;

        peers->feeding = true;
        for (unsigned i = 0; i < TURNS && (peer = peers_next(peers)); i++) {
                if (peer_feed(peer) < 0) {
                        peer_leave(peer, LEAVE_LOST);
                }
        }
        peers->feeding = false;
        if (!list_is_empty(&peers->newcomers) || !list_is_empty(&peers->others)) {
                (void) event_source_arm_turn(peers->more);
        }
}

static int on_feed(sd_event_source *source, void *userdata) {
        peers_feed(talloc_get_type_abort(userdata, Peers));
        return 0;
}

static int on_more(sd_event_source *source, uint64_t usec, void *userdata) {
        peers_feed(talloc_get_type_abort(userdata, Peers));
        return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Peers *peers = talloc_get_type_abort(userdata, Peers);

        LIST_FOREACH(i, &peers->starved) {
                peer_queue(turn_peer(i));
        }
        return 0;
}

/* A peer has nothing to say; whatever it sends, with descriptors or without, is a breach. Nothing is received, so
 * that no descriptor is ever taken in: what is unread is discarded with the socket. */
static Leave peer_listen(const Peer *peer) {
        char byte;
        ssize_t n = recv(fd_get(peer->socket), &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);

        if (n > 0) {
                return LEAVE_BREACH;
        }
        if (n == 0) {
                return LEAVE_CLOSED;
        }
        return errno == EAGAIN ? _LEAVE_INVALID : LEAVE_LOST;
}

static int on_peer(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Peer *peer = talloc_get_type_abort(userdata, Peer);
        Leave why = _LEAVE_INVALID;

        if (events & EPOLLIN) {
                why = peer_listen(peer);
        }
        if (why < 0 && events & (EPOLLHUP | EPOLLERR)) {
                why = LEAVE_CLOSED;
        }
        if (why >= 0) {
                peer_leave(peer, why);
        } else if (events & EPOLLOUT && peer->blocked) {
                peer_unblock(peer);
        }
        return 0;
}

/* ---- Joining ---- */

static int peer_destructor(Peer *peer) {
        /* The event loop lets go of the socket before it is closed. */
        TALLOC_FREE(peer->io);
        list_remove(&peer->turn);
        list_remove(&peer->link);
        return 0;
}

static uint64_t now_realtime(void) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

/* Whoever sees the new seat has something to be told. */
static void peers_queue_all_behind(Peers *peers, const Peer *newcomer) {
        const Seats *seats = peers->domain->seats;

        LIST_FOREACH(i, &peers->connected) {
                Peer *peer = list_entry(i, Peer, link);

                if (peer != newcomer && !peer->blocked && list_is_empty(&peer->turn) &&
                    seats_sees(seats, peer->feed.vm_id, newcomer->feed.vm_id)) {
                        peer_queue(peer);
                }
        }
}

/* A peer without a seat as yet, whose socket the loop listens to. */
static int peer_new(Peers *peers, int socket, Peer **ret) {
        Peer *peer = talloc_zero(peers, Peer);
        int r;

        if (!peer) {
                return -ENOMEM;
        }
        list_init(&peer->link);
        list_init(&peer->turn);
        talloc_set_destructor(peer, peer_destructor);
        peer->peers = peers;
        r = event_add_io(peer, peers->event, socket, EPOLLIN, PRIORITY_PEER, on_peer, peer, &peer->io);
        if (r < 0) {
                talloc_free(peer);
                return r;
        }
        *ret = peer;
        return 0;
}

static void peer_connect(Peer *peer, Fd *socket, Tenant *tenant, Credentials *credentials) {
        Peers *peers = peer->peers;

        peer->socket = talloc_steal(peer, socket);
        peer->credentials = talloc_steal(peer, credentials);
        peer->tenant = tenant;
        tenant->n_peers++;
        peers->n_connected++;
        peer->order = ++peers->last_order;
        list_append(&peers->connected, &peer->link);
}

/* Takes the seat, with what a successor needs kept before anything is sent. */
static int peer_take_seat(Peer *peer, uint32_t vm_id, const char *identity, int socket) {
        Domain *domain = peer->peers->domain;
        int r = succession_keep(domain->succession, domain, vm_id, socket, &peer->serial);

        if (r < 0) {
                return r;
        }
        r = seats_take(domain->seats, vm_id, identity);
        if (r < 0) {
                succession_drop(domain->succession, domain, vm_id, peer->serial);
        }
        return r;
}

static void peer_note(const Peer *peer) {
        const Domain *domain = peer->peers->domain;
        const LedgerConnection connection = {
                .feed = peer->feed,
                .serial = peer->serial,
                .since = peer->since,
                .credentials = *peer->credentials,
        };

        succession_joined(domain->succession, domain, &connection);
}

int peers_add(Peers *peers, uint32_t vm_id, const char *identity, Fd *socket, Tenant *tenant,
              Credentials *credentials) {
        Seats *seats = peers->domain->seats;
        bool opened = seats_get(seats, vm_id)->state == SEAT_UNOPENED;
        Peer *peer;
        int r = peer_new(peers, fd_get(socket), &peer);

        if (r < 0) {
                return r;
        }
        r = peer_take_seat(peer, vm_id, identity, fd_get(socket));
        if (r < 0) {
                talloc_free(peer);
                return r;
        }
        peer->feed = feed_begin(seats, vm_id);
        peer->since = now_realtime();
        peer_connect(peer, socket, tenant, credentials);
        peer_note(peer);
        if (peer_feed(peer) < 0) {
                /* It has joined, and leaves in its turn like any other. */
                peer_queue(peer);
        }
        if (opened) {
                peers_queue_all_behind(peers, peer);
        }
        peers->domain->counters.joins++;
        peers->ops.joined(peer, peers->ops.userdata);
        return 0;
}

/* A copy of credentials that are kept elsewhere. */
static Credentials *credentials_copy(void *ctx, const Credentials *from) {
        Credentials *copy = talloc_zero(ctx, Credentials);

        if (!copy) {
                return NULL;
        }
        *copy = (Credentials){ .uid = from->uid, .gid = from->gid, .pid = from->pid };
        copy->unit = talloc_strdup(copy, from->unit);
        copy->machine = talloc_strdup(copy, from->machine);
        copy->label = talloc_strdup(copy, from->label);
        return copy;
}

int peers_restore(Peers *peers, const LedgerConnection *connection, Fd *socket, Tenant *tenant) {
        Peer *peer;
        int r = peer_new(peers, fd_get(socket), &peer);
        Credentials *credentials = r < 0 ? NULL : credentials_copy(peer, &connection->credentials);

        if (!credentials) {
                peers_vacate(peers, connection);
                talloc_free(socket);
                return r < 0 ? r : -ENOMEM;
        }
        peer->feed = connection->feed;
        peer->since = connection->since;
        peer->serial = connection->serial;
        peer_connect(peer, socket, tenant, credentials);
        /* What the predecessor sent is in flight until it is read, whoever sent it. */
        peer->unread = WINDOW_MAX;
        inflight_add(&peers->inflight, peer->unread);
        peer_has_unread(peer, peer_measure(peer));
        peer_queue(peer);
        return 0;
}

void peers_vacate(Peers *peers, const LedgerConnection *connection) {
        Domain *domain = peers->domain;

        seats_leave(domain->seats, connection->feed.vm_id);
        succession_left(domain->succession, domain, connection->feed.vm_id, connection->serial);
}

void peers_foreach(const Peers *peers, bool (*callback)(const Peer *peer, void *userdata), void *userdata) {
        LIST_FOREACH(i, &peers->connected) {
                if (!callback(list_entry(i, Peer, link), userdata)) {
                        return;
                }
        }
}

size_t peers_list_fds(const Peers *peers, int *ret) {
        size_t n = 0;

        LIST_FOREACH(i, &peers->connected) {
                ret[n++] = fd_get(list_entry(i, Peer, link)->socket);
        }
        return n;
}

uint32_t peers_count(const Peers *peers) {
        return peers->n_connected;
}

int peers_new(void *ctx, Event *event, Domain *domain, uint64_t nofile, const PeersOps *ops, Peers **ret) {
        /* The drop-in form has no bound of its own; there, who comes first has more. */
        uint32_t certain = domain->anyone ? 0 : seats_max(domain->seats);
        Peers *peers = talloc_zero(ctx, Peers);
        int r;

        if (!peers) {
                return -ENOMEM;
        }
        *peers = (Peers){
                .domain = domain, .ops = *ops, .event = event, .inflight = inflight_begin(nofile, certain)
        };
        list_init(&peers->connected);
        list_init(&peers->doomed);
        list_init(&peers->newcomers);
        list_init(&peers->others);
        list_init(&peers->starved);
        r = batch_new(peers, succession_headers(domain->succession), &peers->batch);
        if (r >= 0) {
                r = event_add_deferred(peers, event, PRIORITY_NEWCOMER, on_feed, peers, &peers->feeder);
        }
        if (r >= 0) {
                r = event_add_turn(peers, event, PRIORITY_NEWCOMER, on_more, peers, &peers->more);
        }
        if (r >= 0) {
                r = event_add_deferred(peers, event, PRIORITY_PEER, on_reap, peers, &peers->reaper);
        }
        if (r >= 0) {
                r = event_add_timer(peers, event, PRIORITY_NEWCOMER, on_retry, peers, &peers->retry);
        }
        if (r < 0) {
                talloc_free(peers);
                return r;
        }
        *ret = peers;
        return 0;
}
