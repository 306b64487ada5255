/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The seats of a domain: which VM ID a peer gets, and in which order seats were opened. Who is told of it follows from
 * the list in feed.c. */

#include "service/core/seats.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>

struct Seats {
        uint32_t max;
        uint32_t vectors;
        Topology topology;
        Seat *by_id;      /* max seats */
        uint32_t *opened; /* VM IDs in the order in which they were opened; room for max */
        uint32_t n_opened;
        uint32_t n_taken;
        uint64_t n_leaves;
};

const char *const seat_state_names[_SEAT_STATE_MAX] = {
        [SEAT_UNOPENED] = "unopened",
        [SEAT_TAKEN] = "taken",
        [SEAT_VACANT] = "vacant",
        [SEAT_RETIRED] = "retired",
};

int seats_new(void *ctx, uint32_t max_peers, uint32_t vectors, Topology topology, Seats **ret) {
        Seats *seats;

        if (max_peers < 1 || max_peers > VM_IDS_MAX || vectors < 1 || vectors > VECTORS_MAX) {
                return -EINVAL;
        }
        seats = talloc_zero(ctx, Seats);
        if (!seats) {
                return -ENOMEM;
        }
        seats->max = max_peers;
        seats->vectors = vectors;
        seats->topology = topology;
        seats->by_id = talloc_zero_array(seats, Seat, max_peers);
        seats->opened = talloc_zero_array(seats, uint32_t, max_peers);
        if (!seats->by_id || !seats->opened) {
                talloc_free(seats);
                return -ENOMEM;
        }
        *ret = seats;
        return 0;
}

uint32_t seats_vectors(const Seats *seats) {
        return seats->vectors;
}

uint32_t seats_max(const Seats *seats) {
        return seats->max;
}

Topology seats_topology(const Seats *seats) {
        return seats->topology;
}

uint32_t seats_opened(const Seats *seats) {
        return seats->n_opened;
}

uint32_t seats_taken(const Seats *seats) {
        return seats->n_taken;
}

static Seat *seat_at(const Seats *seats, uint32_t vm_id) {
        assert(vm_id < seats->max);
        return &seats->by_id[vm_id];
}

const Seat *seats_get(const Seats *seats, uint32_t vm_id) {
        return seat_at(seats, vm_id);
}

uint32_t seats_opened_id(const Seats *seats, uint32_t index) {
        assert(index < seats->n_opened);
        return seats->opened[index];
}

static bool seat_is_choosable(const Seat *seat) {
        return !seat->reserved && (seat->state == SEAT_UNOPENED || seat->state == SEAT_VACANT);
}

/* How much a seat is wanted by an identity: the kinds of rule 5 in their order ("VM IDs are seats"). */
typedef enum Preference {
        PREFER_OWN,      /* vacant, and this identity was the last to sit there */
        PREFER_UNOPENED, /* nobody ever sat there */
        PREFER_VACANT,   /* somebody else's */
        PREFER_NOT,
} Preference;

static Preference seat_preference(const Seat *seat, const char *identity) {
        if (!seat_is_choosable(seat)) {
                return PREFER_NOT;
        }
        if (seat->state == SEAT_UNOPENED) {
                return PREFER_UNOPENED;
        }
        return strcmp(seat->identity, identity) == 0 ? PREFER_OWN : PREFER_VACANT;
}

static SeatResult seats_choose_lowest(const Seats *seats, uint32_t *ret_vm_id) {
        for (uint32_t id = 0; id < seats->max; id++) {
                if (seat_is_choosable(&seats->by_id[id])) {
                        *ret_vm_id = id;
                        return SEAT_OK;
                }
        }
        return SEAT_NONE_FREE;
}

SeatResult seats_choose(const Seats *seats, const char *identity, uint32_t *ret_vm_id) {
        Preference best = PREFER_NOT;
        uint32_t best_id = 0;

        if (seats->n_taken == 0) {
                return seats_choose_lowest(seats, ret_vm_id);
        }
        for (uint32_t id = 0; id < seats->max && best != PREFER_OWN; id++) {
                Preference preference = seat_preference(&seats->by_id[id], identity);

                /* Of equals the lowest is taken, but of others' seats the one left longest ago. */
                if (preference < best || (preference == PREFER_VACANT && best == PREFER_VACANT &&
                                          seats->by_id[id].left < seats->by_id[best_id].left)) {
                        best = preference;
                        best_id = id;
                }
        }
        if (best == PREFER_NOT) {
                return SEAT_NONE_FREE;
        }
        *ret_vm_id = best_id;
        return SEAT_OK;
}

SeatResult seats_check(const Seats *seats, uint32_t vm_id) {
        switch (seat_at(seats, vm_id)->state) {
        case SEAT_TAKEN:
                return SEAT_IS_TAKEN;
        case SEAT_RETIRED:
                return SEAT_IS_RETIRED;
        default:
                return SEAT_OK;
        }
}

int seats_take(Seats *seats, uint32_t vm_id, const char *identity) {
        Seat *seat = seat_at(seats, vm_id);

        assert(seats_check(seats, vm_id) == SEAT_OK);
        if (!seat->identity || strcmp(seat->identity, identity) != 0) {
                char *copy = talloc_strdup(seats, identity);

                if (!copy) {
                        return -ENOMEM;
                }
                talloc_free(seat->identity);
                seat->identity = copy;
        }
        if (seat->state == SEAT_UNOPENED) {
                seat->index = seats->n_opened;
                seats->opened[seats->n_opened++] = vm_id;
        }
        seat->state = SEAT_TAKEN;
        seats->n_taken++;
        return 0;
}

void seats_leave(Seats *seats, uint32_t vm_id) {
        Seat *seat = seat_at(seats, vm_id);

        assert(seat->state == SEAT_TAKEN);
        seat->state = SEAT_VACANT;
        seat->left = ++seats->n_leaves;
        seats->n_taken--;
}

void seats_retire(Seats *seats, uint32_t vm_id) {
        Seat *seat = seat_at(seats, vm_id);

        assert(seat->state == SEAT_TAKEN || seat->state == SEAT_VACANT);
        if (seat->state == SEAT_TAKEN) {
                seats->n_taken--;
        }
        seat->state = SEAT_RETIRED;
}

void seats_reserve(Seats *seats, uint32_t vm_id, bool reserved) {
        seat_at(seats, vm_id)->reserved = reserved;
}

bool seats_sees(const Seats *seats, uint32_t vm_id, uint32_t other) {
        return seats->topology == TOPOLOGY_MESH || vm_id == other || vm_id == 0 || other == 0;
}
