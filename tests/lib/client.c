/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading, keeping and ringing. The meaning of messages is the wire decoder's. */

#include "tests/lib/client.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "tests/lib/process.h"
#include "tests/lib/socket.h"

int client_adopt(const void *ctx, Fd *socket, ClientMode mode, Client **ret) {
        Client *client = talloc_zero(ctx, Client);
        int r;

        if (!client) {
                talloc_free(socket);
                return -ENOMEM;
        }
        client->mode = mode;
        client->socket = talloc_steal(client, socket);
        r = wire_decoder_new(client, &client->decoder);
        if (r < 0) {
                talloc_free(client);
                return r;
        }
        *ret = client;
        return 0;
}

int client_connect(const void *ctx, const char *path, ClientMode mode, Client **ret) {
        Fd *socket;
        int r = unix_connect(ctx, path, SOCK_STREAM, &socket);

        return r < 0 ? r : client_adopt(ctx, socket, mode, ret);
}

bool client_has_input(const Client *client) {
        struct pollfd input = { .fd = fd_get(client->socket), .events = POLLIN };

        return poll(&input, 1, 0) > 0;
}

/* A message has one descriptor at most; a second one is the server's fault. */
static int take_descriptor(Client *client, struct msghdr *header) {
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(header);
        int fd;

        if (header->msg_flags & MSG_CTRUNC) {
                client->has_descriptor = true;
                return client->mode == CLIENT_DROP ? 0 : -EPROTO;
        }
        if (!cmsg) {
                return 0;
        }
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
            cmsg->cmsg_len != CMSG_LEN(sizeof(fd))) {
                return -EPROTO;
        }
        memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
        client->has_descriptor = true;
        TALLOC_FREE(client->descriptor);
        return fd_new(client, fd, &client->descriptor);
}

/* Reads what is missing of the message, or one byte of it. Zero, CLIENT_END. */
static int receive_some(Client *client) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {
                .iov_base = client->bytes + client->n_bytes,
                .iov_len = client->bytewise ? 1 : sizeof(client->bytes) - client->n_bytes,
        };
        struct msghdr header = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = client->mode == CLIENT_DROP ? NULL : control.bytes,
                .msg_controllen = client->mode == CLIENT_DROP ? 0 : sizeof(control.bytes),
        };
        ssize_t n = recvmsg(fd_get(client->socket), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        int r;

        if (n < 0) {
                r = errno_negative();
                if (r == -EAGAIN) {
                        return wait_input(fd_get(client->socket));
                }
                return r == -ECONNRESET ? CLIENT_END : r;
        }
        if (n == 0) {
                return CLIENT_END;
        }
        client->n_bytes += (size_t) n;
        return take_descriptor(client, &header);
}

int eventfd_identity(int fd, uint64_t *ret) {
        char path[32];

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        return keyed_number(path, "eventfd-id", ret);
}

/* Arrays grow by doubling. */
static ClientSeat *view_seat(Client *client, uint32_t vm_id) {
        size_t n = vm_id < 2 * client->n_seats ? 2 * client->n_seats : vm_id + 1;
        ClientSeat *seats;

        if (vm_id >= client->n_seats) {
                seats = talloc_realloc(client, client->seats, ClientSeat, n);
                if (!seats) {
                        return NULL;
                }
                memset(seats + client->n_seats, 0, (n - client->n_seats) * sizeof(*seats));
                client->seats = seats;
                client->n_seats = n;
        }
        return &client->seats[vm_id];
}

static Doorbell *view_doorbell(Client *client, ClientSeat *seat) {
        bool is_full = (seat->n_doorbells & (seat->n_doorbells - 1)) == 0;
        Doorbell *doorbells = seat->doorbells;

        if (is_full) {
                size_t n = seat->n_doorbells ? 2 * seat->n_doorbells : 1;

                doorbells = talloc_realloc(client, doorbells, Doorbell, n);
                if (!doorbells) {
                        return NULL;
                }
                seat->doorbells = doorbells;
        }
        return &doorbells[seat->n_doorbells];
}

static int view_connect(Client *client, const WireEvent *event) {
        ClientSeat *seat = view_seat(client, event->vm_id);
        Doorbell *doorbell = seat ? view_doorbell(client, seat) : NULL;
        int r;

        if (!doorbell) {
                return -ENOMEM;
        }
        *doorbell = (Doorbell){ .identity = 0 };
        if (client->mode != CLIENT_DROP) {
                r = eventfd_identity(fd_get(client->descriptor), &doorbell->identity);
                if (r < 0) {
                        return r;
                }
        }
        if (client->mode == CLIENT_KEEP || (client->mode == CLIENT_NOTE && event->own)) {
                doorbell->eventfd = talloc_move(client, &client->descriptor);
        }
        seat->n_doorbells++;
        client->n_doorbells++;
        return 0;
}

