/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/ctl/peer: what it makes of a server, a good one and others. The server is this test, at the other end of a pair of
 * sockets. */

#include "client/ctl/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/testing.h"

#define SIZE 8192

typedef struct Heard {
        uint64_t count[64];
} Heard;

static void on_rung(uint32_t vector, uint64_t count, void *userdata) {
        Heard *heard = userdata;

        heard->count[vector] += count;
}

/* A message, with a descriptor unless it is -1; `n` of its bytes. */
static void say_part(int socket, int64_t value, int fd, size_t skip, size_t n) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        uint8_t bytes[WIRE_MESSAGE_SIZE];
        struct iovec iov = { .iov_base = bytes + skip, .iov_len = n };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        wire_encode(value, bytes);
        if (fd >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
                control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                                   .cmsg_type = SCM_RIGHTS,
                                                   .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
        }
        assert_int_equal(sendmsg(socket, &message, MSG_NOSIGNAL), n);
}

static void say(int socket, int64_t value, int fd) {
        say_part(socket, value, fd, 0, WIRE_MESSAGE_SIZE);
}

static int memory_new(off_t size) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, size), 0);
        return fd;
}

static void say_memory(int socket, off_t size) {
        int fd = memory_new(size);

        say(socket, WIRE_MEMORY, fd);
        close(fd);
}

/* A new eventfd as the next vector of a VM ID; the caller closes it. */
static int say_doorbell(int socket, int64_t vm_id) {
        int fd = eventfd(0, EFD_CLOEXEC);

        assert_true(fd >= 0);
        say(socket, vm_id, fd);
        return fd;
}

static void take_events(Peer *peer, int expected) {
        char *error = NULL;
        bool other;

        assert_int_equal(peer_process(peer, 0, -EBADF, &other, &error), expected);
        assert_int_equal(error != NULL, expected == -EREMOTEIO);
        talloc_free(error);
}

static int pair_new(int *ret_server) {
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        *ret_server = ends[1];
        return ends[0];
}

static Peer *joined(void *ctx, const PeerOps *ops, int *ret_server) {
        int client = pair_new(ret_server);
        char *error = NULL;
        Peer *peer = NULL;

        say(*ret_server, 0, -1);
        say(*ret_server, 5, -1);
        say_memory(*ret_server, SIZE);
        assert_int_equal(peer_new(ctx, client, ops, &peer, &error), 0);
        return peer;
}

static void test_a_good_server(void **state) {
        Heard heard = { .count = { 0 } };
        PeerOps ops = { .rung = on_rung, .userdata = &heard };
        int server, others, own;
        uint32_t next = 0;
        uint64_t rings = 0;
        Peer *peer = joined(*state, &ops, &server);

        assert_int_equal(peer_vm_id(peer), 5);
        assert_int_equal(peer_size(peer), SIZE);
        peer_memory(peer)[SIZE - 1] = 1;
        assert_false(peer_next(peer, 0, &next));
        others = say_doorbell(server, 3);
        own = say_doorbell(server, 5);
        take_events(peer, 0);
        assert_int_equal(peer_vectors(peer, 3), 1);
        assert_int_equal(peer_vectors(peer, 65536), 0);
        assert_true(peer_next(peer, 0, &next) && next == 3 && peer_next(peer, 4, &next) && next == 5);
        assert_int_equal(peer_ring(peer, 3, 0), 0);
        assert_int_equal(read(others, &rings, sizeof(rings)), sizeof(rings));
        assert_int_equal(rings, 1);
        assert_int_equal(peer_ring(peer, 3, 1), -ENOENT);
        assert_int_equal(peer_ring(peer, 4, 0), -ENOENT);
        rings = 2;
        assert_int_equal(write(own, &rings, sizeof(rings)), sizeof(rings));
        take_events(peer, 0);
        assert_int_equal(heard.count[0], 2);
        say(server, 3, -1); /* the example server says that a peer left */
        take_events(peer, 0);
        assert_int_equal(peer_vectors(peer, 3), 0);
        close(server);
        take_events(peer, -ECONNRESET);
        take_events(peer, 0); /* once; and doorbells go on */
        assert_int_equal(peer_ring(peer, 5, 0), 0);
        take_events(peer, 0);
        assert_int_equal(heard.count[0], 3);
        close(others);
        close(own);
        talloc_free(peer);
}

