/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peers of a domain by VM ID, as a sorted array. */

#include "service/manager/peerlist.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

/* Where the VM ID stands, or where it would. */
static size_t position(const PeerList *list, uint32_t vm_id) {
        size_t low = 0, high = list->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (list->peers[middle]->vm_id < vm_id) {
                        low = middle + 1;
                } else {
                        high = middle;
                }
        }
        return low;
}

static bool stands_at(const PeerList *list, size_t i, uint32_t vm_id) {
        return i < list->n && list->peers[i]->vm_id == vm_id;
}

ControlPeer *peerlist_find(const PeerList *list, uint32_t vm_id) {
        size_t i = position(list, vm_id);

        return stands_at(list, i, vm_id) ? list->peers[i] : NULL;
}

int peerlist_add(void *ctx, PeerList *list, const ControlPeer *peer) {
        size_t i = position(list, peer->vm_id), room = talloc_array_length(list->peers);
        ControlPeer *copy;

        if (stands_at(list, i, peer->vm_id)) {
                return -EEXIST;
        }
        if (list->n == room) {
                ControlPeer **peers = talloc_realloc(ctx, list->peers, ControlPeer *, room ? room * 2 : 8);

                if (!peers) {
                        return -ENOMEM;
                }
                list->peers = peers;
        }
        copy = talloc_memdup(list->peers, peer, sizeof(*peer));
        if (!copy) {
                return -ENOMEM;
        }
        memmove(list->peers + i + 1, list->peers + i, (list->n - i) * sizeof(*list->peers));
        list->peers[i] = copy;
        list->n++;
        return 0;
}

void peerlist_remove(PeerList *list, uint32_t vm_id) {
        size_t i = position(list, vm_id);

        if (stands_at(list, i, vm_id)) {
                talloc_free(list->peers[i]);
                list->n--;
                memmove(list->peers + i, list->peers + i + 1, (list->n - i) * sizeof(*list->peers));
        }
}

void peerlist_clear(PeerList *list) {
        TALLOC_FREE(list->peers);
        list->n = 0;
}
