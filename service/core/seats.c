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
        Seat *by_id;      /* n_known seats; each above was never touched: unopened */
        uint32_t *opened; /* VM IDs in the order in which they were opened; room for n_known */
        uint32_t
                n_known; /* grows with the IDs in use, so that 65,536 possible seats cost an idle domain nothing */
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

const Seat *seats_get(const Seats *seats, uint32_t vm_id) {
        static const Seat untouched = { .state = SEAT_UNOPENED };

        assert(vm_id < seats->max);
        return vm_id < seats->n_known ? &seats->by_id[vm_id] : &untouched;
}

/* Makes room for the seats up to this one. -ENOMEM leaves all as it was, but perhaps for the room. */
static int seats_grow(Seats *seats, uint32_t vm_id) {
        uint32_t n = seats->n_known ?: 16;
        uint32_t *opened;
        Seat *by_id;

        if (vm_id < seats->n_known) {
                return 0;
        }
        while (n <= vm_id) {
                n *= 2;
        }
        by_id = talloc_realloc(seats, seats->by_id, Seat, n);
        if (!by_id) {
                return -ENOMEM;
        }
        seats->by_id = by_id;
        opened = talloc_realloc(seats, seats->opened, uint32_t, n);
        if (!opened) {
                return -ENOMEM;
        }
        seats->opened = opened;
        memset(by_id + seats->n_known, 0, (n - seats->n_known) * sizeof(*by_id));
        seats->n_known = n;
        return 0;
}

/* A seat that is, or was, in use. */
static Seat *seat_known(Seats *seats, uint32_t vm_id) {
        assert(vm_id < seats->n_known);
        return &seats->by_id[vm_id];
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
                if (seat_is_choosable(seats_get(seats, id))) {
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
        /* The first seat above the known ones stands for all of them. */
        for (uint32_t id = 0; id < seats->max && id <= seats->n_known && best != PREFER_OWN; id++) {
                const Seat *seat = seats_get(seats, id);
                Preference preference = seat_preference(seat, identity);

                /* Of equals the lowest is taken, but of others' seats the one left longest ago. */
                if (preference < best || (preference == PREFER_VACANT && best == PREFER_VACANT &&
                                          seat->left < seats_get(seats, best_id)->left)) {
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
        switch (seats_get(seats, vm_id)->state) {
        case SEAT_TAKEN:
                return SEAT_IS_TAKEN;
        case SEAT_RETIRED:
                return SEAT_IS_RETIRED;
        default:
                return SEAT_OK;
        }
}

int seats_take(Seats *seats, uint32_t vm_id, const char *identity) {
        Seat *seat;
        int r;

        assert(seats_check(seats, vm_id) == SEAT_OK);
        r = seats_grow(seats, vm_id);
        if (r < 0) {
                return r;
        }
        seat = seat_known(seats, vm_id);
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

int seats_restore(Seats *seats, uint32_t vm_id, SeatState state, uint64_t left, const char *identity) {
        int r = seats_take(seats, vm_id, identity);
        Seat *seat;

        if (r < 0) {
                return r;
        }
        seat = seat_known(seats, vm_id);
        seat->left = left;
        seats->n_leaves = left > seats->n_leaves ? left : seats->n_leaves;
        if (state != SEAT_TAKEN) {
                seat->state = state;
                seats->n_taken--;
        }
        return 0;
}

void seats_leave(Seats *seats, uint32_t vm_id) {
        Seat *seat = seat_known(seats, vm_id);

        assert(seat->state == SEAT_TAKEN);
        seat->state = SEAT_VACANT;
        seat->left = ++seats->n_leaves;
        seats->n_taken--;
}

void seats_retire(Seats *seats, uint32_t vm_id) {
        Seat *seat = seat_known(seats, vm_id);

        assert(seat->state == SEAT_TAKEN || seat->state == SEAT_VACANT);
        if (seat->state == SEAT_TAKEN) {
                seats->n_taken--;
        }
        seat->state = SEAT_RETIRED;
}

int seats_reserve(Seats *seats, uint32_t vm_id, bool reserved) {
        int r;

        assert(vm_id < seats->max);
        r = seats_grow(seats, vm_id);
        if (r < 0) {
                return r;
        }
        seat_known(seats, vm_id)->reserved = reserved;
        return 0;
}

bool seats_sees(const Seats *seats, uint32_t vm_id, uint32_t other) {
        return seats->topology == TOPOLOGY_MESH || vm_id == other || vm_id == 0 || other == 0;
}
