/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients that QEMU would never be: what one does harms nobody else, and leaves nothing behind. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/ivshmem-server-syscalls.h"
#include "tests/lib/socket.h"
#include "tests/protocol/served.h"

#define MANY 300U

/* Two peers that must not notice anything of what a third one does. */
typedef struct Bystanders {
        Client *peers[2];
} Bystanders;

static Bystanders bystanders_join(Served *served) {
        Bystanders bystanders;

        for (size_t i = 0; i < 2; i++) {
                bystanders.peers[i] = join(served, CLIENT_KEEP);
        }
        assert_int_equal(client_read_doorbells(bystanders.peers[0], 2 * served->vectors), CLIENT_OK);
        return bystanders;
}

/* They still hear each other, and a newcomer finds all in order. */
static void assert_unharmed(Served *served, const Bystanders *bystanders) {
        Client *newcomer = join(served, CLIENT_KEEP);

        assert_rings(bystanders->peers[0], bystanders->peers[1], served->vectors);
        assert_rings(newcomer, bystanders->peers[0], served->vectors);
        while (!client_doorbell(bystanders->peers[1], newcomer->vm_id, served->vectors - 1)) {
                assert_int_equal(client_step(bystanders->peers[1], NULL), CLIENT_OK);
        }
        assert_rings(bystanders->peers[1], newcomer, served->vectors);
        talloc_free(newcomer);
}

/* The server ends, and its log is complete. */
static void assert_logged(Served *served, const char *text) {
        int status;

        assert_int_equal(server_stop(served->server, &status), 0);
        assert_int_equal(status, 0);
        if (!strstr(server_log(served->server), text)) {
                fail_msg("not logged: \"%s\" in\n%s", text, server_log(served->server));
        }
        talloc_free(served);
}

static void test_who_writes_is_disconnected(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Bystanders bystanders = bystanders_join(served);
        Client *client = join(served, CLIENT_KEEP);

        assert_int_equal(send(fd_get(client->socket), "x", 1, MSG_NOSIGNAL), 1);
        assert_ended(client);
        talloc_free(client);
        assert_unharmed(served, &bystanders);
        assert_logged(served, "VM 2 left: breach of protocol");
}

/* Takes what the server has the service manager store, as systemd would. Returns how many descriptors. */
static size_t take_stored(ServerProcess *server, int *ret, size_t max) {
        size_t n = 0;

        for (;;) {
                union {
                        struct cmsghdr header;
                        char bytes[CMSG_SPACE(sizeof(int))];
                } control;
                char text[4096];
                struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
                struct msghdr header = {
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control),
                };

                if (recvmsg(fd_get(server->notify), &header, MSG_CMSG_CLOEXEC) < 0) {
                        assert_int_equal(errno, EAGAIN);
                        return n;
                }
                if (CMSG_FIRSTHDR(&header)) {
                        assert_true(n < max);
                        memcpy(&ret[n++], CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
                }
        }
}

/* The service manager holds a copy of its connection, which must not keep it open. */
static void test_who_writes_is_disconnected_though_it_is_stored(void **state) {
        ServerOptions options = { .follow = true, .uid = LONELY_UID };
        Served *served = served_new(*state, 1);
        int stored[16];
        Client *client;
        size_t n;
        char *path;

        assert_int_equal(scratch_write(served->scratch, "test.domain", "[Domain]\nSize=1M\n", &path), 0);
        options.arguments = (const char *const[]){ "--definition", path, "-S", served->socket,
                                                   "--fd-store",   "64", NULL };
        assert_int_equal(server_start(served, &options, &served->server), SERVER_OK);
        client = join(served, CLIENT_KEEP);
        n = take_stored(served->server, stored, 16);
        /* Its socket, and the bag with the doorbells of its seat. */
        assert_true(n >= 2);
        assert_int_equal(send(fd_get(client->socket), "x", 1, MSG_NOSIGNAL), 1);
        assert_ended(client);
        for (size_t i = 0; i < n; i++) {
                close(stored[i]);
        }
        served_end(served);
}

static void test_who_writes_before_it_reads_is_disconnected(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Bystanders bystanders = bystanders_join(served);
        Client *client;

        assert_int_equal(server_signal(served->server, SIGSTOP), 0);
        client = connect_only(served, CLIENT_KEEP);
        assert_int_equal(send(fd_get(client->socket), "junk", 4, MSG_NOSIGNAL), 4);
        assert_int_equal(server_signal(served->server, SIGCONT), 0);
        assert_ended(client);
        assert_unharmed(served, &bystanders);
        served_end(served);
}

static void test_a_flood_ends_with_its_connection(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Bystanders bystanders = bystanders_join(served);
        Client *client = join(served, CLIENT_KEEP);
        static const char junk[65536];

        while (send(fd_get(client->socket), junk, sizeof(junk), MSG_NOSIGNAL) > 0) {
        }
        assert_true(errno == EPIPE || errno == ECONNRESET);
        assert_unharmed(served, &bystanders);
        served_end(served);
}

