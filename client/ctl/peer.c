/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client's side of the protocol: one connection, read message by message, for each can bring a descriptor. */

#include "client/ctl/peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <talloc.h>
#include <unistd.h>

#include "client/ctl/limits.h"
#include "client/ctl/memory.h"

/* The doorbells of a VM ID. */
typedef struct Seat {
        int *doorbells;
        uint32_t n;
} Seat;

struct Peer {
        int socket; /* -EBADF: the server is gone */
        const PeerOps *ops;
        WireDecoder *decoder;
        uint8_t message[WIRE_MESSAGE_SIZE]; /* as far as it has come */
        size_t n_message;
        int descriptor; /* that came with it; -EBADF: none */
        uint32_t vm_id;
        uint8_t *memory;
        size_t size;
        Seat seats[VM_ID_MAX + 1];
};

static void close_seat(Seat *seat) {
        for (uint32_t i = 0; i < seat->n; i++) {
                close(seat->doorbells[i]);
        }
        seat->n = 0;
}

static int peer_destructor(Peer *peer) {
        if (peer->socket >= 0) {
                close(peer->socket);
        }
        if (peer->descriptor >= 0) {
                close(peer->descriptor);
        }
        if (peer->memory) {
                munmap(peer->memory, peer->size);
        }
        for (uint32_t i = 0; i <= VM_ID_MAX; i++) {
                close_seat(&peer->seats[i]);
        }
        return 0;
}

static int take_memory(Peer *peer, int fd) {
        struct stat status;
        void *memory;

        if (fstat(fd, &status) < 0) {
                return -errno;
        }
        if (status.st_size <= 0) {
                return -EBADMSG;
        }
        memory = mmap(NULL, (size_t) status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED) {
                return -errno;
        }
        peer->memory = memory;
        peer->size = (size_t) status.st_size;
        close(fd);
        return 0;
}

static int take_doorbell(Peer *peer, uint32_t vm_id, int fd) {
        Seat *seat = &peer->seats[vm_id];

        seat->doorbells = need(talloc_realloc(peer, seat->doorbells, int, seat->n + 1));
        seat->doorbells[seat->n++] = fd;
        return 0;
}

/* What the message means. The descriptor is the event's from here on, if it is taken without an error. */
static int take_event(Peer *peer, const WireEvent *event, int fd) {
        switch (event->kind) {
        case WIRE_EVENT_VM_ID:
                peer->vm_id = event->vm_id;
                return 0;
        case WIRE_EVENT_MEMORY:
                return take_memory(peer, fd);
        case WIRE_EVENT_CONNECT:
                return take_doorbell(peer, event->vm_id, fd);
        case WIRE_EVENT_DISCONNECT:
                close_seat(&peer->seats[event->vm_id]);
                return 0;
        case WIRE_EVENT_VERSION:
                return 0;
        }
        return -EBADMSG;
}

static int take_message(Peer *peer, void *ctx, char **ret_error) {
        int fd = peer->descriptor, r;
        WireEvent event;
        WireResult result = wire_decoder_step(peer->decoder, wire_decode(peer->message), fd >= 0, &event);

        peer->n_message = 0;
        if (result == WIRE_REFUSED) {
                int64_t version = wire_decoder_refusal(peer->decoder);
                const char *name = refusal_name(version);

                *ret_error = name ? text_new(ctx, "the server refused: %lld %s", (long long) version, name)
                                  : text_new(ctx, "the server speaks version %lld of the protocol, not 0",
                                             (long long) version);
                return -EREMOTEIO;
        }
        if (result != WIRE_OK) {
                *ret_error = text_new(ctx, "the server does not speak the protocol: %s",
                                      wire_result_name(result));
                return -EREMOTEIO;
        }
        r = take_event(peer, &event, fd);
        if (r >= 0) {
                peer->descriptor = -EBADF;
        }
        return r;
}

/* One descriptor a message is what there is room for; the kernel closes others. */
static int read_descriptor(struct msghdr *header, Peer *peer) {
        for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
                if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
                        if (peer->descriptor >= 0) {
                                close(peer->descriptor);
                        }
                        memcpy(&peer->descriptor, CMSG_DATA(part), sizeof(int));
                }
        }
        return header->msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

