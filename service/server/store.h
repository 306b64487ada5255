/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * systemd's fd store: descriptors that it keeps over our death and hands to our successor (sd_pid_notify_with_fds(3)).
 * It drops what does not fit without a word, so that we count. What it holds stays open: a connection in the store is
 * ended by shutdown(2), not by close(2).
 */
#pragma once

#include <stdint.h>

#include "service/core/fdname.h"

typedef struct Notify Notify;
typedef struct Store Store;

/* A store that holds `capacity` descriptors (FileDescriptorStoreMax=) and has `used` of them in it. -ENOMEM;
 * -ENOTCONN when there is no service manager (`notify` is NULL) to keep anything. */
int store_new(void *ctx, Notify *notify, uint32_t capacity, uint32_t used, Store **ret);

/* Keeps a copy of the descriptor under this name. -ENOSPC when the store is full, -EAGAIN when the manager is busy, or
 * another negative errno. */
int store_put(Store *store, const FdName *name, int fd);

/* Forgets what has this name. */
void store_remove(Store *store, const FdName *name);

/* The same for a name that is not of our grammar. */
void store_remove_text(Store *store, const char *name);