static void view_disconnect(Client *client, uint32_t vm_id) {
        ClientSeat *seat = &client->seats[vm_id];

        for (uint32_t i = 0; i < seat->n_doorbells; i++) {
                talloc_free(seat->doorbells[i].eventfd);
        }
        client->n_doorbells -= seat->n_doorbells;
        seat->n_doorbells = 0;
}

static int view_update(Client *client, const WireEvent *event) {
        switch (event->kind) {
        case WIRE_EVENT_VERSION:
                break;
        case WIRE_EVENT_VM_ID:
                client->vm_id = event->vm_id;
                break;
        case WIRE_EVENT_MEMORY:
                client->memory = talloc_move(client, &client->descriptor);
                break;
        case WIRE_EVENT_CONNECT:
                return view_connect(client, event);
        case WIRE_EVENT_DISCONNECT:
                view_disconnect(client, event->vm_id);
                break;
        }
        return 0;
}

/* A whole message was read: what it means. */
static int take_message(Client *client, WireEvent *ret_event) {
        bool has_descriptor = client->has_descriptor;
        WireEvent event;
        int r;

        client->n_bytes = 0;
        client->has_descriptor = false;
        client->n_messages++;
        client->failure = wire_decoder_step(client->decoder, wire_decode(client->bytes), has_descriptor,
                                            &event);
        if (client->failure != WIRE_OK) {
                return CLIENT_FAILURE;
        }
        r = view_update(client, &event);
        TALLOC_FREE(client->descriptor);
        if (r == 0 && ret_event) {
                *ret_event = event;
        }
        return r;
}

int client_step(Client *client, WireEvent *ret_event) {
        int r;

        do {
                r = receive_some(client);
                if (r != 0) {
                        return r;
                }
        } while (client->n_bytes < sizeof(client->bytes));
        return take_message(client, ret_event);
}

int client_read_doorbells(Client *client, size_t n) {
        int r = CLIENT_OK;

        while (r == CLIENT_OK && client->n_doorbells < n) {
                r = client_step(client, NULL);
        }
        return r;
}

int client_read_to_end(Client *client) {
        int r;

        do {
                r = client_step(client, NULL);
        } while (r == CLIENT_OK);
        return r;
}

uint32_t client_vectors(const Client *client, uint32_t vm_id) {
        return vm_id < client->n_seats ? client->seats[vm_id].n_doorbells : 0;
}

const Doorbell *client_doorbell(const Client *client, uint32_t vm_id, uint32_t vector) {
        return vector < client_vectors(client, vm_id) ? &client->seats[vm_id].doorbells[vector] : NULL;
}

int client_ring(const Client *client, uint32_t vm_id, uint32_t vector) {
        const Doorbell *doorbell = client_doorbell(client, vm_id, vector);
        uint64_t one = 1;

        if (!doorbell || !doorbell->eventfd) {
                return -ENOENT;
        }
        return write(fd_get(doorbell->eventfd), &one, sizeof(one)) < 0 ? errno_negative() : 0;
}

int client_rings(const Client *client, uint32_t vector, uint64_t *ret_count) {
        const Doorbell *doorbell = client_doorbell(client, client->vm_id, vector);
        uint64_t count = 0;
        struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };

        if (!doorbell || !doorbell->eventfd) {
                return -ENOENT;
        }
        if (preadv2(fd_get(doorbell->eventfd), &iov, 1, -1, RWF_NOWAIT) < 0 && errno != EAGAIN) {
                return errno_negative();
        }
        *ret_count = count;
        return 0;
}

int client_wait_ring(const Client *client, uint32_t vector, uint64_t *ret_count) {
        const Doorbell *doorbell = client_doorbell(client, client->vm_id, vector);
        uint64_t count;
        int r;

        if (!doorbell || !doorbell->eventfd) {
                return -ENOENT;
        }
        r = wait_input(fd_get(doorbell->eventfd));
        if (r < 0) {
                return r;
        }
        r = client_rings(client, vector, &count);
        if (r == 0 && ret_count) {
                *ret_count = count;
        }
        return r;
}