/* What is before the memory: each ends the connection, and leaves nothing behind. */
static void test_bad_handshakes(void **state) {
        static const struct {
                int64_t values[3];
                size_t n;
                int with_fd; /* which of them brings a descriptor; -1: none */
                int result;
                const char *error;
        } table[] = {
                { { 403 }, 1, -1, -EREMOTEIO, "the server refused: 403 not permitted" },
                { { 1 }, 1, -1, -EREMOTEIO, "the server speaks version 1 of the protocol, not 0" },
                { { 0 }, 1, 0, -EREMOTEIO, "the server does not speak the protocol: surplus descriptor" },
                { { 0, 65536 }, 2, -1, -EREMOTEIO, "the server does not speak the protocol: bad VM ID" },
                { { 0, -1 }, 2, -1, -EREMOTEIO, "the server does not speak the protocol: bad VM ID" },
                { { 0, 1, 1 },
                  3,
                  2,
                  -EREMOTEIO,
                  "the server does not speak the protocol: bad memory message" },
                { { 0, 1, -1 },
                  3,
                  -1,
                  -EREMOTEIO,
                  "the server does not speak the protocol: missing descriptor" },
                { { 0, 1 }, 2, -1, -ECONNRESET, NULL },
                { { 0 }, 0, -1, -ECONNRESET, NULL },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                int server, client = pair_new(&server), memory = memory_new(SIZE);
                char *error = NULL;
                Peer *peer = NULL;

                for (size_t j = 0; j < table[i].n; j++) {
                        say(server, table[i].values[j], (int) j == table[i].with_fd ? memory : -1);
                }
                close(server);
                assert_int_equal(peer_new(*state, client, NULL, &peer, &error), table[i].result);
                if (table[i].error) {
                        assert_string_equal(error, table[i].error);
                } else {
                        assert_null(error);
                }
                assert_null(peer);
                assert_int_equal(fcntl(client, F_GETFD), -1); /* closed */
                close(memory);
                talloc_free_children(*state);
        }
}

/* What cannot be mapped, or is nothing. */
static void test_bad_memory(void **state) {
        int server, client, fds[2];
        char *error = NULL;
        Peer *peer = NULL;

        client = pair_new(&server);
        say(server, 0, -1);
        say(server, 1, -1);
        say_memory(server, 0);
        assert_int_equal(peer_new(*state, client, NULL, &peer, &error), -EBADMSG);
        close(server);

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        client = pair_new(&server);
        say(server, 0, -1);
        say(server, 1, -1);
        say(server, WIRE_MEMORY, fds[0]);
        assert_int_equal(peer_new(*state, client, NULL, &peer, &error), -EBADMSG);
        close(server);
        close(fds[0]);
        close(fds[1]);
        assert_null(peer);
        talloc_free_children(*state);
}

/* A message can come in pieces, and its descriptor with any of them. */
static void test_pieces(void **state) {
        Heard heard = { .count = { 0 } };
        PeerOps ops = { .rung = on_rung, .userdata = &heard };
        int server, fd = eventfd(0, EFD_CLOEXEC);
        Peer *peer = joined(*state, &ops, &server);

        say_part(server, 9, fd, 0, 3);
        take_events(peer, 0);
        assert_int_equal(peer_vectors(peer, 9), 0);
        say_part(server, 9, -1, 3, 5);
        take_events(peer, 0);
        assert_int_equal(peer_vectors(peer, 9), 1);
        close(fd);
        close(server);
        talloc_free(peer);
}

static void test_nonsense_later(void **state) {
        Heard heard = { .count = { 0 } };
        PeerOps ops = { .rung = on_rung, .userdata = &heard };
        int server;
        Peer *peer = joined(*state, &ops, &server);

        for (int i = 0; i < 64; i++) {
                close(say_doorbell(server, 5));
        }
        take_events(peer, 0);
        assert_int_equal(peer_vectors(peer, 5), 64);
        close(say_doorbell(server, 5)); /* the 65th */
        take_events(peer, -EREMOTEIO);
        take_events(peer, 0); /* nothing is read any more, and what is there stays */
        assert_int_equal(peer_ring(peer, 5, 63), 0);
        take_events(peer, 0);
        assert_int_equal(heard.count[63], 1);
        close(server);
        talloc_free(peer);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_a_good_server), TEST(test_bad_handshakes), TEST(test_bad_memory),
                TEST(test_pieces),        TEST(test_nonsense_later),
        };

        return cmocka_run_group_tests_name("ctl-peer", tests, NULL, NULL);
}
