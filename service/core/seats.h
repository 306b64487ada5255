/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seats of a domain. A seat is a VM ID with one doorbell per vector. It is opened when it is first taken and then
 * stays open as long as the domain lives; opened seats form an append-only list. A VM that comes back takes its
 * seat again, which nobody else is told of. An evicted seat is retired: its VM ID is never given again.
 *
 * Pure bookkeeping: descriptors, sockets and clocks are the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/definition.h"
#include "service/core/limits.h"

typedef struct Seat Seat;
typedef struct Seats Seats;

typedef enum SeatState {
        SEAT_UNOPENED,
        SEAT_TAKEN,
        SEAT_VACANT,
        SEAT_RETIRED,
        _SEAT_STATE_MAX,
        _SEAT_STATE_INVALID = -22,
} SeatState;

extern const char *const seat_state_names[_SEAT_STATE_MAX];

struct Seat {
        SeatState state;
        bool reserved;  /* given only to who asks for this VM ID */
        uint32_t index; /* position in the list of opened seats; of opened seats only */
        uint64_t left;  /* counts leaves of the domain: when this seat became vacant */
        char *identity; /* of the occupant, or of the last one; NULL before the first */
};

/* Outcomes of choosing and taking a seat. */
typedef enum SeatResult {
        SEAT_OK = 0,
        SEAT_NONE_FREE,
        SEAT_IS_TAKEN,
        SEAT_IS_RETIRED,
} SeatResult;

/* A domain with seats 0 .. max_peers-1 (at most VM_IDS_MAX) of `vectors` vectors (1 .. VECTORS_MAX). -EINVAL when out
 * of these bounds, -ENOMEM. */
int seats_new(void *ctx, uint32_t max_peers, uint32_t vectors, Topology topology, Seats **ret);

uint32_t seats_vectors(const Seats *seats);
uint32_t seats_max(const Seats *seats);
Topology seats_topology(const Seats *seats);
uint32_t seats_opened(const Seats *seats);
uint32_t seats_taken(const Seats *seats);

/* The seat of a VM ID (below seats_max()). */
const Seat *seats_get(const Seats *seats, uint32_t vm_id);

/* The VM ID of the index-th opened seat (index below seats_opened()). */
uint32_t seats_opened_id(const Seats *seats, uint32_t index);

/*
 * Picks a seat for a peer without a reservation: when nobody is connected, the lowest free one; else the lowest
 * vacant one whose last occupant had this identity; else the lowest never opened; else the vacant one left longest
 * ago. Reserved and retired seats are passed over. SEAT_OK or SEAT_NONE_FREE.
 */
SeatResult seats_choose(const Seats *seats, const char *identity, uint32_t *ret_vm_id);

/* Whether this very seat can be taken: SEAT_OK, SEAT_IS_TAKEN or SEAT_IS_RETIRED. */
SeatResult seats_check(const Seats *seats, uint32_t vm_id);

/* Takes a seat that seats_choose() or seats_check() found free, and opens it when nobody sat there before. -ENOMEM
 * leaves everything as it was. */
int seats_take(Seats *seats, uint32_t vm_id, const char *identity);

/* Opens the next seat of a list that is read back in its order, in the state it had then (not SEAT_UNOPENED). -ENOMEM. */
int seats_restore(Seats *seats, uint32_t vm_id, SeatState state, uint64_t left, const char *identity);

/* The occupant of a taken seat is gone; the seat is vacant. */
void seats_leave(Seats *seats, uint32_t vm_id);

/* Retires an opened seat, taken or vacant: its VM ID is not given again. */
void seats_retire(Seats *seats, uint32_t vm_id);

/* A reserved seat is not chosen for others; who sits there stays. -ENOMEM leaves everything as it was. */
int seats_reserve(Seats *seats, uint32_t vm_id, bool reserved);

/* Whether the peers at one seat are told of the doorbells of another: always in a mesh; in a star when either is
 * seat 0. A peer is always told of its own. */
bool seats_sees(const Seats *seats, uint32_t vm_id, uint32_t other);
