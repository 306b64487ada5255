/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Peers that read, count and check, as fast as one process can. */

#include "tests/bench/peers.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/core/wire.h"
#include "tests/bench/figures.h"
#include "tests/bench/receive.h"
#include "tests/lib/socket.h"

#define EVENTS_MAX 64

/* Version, VM ID, memory. */
#define HANDSHAKE_MESSAGES 3U

/* epoll's data of a descriptor that is no peer's. */
#define NO_PEER UINT64_MAX

typedef struct BenchPeer {
        Fd *socket; /* NULL: the server closed it, or is gone */
        bool stuck;
        uint32_t n_messages;
        uint32_t vm_id;
        uint8_t *vectors; /* by VM ID: how many doorbells it was told of */
} BenchPeer;

struct BenchPeers {
        const char *path;
        uint32_t n_vectors;
        uint32_t n_ids;
        Fd *epoll;
        BenchPeer *peers;
        uint32_t n_peers;
        uint64_t n_messages;
        uint64_t n_doorbells;
        uint64_t progress; /* when something arrived last */
};

int peers_new(void *ctx, const char *path, uint32_t vectors, uint32_t ids, BenchPeers **ret) {
        BenchPeers *peers = talloc_zero(ctx, BenchPeers);
        int fd, r;

        if (!peers) {
                return -ENOMEM;
        }
        peers->path = path;
        peers->n_vectors = vectors;
        peers->n_ids = ids;
        fd = epoll_create1(EPOLL_CLOEXEC);
        r = fd < 0 ? errno_negative() : fd_new(peers, fd, &peers->epoll);
        if (r < 0) {
                talloc_free(peers);
                return r;
        }
        *ret = peers;
        return 0;
}

/* ---- Reading ---- */

static void peer_take(BenchPeers *peers, BenchPeer *peer, const Received *message) {
        uint32_t n = peer->n_messages++;

        peers->n_messages++;
        if (n == 1) {
                peer->vm_id = (uint32_t) message->value;
        }
        if (n < HANDSHAKE_MESSAGES || (uint64_t) message->value >= peers->n_ids) {
                return;
        }
        if (message->has_descriptor) {
                peer->vectors[message->value]++;
                peers->n_doorbells++;
        } else {
                /* A disconnect, of which the reference server has many. */
                peer->vectors[message->value] = 0;
        }
}

static void peer_read(BenchPeers *peers, BenchPeer *peer) {
        Received messages[RECEIVE_MAX];
        int n = receive_messages(fd_get(peer->socket), messages);

        for (int i = 0; i < n; i++) {
                peer_take(peers, peer, &messages[i]);
        }
        if (n == 0 || (n < 0 && n != -EAGAIN)) {
                TALLOC_FREE(peer->socket);
        }
}

/* Reads from whoever has something. Returns 0 when nobody had for that long, 1 otherwise, and 2 when a descriptor that
 * is no peer's has input. */
static int peers_read(BenchPeers *peers, int timeout_msec) {
        struct epoll_event events[EVENTS_MAX];
        int n = errno_or(epoll_wait(fd_get(peers->epoll), events, EVENTS_MAX, timeout_msec));
        int result = n > 0;

        if (n > 0) {
                peers->progress = now_nsec();
        }
        for (int i = 0; i < n; i++) {
                if (events[i].data.u64 == NO_PEER) {
                        result = 2;
                } else {
                        peer_read(peers, &peers->peers[events[i].data.u64]);
                }
        }
        return n < 0 ? n : result;
}

static int peers_watch(BenchPeers *peers, int fd, uint64_t data) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };

        return errno_or(epoll_ctl(fd_get(peers->epoll), EPOLL_CTL_ADD, fd, &event));
}

int peers_read_until_input(BenchPeers *peers, int fd) {
        int r = peers_watch(peers, fd, NO_PEER);

        while (r >= 0 && r != 2) {
                r = peers_read(peers, /* timeout_msec= */ -1);
        }
        if (r < 0) {
                return r;
        }
        return errno_or(epoll_ctl(fd_get(peers->epoll), EPOLL_CTL_DEL, fd, NULL));
}

/* ---- Joining ---- */

static bool is_set_up(const BenchPeers *peers, const BenchPeer *peer) {
        return peer->n_messages > HANDSHAKE_MESSAGES && peer->vm_id < peers->n_ids &&
               peer->vectors[peer->vm_id] >= peers->n_vectors;
}

/* Connects without waiting, so that reading goes on while the server's queue is full. */
static int peer_connect(BenchPeers *peers, BenchPeer *peer) {
        struct sockaddr_un address;
        int fd, r = unix_address(peers->path, &address);

        if (r < 0) {
                return r;
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) {
                return errno_negative();
        }
        r = fd_new(peers, fd, &peer->socket);
        if (r < 0) {
                return r;
        }
        do {
                r = errno_or(connect(fd, (struct sockaddr *) &address, sizeof(address)));
                if (r == -EAGAIN) {
                        (void) peers_read(peers, /* timeout_msec= */ 1);
                }
        } while (r == -EAGAIN);
        if (r < 0) {
                TALLOC_FREE(peer->socket);
                return 0;
        }
        return peer->stuck ? 0 : peers_watch(peers, fd, (uint64_t) (peer - peers->peers));
}

