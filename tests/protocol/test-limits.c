/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is refused, by which version number, and that a limit that one meets is not met by the others. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/process.h"
#include "tests/lib/socket.h"
#include "tests/protocol/served.h"

static void test_403_without_a_rule_only_root_may_join(void **state) {
        Served *served = serve_definition(*state, "", 1, NULL);

        assert_int_equal(refusal_as(served, OTHER_UID), REFUSAL_NOT_PERMITTED);
        join(served, CLIENT_KEEP);
        served_end(served);
}

static void test_a_rule_lets_its_user_in(void **state) {
        Served *served = serve_definition(*state, "[Access]\nUser=54321\n", 1, NULL);

        join_as(served, CLIENT_KEEP, OTHER_UID);
        assert_int_equal(refusal_as(served, OTHER_UID + 1), REFUSAL_NOT_PERMITTED);
        served_end(served);
}

static void test_a_rule_lets_its_group_in(void **state) {
        Served *served = serve_definition(*state, "[Access]\nGroup=54321\n", 1, NULL);

        join_as(served, CLIENT_KEEP, OTHER_UID);
        assert_int_equal(refusal_as(served, OTHER_UID + 1), REFUSAL_NOT_PERMITTED);
        served_end(served);
}

static void test_the_owner_may_join(void **state) {
        Served *served = serve_definition(*state, "Owner=54321\n", 1, NULL);

        join_as(served, CLIENT_KEEP, OTHER_UID);
        assert_int_equal(refusal_as(served, OTHER_UID + 1), REFUSAL_NOT_PERMITTED);
        served_end(served);
}

/* As the reference server does. */
static void test_drop_in_lets_everybody_in_who_can_open_the_socket(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);

        assert_int_equal(chmod(served->socket, 0666), 0);
        join_as(served, CLIENT_KEEP, OTHER_UID);
        served_end(served);
}

static void test_409_a_reserved_seat_is_taken_once(void **state) {
        Served *served = serve_definition(
                *state, "[Access]\nUser=54321\n[Peer router]\nVMID=5\nUser=54321\n", 1, NULL);
        Client *router = join_as(served, CLIENT_KEEP, OTHER_UID);

        assert_int_equal(router->vm_id, 5);
        assert_int_equal(refusal_as(served, OTHER_UID), REFUSAL_SEAT_TAKEN);
        /* Others go on, on other seats. */
        assert_int_equal(join(served, CLIENT_KEEP)->vm_id, 0);
        talloc_free(router);
        assert_int_equal(join_as(served, CLIENT_KEEP, OTHER_UID)->vm_id, 5);
        served_end(served);
}

static void test_429_peers_per_user(void **state) {
        Served *served = serve_definition(*state, "[Access]\nPeersPerUser=2\nUser=54321 54322\n", 1, NULL);
        Client *first = join_as(served, CLIENT_KEEP, OTHER_UID);

        join_as(served, CLIENT_KEEP, OTHER_UID);
        assert_int_equal(refusal_as(served, OTHER_UID), REFUSAL_TOO_MANY);
        join_as(served, CLIENT_KEEP, OTHER_UID + 1);
        talloc_free(first);
        join_as(served, CLIENT_KEEP, OTHER_UID);
        served_end(served);
}

/* One connection a second, and ten at once. */
static void test_429_connections_per_second(void **state) {
        Served *served = serve_definition(*state, "[Access]\nConnectRate=1\nUser=54321 54322\n", 1, NULL);
        size_t n_refused = 0;

        for (size_t i = 0; i < 40; i++) {
                Client *client = connect_as(served, CLIENT_KEEP, OTHER_UID);
                int r = client_read_doorbells(client, 1);

                if (r == CLIENT_FAILURE) {
                        assert_int_equal(wire_decoder_refusal(client->decoder), REFUSAL_TOO_MANY);
                        n_refused++;
                } else {
                        assert_int_equal(r, CLIENT_OK);
                }
                talloc_free(client);
        }
        /* Forty connections take well below twenty seconds. */
        assert_in_range(n_refused, 10, 30);
        join_as(served, CLIENT_KEEP, OTHER_UID + 1);
        join(served, CLIENT_KEEP);
        served_end(served);
}

/* A QEMU that hot-plugs reads its refusal long after it connected, and spins for ever when it finds a closed
 * connection by then. So the server waits for the client to close, within bounds. */
