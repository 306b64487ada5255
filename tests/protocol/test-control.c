/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control link: what a manager is told, who may be one, and what a server puts up with. What it can be asked for is
 * test-requests.c's. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/server/control.h"
#include "tests/lib/socket.h"
#include "tests/protocol/managed.h"

#define VECTORS 2U

/* ---- What is told ---- */

static void test_the_picture(void **state) {
        Scene *scene = scene_new(*state, "MaxPeers=5\nTopology=star\n" ACCESS_OTHERS, VECTORS);
        ControlRecord domain, record;
        Client *clients[3];
        Manager *manager;

        clients[0] = join(scene->served, CLIENT_KEEP);
        clients[1] = join_as(scene->served, CLIENT_KEEP, OTHER_UID);
        clients[2] = join(scene->served, CLIENT_KEEP);
        talloc_free(clients[2]);
        (void) refusal_as(scene->served, STRANGER_UID);

        assert_int_equal(manager_connect(scene, scene->control, &manager), 0);
        domain = next_record(manager, CONTROL_DOMAIN);
        assert_string_equal(domain.domain.name, "test");
        assert_true(domain.domain.memory_size == 1 << 20);
        assert_int_equal(domain.domain.huge_pages, HUGE_PAGES_NONE);
        assert_int_equal(domain.domain.vectors, VECTORS);
        assert_int_equal(domain.domain.max_peers, 5);
        assert_int_equal(domain.domain.topology, TOPOLOGY_STAR);
        assert_int_equal(domain.domain.n_peers, 2);
        assert_int_equal(domain.domain.n_seats, 3);
        assert_int_equal(domain.domain.joins, 3);
        assert_int_equal(domain.domain.leaves, 1);
        assert_int_equal(domain.domain.refusals, 1);
        assert_int_equal(domain.domain.evictions, 0);
        assert_false(domain.domain.definition_removed);

        record = next_record(manager, CONTROL_PEER);
        assert_int_equal(record.peer.vm_id, 0);
        assert_int_equal(record.peer.uid, 0);
        assert_int_equal(record.peer.pid, getpid());
        assert_true(record.peer.since > UINT64_C(1600000000000000));
        record = next_record(manager, CONTROL_PEER);
        assert_int_equal(record.peer.vm_id, 1);
        assert_int_equal(record.peer.uid, OTHER_UID);
        assert_int_equal(record.peer.gid, OTHER_UID);
        /* In a session or service of the machine that runs the tests it is known by its unit. */
        assert_non_null(strchr(record.peer.identity, ':'));
        (void) next_record(manager, CONTROL_SYNCED);
        assert_false(manager_has_input(manager));
        scene_end(scene);
}

static void test_who_comes_and_goes(void **state) {
        Scene *scene = scene_new(*state, ACCESS_OTHERS, VECTORS);
        Manager *manager = manage(scene, 0), *second = manage(scene, 0);
        Client *client = join_as(scene->served, CLIENT_KEEP, OTHER_UID);
        ControlRecord record;

        record = next_event(manager, CONTROL_JOINED);
        assert_int_equal(record.peer.vm_id, 0);
        assert_int_equal(record.peer.uid, OTHER_UID);
        talloc_free(client);
        record = next_event(manager, CONTROL_LEFT);
        assert_int_equal(record.peer.vm_id, 0);
        assert_int_equal(record.peer.uid, OTHER_UID);
        assert_non_null(strstr(record.text, "closed"));
        assert_int_equal(refusal_as(scene->served, STRANGER_UID), 403);
        record = next_event(manager, CONTROL_REFUSED);
        assert_int_equal(record.refusal, REFUSAL_NOT_PERMITTED);
        assert_int_equal(record.peer.uid, STRANGER_UID);
        assert_int_equal(record.peer.pid, getpid());
        assert_string_equal(record.text, "no [Access] rule matches");
        /* Each manager hears it. */
        (void) next_event(second, CONTROL_JOINED);
        (void) next_event(second, CONTROL_LEFT);
        (void) next_event(second, CONTROL_REFUSED);
        scene_end(scene);
}

enum {
        REFUSALS = 1000
};

static bool all_are_refused(const ControlDomain *domain) {
        return domain->refusals == REFUSALS;
}

