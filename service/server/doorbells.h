/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The eventfds of the seats: one per vector, made when the seat is opened, living as long as the domain. QEMU keeps
 * pointers into its table of them, so they are never exchanged (ivshmem-protocol(7)).
 */
#pragma once

#include <stdint.h>

#include "service/server/domain.h"

/* For a domain whose seats have `vectors` vectors. -ENOMEM. */
int doorbells_new(void *ctx, uint32_t vectors, Doorbells **ret);

/* Makes a seat's eventfds, all or none. -EMFILE, -ENFILE, -ENOMEM. Nothing to do when they exist. */
int doorbells_open(Doorbells *doorbells, uint32_t vm_id);

/* Takes over the eventfds of a seat from a predecessor, one for each vector: they become the doorbells' own, also on
 * failure. -ENOMEM. */
int doorbells_restore(Doorbells *doorbells, uint32_t vm_id, const int *fds);

/* The eventfds of an opened seat, as many as there are vectors. */
const int *doorbells_fds(const Doorbells *doorbells, uint32_t vm_id);

/* For the sandbox: how many descriptors there are in all, and which. */
size_t doorbells_count(const Doorbells *doorbells);
size_t doorbells_list_fds(const Doorbells *doorbells, int *ret);

/* The eventfd of a vector of an opened seat; it stays the domain's. */
int doorbells_fd(const Doorbells *doorbells, uint32_t vm_id, uint32_t vector);

/* Rings a doorbell of an opened seat. Never waits: one that is full rings already. */
void doorbells_ring(const Doorbells *doorbells, uint32_t vm_id, uint32_t vector);

/* Forgets rings that nobody took, so that a new occupant does not get its predecessor's. Nothing to do for a seat
 * without eventfds. */
void doorbells_drain(const Doorbells *doorbells, uint32_t vm_id);
