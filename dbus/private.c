/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The private socket: connections without a bus daemon between, each with one client. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <talloc.h>
#include <unistd.h>

#include "dbus/bus-parts.h"
#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/base/log.h"

/* Connections at a time; the next one waits in the backlog until one ends. */
#define PRIVATE_MAX 64U

typedef struct Listener {
        Bus *bus;
        Fd *fd;
        EventSource *source;
        char *path; /* ours to remove; NULL: somebody else's */
} Listener;

/* ---- Connections ---- */

/* From here on the descriptor is the sd_bus's, also when this fails. */
static int server_new(int fd, sd_bus **ret) {
        sd_bus *sd = NULL;
        sd_id128_t id;
        int r = sd_bus_new(&sd);

        if (r < 0) {
                close(fd);
                return r;
        }
        r = sd_bus_set_fd(sd, fd, fd);
        if (r < 0) {
                close(fd);
        }
        if (r >= 0) {
                r = sd_id128_randomize(&id);
        }
        if (r >= 0) {
                r = sd_bus_set_server(sd, /* b= */ true, id);
        }
        if (r >= 0) {
                r = sd_bus_set_anonymous(sd, /* b= */ false);
        }
        if (r >= 0) {
                r = sd_bus_negotiate_fds(sd, /* b= */ true);
        }
        if (r >= 0) {
                r = sd_bus_set_connected_signal(sd, /* b= */ true);
        }
        if (r < 0) {
                sd_bus_unref(sd);
                return r;
        }
        *ret = sd;
        return 0;
}

static int take_connection(Bus *bus, int fd) {
        Connection *connection;
        Client *client;
        sd_bus *sd;
        int r = server_new(fd, &sd);

        if (r >= 0) {
                r = connection_new(bus, sd, /* is_private= */ true, &connection);
        }
        if (r < 0) {
                return r;
        }
        r = client_new_from_socket(connection, fd, &client);
        if (r < 0) {
                talloc_free(connection);
                return r;
        }
        bus_check_idle(bus);
        return 0;
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Listener *listener = talloc_get_type_abort(userdata, Listener);
        int connection, r;

        if (listener->bus->n_private >= PRIVATE_MAX) {
                log_plain(LOG_WARNING, "%u clients are connected to the private socket; the next ones wait",
                          PRIVATE_MAX);
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        }
        connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0) {
                return 0; /* gone by now */
        }
        r = take_connection(listener->bus, connection);
        if (r < 0) {
                log_plain(LOG_WARNING, "A connection to the private socket cannot be served: %s",
                          strerror(-r));
        }
        return 0;
}

void private_resume(Bus *bus) {
        if (bus->listener && bus->n_private < PRIVATE_MAX && !bus->releasing) {
                (void) sd_event_source_set_enabled(bus->listener->source->source, SD_EVENT_ON);
        }
}

void private_stop(Bus *bus) {
        if (bus->listener) {
                (void) sd_event_source_set_enabled(bus->listener->source->source, SD_EVENT_OFF);
        }
}

/* ---- The socket ---- */

static int listener_destructor(Listener *listener) {
        if (listener->path) {
                unlink(listener->path);
        }
        return 0;
}

static int listener_new(Bus *bus, int fd, const char *path) {
        Listener *listener = talloc_zero(bus, Listener);
        int r;

        if (!listener) {
                close(fd);
                return -ENOMEM;
        }
        listener->bus = bus;
        talloc_set_destructor(listener, listener_destructor);
        r = fd_new(listener, fd, &listener->fd);
        if (r >= 0 && path) {
                listener->path = talloc_strdup(listener, path);
                r = listener->path ? 0 : -ENOMEM;
        }
        if (r >= 0) {
                r = event_add_io(listener, bus->event, fd, EPOLLIN, SD_EVENT_PRIORITY_NORMAL, on_listener,
                                 listener, &listener->source);
        }
        if (r < 0) {
                talloc_free(listener);
                return r;
        }
        bus->listener = listener;
        return 0;
}

static int check_listening(int fd) {
        int value = 0;
        socklen_t size = sizeof(value);

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) < 0) {
                return errno_negative();
        }
        if (value != AF_UNIX) {
                return -EAFNOSUPPORT;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) < 0) {
                return errno_negative();
        }
        if (value != SOCK_STREAM) {
                return -ESOCKTNOSUPPORT;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) < 0) {
                return errno_negative();
        }
        return value ? 0 : -EINVAL;
}

int bus_listen(Bus *bus, int fd) {
        int r = check_listening(fd);

        if (r < 0) {
                close(fd);
                return r;
        }
        return listener_new(bus, fd, NULL);
}

/* A socket on which nobody listens is left over from somebody who did not end well. */
static int remove_stale(const struct sockaddr_un *address) {
        cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0) {
                return errno_negative();
        }
        if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) >= 0 || errno == EAGAIN) {
                return -EADDRINUSE;
        }
        return errno != ECONNREFUSED ? errno_negative() : errno_or(unlink(address->sun_path));
}

static int bind_owned(int fd, const struct sockaddr_un *address) {
        mode_t mask = umask(0177);
        int r = errno_or(bind(fd, (const struct sockaddr *) address, sizeof(*address)));

        umask(mask);
        return r;
}

int bus_listen_at(Bus *bus, const char *path) {
        cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int r;

        if (fd < 0) {
                return errno_negative();
        }
        if (strlen(path) >= sizeof(address.sun_path)) {
                return -ENAMETOOLONG;
        }
        memcpy(address.sun_path, path, strlen(path) + 1);
        r = bind_owned(fd, &address);
        if (r == -EADDRINUSE) {
                r = remove_stale(&address);
                r = r < 0 ? r : bind_owned(fd, &address);
        }
        if (r < 0) {
                return r;
        }
        if (listen(fd, SOMAXCONN) < 0) {
                r = errno_negative();
                unlink(path);
                return r;
        }
        return listener_new(bus, fd_steal(&fd), path);
}
