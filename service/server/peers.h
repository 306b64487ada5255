/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connected peers, and their feeding. A peer that is behind waits in a ring; each turn sends it one batch, so
 * that nobody waits for more than a batch of each other. Newcomers go before those who only hear of them. A peer
 * whose socket is full leaves the ring until it has read; one that never reads costs nothing more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/base/event.h"
#include "service/base/fd.h"
#include "service/base/list.h"
#include "service/core/credentials.h"
#include "service/core/feed.h"
#include "service/server/domain.h"

typedef struct LedgerConnection LedgerConnection;
typedef struct Peer Peer;
typedef struct Peers Peers;
typedef struct PeersOps PeersOps;
typedef struct Tenant Tenant;

typedef enum Leave {
        LEAVE_CLOSED, /* it closed its connection */
        LEAVE_LOST,   /* the connection failed */
        LEAVE_BREACH, /* it sent something: only the server may */
        LEAVE_EVICTED,
        _LEAVE_MAX,
        _LEAVE_INVALID = -22,
} Leave;

/* For people. */
extern const char *const leave_names[_LEAVE_MAX];

struct Peer {
        Peers *peers;
        List link; /* of Peers: connected, or doomed */
        List turn; /* in a ring while it is behind and can be sent something */
        Fd *socket;
        EventSource *io;
        Tenant *tenant;
        Credentials *credentials;
        Feed feed;
        uint32_t window; /* unread messages that it may have; 0: as many as at first */
        uint32_t buffer; /* those that its send buffer holds; 0: not known */
        uint32_t unread; /* upper bound */
        bool blocked;    /* its send buffer is full: waiting for EPOLLOUT */
        uint64_t since;  /* CLOCK_REALTIME, microseconds */
        uint64_t order;  /* counts those who connected; never 0 */
        uint64_t serial; /* of the connection, for the successor; 0: nothing is kept */
};

/* What the owner of the peers wants to hear. A peer must not be kept beyond the call. */
struct PeersOps {
        void (*joined)(const Peer *peer, void *userdata);
        void (*left)(const Peer *peer, Leave why,
                     void *userdata); /* its seat is vacant by now, or retired */
        void (*fed)(void *userdata);  /* a batch of messages was sent */
        void *userdata;
};

/* Priorities in the event loop: hang-ups are looked at before newcomers are admitted. */
#define PRIORITY_PEER (SD_EVENT_PRIORITY_NORMAL - 10)
#define PRIORITY_NEWCOMER SD_EVENT_PRIORITY_NORMAL

/* `nofile` is the process's RLIMIT_NOFILE, the kernel's limit of descriptors in flight. -ENOMEM and sd-event's. */
int peers_new(void *ctx, Event *event, Domain *domain, uint64_t nofile, const PeersOps *ops, Peers **ret);

/*
 * Connects a peer whose seat is chosen and has its doorbells: takes the seat, sends the greeting and what fits
 * after it. Takes over `socket` and `credentials` (moved below the peer) on success only; on failure nothing has
 * changed. -EAGAIN: what is kept for a successor cannot be kept right now.
 */
int peers_add(Peers *peers, uint32_t vm_id, const char *identity, Fd *socket, Tenant *tenant,
              Credentials *credentials);

/* Goes on with a connection of a predecessor, whose seat is taken in the domain's seats already. Takes `socket` over,
 * also on failure; then the seat is vacant. -ENOMEM and sd-event's. */
int peers_restore(Peers *peers, const LedgerConnection *connection, Fd *socket, Tenant *tenant);

/* A connection of a predecessor is gone: its seat is vacant. */
void peers_vacate(Peers *peers, const LedgerConnection *connection);

/* Disconnects the peer of a VM ID, if there is one, and retires the seat: the VM ID is not given again. -ENOENT when it
 * never was, or is retired already. */
int peers_evict(Peers *peers, uint32_t vm_id);

/* The connected peers in the order in which they connected, until the callback says false. It must not change who is
 * connected. */
void peers_foreach(const Peers *peers, bool (*callback)(const Peer *peer, void *userdata), void *userdata);

/* For the sandbox: the sockets of all peers; room for peers_count(). Returns how many. */
size_t peers_list_fds(const Peers *peers, int *ret);

uint32_t peers_count(const Peers *peers);