static void test_who_was_refused_closes_first(void **state) {
        Served *served = serve_definition(*state, "[Access]\nConnectRate=0\n", 1, NULL);
        Client *clients[100];
        uint32_t before;
        size_t n_ended = 0;

        /* With the first refusal come descriptors of the event loop that stay. */
        assert_int_equal(refusal_as(served, OTHER_UID), REFUSAL_NOT_PERMITTED);
        before = served_fds(served);

        for (size_t i = 0; i < 100; i++) {
                clients[i] = connect_as(served, CLIENT_KEEP, OTHER_UID);
                assert_int_equal(client_step(clients[i], NULL), CLIENT_FAILURE);
                assert_int_equal(wire_decoder_refusal(clients[i]->decoder), REFUSAL_NOT_PERMITTED);
        }
        assert_in_range(served_fds(served), before + 10, before + 20);
        for (size_t i = 0; i < 100; i++) {
                n_ended += client_has_input(clients[i]);
        }
        assert_in_range(n_ended, 80, 90);
        /* The oldest ones ended, the youngest are open, and go when their clients go. */
        assert_ended(clients[0]);
        assert_false(client_has_input(clients[99]));
        for (size_t i = 0; i < 100; i++) {
                talloc_free(clients[i]);
        }
        wait_fds_at_most(served, before);
        served_end(served);
}

/* Records of one user are bounded, and those that were left out are counted. */
static void test_what_is_not_logged_is_counted(void **state) {
        static const char text[] = " records about uid 54321";
        Served *served = serve_definition(*state, "[Access]\nConnectRate=0\n", 1, NULL);
        time_t end = time(NULL) + WAIT_MSEC / 1000;

        do {
                assert_true(time(NULL) < end);
                for (size_t i = 0; i < 100; i++) {
                        assert_int_equal(refusal_as(served, OTHER_UID), REFUSAL_NOT_PERMITTED);
                }
        } while (!strstr(server_log(served->server), text));
        served_end(served);
}

static void test_507_more_than_max_peers(void **state) {
        Served *served = serve_definition(*state, "MaxPeers=3\n", 1, NULL);
        Client *clients[3];

        for (size_t i = 0; i < 3; i++) {
                clients[i] = join(served, CLIENT_KEEP);
        }
        assert_int_equal(refusal_of(served), REFUSAL_NO_FREE_SEAT);
        assert_views_exact(clients, 3, 1, /* star= */ false);
        talloc_free(clients[1]);
        assert_int_equal(join(served, CLIENT_KEEP)->vm_id, 1);
        served_end(served);
}

/* One more client; all read what they are told. Returns false when it is refused. */
static bool crowd_add(Served *served, Client **clients, size_t n) {
        int r;

        clients[n] = connect_only(served, CLIENT_NOTE);
        r = client_read_doorbells(clients[n], (n + 1) * served->vectors);
        if (r == CLIENT_FAILURE) {
                assert_int_equal(wire_decoder_refusal(clients[n]->decoder), REFUSAL_NO_FREE_SEAT);
                TALLOC_FREE(clients[n]);
                return false;
        }
        assert_int_equal(r, CLIENT_OK);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(client_read_doorbells(clients[i], (n + 1) * served->vectors), CLIENT_OK);
        }
        return true;
}

static size_t log_count(Served *served, const char *text) {
        const char *at = server_log(served->server);
        size_t n = 0;

        while ((at = strstr(at, text))) {
                at++;
                n++;
        }
        return n;
}

/* The drop-in form has no MaxPeers=: descriptors are the limit. Each peer takes a socket and its doorbells. */
static void run_out_of_descriptors(void *context, uint32_t nofile) {
        const ServerOptions options = { .nofile = nofile };
        Served *served = serve_dropin(context, "1M", 4, &options);
        Client *clients[100];
        size_t n = 0;

        while (crowd_add(served, clients, n)) {
                n++;
        }
        assert_in_range(n, 10, 20);
        assert_views_exact(clients, n, 4, /* star= */ false);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(refusal_of(served), REFUSAL_NO_FREE_SEAT);
        }
        assert_in_range(log_count(served, "Refusing new peers: "), 0, 1);

        /* A seat that is open already costs no more than the socket. */
        for (size_t i = 1; i < 6; i++) {
                talloc_free(clients[i]);
                clients[i] = join(served, CLIENT_NOTE);
                assert_int_equal(clients[i]->vm_id, i);
        }
        served_end(served);
}

/* With each remainder that the five descriptors of a peer can leave. */
static void test_507_when_descriptors_run_out(void **state) {
        for (uint32_t nofile = 100; nofile < 105; nofile++) {
                run_out_of_descriptors(*state, nofile);
        }
}

/* As many descriptors may be in flight as one may be open: peers that do not read use them up (unix(7), ETOOMANYREFS). */
static void test_descriptors_in_flight_are_not_used_up_by_stuck_peers(void **state) {
        const ServerOptions options = { .nofile = 256 };
        Served *served = serve_dropin(*state, "1M", 4, &options);
        Client *clients[24];

        for (size_t i = 0; i < 20; i++) {
                clients[i] = connect_only(served, CLIENT_NOTE);
        }
        for (size_t i = 20; i < 24; i++) {
                clients[i] = join(served, CLIENT_NOTE);
        }
        assert_views_exact(clients, 24, 4, /* star= */ false);
        served_end(served);
}