/* False: the kernel did not let it. */
static bool send_descriptors(int socket, int fd, size_t n) {
        ssize_t sent;

        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(100 * sizeof(int))];
        } control = { .bytes = { 0 } };
        struct iovec iov = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
        struct msghdr header = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = CMSG_SPACE(n * sizeof(int)),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
        for (size_t i = 0; i < n; i++) {
                memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
        }
        sent = sendmsg(socket, &header, MSG_NOSIGNAL);
        assert_true(sent == 1 || errno == EPERM);
        return sent == 1;
}

static void test_descriptors_sent_to_us_are_not_kept(void **state) {
        Served *served = serve_definition(*state, "", 1, NULL);
        Bystanders bystanders = bystanders_join(served);
        Client *client = join(served, CLIENT_KEEP);
        uint32_t with_client = served_fds(served);

        if (send_descriptors(fd_get(client->socket), STDERR_FILENO, 100)) {
                assert_ended(client);
                wait_fds_at_most(served, with_client - 1);
        }
        assert_unharmed(served, &bystanders);
        served_end(served);
}

/* Closing it would fall to the server, which would do nothing else for an hour. */
static void test_a_descriptor_that_is_hard_to_close(void **state) {
        int supported, end, fd = lingering_socket(&end);
        socklen_t length = sizeof(supported);
        Served *served;
        Bystanders bystanders;
        Client *client;

        assert_true(fd >= 0);
        if (getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &supported, &length) < 0 && errno == ENOPROTOOPT) {
                print_message("the kernel cannot keep descriptors away (Linux 6.16)\n");
                skip();
        }
        served = serve_definition(*state, "", 1, NULL);
        bystanders = bystanders_join(served);
        client = join(served, CLIENT_KEEP);
        assert_false(send_descriptors(fd_get(client->socket), fd, 1));
        close(end);
        close(fd);
        talloc_free(client);
        assert_unharmed(served, &bystanders);
        served_end(served);
}

/* A dozen of these end the reference server. */
static void test_connect_and_close(void **state) {
        Served *served = serve_dropin(*state, "1M", 2, NULL);
        Bystanders bystanders = bystanders_join(served);

        for (size_t i = 0; i < MANY; i++) {
                talloc_free(connect_only(served, CLIENT_KEEP));
        }
        assert_unharmed(served, &bystanders);
        served_end(served);
}

static void test_connect_and_close_before_anybody_accepts(void **state) {
        Served *served = serve_dropin(*state, "1M", 2, NULL);
        Bystanders bystanders = bystanders_join(served);

        assert_int_equal(server_signal(served->server, SIGSTOP), 0);
        for (size_t i = 0; i < MANY; i++) {
                talloc_free(connect_only(served, CLIENT_KEEP));
        }
        assert_int_equal(server_signal(served->server, SIGCONT), 0);
        assert_unharmed(served, &bystanders);
        served_end(served);
}

static void test_a_peer_that_will_not_send_any_more(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Bystanders bystanders = bystanders_join(served);
        Client *client = join(served, CLIENT_KEEP);

        assert_int_equal(shutdown(fd_get(client->socket), SHUT_WR), 0);
        assert_ended(client);
        assert_unharmed(served, &bystanders);
        served_end(served);
}

static void test_a_peer_that_will_not_receive_any_more(void **state) {
        Served *served = serve_definition(*state, "", 2, NULL);
        Bystanders bystanders = bystanders_join(served);
        Client *client = join(served, CLIENT_KEEP);
        uint32_t before = served_fds(served);
        Client *fourth;

        assert_int_equal(shutdown(fd_get(client->socket), SHUT_RD), 0);
        /* At the latest when there is something to tell it, this is the end of its connection. The fourth one has a
         * socket and two doorbells. */
        fourth = join(served, CLIENT_KEEP);
        assert_int_equal(fourth->vm_id, 3);
        wait_fds_at_most(served, before - 1 + 3);
        assert_unharmed(served, &bystanders);
        served_end(served);
}

static void test_a_reader_of_single_bytes(void **state) {
        Served *served = serve_definition(*state, "", 4, NULL);
        Client *clients[3];

        for (size_t i = 0; i < 3; i++) {
                clients[i] = connect_only(served, CLIENT_KEEP);
                clients[i]->bytewise = true;
        }
        assert_views_exact(clients, 3, 4, /* star= */ false);
        served_end(served);
}

static void test_a_reader_that_drops_descriptors(void **state) {
        Served *served = serve_definition(*state, "", 4, NULL);
        Client *first = join(served, CLIENT_DROP);
        Client *second = join(served, CLIENT_KEEP);

        assert_int_equal(client_read_doorbells(first, 8), CLIENT_OK);
        assert_false(client_has_input(first));
        assert_int_equal(second->n_doorbells, 8);
        served_end(served);
}

