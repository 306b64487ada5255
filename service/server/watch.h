/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the running domain still has a definition, without ever asking in vain: the kernel tells when one comes or goes
 * in the directories where definitions are (inotify(7)). */
#pragma once

#include "service/base/event.h"
#include "service/server/load.h"

typedef struct Watch Watch;

/* Whether there is a definition by now. */
typedef void (*WatchHandler)(bool exists, void *userdata);

/*
 * Watches from here on; the handler is called when a file of the definition's name was made or removed. Where it cannot be
 * watched (a user can have so many watches only) nothing is told, and *ret has no descriptor. -ENOMEM, or another negative
 * errno of the event loop.
 */
int watch_new(void *ctx, Event *event, const Source *source, WatchHandler handler, void *userdata,
              Watch **ret);

/* For the sandbox: the descriptor, or -EBADF. */
int watch_fd(const Watch *watch);