/* Another process of the server's user, which has more descriptors in flight than the server may have. */
typedef struct Hog {
        pid_t pid;
        int end; /* it goes when this is closed */
} Hog;

/* In the child: 253 descriptors are what one message takes. */
static bool put_in_flight(uint32_t uid, size_t n_messages) {
        static int fds[253];
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(fds))];
        } control = { .header = { .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(sizeof(fds)) } };
        struct iovec iov = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
        struct msghdr header = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        bool sent = true;
        int pair[2];

        memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
        if (setresuid(uid, uid, uid) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0) {
                return false;
        }
        for (size_t i = 0; i < n_messages && sent; i++) {
                sent = sendmsg(pair[0], &header, 0) == 1;
        }
        return sent;
}

static Hog hog_start(size_t n_messages) {
        const uint32_t uid = LONELY_UID;
        int go[2], done[2];
        char byte = 0;
        Hog hog;

        assert_int_equal(pipe(go), 0);
        assert_int_equal(pipe(done), 0);
        hog.pid = fork();
        if (hog.pid == 0) {
                close(go[1]);
                byte = put_in_flight(uid, n_messages);
                _exit(write(done[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 0);
        }
        close(go[0]);
        close(done[1]);
        hog.end = go[1];
        assert_int_equal(read(done[0], &byte, 1), 1);
        assert_int_equal(byte, 1);
        close(done[0]);
        return hog;
}

static void hog_end(const Hog *hog) {
        int status;

        close(hog->end);
        assert_int_equal(waitpid(hog->pid, &status, 0), hog->pid);
        assert_int_equal(status, 0);
}

/* The kernel counts for the user as a whole. Who is short of descriptors in flight, by whosever doing, goes on when there are
 * some again. */
static void test_want_of_descriptors_in_flight_is_waited_out(void **state) {
        const ServerOptions options = { .nofile = 256 };
        Served *served = serve_dropin(*state, "1M", 4, &options);
        Client *clients[4];
        Hog hog;

        clients[0] = join(served, CLIENT_NOTE);
        hog = hog_start(2);
        for (size_t i = 1; i < 4; i++) {
                /* What takes no descriptor comes. */
                clients[i] = connect_only(served, CLIENT_NOTE);
                assert_int_equal(client_step(clients[i], NULL), CLIENT_OK);
                assert_int_equal(client_step(clients[i], NULL), CLIENT_OK);
        }
        assert_int_equal(process_wait_asleep(served->server->pid), 0);
        for (size_t i = 0; i < 4; i++) {
                assert_false(client_has_input(clients[i]));
        }
        hog_end(&hog);
        assert_views_exact(clients, 4, 4, /* star= */ false);
        served_end(served);
}

/* How many messages a client has that does not read. */
static size_t unread_of(const Client *client) {
        int bytes;

        assert_int_equal(ioctl(fd_get(client->socket), FIONREAD, &bytes), 0);
        return (size_t) bytes / WIRE_MESSAGE_SIZE;
}

/* The same of a new one, once another one that came later is set up. */
static size_t unread_when_stuck(Served *served) {
        Client *stuck = connect_only(served, CLIENT_NOTE);
        Client *later = join(served, CLIENT_NOTE);
        size_t n = unread_of(stuck);

        talloc_free(later);
        talloc_free(stuck);
        return n;
}

/* More join, one after the other, and all read what they are told. There are `others` beside them, who do not. */
static void readers_join(Served *served, Client **readers, size_t n, size_t more, size_t others) {
        for (size_t i = n; i < n + more; i++) {
                readers[i] = join(served, CLIENT_NOTE);
                for (size_t j = 0; j <= i; j++) {
                        assert_int_equal(
                                client_read_doorbells(readers[j], (i + 1 + others) * served->vectors),
                                CLIENT_OK);
                }
        }
}

/* So many that the first window is as large as it can be unless something was counted that is not there. */
#define MUCH_ROOM 16384U

/* What is in flight is known: who has read, or has left, takes nothing away from what others may have unread. */
static void test_room_in_flight_comes_back(void **state) {
        const ServerOptions options = { .nofile = MUCH_ROOM };
        Served *served = serve_dropin(*state, "1M", 8, &options);
        Client *readers[46];
        size_t before;

        readers_join(served, readers, 0, 12, 0);
        before = unread_when_stuck(served);
        assert_in_range(before, 16, 64);
        for (size_t i = 0; i < 300; i++) {
                assert_int_equal(unread_when_stuck(served), before);
        }
        readers_join(served, readers, 12, 34, 0);
        assert_int_equal(unread_when_stuck(served), before);
        served_end(served);
}

/* Who reads much may have much unread meanwhile; not when it has stopped reading long after. */
static void test_who_stops_reading_has_as_much_as_a_newcomer(void **state) {
        const ServerOptions options = { .nofile = MUCH_ROOM };
        Served *served = serve_dropin(*state, "1M", 8, &options);
        Client *readers[36], *stops;
        size_t of_a_newcomer;

        readers_join(served, readers, 0, 12, 0);
        of_a_newcomer = unread_when_stuck(served);
        stops = join(served, CLIENT_NOTE);
        /* Each is told after those who came before it, so that all have read means that it was told as well. */
        readers_join(served, readers, 12, 24, 1);
        assert_int_equal(unread_of(stops), of_a_newcomer);
        served_end(served);
}

/* The lowest limit of descriptors with which such a domain starts: a server that has less says what it takes. */
static uint32_t least_limit(void *ctx, const char *lines, uint32_t vectors) {
        Served *served = served_new(ctx, vectors);
        char *text = talloc_asprintf(served, "[Domain]\nSize=1M\nVectors=%u\n%s", vectors, lines);
        ServerOptions options = { .nofile = 64, .uid = LONELY_UID };
        unsigned long least;
        const char *words;
        char *path;
        int status;

        assert_int_equal(scratch_write(served->scratch, "test.domain", text, &path), 0);
        options.arguments = (const char *const[]){ "--definition", path, "-S", served->socket, NULL };
        assert_int_equal(server_spawn(served, &options, &served->server), 0);
        assert_int_equal(server_wait_end(served->server, &status), 0);
        assert_int_not_equal(status, 0);
        words = strstr(server_log(served->server), " takes ");
        assert_non_null(words);
        least = strtoul(words + strlen(" takes "), NULL, 10);
        talloc_free(served);
        assert_in_range(least, 65, 20000);
        return (uint32_t) least;
}

/* At the lowest limit with which it starts: all but one of its peers do not read, and have a tenth of what they would
 * have unread if they could. The last one comes, is set up, goes, and comes again. */
static void test_a_full_domain_of_stuck_peers(void **state) {
        const ServerOptions options = { .nofile = least_limit(*state, "MaxPeers=60\n", 8) };
        Served *served = serve_definition(*state, "MaxPeers=60\n", 8, &options);
        Client *clients[60];

        for (size_t i = 0; i < 59; i++) {
                clients[i] = connect_only(served, CLIENT_NOTE);
        }
        for (size_t i = 0; i < 10; i++) {
                if (i > 0) {
                        talloc_free(clients[59]);
                }
                clients[59] = join(served, CLIENT_NOTE);
                assert_int_equal(clients[59]->vm_id, 59);
        }
        assert_views_exact(clients, 60, 8, /* star= */ false);
        served_end(served);
}

static void test_many_users(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        Client *clients[64];

        assert_int_equal(chmod(served->socket, 0666), 0);
        for (size_t i = 0; i < 64; i++) {
                clients[i] = join_as(served, CLIENT_KEEP, OTHER_UID + (uint32_t) i);
        }
        assert_views_exact(clients, 64, 1, /* star= */ false);

        /* Each finds its own seat when it comes back, whatever the order. */
        for (size_t i = 1; i < 64; i++) {
                talloc_free(clients[i]);
        }
        for (size_t i = 63; i >= 1; i--) {
                clients[i] = join_as(served, CLIENT_KEEP, OTHER_UID + (uint32_t) i);
                assert_int_equal(clients[i]->vm_id, i);
        }
        served_end(served);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_403_without_a_rule_only_root_may_join),
                TEST(test_a_rule_lets_its_user_in),
                TEST(test_a_rule_lets_its_group_in),
                TEST(test_the_owner_may_join),
                TEST(test_drop_in_lets_everybody_in_who_can_open_the_socket),
                TEST(test_409_a_reserved_seat_is_taken_once),
                TEST(test_429_peers_per_user),
                TEST(test_429_connections_per_second),
                TEST(test_who_was_refused_closes_first),
                TEST(test_what_is_not_logged_is_counted),
                TEST(test_507_more_than_max_peers),
                TEST(test_507_when_descriptors_run_out),
                TEST(test_descriptors_in_flight_are_not_used_up_by_stuck_peers),
                TEST(test_want_of_descriptors_in_flight_is_waited_out),
                TEST(test_room_in_flight_comes_back),
                TEST(test_who_stops_reading_has_as_much_as_a_newcomer),
                TEST(test_a_full_domain_of_stuck_peers),
                TEST(test_many_users),
        };

        return protocol_tests_run("limits", tests);
}
