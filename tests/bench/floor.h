/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The least that it can cost: as many messages with a descriptor each, from one process through bare socketpairs to
 * another one, by sendmmsg in batches of 64, with nothing decided, admitted or remembered.
 */
#pragma once

#include <stdint.h>

#include "tests/lib/process.h"

/* Sends `messages` through each of `sockets`, in turns of at most `batch` a socket. *ret is what it cost the sender,
 * *ret_receiver_nsec what it cost the receiver. */
int floor_measure(uint32_t sockets, uint32_t messages, uint32_t batch, ProcessCpu *ret,
                  uint64_t *ret_receiver_nsec);