/* What a tenant can cause without end is counted, and told within bounds. */
static void test_many_refusals(void **state) {
        Scene *scene = scene_new(*state, "[Access]\nConnectRate=0\n", VECTORS);
        Manager *manager = manage(scene, 0);
        unsigned told = 0;
        ControlRecord record;

        for (unsigned i = 0; i < REFUSALS; i++) {
                assert_int_equal(refusal_as(scene->served, STRANGER_UID), 403);
        }
        do {
                assert_int_equal(manager_next(manager, &record, NULL), MANAGER_OK);
                told += record.kind == CONTROL_REFUSED;
        } while (record.kind != CONTROL_DOMAIN || !all_are_refused(&record.domain));
        assert_in_range(told, 100, REFUSALS / 2);
        scene_end(scene);
}

/* The greeting and the doorbells of two who see each other, and one who was refused. */
static bool two_are_set_up(const ControlDomain *domain) {
        return domain->n_peers == 2 && domain->joins == 2 && domain->refusals == 1 &&
               domain->messages_sent == 2 * (3 + 2 * VECTORS);
}

static bool one_is_evicted(const ControlDomain *domain) {
        return domain->n_peers == 1 && domain->n_seats == 2 && domain->leaves == 1 && domain->evictions == 1;
}

static void test_counters_follow(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);

        (void) join(scene->served, CLIENT_KEEP);
        (void) join(scene->served, CLIENT_KEEP);
        assert_int_equal(refusal_as(scene->served, STRANGER_UID), 403);
        wait_domain(manager, two_are_set_up);
        ask_ok(manager, EVICT(1));
        wait_domain(manager, one_is_evicted);
        scene_end(scene);
}

#define MANY_MESSAGES (3 + 64 * 64)

static bool some_are_sent(const ControlDomain *domain) {
        return domain->joins == 64 && domain->messages_sent < 64 * 64 * 64;
}

static bool all_are_sent(const ControlDomain *domain) {
        return domain->messages_sent == 64 * MANY_MESSAGES;
}

/* Messages that go out when nobody joins or leaves are counted as well: those of one who reads late. */
static void test_messages_are_counted_when_they_go(void **state) {
        Scene *scene = scene_new(*state, "MaxPeers=64\n", 64);
        Manager *manager = manage(scene, 0);
        Client *late = connect_only(scene->served, CLIENT_DROP), *others[63];

        for (size_t i = 0; i < 63; i++) {
                others[i] = join(scene->served, CLIENT_DROP);
        }
        wait_domain(manager, some_are_sent);
        for (size_t i = 0; i < 63; i++) {
                assert_int_equal(client_read_doorbells(others[i], 64 * 64), CLIENT_OK);
        }
        assert_int_equal(client_read_doorbells(late, 64 * 64), CLIENT_OK);
        wait_domain(manager, all_are_sent);
        scene_end(scene);
}

/* What a manager knows: who sits where. */
typedef struct Mirror {
        uint64_t since[1024]; /* 0: nobody */
        bool synced;
} Mirror;

static void reflect(Mirror *mirror, const ControlRecord *record) {
        uint64_t *since = &mirror->since[record->peer.vm_id];

        switch (record->kind) {
        case CONTROL_PEER:
                assert_false(mirror->synced);
                assert_true(*since == 0);
                *since = record->peer.since;
                break;
        case CONTROL_SYNCED:
                mirror->synced = true;
                break;
        case CONTROL_JOINED:
                assert_true(mirror->synced && *since == 0);
                *since = record->peer.since;
                break;
        case CONTROL_LEFT:
                assert_true(*since == record->peer.since);
                *since = 0;
                break;
        default:
                assert_int_equal(record->kind, CONTROL_DOMAIN);
        }
}

/* A manager that reads nothing while the picture is being told finds no gap in what it reads later, and nothing twice. */
static void test_changes_while_the_picture_is_told(void **state) {
        enum {
                CROWD = 400,
                LEAVING = 40
        };
        Scene *scene = scene_new(*state, "MaxPeers=500\nTopology=star\n[Access]\nConnectRate=0\n", 1);
        Mirror *mirror = talloc_zero(scene, Mirror);
        Client *clients[CROWD + LEAVING];
        ControlRecord record;
        Manager *manager;

        for (size_t i = 0; i < CROWD; i++) {
                clients[i] = join(scene->served, CLIENT_DROP);
        }
        assert_int_equal(manager_connect(scene, scene->control, &manager), 0);
        assert_int_equal(wait_input(fd_get(manager->socket)), 0);
        /* Some of those that it was told of, some that it was not; and new ones, partly on the same seats. */
        for (size_t i = 0; i < LEAVING; i++) {
                talloc_free(clients[i * (CROWD / LEAVING)]);
                clients[CROWD + i] = join(scene->served, CLIENT_DROP);
        }
        while (!mirror->synced || manager_has_input(manager)) {
                assert_int_equal(manager_next(manager, &record, NULL), MANAGER_OK);
                reflect(mirror, &record);
        }
        for (size_t i = 0; i < CROWD + LEAVING; i++) {
                bool gone = i < CROWD && i % (CROWD / LEAVING) == 0;

                assert_true(gone || mirror->since[clients[i]->vm_id] > 0);
        }
        for (size_t id = 0, n = 0; id < 1024; id++) {
                n += mirror->since[id] > 0;
                assert_true(n <= CROWD);
        }
        scene_end(scene);
}

