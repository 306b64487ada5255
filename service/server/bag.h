/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many descriptors behind one: they are queued in a socket pair, and the reading end is the bag. So a seat costs
 * systemd's fd store, which compares each descriptor with all others, one descriptor whatever the number of vectors.
 * Looking takes copies and leaves the bag full.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* How many descriptors a bag can hold (SCM_MAX_FD, unix(7)). */
#define BAG_MAX 253U

/* How long a note can be, with its NUL. */
#define BAG_NOTE_SIZE 256U

/* Puts n descriptors, which stay the caller's, into a new bag, and a note if there is one (NULL: none; longer ones are
 * cut). Returns the bag, or a negative errno (-ETOOMANYREFS when too many are in flight: they count, as long as the bag
 * lives). */
int bag_new(const int *fds, size_t n, const char *note);

/* Takes copies of what is in the bag: exactly n descriptors, or -EBADMSG and none. The note is empty when there is
 * none. */
int bag_look(int bag, int *ret_fds, size_t n, char ret_note[static BAG_NOTE_SIZE]);