static int peer_begin(BenchPeers *peers, BenchPeer *peer, bool stuck) {
        *peer = (BenchPeer){ .stuck = stuck };
        peer->vectors = talloc_zero_array(peers, uint8_t, peers->n_ids);
        return peer->vectors ? peer_connect(peers, peer) : -ENOMEM;
}

/* Reads until the peer is set up. Returns false when it never is. */
static bool wait_set_up(BenchPeers *peers, const BenchPeer *peer) {
        while (!is_set_up(peers, peer)) {
                if (!peer->socket || peers_read(peers, CROWD_STALL_MSEC) <= 0) {
                        return false;
                }
        }
        return true;
}

static void report(const BenchPeers *peers, uint64_t began, CrowdReport *ret) {
        ret->nsec = peers->progress > began ? peers->progress - began : 0;
        ret->messages = peers->n_messages;
}

static void report_sample(uint64_t began, CrowdReport *ret) {
        ret->set_up++;
        if (ret->n_samples < SAMPLES_MAX) {
                ret->samples[ret->n_samples++] = now_nsec() - began;
        }
}

/* Ends with the first one that is not set up. */
static int join_one_by_one(BenchPeers *peers, uint32_t first, uint32_t end, CrowdReport *ret) {
        for (uint32_t i = first; i < end; i++) {
                uint64_t began = now_nsec();
                int r = peer_begin(peers, &peers->peers[i], /* stuck= */ false);

                if (r < 0) {
                        return r;
                }
                if (!wait_set_up(peers, &peers->peers[i])) {
                        break;
                }
                report_sample(began, ret);
        }
        return 0;
}

static int join_at_once(BenchPeers *peers, uint32_t first, uint32_t end, bool stuck, CrowdReport *ret) {
        int r = 0;

        for (uint32_t i = first; i < end && r >= 0; i++) {
                r = peer_begin(peers, &peers->peers[i], stuck);
        }
        for (uint32_t i = first; i < end && r >= 0 && !stuck; i++) {
                if (!wait_set_up(peers, &peers->peers[i])) {
                        break;
                }
                ret->set_up++;
        }
        return r;
}

int peers_join(BenchPeers *peers, CrowdJoin how, uint32_t n, CrowdReport *ret) {
        uint32_t first = peers->n_peers, end = first + n;
        uint64_t began = now_nsec();
        BenchPeer *array;
        int r;

        if (n == 0) {
                return 0;
        }
        array = talloc_realloc(peers, peers->peers, BenchPeer, end);
        if (!array) {
                return -ENOMEM;
        }
        memset(array + first, 0, n * sizeof(*array));
        peers->peers = array;
        peers->n_peers = end;
        r = how == CROWD_ONE_BY_ONE ? join_one_by_one(peers, first, end, ret)
                                    : join_at_once(peers, first, end, how == CROWD_STUCK, ret);
        report(peers, began, ret);
        return r;
}

/* ---- Checking ---- */

static void peer_check(const BenchPeers *peers, const BenchPeer *peer, uint32_t seats, CrowdReport *ret) {
        for (uint32_t id = 0; id < peers->n_ids; id++) {
                uint32_t wanted = id < seats ? peers->n_vectors : 0;
                uint32_t told = peer->vectors ? peer->vectors[id] : 0;

                ret->lost += wanted > told ? wanted - told : 0;
                ret->surplus += told > wanted ? told - wanted : 0;
        }
}

int peers_complete(BenchPeers *peers, uint32_t seats, CrowdReport *ret) {
        uint64_t began = now_nsec(), wanted = 0;

        for (uint32_t i = 0; i < peers->n_peers; i++) {
                wanted += peers->peers[i].stuck ? 0 : (uint64_t) seats * peers->n_vectors;
        }
        while (peers->n_doorbells < wanted && peers_read(peers, CROWD_STALL_MSEC) > 0) {
        }
        report(peers, began, ret);
        for (uint32_t i = 0; i < peers->n_peers; i++) {
                if (!peers->peers[i].stuck) {
                        peer_check(peers, &peers->peers[i], seats, ret);
                }
        }
        return 0;
}

/* ---- Coming back ---- */

/* Leaves and connects again; what it was told is forgotten. */
static int peer_return(BenchPeers *peers, BenchPeer *peer) {
        TALLOC_FREE(peer->socket);
        memset(peer->vectors, 0, peers->n_ids);
        peer->n_messages = 0;
        return peer_connect(peers, peer);
}

int peers_return(BenchPeers *peers, uint32_t n, CrowdReport *ret) {
        uint64_t began = now_nsec();

        for (uint32_t i = 0; i < n; i++) {
                BenchPeer *peer = &peers->peers[i % peers->n_peers];
                uint64_t left = now_nsec();
                int r = peer_return(peers, peer);

                if (r < 0) {
                        return r;
                }
                if (!wait_set_up(peers, peer)) {
                        break;
                }
                report_sample(left, ret);
        }
        report(peers, began, ret);
        return 0;
}
