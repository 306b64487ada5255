/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is told what. A connection's whole outgoing state is one cursor into the list of opened seats:
 *
 *   version, own VM ID, memory,
 *   the doorbells of each seat that was open when it joined, but its own,
 *   its own doorbells,
 *   the doorbells of each seat opened later.
 *
 * Nothing is queued: what comes next is computed from cursor and list, so a peer that does not read costs nothing. A
 * retired seat is left out unless its first doorbell was sent already, for the N-th message with a VM ID means
 * vector N-1, and a peer must never be left in the middle. There are no disconnect messages (ivshmem-protocol(7)).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/seats.h"

typedef enum FeedMessageKind FeedMessageKind;
typedef struct Feed Feed;
typedef struct FeedMessage FeedMessage;

enum FeedMessageKind {
        FEED_VERSION,
        FEED_VM_ID,
        FEED_MEMORY,
        FEED_DOORBELL,
};

struct Feed {
        uint32_t vm_id;
        uint32_t joined; /* seats that were open when the peer joined, its own included */
        uint64_t cursor; /* messages passed so far, sent or left out */
};

struct FeedMessage {
        FeedMessageKind kind;
        int64_t value;   /* what goes on the wire */
        uint32_t vm_id;  /* FEED_DOORBELL: whose */
        uint32_t vector; /* FEED_DOORBELL: which; the first is 0 */
        uint64_t next;   /* the cursor once this message is sent */
};

/* The feed of a peer that has just taken its seat. */
Feed feed_begin(const Seats *seats, uint32_t vm_id);

/* Computes the next messages, at most `max`; returns how many. Sending the first n of them is recorded by setting
 * the cursor to messages[n - 1].next. */
size_t feed_peek(const Seats *seats, const Feed *feed, FeedMessage *ret_messages, size_t max);

/* Whether there is anything to send. */
bool feed_is_behind(const Seats *seats, const Feed *feed);

/* Whether the peer was told all it needs to ring and be rung: everything up to its own doorbells. */
bool feed_is_set_up(const Seats *seats, const Feed *feed);

/* Whether cursor and join point could have been reached with these seats; of a feed that was read from outside. */
bool feed_is_valid(const Seats *seats, const Feed *feed);
