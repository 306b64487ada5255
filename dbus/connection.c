/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections: our objects on them, and who is behind what comes over them. */

#include "dbus/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "dbus/bus-parts.h"
#include "dbus/names.h"

/* Messages that the other side has not read yet: beyond the first number a client of a private connection gets errors
 * for answers, beyond the second it is disconnected, and signals are not sent. What waits for the bus daemon is of all
 * clients, and the daemon limits each of them itself. */
#define UNREAD_CALLS_MAX 256U
#define UNREAD_MAX 8192U

#define DAEMON_NAME "org.freedesktop.DBus"
#define LOCAL_NAME "org.freedesktop.DBus.Local"
#define LOCAL_PATH "/org/freedesktop/DBus/Local"

/* ---- Who ---- */

static Client *find_client(Connection *connection, const char *name) {
        LIST_FOREACH(i, &connection->clients) {
                Client *client = list_entry(i, Client, link);

                if (!client->name || (name && strcmp(client->name, name) == 0)) {
                        return client;
                }
        }
        return NULL;
}

Client *connection_client(Connection *connection, sd_bus_message *message) {
        const char *name = message ? sd_bus_message_get_sender(message) : NULL;
        Client *client = find_client(connection, name);
        int r;

        if (client) {
                /* The next call is likely to be of the same one. */
                list_remove(&client->link);
                list_prepend(&connection->clients, &client->link);
                return client;
        }
        r = !name || connection->is_private ? -ENXIO : client_new_from_bus(connection, name, &client);
        return r < 0 ? NULL : client;
}

Connection *connection_current(sd_bus *sd) {
        return talloc_get_type_abort(sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd)), Connection);
}

static int on_name_lost(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Connection *connection = talloc_get_type_abort(userdata, Connection);
        const char *name;

        if (bus_is_from_daemon(message) && sd_bus_message_read_basic(message, 's', &name) > 0 &&
            name[0] == ':') {
                Client *client = find_client(connection, name);

                if (client) {
                        talloc_free(client);
                        bus_check_idle(connection->bus);
                }
        }
        return 0;
}

/* ---- Which objects ---- */

/* "/org/ivshmem1/domain/NAME" -> the domain, if there is one for whoever asks. */
static int on_find(sd_bus *sd, const char *path, const char *interface, void *userdata, void **ret_found,
                   sd_bus_error *error) {
        Connection *connection = talloc_get_type_abort(userdata, Connection);
        Client *client = connection_client(connection, sd_bus_get_current_message(sd));
        char *name = NULL;
        Domain *domain;

        if (!client || sd_bus_path_decode(path, BUS_DOMAIN_PATH, &name) <= 0) {
                return 0;
        }
        domain = manager_find(connection->bus->manager, name);
        free(name);
        if (!domain || !client_sees(client, domain)) {
                return 0;
        }
        *ret_found = domain;
        return 1;
}

typedef struct Enumeration {
        const Client *client;
        char **paths;
        size_t n;
        int error;
} Enumeration;

static void enumerate_one(Domain *domain, void *userdata) {
        Enumeration *enumeration = userdata;

        if (enumeration->error < 0 || !client_sees(enumeration->client, domain)) {
                return;
        }
        enumeration->error = sd_bus_path_encode(BUS_DOMAIN_PATH, domain_name(domain),
                                                &enumeration->paths[enumeration->n]);
        enumeration->n += enumeration->error >= 0;
}

/* sd-bus frees what it gets, with free(3). */
static int on_enumerate(sd_bus *sd, const char *prefix, void *userdata, char ***ret_nodes,
                        sd_bus_error *error) {
        Connection *connection = talloc_get_type_abort(userdata, Connection);
        Manager *manager = connection->bus->manager;
        Enumeration enumeration = {
                .client = connection_client(connection, sd_bus_get_current_message(sd)),
                .paths = calloc(manager_count(manager) + 1, sizeof(char *)),
        };

        if (!enumeration.paths) {
                return -ENOMEM;
        }
        if (enumeration.client) {
                manager_foreach(manager, enumerate_one, &enumeration);
        }
        if (enumeration.error < 0) {
                while (enumeration.n > 0) {
                        free(enumeration.paths[--enumeration.n]);
                }
                free(enumeration.paths);
                return enumeration.error;
        }
        *ret_nodes = enumeration.paths;
        return 0;
}

static int add_objects(Connection *connection) {
        sd_bus *sd = connection->sd;
        Bus *bus = connection->bus;
        int r = sd_bus_add_object_manager(sd, NULL, BUS_PATH);

        if (r >= 0) {
                r = sd_bus_add_object_vtable(sd, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, bus->manager_vtable,
                                             connection);
        }
        if (r >= 0) {
                r = sd_bus_add_fallback_vtable(sd, NULL, BUS_DOMAIN_PATH, BUS_DOMAIN_INTERFACE,
                                               bus->domain_vtable, on_find, connection);
        }
        return r < 0 ? r : sd_bus_add_node_enumerator(sd, NULL, BUS_DOMAIN_PATH, on_enumerate, connection);
}

