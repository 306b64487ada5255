/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus as a whole: its connections, and whether anybody needs us. */

#include "dbus/bus.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "dbus/bus-parts.h"
#include "dbus/names.h"
#include "dbus/renewal.h"

#define REAP_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 10)

static int on_reap(sd_event_source *source, void *userdata) {
        Bus *bus = talloc_get_type_abort(userdata, Bus);

        LIST_FOREACH(i, &bus->connections) {
                Connection *connection = list_entry(i, Connection, link);

                if (connection->gone) {
                        talloc_free(connection);
                }
        }
        private_resume(bus);
        bus_check_idle(bus);
        return 0;
}

void bus_reap(Bus *bus, Connection *connection) {
        connection->gone = true;
        (void) event_source_arm_once(bus->reaper);
}

void bus_lost(Bus *bus, const char *what) {
        bus->ops.lost(what, bus->ops.userdata);
}

/* ---- Idle ---- */

static bool is_remembered(const Connection *connection) {
        LIST_FOREACH(i, &connection->clients) {
                if (client_is_remembered(list_entry(i, Client, link))) {
                        return true;
                }
        }
        return false;
}

bool bus_is_idle(const Bus *bus) {
        return !manager_is_busy(bus->manager) && bus->n_private == 0 && bus->n_calls == 0 &&
               !(bus->system && is_remembered(bus->system));
}

/* A successor cannot answer what was asked of us. */
static void check_released(Bus *bus) {
        if (bus->name_lost && bus->n_calls == 0) {
                bus->ops.released(bus->ops.userdata);
        }
}

void bus_check_idle(Bus *bus) {
        bool idle = bus_is_idle(bus);

        check_released(bus);
        if (idle != bus->idle) {
                bus->idle = idle;
                bus->ops.idle_changed(idle, bus->ops.userdata);
        }
}

/* ---- The system bus ---- */

/* Rules have changed, or somebody has logged in. */
static void on_polkit_changed(void *userdata) {
        Bus *bus = talloc_get_type_abort(userdata, Bus);

        LIST_FOREACH(i, &bus->connections) {
                LIST_FOREACH(j, &list_entry(i, Connection, link)->clients) {
                        renewal_begin(bus->polkit, list_entry(j, Client, link));
                }
        }
        bus_check_idle(bus);
}

bool bus_is_from_daemon(sd_bus_message *message) {
        const char *sender = sd_bus_message_get_sender(message);

        return sender && strcmp(sender, "org.freedesktop.DBus") == 0;
}

static int on_own_name_lost(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Bus *bus = talloc_get_type_abort(userdata, Bus);
        const char *name;

        if (!bus_is_from_daemon(message) || sd_bus_message_read_basic(message, 's', &name) <= 0 ||
            strcmp(name, BUS_NAME) != 0) {
                return 0;
        }
        if (bus->releasing) {
                bus->name_lost = true;
                check_released(bus);
        } else {
                bus_lost(bus, "The name " BUS_NAME " was taken over on the system bus");
        }
        return 0;
}

static int take_name(Bus *bus) {
        sd_bus *sd = bus->system->sd;
        int r = sd_bus_match_signal(sd, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                    "org.freedesktop.DBus", "NameLost", on_own_name_lost, bus);

        if (r >= 0) {
                r = polkit_new(bus, bus->event, sd, on_polkit_changed, bus, &bus->polkit);
        }
        if (r >= 0) {
                r = sd_bus_request_name(sd, BUS_NAME, /* flags= */ 0);
        }
        return r < 0 ? r : 0;
}

int bus_open_system(Bus *bus) {
        sd_bus *sd = NULL;
        int r = sd_bus_open_system_with_description(&sd, "ivshmemd");

        if (r >= 0) {
                r = connection_new(bus, sd, /* is_private= */ false, &bus->system);
        }
        if (r >= 0) {
                r = take_name(bus);
        }
        if (r < 0) {
                TALLOC_FREE(bus->polkit);
                TALLOC_FREE(bus->system);
        }
        return r;
}

int bus_release(Bus *bus) {
        int r;

        bus->releasing = true;
        private_stop(bus);
        if (!bus->system) {
                bus->name_lost = true;
                check_released(bus);
                return 0;
        }
        r = sd_bus_release_name_async(bus->system->sd, NULL, BUS_NAME, /* callback= */ NULL, NULL);
        return r < 0 ? r : 0;
}

/* ---- Beginning and end ---- */

static const ManagerOps no_ops;

/* Connections first, with all their calls: nobody hears any more of what the manager does. */
static int bus_destructor(Bus *bus) {
        manager_observe(bus->manager, &no_ops);
        while (!list_is_empty(&bus->connections)) {
                talloc_free(list_entry(bus->connections.next, Connection, link));
        }
        TALLOC_FREE(bus->polkit);
        TALLOC_FREE(bus->listener);
        return 0;
}

int bus_new(void *ctx, Event *event, Manager *manager, const BusOps *ops, Bus **ret) {
        Bus *bus = talloc_zero(ctx, Bus);
        int r;

        if (!bus) {
                return -ENOMEM;
        }
        bus->event = event;
        bus->manager = manager;
        bus->ops = *ops;
        list_init(&bus->connections);
        r = vtable_new(bus, &manager_interface, &bus->manager_vtable);
        if (r >= 0) {
                r = vtable_new(bus, &domain_interface, &bus->domain_vtable);
        }
        if (r >= 0) {
                r = event_add_deferred(bus, event, REAP_PRIORITY, on_reap, bus, &bus->reaper);
        }
        if (r >= 0) {
                r = audit_new(bus, &bus->audit);
        }
        if (r >= 0) {
                r = signals_new(bus, &bus->signals);
        }
        if (r < 0) {
                talloc_free(bus);
                return r;
        }
        talloc_set_destructor(bus, bus_destructor);
        bus->idle = bus_is_idle(bus);
        *ret = bus;
        return 0;
}
