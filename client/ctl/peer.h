/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer of a domain in this process, as QEMU's ivshmem-client is one: it has the memory, its own doorbells, and those of
 * the others (ivshmem-protocol(7)). What a server sends is looked at as if the server were hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/wire.h"

typedef struct Peer Peer;
typedef struct PeerOps PeerOps;

/* What the owner hears of; called from peer_process(). */
struct PeerOps {
        /* `count` rings of one of our own doorbells since the last time. */
        void (*rung)(uint32_t vector, uint64_t count, void *userdata);
        void *userdata;
};

/* Takes over the connection, also when this fails. Waits until memory and VM ID have come. Negative errno; -EREMOTEIO:
 * *ret_error, a chunk of `ctx`, has why it was refused, or what is wrong with what the server said. */
int peer_new(void *ctx, int socket, const PeerOps *ops, Peer **ret, char **ret_error);

uint32_t peer_vm_id(const Peer *peer);
uint64_t peer_size(const Peer *peer);

/* `peer_size()` bytes, readable and writable by all peers at any time. */
uint8_t *peer_memory(const Peer *peer);

/* How many vectors of a VM ID are known; 0: it was never announced. */
uint32_t peer_vectors(const Peer *peer, uint32_t vm_id);

/* The next VM ID that is known, from `vm_id` on; false: there is none. */
bool peer_next(const Peer *peer, uint32_t vm_id, uint32_t *ret);

/* -ENOENT: this doorbell is not known. */
int peer_ring(const Peer *peer, uint32_t vm_id, uint32_t vector);

/*
 * Waits for something to happen, at most `timeout` milliseconds (-1: for ever), and takes it. `other` (-EBADF: none) is one
 * more descriptor that is waited for; *ret_other says whether it has input. -ECONNRESET: the server is gone, which is
 * said once; doorbells go on. -EREMOTEIO as above.
 */
int peer_process(Peer *peer, int timeout, int other, bool *ret_other, char **ret_error);
