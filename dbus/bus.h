/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager on D-Bus: the system bus, a private socket, or both. What is in here decides nothing but who may ask; what
 * is asked the manager does.
 */
#pragma once

#include <stdbool.h>

#include "service/base/event.h"
#include "service/manager/manager.h"

typedef struct Bus Bus;

/* What whoever runs the bus wants to know. */
typedef struct BusOps {
        /* Nothing runs, is being done, or remembered for anybody - or no more so. */
        void (*idle_changed)(bool idle, void *userdata);
        /* The system bus went away, or took our name from us: *what* in words. */
        void (*lost)(const char *what, void *userdata);
        /* bus_release() is done: what came before is answered, and whatever is sent from now on goes to a successor. */
        void (*released)(void *userdata);
        void *userdata;
} BusOps;

/* Observes the manager, which must outlive it. -ENOMEM. */
int bus_new(void *ctx, Event *event, Manager *manager, const BusOps *ops, Bus **ret);

/* Connects to the system bus and takes our name there. -EEXIST: somebody else has it. Negative errno. */
int bus_open_system(Bus *bus);

/* Serves connections of a listening socket, which becomes the bus's, also when this fails. Negative errno. */
int bus_listen(Bus *bus, int fd);

/* Makes a socket that only its owner can connect to, and listens there. It is removed with the bus. -EADDRINUSE: somebody
 * listens there. Negative errno. */
int bus_listen_at(Bus *bus, const char *path);

bool bus_is_idle(const Bus *bus);

/* Gives our name up, and takes no private connections any more. Calls that came before are answered still. What clients are
 * remembered for is not waited for: they see that the name changes hands, and ask the successor. Negative errno. */
int bus_release(Bus *bus);
