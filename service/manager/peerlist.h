/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peers of a domain by VM ID. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "service/core/control.h"

typedef struct PeerList PeerList;

struct PeerList {
        ControlPeer **peers; /* ascending; chunks of the array */
        size_t n;
};

ControlPeer *peerlist_find(const PeerList *list, uint32_t vm_id);

/* Adds a copy; the array is a chunk of `ctx`. -EEXIST when the VM ID is taken; -ENOMEM. */
int peerlist_add(void *ctx, PeerList *list, const ControlPeer *peer);
void peerlist_remove(PeerList *list, uint32_t vm_id);
void peerlist_clear(PeerList *list);
