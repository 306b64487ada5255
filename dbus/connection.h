/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection on which our objects are: the system bus, where many clients are told apart by their unique names, or one
 * of the private socket's, with one client. Objects look the same on each; which domains exist there depends on who
 * asks (client.h).
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "dbus/bus.h"
#include "dbus/client.h"
#include "service/base/list.h"

typedef struct Connection Connection;

struct Connection {
        List link; /* in the bus's list */
        Bus *bus;
        sd_bus *sd;
        bool is_private;
        bool gone; /* it ended, and will be freed when nothing stands on it any more */
        List clients;
        EventSource *early; /* of a private one: takes messages that came with the handshake */
        unsigned n_early;   /* turns of it that are left */
};

/* Takes over an sd_bus that is attached to no event loop yet, also when this fails, puts our objects on it, and begins: a
 * private one is not started yet. Negative errno. */
int connection_new(Bus *bus, sd_bus *sd, bool is_private, Connection **ret);

/* Who sent the message that sd-bus handles just now. NULL when that cannot be told (any more). */
Client *connection_client(Connection *connection, sd_bus_message *message);

/* Within a handler of sd-bus: on which connection. */
Connection *connection_current(sd_bus *sd);

/* Too much that the other side has not read: signals are not worth more of our memory. */
bool connection_is_congested(const Connection *connection);
