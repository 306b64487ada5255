/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections that were refused and are not closed yet. A QEMU that hot-plugs connects with chardev-add and reads
 * with device_add, which comes later: if it had found the connection closed by then, it would spin for ever. So the
 * client closes first; we do after some minutes, or when its user holds too many.
 */
#pragma once

#include <stdint.h>

#include "service/base/event.h"
#include "service/base/fd.h"
#include "service/core/wire.h"

typedef struct RefusedPeers RefusedPeers;

/* How long a client may take to read its refusal, and how many connections are kept for that. */
#define REFUSED_KEEP_USEC (UINT64_C(300) * 1000000)
#define REFUSED_MAX 128U
#define REFUSED_OF_A_USER_MAX 16U

/* Negative errno. */
int refused_new(void *ctx, Event *event, uint64_t keep_usec, RefusedPeers **ret);

/* Tells a client the reason, as a version. Its buffer is empty, so that eight bytes always fit. */
void refusal_send(int socket, Refusal refusal);

/* Keeps the connection of a refused client of this user. Takes the socket over; for want of anything it is closed. */
void refused_keep(RefusedPeers *refused, uint32_t uid, Fd *socket);