/* Peeking takes copies of descriptors that are still on their way. */
static void test_peeking_takes_nothing_away(void **state) {
        Served *served = serve_definition(*state, "", 4, NULL);
        Client *clients[2];
        char bytes[64];

        for (size_t i = 0; i < 2; i++) {
                clients[i] = connect_only(served, CLIENT_KEEP);
                for (size_t n = 0; n < MANY; n++) {
                        assert_true(recv(fd_get(clients[i]->socket), bytes, sizeof(bytes), MSG_PEEK) > 0);
                }
        }
        assert_views_exact(clients, 2, 4, /* star= */ false);
        served_end(served);
}

static void test_receive_buffers_of_all_sizes(void **state) {
        static const int sizes[] = { 1, 256, 4096, 1 << 24 };
        Served *served = serve_definition(*state, "", 8, NULL);
        Client *clients[4];

        for (size_t i = 0; i < 4; i++) {
                clients[i] = connect_only(served, CLIENT_KEEP);
                assert_int_equal(setsockopt(fd_get(clients[i]->socket), SOL_SOCKET, SO_RCVBUF, &sizes[i],
                                            sizeof(sizes[i])),
                                 0);
        }
        assert_views_exact(clients, 4, 8, /* star= */ false);
        served_end(served);
}

/* More is to be told than the socket holds, several times over. */
static void test_who_reads_late_is_told_everything(void **state) {
        Served *served = serve_dropin(*state, "1M", 16, NULL);
        Client *late = connect_only(served, CLIENT_NOTE);
        Client *clients[61];

        clients[0] = late;
        for (size_t i = 1; i < 61; i++) {
                clients[i] = join(served, CLIENT_NOTE);
        }
        assert_int_equal(late->n_messages, 0);
        assert_views_exact(clients, 61, 16, /* star= */ false);
        served_end(served);
}

static void test_who_stops_in_mid_message_delays_nobody(void **state) {
        Served *served = serve_dropin(*state, "1M", 16, NULL);
        Client *stuck = connect_only(served, CLIENT_NOTE);
        Client *clients[41];
        char byte;

        /* The first byte of the version, and no more for now. */
        assert_int_equal(wait_input(fd_get(stuck->socket)), 0);
        assert_int_equal(recv(fd_get(stuck->socket), &byte, 1, 0), 1);
        stuck->bytes[stuck->n_bytes++] = (uint8_t) byte;

        clients[0] = stuck;
        for (size_t i = 1; i < 41; i++) {
                clients[i] = join(served, CLIENT_NOTE);
        }
        assert_views_exact(clients, 41, 16, /* star= */ false);
        served_end(served);
}

static void test_stuck_peers_that_leave_are_forgotten(void **state) {
        Served *served = serve_dropin(*state, "1M", 16, NULL);
        Client *stuck[10], *reader, *next;
        WireEvent event;
        uint32_t full;

        reader = join(served, CLIENT_NOTE);
        for (size_t i = 0; i < 10; i++) {
                stuck[i] = connect_only(served, CLIENT_NOTE);
        }
        assert_int_equal(client_read_doorbells(reader, 11 * 16), CLIENT_OK);
        full = served_fds(served);
        for (size_t i = 0; i < 10; i++) {
                talloc_free(stuck[i]);
        }
        wait_fds_at_most(served, full - 10);
        for (size_t i = 0; i < 10; i++) {
                stuck[i] = join(served, CLIENT_NOTE);
                assert_true(stuck[i]->vm_id <= 10);
        }
        /* Of their coming and going nobody was told: what the reader hears next is a seat that is new. */
        next = join(served, CLIENT_NOTE);
        assert_int_equal(next->vm_id, 11);
        assert_int_equal(client_step(reader, &event), CLIENT_OK);
        assert_int_equal(event.vm_id, 11);
        served_end(served);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_who_writes_is_disconnected),
                TEST(test_who_writes_is_disconnected_though_it_is_stored),
                TEST(test_who_writes_before_it_reads_is_disconnected),
                TEST(test_a_flood_ends_with_its_connection),
                TEST(test_descriptors_sent_to_us_are_not_kept),
                TEST(test_a_descriptor_that_is_hard_to_close),
                TEST(test_connect_and_close),
                TEST(test_connect_and_close_before_anybody_accepts),
                TEST(test_a_peer_that_will_not_send_any_more),
                TEST(test_a_peer_that_will_not_receive_any_more),
                TEST(test_a_reader_of_single_bytes),
                TEST(test_a_reader_that_drops_descriptors),
                TEST(test_peeking_takes_nothing_away),
                TEST(test_receive_buffers_of_all_sizes),
                TEST(test_who_reads_late_is_told_everything),
                TEST(test_who_stops_in_mid_message_delays_nobody),
                TEST(test_stuck_peers_that_leave_are_forgotten),
        };

        return protocol_tests_run("misbehaviour", tests);
}
