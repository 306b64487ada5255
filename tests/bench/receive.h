/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receiving as fast as it goes: many messages a call, and no room for descriptors, so that the kernel discards them and
 * the receiver does not run out of them. Whether one came is still told.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RECEIVE_MAX 64U

typedef struct Received Received;

struct Received {
        int64_t value;
        bool has_descriptor;
};

/* Receives what is there, at most RECEIVE_MAX messages. Returns how many; 0 at the end; -EAGAIN when there is nothing. */
int receive_messages(int socket, Received ret[static RECEIVE_MAX]);

uint64_t now_nsec(void);