/* ---- What a server puts up with ---- */

static void test_who_may_connect(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager;

        /* Root, the socket's owner, the server's own user. */
        talloc_free(manage(scene, 0));
        manager = connect_manager_as(scene, OTHER_UID);
        assert_int_equal(take_picture(manager), 0);
        talloc_free(manager);
        manager = connect_manager_as(scene, LONELY_UID);
        assert_int_equal(take_picture(manager), 0);
        talloc_free(manager);

        manager = connect_manager_as(scene, STRANGER_UID);
        assert_closed(manager);
        assert_non_null(strstr(server_log(scene->served->server), "uid 54322"));
        scene_end(scene);
}

static void test_bytes_that_are_no_request(void **state) {
        static const ControlRecord no_requests[] = {
                { .kind = CONTROL_SYNCED },
                { .kind = CONTROL_REPLY, .serial = 1 },
                { .kind = CONTROL_RING, .serial = 1, .vector = 64 },
                { .kind = CONTROL_EVICT, .serial = 0 },
        };
        Scene *scene = scene_new(*state, "", VECTORS);
        uint8_t bytes[2 * CONTROL_RECORD_SIZE] = { 0 };
        const size_t sizes[] = {
                1, 8, CONTROL_RECORD_SIZE - 1, CONTROL_RECORD_SIZE, CONTROL_RECORD_SIZE + 1, sizeof(bytes)
        };
        Client *client = join(scene->served, CLIENT_KEEP);
        uint32_t fds = served_fds(scene->served);

        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                Manager *manager = manage(scene, 1);

                assert_int_equal(manager_send(manager, bytes, sizes[i]), 0);
                assert_closed(manager);
                talloc_free(manager);
        }
        for (size_t i = 0; i < sizeof(no_requests) / sizeof(*no_requests); i++) {
                Manager *manager = manage(scene, 1);

                control_encode(&no_requests[i], bytes);
                assert_int_equal(manager_send(manager, bytes, CONTROL_RECORD_SIZE), 0);
                assert_closed(manager);
                talloc_free(manager);
        }
        wait_fds_at_most(scene->served, fds);
        assert_false(client_has_input(client));
        scene_end(scene);
}

/* Descriptors that a manager sends are not taken in. */
static void test_descriptors_are_not_taken(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);
        uint8_t bytes[CONTROL_RECORD_SIZE];
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = control.bytes,
                                  .msg_controllen = sizeof(control.bytes) };
        uint32_t fds = served_fds(scene->served);

        control_encode(&(ControlRecord){ .kind = CONTROL_RELOAD, .serial = 1 }, bytes);
        for (unsigned i = 0; i < 10; i++) {
                ControlRecord reply;

                if (sendmsg(fd_get(manager->socket), &message, 0) < 0) {
                        /* The kernel keeps them away (Linux 6.16). */
                        assert_int_equal(errno, EPERM);
                        message.msg_controllen = 0;
                        assert_int_equal(sendmsg(fd_get(manager->socket), &message, 0), sizeof(bytes));
                }
                do {
                        assert_int_equal(manager_next(manager, &reply, NULL), MANAGER_OK);
                } while (reply.kind != CONTROL_REPLY);
                assert_int_equal(reply.result, CONTROL_OK);
        }
        assert_int_equal(served_fds(scene->served), fds);
        scene_end(scene);
}

static void test_a_manager_that_does_not_read(void **state) {
        Scene *scene = scene_new(*state, "[Access]\nConnectRate=0\n", VECTORS);
        Manager *lagging = manage(scene, 0), *manager;
        Client *client = join(scene->served, CLIENT_KEEP);

        /* More than the kernel and the server hold for it, which is some hundred records. */
        for (unsigned i = 0; i < 1000; i++) {
                talloc_free(join(scene->served, CLIENT_DROP));
        }
        assert_closed(lagging);
        assert_non_null(strstr(server_log(scene->served->server), "does not read"));
        assert_int_equal(client_read_doorbells(client, 2 * VECTORS), CLIENT_OK);
        manager = manage(scene, 1);
        ask_ok(manager, RING(0, 0));
        scene_end(scene);
}

