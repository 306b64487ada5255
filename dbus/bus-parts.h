/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the bus share: for dbus/ only. */
#pragma once

#include "dbus/audit.h"
#include "dbus/bus.h"
#include "dbus/connection.h"
#include "dbus/polkit.h"
#include "dbus/signals.h"
#include "dbus/vtable.h"
#include "service/base/list.h"

struct Bus {
        Event *event;
        Manager *manager;
        BusOps ops;
        List connections;
        size_t n_private;
        struct Listener *listener; /* of the private socket; NULL: there is none */
        Connection *system;        /* NULL: there is none */
        Polkit *polkit;            /* NULL: there is no system bus to ask it over */
        Signals *signals;
        Audit *audit;
        EventSource *reaper; /* frees connections that ended */
        sd_bus_vtable *manager_vtable;
        sd_bus_vtable *domain_vtable;
        size_t n_calls; /* that wait for something */
        bool idle;      /* as was told last */
        bool releasing;
        bool name_lost; /* after that: nobody calls us any more */
};

extern const Interface manager_interface; /* objects: Bus */
extern const Interface domain_interface;  /* objects: Domain */

/* Something that may make us idle or not has changed. */
void bus_check_idle(Bus *bus);

/* A connection ended: it is freed soon. */
void bus_reap(Bus *bus, Connection *connection);

/* A private connection ended: who waits may come, unless we are about to end. */
void private_resume(Bus *bus);

/* Who comes from now on waits for a successor. */
void private_stop(Bus *bus);

/* Whether a signal is the bus daemon's own: anybody can send one of the same name to us alone, and sd-bus takes it for what a
 * match is about. The sender is what nobody can forge. */
bool bus_is_from_daemon(sd_bus_message *message);

/* Our system bus connection is of no use any more. */
void bus_lost(Bus *bus, const char *what);
