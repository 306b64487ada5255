/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way to the manager: the system bus, also of another machine or a container; or a manager's private socket, that of
 * an embedded one or, for root where no bus runs, of the system's.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "client/ctl/ctl.h"

struct Connection {
        sd_bus *bus;
        const char *destination; /* of method calls; NULL: the other end is the manager itself */
        char *manager;           /* its unique name on the bus; NULL: not known yet, or there is no bus */
        bool local;              /* this machine's */
        char *where;             /* in words, for errors */
};

/* Connects if that was not done yet. What goes wrong is said. */
ExitStatus connection_get(Ctl *ctl, Connection **ret);

/* Whether polkit may be asked over it, and ask somebody here. */
bool connection_is_local_bus(const Connection *connection);
