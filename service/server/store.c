/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd's fd store. Nothing is asked of it here: what it holds is what we put there and it handed to us. */

#include "service/server/store.h"

#include <errno.h>
#include <stdio.h>
#include <talloc.h>

#include "service/server/notify.h"

struct Store {
        Notify *notify;
        uint32_t capacity;
        uint32_t used;
};

int store_new(void *ctx, Notify *notify, uint32_t capacity, uint32_t used, Store **ret) {
        Store *store;

        if (!notify) {
                return -ENOTCONN;
        }
        store = talloc_zero(ctx, Store);
        if (!store) {
                return -ENOMEM;
        }
        *store = (Store){ .notify = notify, .capacity = capacity, .used = used };
        *ret = store;
        return 0;
}

int store_put(Store *store, const FdName *name, int fd) {
        char text[FDNAME_SIZE], message[sizeof("FDSTORE=1\nFDPOLL=0\nFDNAME=") + FDNAME_SIZE];
        int r;

        if (store->used >= store->capacity) {
                return -ENOSPC;
        }
        fdname_format(name, text);
        /* Without FDPOLL=0 it would drop a socket when its peer closes, and then our count were wrong. */
        snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", text);
        r = notify_send_fd(store->notify, message, fd);
        if (r < 0) {
                return r;
        }
        store->used++;
        return 0;
}

void store_remove_text(Store *store, const char *name) {
        char *message = talloc_asprintf(store, "FDSTOREREMOVE=1\nFDNAME=%s", name);

        /* Out of memory it stays in the store, and our successor finds it without a place in the ledger. */
        if (message) {
                notify_send(store->notify, message);
                store->used -= store->used > 0;
        }
        talloc_free(message);
}

void store_remove(Store *store, const FdName *name) {
        char text[FDNAME_SIZE];

        fdname_format(name, text);
        store_remove_text(store, text);
}
