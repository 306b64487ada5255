/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The other end of a server's control link. */

#include "tests/lib/manager.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <talloc.h>

#include "service/base/error.h"
#include "tests/lib/socket.h"

int manager_connect(const void *ctx, const char *path, Manager **ret) {
        Manager *manager = talloc_zero(ctx, Manager);
        int r;

        if (!manager) {
                return -ENOMEM;
        }
        r = unix_connect(manager, path, SOCK_SEQPACKET, &manager->socket);
        if (r < 0) {
                talloc_free(manager);
                return r;
        }
        *ret = manager;
        return 0;
}

/* At most one descriptor is expected. */
static int take_descriptor(Manager *manager, struct msghdr *message, Fd **ret) {
        struct cmsghdr *header = CMSG_FIRSTHDR(message);
        int fd;

        *ret = NULL;
        if (!header) {
                return MANAGER_OK;
        }
        if (header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(fd)) ||
            message->msg_flags & MSG_CTRUNC) {
                return MANAGER_FAILURE;
        }
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        return fd_new(manager, fd, ret);
}

static int receive(Manager *manager, ControlRecord *ret, Fd **ret_fd) {
        uint8_t bytes[CONTROL_RECORD_SIZE + 1];
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = control.bytes,
                                  .msg_controllen = sizeof(control.bytes) };
        int r = wait_input(fd_get(manager->socket));
        ssize_t n;

        if (r < 0) {
                return r;
        }
        n = recvmsg(fd_get(manager->socket), &message, MSG_CMSG_CLOEXEC);
        if (n <= 0) {
                return n == 0 || errno == ECONNRESET ? MANAGER_END : errno_negative();
        }
        r = take_descriptor(manager, &message, ret_fd);
        if (r != MANAGER_OK) {
                return r;
        }
        return control_decode(bytes, (size_t) n, ret) < 0 ? MANAGER_FAILURE : MANAGER_OK;
}

int manager_next(Manager *manager, ControlRecord *ret, Fd **ret_fd) {
        Fd *fd = NULL;
        int r;

        if (manager->n_events > 0) {
                *ret = manager->events[0];
                memmove(manager->events, manager->events + 1, --manager->n_events * sizeof(*ret));
                r = MANAGER_OK;
        } else {
                r = receive(manager, ret, &fd);
        }
        if (ret_fd) {
                *ret_fd = fd;
        } else {
                talloc_free(fd);
        }
        return r;
}

bool manager_has_input(const Manager *manager) {
        struct pollfd input = { .fd = fd_get(manager->socket), .events = POLLIN };

        return manager->n_events > 0 || poll(&input, 1, 0) > 0;
}

static int keep(Manager *manager, const ControlRecord *record) {
        ControlRecord *events = talloc_realloc(manager, manager->events, ControlRecord,
                                               manager->n_events + 1);

        if (!events) {
                return -ENOMEM;
        }
        manager->events = events;
        events[manager->n_events++] = *record;
        return MANAGER_OK;
}

int manager_send(Manager *manager, const void *bytes, size_t size) {
        return send(fd_get(manager->socket), bytes, size, MSG_NOSIGNAL) < 0 ? errno_negative() : 0;
}

static int ask(Manager *manager, const ControlRecord *request) {
        ControlRecord numbered = *request;
        uint8_t bytes[CONTROL_RECORD_SIZE];

        numbered.serial = ++manager->serial;
        control_encode(&numbered, bytes);
        return manager_send(manager, bytes, sizeof(bytes));
}

int manager_ask(Manager *manager, const ControlRecord *request, ControlRecord *ret_reply, Fd **ret_fd) {
        Fd *fd = NULL;
        int r = ask(manager, request);

        while (r == MANAGER_OK) {
                r = receive(manager, ret_reply, &fd);
                if (r != MANAGER_OK || ret_reply->kind == CONTROL_REPLY) {
                        break;
                }
                r = fd ? MANAGER_FAILURE : keep(manager, ret_reply);
        }
        if (r == MANAGER_OK && ret_reply->serial != manager->serial) {
                r = MANAGER_FAILURE;
        }
        if (ret_fd) {
                *ret_fd = fd;
        } else {
                talloc_free(fd);
        }
        return r;
}
