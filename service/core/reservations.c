/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reservations of a definition, made in the seats. */

#include "service/core/reservations.h"

static bool is_reserved_by(const Definition *definition, uint32_t vm_id) {
        for (size_t i = 0; definition && i < definition->n_reservations; i++) {
                if (definition->reservations[i].vm_id == vm_id) {
                        return true;
                }
        }
        return false;
}

/* Lets go of what the definition reserves, and `other` does not. Takes no memory: the seats are known. */
static void release(Seats *seats, const Definition *definition, const Definition *other) {
        for (size_t i = 0; definition && i < definition->n_reservations; i++) {
                uint32_t vm_id = definition->reservations[i].vm_id;

                if (vm_id < seats_max(seats) && !is_reserved_by(other, vm_id)) {
                        (void) seats_reserve(seats, vm_id, /* reserved= */ false);
                }
        }
}

int reservations_change(Seats *seats, const Definition *old, const Definition *new) {
        int r = 0;

        for (size_t i = 0; i < new->n_reservations &&r >= 0; i++) {
                uint32_t vm_id = new->reservations[i].vm_id;

                if (vm_id < seats_max(seats)) {
                        r = seats_reserve(seats, vm_id, /* reserved= */ true);
                }
        }
        if (r < 0) {
                release(seats, new, old);
                return r;
        }
        release(seats, old, new);
        return 0;
}