/* ---- What it takes ---- */

static uint64_t unread(const Connection *connection) {
        uint64_t n = 0;

        (void) sd_bus_get_n_queued_write(connection->sd, &n);
        return n;
}

bool connection_is_congested(const Connection *connection) {
        return connection->gone || unread(connection) >= UNREAD_MAX;
}

/* busctl --address= and others say to any socket what one says to a bus daemon first. */
static int answer_hello(sd_bus_message *message) {
        int r = sd_bus_reply_method_return(message, "s", ":1.1");

        return r < 0 ? r : 1;
}

/* Before anything is done for a message: one that sends and does not read costs no more than this. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Connection *connection = talloc_get_type_abort(userdata, Connection);

        uint64_t n = unread(connection);

        if (connection->gone) {
                return 1;
        }
        if (connection->is_private && sd_bus_message_is_method_call(message, DAEMON_NAME, "Hello") > 0) {
                return answer_hello(message);
        }
        if (!sd_bus_message_is_method_call(message, NULL, NULL) || n < UNREAD_CALLS_MAX) {
                return 0;
        }
        if (n >= UNREAD_MAX && connection->is_private) {
                bus_reap(connection->bus, connection);
                return 1;
        }
        if (n >= UNREAD_MAX || connection->is_private) {
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "Too many answers are not read yet");
        }
        return 0;
}

/*
 * A client need not wait for the end of the handshake. What it sent by then sd-bus has read already, and looks at no
 * sooner than something more comes; so it is asked to, as often as there can be messages in what it has read.
 */
#define EARLY_MAX 256U

static int on_early(sd_event_source *source, void *userdata) {
        Connection *connection = talloc_get_type_abort(userdata, Connection);

        if (!connection->gone && sd_bus_process(connection->sd, NULL) > 0 && connection->n_early-- > 0) {
                return event_source_arm_once(connection->early);
        }
        return 0;
}

static int on_connected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Connection *connection = talloc_get_type_abort(userdata, Connection);

        connection->n_early = EARLY_MAX;
        return event_source_arm_once(connection->early);
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Connection *connection = talloc_get_type_abort(userdata, Connection);

        if (connection->is_private) {
                bus_reap(connection->bus, connection);
        } else {
                bus_lost(connection->bus, "The system bus closed the connection");
        }
        return 0;
}

/* ---- Beginning and end ---- */

/* Clients go first: their calls answer nobody any more. The bus daemon reads what was said last; who is at the end of a
 * private connection may never do so, and is not waited for. */
static int connection_destructor(Connection *connection) {
        while (!list_is_empty(&connection->clients)) {
                talloc_free(list_entry(connection->clients.next, Client, link));
        }
        connection->bus->n_private -= connection->is_private;
        list_remove(&connection->link);
        if (!connection->is_private) {
                sd_bus_flush(connection->sd);
        }
        sd_bus_close_unref(connection->sd);
        return 0;
}

static int watch_handshake(Connection *connection) {
        int r = event_add_deferred(connection, connection->bus->event, SD_EVENT_PRIORITY_NORMAL, on_early,
                                   connection, &connection->early);

        return r < 0 ? r
                     : sd_bus_match_signal(connection->sd, NULL, LOCAL_NAME, LOCAL_PATH, LOCAL_NAME,
                                           "Connected", on_connected, connection);
}

static int watch(Connection *connection) {
        sd_bus *sd = connection->sd;
        int r = sd_bus_add_filter(sd, NULL, on_message, connection);

        if (r >= 0) {
                r = sd_bus_match_signal(sd, NULL, LOCAL_NAME, LOCAL_PATH, LOCAL_NAME, "Disconnected",
                                        on_disconnected, connection);
        }
        if (r >= 0 && connection->is_private) {
                r = watch_handshake(connection);
        }
        if (r >= 0 && !connection->is_private) {
                r = sd_bus_add_match_async(sd, NULL,
                                           "type='signal',sender='org.freedesktop.DBus',"
                                           "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                           "member='NameOwnerChanged',arg2=''",
                                           on_name_lost, /* install_callback= */ NULL, connection);
        }
        return r;
}

int connection_new(Bus *bus, sd_bus *sd, bool is_private, Connection **ret) {
        Connection *connection = talloc_zero(bus, Connection);
        int r;

        if (!connection) {
                sd_bus_close_unref(sd);
                return -ENOMEM;
        }
        connection->bus = bus;
        connection->sd = sd;
        connection->is_private = is_private;
        list_init(&connection->clients);
        list_append(&bus->connections, &connection->link);
        bus->n_private += is_private;
        talloc_set_destructor(connection, connection_destructor);
        r = add_objects(connection);
        if (r >= 0) {
                r = sd_bus_attach_event(sd, bus->event->loop, SD_EVENT_PRIORITY_NORMAL);
        }
        if (r >= 0 && is_private) {
                r = sd_bus_start(sd);
        }
        if (r >= 0) {
                r = watch(connection);
        }
        if (r < 0) {
                talloc_free(connection);
                return r;
        }
        *ret = connection;
        return 0;
}