/* 1: a message was taken, or a part of one. 0: there is none now. */
static int read_message(Peer *peer, void *ctx, int flags, char **ret_error) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec bytes = {
                .iov_base = peer->message + peer->n_message,
                .iov_len = WIRE_MESSAGE_SIZE - peer->n_message,
        };
        struct msghdr header = {
                .msg_iov = &bytes,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(peer->socket, &header, MSG_CMSG_CLOEXEC | flags);
        int r;

        if (n < 0) {
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        }
        r = read_descriptor(&header, peer);
        if (n == 0 || r < 0) {
                return r < 0 ? r : -ECONNRESET;
        }
        peer->n_message += (size_t) n;
        r = peer->n_message == WIRE_MESSAGE_SIZE ? take_message(peer, ctx, ret_error) : 0;
        return r < 0 ? r : 1;
}

int peer_new(void *ctx, int socket, const PeerOps *ops, Peer **ret, char **ret_error) {
        Peer *peer = talloc_zero(ctx, Peer);
        int r;

        if (!peer) {
                close(socket);
                return -ENOMEM;
        }
        peer->socket = socket;
        peer->ops = ops;
        peer->descriptor = -EBADF;
        talloc_set_destructor(peer, peer_destructor);
        r = wire_decoder_new(peer, &peer->decoder);
        while (r >= 0 && !peer->memory) {
                r = read_message(peer, ctx, 0, ret_error);
        }
        if (r < 0) {
                talloc_free(peer);
                return r;
        }
        *ret = peer;
        return 0;
}

uint32_t peer_vm_id(const Peer *peer) {
        return peer->vm_id;
}

uint64_t peer_size(const Peer *peer) {
        return peer->size;
}

uint8_t *peer_memory(const Peer *peer) {
        return peer->memory;
}

uint32_t peer_vectors(const Peer *peer, uint32_t vm_id) {
        return vm_id <= VM_ID_MAX ? peer->seats[vm_id].n : 0;
}

bool peer_next(const Peer *peer, uint32_t vm_id, uint32_t *ret) {
        for (; vm_id <= VM_ID_MAX; vm_id++) {
                if (peer->seats[vm_id].n > 0) {
                        *ret = vm_id;
                        return true;
                }
        }
        return false;
}

int peer_ring(const Peer *peer, uint32_t vm_id, uint32_t vector) {
        uint64_t one = 1;

        if (vector >= peer_vectors(peer, vm_id)) {
                return -ENOENT;
        }
        /* EAGAIN: it was rung so often without being heard that it cannot count further; it is rung all the same. */
        return write(peer->seats[vm_id].doorbells[vector], &one, sizeof(one)) < 0 && errno != EAGAIN ? -errno
                                                                                                     : 0;
}

/* O_NONBLOCK is a flag that all who have the doorbell share, so it is not relied on. */
static void hear(Peer *peer, uint32_t vector) {
        uint64_t count;
        struct iovec bytes = { .iov_base = &count, .iov_len = sizeof(count) };
        int fd = peer->seats[peer->vm_id].doorbells[vector];

        if (preadv2(fd, &bytes, 1, /* offset= */ -1, RWF_NOWAIT) == sizeof(count)) {
                peer->ops->rung(vector, count, peer->ops->userdata);
        }
}

/* All that has come. */
static int read_messages(Peer *peer, void *ctx, char **ret_error) {
        int r;

        do {
                r = read_message(peer, ctx, MSG_DONTWAIT, ret_error);
        } while (r > 0);
        if (r < 0) {
                close(peer->socket);
                peer->socket = -EBADF;
        }
        return r;
}

int peer_process(Peer *peer, int timeout, int other, bool *ret_other, char **ret_error) {
        const Seat *own = &peer->seats[peer->vm_id];
        struct pollfd fds[2 + VECTOR_MAX + 1] = {
                { .fd = peer->socket, .events = POLLIN },
                { .fd = other, .events = POLLIN },
        };
        uint32_t n = own->n;

        for (uint32_t i = 0; i < n; i++) {
                fds[2 + i] = (struct pollfd){ .fd = own->doorbells[i], .events = POLLIN };
        }
        *ret_other = false;
        if (poll(fds, 2 + n, timeout) < 0) {
                return errno == EINTR ? 0 : -errno;
        }
        for (uint32_t i = 0; i < n; i++) {
                if (fds[2 + i].revents & POLLIN) {
                        hear(peer, i);
                }
        }
        *ret_other = fds[1].revents != 0;
        return fds[0].revents ? read_messages(peer, peer, ret_error) : 0;
}