/* It asks without end and reads no answer: it is not listened to any more, and nobody else minds. */
static void test_a_manager_that_only_asks(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *asking = manage(scene, 0), *manager = manage(scene, 0);
        uint32_t fds = served_fds(scene->served);
        uint8_t bytes[CONTROL_RECORD_SIZE];
        size_t asked = 0;

        /* Enough for more requests than a server holds records. */
        assert_int_equal(setsockopt(fd_get(asking->socket), SOL_SOCKET, SO_SNDBUFFORCE, &(int){ 8 << 20 },
                                    sizeof(int)),
                         0);
        control_encode(&(ControlRecord){ .kind = CONTROL_MEMORY, .serial = 1 }, bytes);
        for (; send(fd_get(asking->socket), bytes, sizeof(bytes), MSG_DONTWAIT) > 0; asked++) {
        }
        assert_int_equal(errno, EAGAIN);
        assert_true(asked > 1000);
        assert_result(ask(manager, RING(0, 0)), CONTROL_NO_SUCH_PEER, "VM ID 0");
        talloc_free(join(scene->served, CLIENT_KEEP));

        /* It reads at last, and is answered all it asked for. */
        while (asked > 0) {
                ControlRecord record;
                Fd *fd;

                assert_int_equal(manager_next(asking, &record, &fd), MANAGER_OK);
                assert_true((record.kind == CONTROL_REPLY) == (fd != NULL));
                asked -= record.kind == CONTROL_REPLY;
                talloc_free(fd);
        }
        ask_ok(asking, RING(0, 0));
        wait_fds_at_most(scene->served, fds + VECTORS);
        scene_end(scene);
}

/* It asks and is gone: what it asked for is done, nobody is left to be told, and its place is free. */
static void test_a_manager_that_does_not_wait(void **state) {
        Scene *scene = scene_new(*state, "MaxPeers=64\n", VECTORS);
        uint8_t bytes[CONTROL_RECORD_SIZE];

        for (uint32_t i = 0; i < 2 * CONTROL_LINKS_MAX; i++) {
                Client *client = join(scene->served, CLIENT_KEEP);
                Manager *manager = manage(scene, 1);

                assert_int_equal(client->vm_id, i);
                control_encode(&(ControlRecord){ .kind = CONTROL_EVICT, .serial = 1, .vm_id = i }, bytes);
                assert_int_equal(server_signal(scene->served->server, SIGSTOP), 0);
                assert_int_equal(manager_send(manager, bytes, sizeof(bytes)), 0);
                talloc_free(manager);
                assert_int_equal(server_signal(scene->served->server, SIGCONT), 0);
                assert_ended(client);
                talloc_free(client);
        }
        scene_end(scene);
}

static void test_too_many_managers(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *managers[CONTROL_LINKS_MAX], *one_more;

        for (size_t i = 0; i < CONTROL_LINKS_MAX; i++) {
                managers[i] = manage(scene, 0);
        }
        assert_int_equal(manager_connect(scene, scene->control, &one_more), 0);
        assert_closed(one_more);
        for (size_t i = 0; i < CONTROL_LINKS_MAX; i++) {
                ask_ok(managers[i], RELOAD);
        }
        /* Its place is free once the server has seen that it is gone. */
        talloc_free(managers[0]);
        do {
                ControlRecord record;

                assert_int_equal(manager_connect(scene, scene->control, &one_more), 0);
                if (manager_next(one_more, &record, NULL) == MANAGER_OK) {
                        break;
                }
                talloc_free(one_more);
        } while (true);
        scene_end(scene);
}

static void test_a_manager_goes_with_the_server(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);
        int status;

        assert_int_equal(server_stop(scene->served->server, &status), 0);
        assert_int_equal(status, 0);
        assert_closed(manager);
        talloc_free(scene);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_the_picture),
                TEST(test_who_comes_and_goes),
                TEST(test_many_refusals),
                TEST(test_counters_follow),
                TEST(test_messages_are_counted_when_they_go),
                TEST(test_changes_while_the_picture_is_told),
                TEST(test_who_may_connect),
                TEST(test_bytes_that_are_no_request),
                TEST(test_descriptors_are_not_taken),
                TEST(test_a_manager_that_does_not_read),
                TEST(test_a_manager_that_only_asks),
                TEST(test_a_manager_that_does_not_wait),
                TEST(test_too_many_managers),
                TEST(test_a_manager_goes_with_the_server),
        };

        return protocol_tests_run("control", tests);
}
