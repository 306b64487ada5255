/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which manager is meant, and connecting to it. */

#include "client/ctl/connection.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "client/ctl/memory.h"
#include "dbus/names.h"

static int connection_destructor(Connection *connection) {
        sd_bus_flush_close_unref(connection->bus);
        return 0;
}

/* Takes over the bus. */
static Connection *connection_new(Ctl *ctl, sd_bus *bus, bool is_bus, bool local, char *where) {
        Connection *connection = need(talloc_zero(ctl, Connection));

        *connection = (Connection){
                .bus = bus,
                .destination = is_bus ? BUS_NAME : NULL,
                .local = local,
                .where = talloc_steal(connection, where),
        };
        talloc_set_destructor(connection, connection_destructor);
        need_ok(sd_bus_set_allow_interactive_authorization(bus, !ctl->options.no_ask_password));
        return connection;
}

/* The address of a socket, with all that means something in addresses escaped. */
static char *unix_address(const void *ctx, const char *path) {
        char *address = text_new(ctx, "unix:path=");

        for (const unsigned char *c = (const unsigned char *) path; *c; c++) {
                address = isalnum(*c) || strchr("-_/.", *c) ? text_append(address, "%c", *c)
                                                            : text_append(address, "%%%02x", *c);
        }
        return address;
}

static int open_address(const char *address, sd_bus **ret) {
        sd_bus *bus;
        int r = sd_bus_new(&bus);

        r = r < 0 ? r : sd_bus_set_address(bus, address);
        r = r < 0 ? r : sd_bus_start(bus);
        /* What starts in the background fails later: find out now. */
        for (; r >= 0 && sd_bus_is_ready(bus) == 0; r = r < 0 ? r : sd_bus_process(bus, NULL)) {
                r = sd_bus_wait(bus, UINT64_MAX);
        }
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

static ExitStatus connect_address(Ctl *ctl, const char *address) {
        sd_bus *bus;
        int r = open_address(address, &bus);

        if (r < 0) {
                return ctl_fail(STATUS_NO_MANAGER, "Failed to connect to %s: %s", address, strerror(-r));
        }
        ctl->connection = connection_new(ctl, bus, false, true, text_new(ctl, "%s", address));
        return STATUS_OK;
}

static ExitStatus connect_directory(Ctl *ctl, const char *directory) {
        char *path = text_new(ctl, "%s/%s", directory, BUS_EMBEDDED_SOCKET);
        sd_bus *bus;
        int r = open_address(unix_address(ctl, path), &bus);

        if (r == -EACCES || r == -EPERM) {
                return ctl_fail(
                        STATUS_NO_MANAGER,
                        "Failed to connect to the manager of %s: %s; it answers its own user and root only",
                        directory, strerror(-r));
        }
        if (r < 0) {
                return ctl_fail(
                        STATUS_NO_MANAGER,
                        "Failed to connect to the manager of %s: %s; start it with 'ivshmemd --embedded "
                        "--directory %s'",
                        directory, strerror(-r), directory);
        }
        ctl->connection = connection_new(ctl, bus, false, true, path);
        return STATUS_OK;
}

static ExitStatus connect_far(Ctl *ctl) {
        const char *host = ctl->options.host, *container = ctl->options.container;
        sd_bus *bus;
        int r = host ? sd_bus_open_system_remote(&bus, host) : sd_bus_open_system_machine(&bus, container);

        if (host && (r == -EPIPE || r == -ECONNRESET)) {
                return ctl_fail(STATUS_NO_MANAGER, "Failed to connect to the bus of %s: ssh has ended",
                                host);
        }
        if (r < 0) {
                return ctl_fail(STATUS_NO_MANAGER, "Failed to connect to the bus of %s: %s",
                                host ?: container, strerror(-r));
        }
        ctl->connection = connection_new(ctl, bus, true, false, text_new(ctl, "%s", host ?: container));
        return STATUS_OK;
}

/* Where a manager listens that nobody was told of: root's where no bus runs, or the embedded one of this user. NULL: there
 * is no such place. */
static char *private_socket(const void *ctx) {
        const char *runtime = getenv("XDG_RUNTIME_DIR");

        if (geteuid() == 0) {
                return text_new(ctx, "%s", BUS_PRIVATE_SOCKET);
        }
        return runtime && *runtime == '/' ? text_new(ctx, "%s/ivshmem/%s", runtime, BUS_EMBEDDED_SOCKET)
                                          : NULL;
}

/* Whether the bus has the manager, or can start it. */
static bool has_manager(sd_bus *bus) {
        return sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                  "org.freedesktop.DBus", "StartServiceByName", NULL, NULL, "su", BUS_NAME,
                                  0) >= 0;
}

/* The system bus; where there is none, or no manager on it, the private socket. */
static ExitStatus connect_system(Ctl *ctl) {
        char *path = private_socket(ctl);
        bool is_there = path && access(path, F_OK) == 0;
        sd_bus *bus, *private;
        int r = sd_bus_open_system(&bus);

        if (is_there && (r < 0 || !has_manager(bus)) &&
            open_address(unix_address(ctl, path), &private) >= 0) {
                sd_bus_flush_close_unref(r < 0 ? NULL : bus);
                ctl->connection = connection_new(ctl, private, false, true, path);
                return STATUS_OK;
        }
        if (r >= 0) {
                ctl->connection = connection_new(ctl, bus, true, true, text_new(ctl, "the system bus"));
                return STATUS_OK;
        }
        return ctl_fail(
                STATUS_NO_MANAGER,
                "Failed to connect to the system bus: %s; for an embedded manager, give --directory or set "
                "$IVSHMEM_DIRECTORY",
                strerror(-r));
}

ExitStatus connection_get(Ctl *ctl, Connection **ret) {
        const char *directory = getenv("IVSHMEM_DIRECTORY");
        ExitStatus status = STATUS_OK;

        if (ctl->connection) {
                *ret = ctl->connection;
                return STATUS_OK;
        }
        if (ctl->options.address) {
                status = connect_address(ctl, ctl->options.address);
        } else if (ctl->options.host || ctl->options.container) {
                status = connect_far(ctl);
        } else if (ctl->options.directory || (directory && *directory)) {
                status = connect_directory(ctl, ctl->options.directory ?: directory);
        } else {
                status = connect_system(ctl);
        }
        *ret = ctl->connection;
        return status;
}

bool connection_is_local_bus(const Connection *connection) {
        return connection && connection->local && connection->destination;
}
