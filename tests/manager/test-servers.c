/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Servers that lie, lag, fall silent or go away in the middle: what the manager believes, and that it lets nobody wait. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/socket.h"
#include "tests/manager/staged.h"
#include "tests/unit/testing.h"

/* A domain that runs, with the manager's connection to the server that the test is. */
typedef struct Scene {
        Staged *staged;
        Domain *domain;
        int listener;
        int server;
} Scene;

static void scene_begin(Scene *scene, void *ctx) {
        scene->staged = staged_new(ctx);
        assert_null(staged_create(scene->staged, "ring", 0, true, (const char *const[]){ "Size=1M", NULL }));
        scene->domain = manager_find(scene->staged->managed->manager, "ring");
        scene->listener = staged_listen(scratch_path(scene->staged->managed->scratch, "ring.control"));
        staged_tell(scene->staged, "ring", DOMAIN_RUNNING, "");
        scene->server = staged_accept(scene->staged, scene->listener);
        managed_forget(scene->staged->managed);
}

static void scene_end(Scene *scene) {
        if (scene->server >= 0) {
                close(scene->server);
        }
        close(scene->listener);
        staged_free(scene->staged);
}

static ControlRecord domain_record(const char *name) {
        ControlRecord record = { .kind = CONTROL_DOMAIN };

        memcpy(record.domain.name, name, strlen(name) + 1);
        record.domain.memory_size = 1 << 20;
        record.domain.vectors = 1;
        record.domain.max_peers = 16;
        return record;
}

static ControlRecord peer_record(ControlKind kind, uint32_t vm_id, uint64_t since) {
        ControlRecord record = { .kind = kind, .peer = { .vm_id = vm_id, .pid = 7, .since = since } };

        memcpy(record.peer.identity, "uid-0", 6);
        return record;
}

static void say(Scene *scene, ControlRecord record) {
        server_say(scene->server, &record);
}

static void say_picture(Scene *scene) {
        say(scene, domain_record("ring"));
        say(scene, peer_record(CONTROL_PEER, 3, 30));
        say(scene, peer_record(CONTROL_PEER, 1, 10));
        say(scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        managed_wait(scene->staged->managed, "joined ring 3");
        managed_wait(scene->staged->managed, "joined ring 1");
}

/* Turns the loop until the manager has hung up. */
static void wait_for_hang_up(Scene *scene) {
        char byte;

        while (recv(scene->server, &byte, 1, 0) != 0) {
                assert_int_equal(errno, EAGAIN);
                staged_turn(scene->staged);
        }
        close(scene->server);
        scene->server = -EBADF;
}

/* ---- The picture ---- */

static void test_picture(void **state) {
        const ControlPeer *const *peers;
        Scene scene;
        size_t n;

        scene_begin(&scene, *state);
        say(&scene, peer_record(CONTROL_PEER, 3, 30));
        say(&scene, domain_record("ring"));
        managed_wait(scene.staged->managed, "counters ring 0");
        /* Half a picture is none. */
        (void) domain_peers(scene.domain, &n);
        assert_int_equal(n, 0);
        managed_forget(scene.staged->managed);
        say(&scene, peer_record(CONTROL_PEER, 1, 10));
        say(&scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        managed_wait(scene.staged->managed, "joined ring 1");
        /* Nothing more need come for their number to be told. */
        managed_wait(scene.staged->managed, "counters ring 0");
        peers = domain_peers(scene.domain, &n);
        assert_int_equal(n, 2);
        assert_int_equal(peers[0]->vm_id, 1);
        assert_int_equal(peers[1]->vm_id, 3);
        scene_end(&scene);
}

/* A peer that was told of leaves before the picture is whole, and another one has its seat then. */
static void test_left_meanwhile(void **state) {
        const ControlPeer *const *peers;
        Scene scene;
        size_t n;

        scene_begin(&scene, *state);
        say(&scene, domain_record("ring"));
        say(&scene, peer_record(CONTROL_PEER, 1, 10));
        say(&scene, peer_record(CONTROL_PEER, 2, 20));
        say(&scene, peer_record(CONTROL_LEFT, 1, 10));
        say(&scene, peer_record(CONTROL_LEFT, 2, 20));
        say(&scene, peer_record(CONTROL_PEER, 1, 30));
        say(&scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        managed_wait(scene.staged->managed, "joined ring 1");
        peers = domain_peers(scene.domain, &n);
        assert_int_equal(n, 1);
        assert_true(peers[0]->since == 30);
        assert_false(managed_heard(scene.staged->managed, "left ring 1"));
        assert_false(managed_heard(scene.staged->managed, "joined ring 2"));
        scene_end(&scene);
}

/* A server that was restarted gives a new picture: only what differs is told. */
static void test_again(void **state) {
        Scene scene;

        scene_begin(&scene, *state);
        say_picture(&scene);
        managed_forget(scene.staged->managed);
        close(scene.server);
        scene.server = staged_accept(scene.staged, scene.listener);
        say(&scene, domain_record("ring"));
        say(&scene, peer_record(CONTROL_PEER, 1, 10));
        say(&scene, peer_record(CONTROL_PEER, 3, 31));
        say(&scene, peer_record(CONTROL_PEER, 4, 40));
        say(&scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        managed_wait(scene.staged->managed, "joined ring 4");
        assert_true(managed_heard(scene.staged->managed, "left ring 3"));
        assert_true(managed_heard(scene.staged->managed, "joined ring 3"));
        assert_false(managed_heard(scene.staged->managed, "left ring 1"));
        assert_false(managed_heard(scene.staged->managed, "joined ring 1"));
        scene_end(&scene);
}

static void test_stop(void **state) {
        Scene scene;
        size_t n;

        scene_begin(&scene, *state);
        say_picture(&scene);
        staged_tell(scene.staged, "ring", DOMAIN_STOPPED, "");
        assert_true(managed_heard(scene.staged->managed, "left ring 1"));
        assert_true(managed_heard(scene.staged->managed, "left ring 3"));
        (void) domain_peers(scene.domain, &n);
        assert_int_equal(n, 0);
        assert_int_equal(domain_counters(scene.domain)->memory_size, 0);
        wait_for_hang_up(&scene);
        scene_end(&scene);
}

/* systemd replaces a server: who is connected stays so, and who has left by then has left. */
static void test_replaced(void **state) {
        static const DomainState between[] = { DOMAIN_STOPPING, DOMAIN_STARTING };
        Scene scene;
        size_t n;

        scene_begin(&scene, *state);
        say_picture(&scene);
        managed_forget(scene.staged->managed);
        for (size_t i = 0; i < 2; i++) {
                staged_tell(scene.staged, "ring", between[i], "");
                (void) domain_peers(scene.domain, &n);
                assert_int_equal(n, 2);
                assert_int_equal(domain_counters(scene.domain)->memory_size, 0);
        }
        wait_for_hang_up(&scene);
        assert_false(managed_begin_operation(scene.staged->managed, "ring",
                                             &(Request){ .kind = OPERATION_RING }));
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_NOT_RUNNING);
        staged_tell(scene.staged, "ring", DOMAIN_RUNNING, "");
        scene.server = staged_accept(scene.staged, scene.listener);
        say(&scene, domain_record("ring"));
        say(&scene, peer_record(CONTROL_PEER, 3, 30));
        say(&scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        managed_wait(scene.staged->managed, "left ring 1");
        assert_false(managed_heard(scene.staged->managed, "left ring 3"));
        assert_false(managed_heard(scene.staged->managed, "joined ring 3"));
        /* The next one does not come up. */
        staged_tell(scene.staged, "ring", DOMAIN_STARTING, "");
        assert_false(managed_heard(scene.staged->managed, "left ring 3"));
        staged_tell(scene.staged, "ring", DOMAIN_FAILED, "");
        assert_true(managed_heard(scene.staged->managed, "left ring 3"));
        scene_end(&scene);
}

/* A server that serves something else than the file says. */
static void test_outdated(void **state) {
        ControlRecord record = domain_record("ring");
        Scene scene;

        scene_begin(&scene, *state);
        say(&scene, record);
        managed_wait(scene.staged->managed, "counters ring 0");
        assert_int_equal(domain_definition_state(scene.domain), DEFINITION_CURRENT);
        record.domain.memory_size = 1 << 21;
        say(&scene, record);
        managed_wait(scene.staged->managed, "definition ring changed");
        scene_end(&scene);
}

/* ---- Lies ---- */

static void lie_name(Scene *scene) {
        say(scene, domain_record("gnir"));
}

static void lie_twice(Scene *scene) {
        say(scene, peer_record(CONTROL_PEER, 1, 1));
        say(scene, peer_record(CONTROL_PEER, 1, 2));
}

static void lie_synced_twice(Scene *scene) {
        say(scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        say(scene, (ControlRecord){ .kind = CONTROL_SYNCED });
}

static void lie_early_join(Scene *scene) {
        say(scene, peer_record(CONTROL_JOINED, 1, 1));
}

static void lie_late_peer(Scene *scene) {
        say(scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        say(scene, peer_record(CONTROL_PEER, 1, 1));
}

static void lie_left(Scene *scene) {
        say(scene, (ControlRecord){ .kind = CONTROL_SYNCED });
        say(scene, peer_record(CONTROL_LEFT, 1, 1));
}

static void lie_left_early(Scene *scene) {
        say(scene, peer_record(CONTROL_PEER, 1, 1));
        say(scene, peer_record(CONTROL_LEFT, 2, 1));
}

static void lie_reply(Scene *scene) {
        say(scene, (ControlRecord){ .kind = CONTROL_REPLY, .serial = 1 });
}

static void lie_request(Scene *scene) {
        say(scene, (ControlRecord){ .kind = CONTROL_RELOAD, .serial = 1 });
}

static void lie_bytes(Scene *scene) {
        uint8_t bytes[CONTROL_RECORD_SIZE];

        memset(bytes, 0xff, sizeof(bytes));
        assert_int_equal(send(scene->server, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
}

static void lie_short(Scene *scene) {
        assert_int_equal(send(scene->server, "x", 1, MSG_NOSIGNAL), 1);
}

static void lie_long(Scene *scene) {
        uint8_t bytes[CONTROL_RECORD_SIZE + 1] = { 0 };
        ControlRecord record = domain_record("ring");

        control_encode(&record, bytes);
        assert_int_equal(send(scene->server, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
}

static void lie_too_many(Scene *scene) {
        for (uint32_t i = 0; i <= 4096; i++) {
                ControlRecord record = peer_record(CONTROL_PEER, i, 1);
                uint8_t bytes[CONTROL_RECORD_SIZE];

                control_encode(&record, bytes);
                while (send(scene->server, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
                        staged_turn(scene->staged);
                }
        }
}

static void send_descriptor(const Scene *scene, const ControlRecord *record, int fd, size_t n) {
        uint8_t bytes[CONTROL_RECORD_SIZE];
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(200 * sizeof(int))];
        } control = { .header = { .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(n * sizeof(int)) } };
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

        for (size_t i = 0; i < n; i++) {
                memcpy((char *) CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
        }
        control_encode(record, bytes);
        assert_int_equal(sendmsg(scene->server, &message, MSG_NOSIGNAL), sizeof(bytes));
}

static void lie_descriptor(Scene *scene) {
        ControlRecord record = domain_record("ring");

        send_descriptor(scene, &record, scene->listener, 1);
}

static void lie_descriptors(Scene *scene) {
        ControlRecord record = domain_record("ring");

        send_descriptor(scene, &record, scene->listener, 8);
}

/* Each ends the connection, and leaves no descriptor behind. */
static void test_lies(void **state) {
        static void (*const lies[])(Scene *) = {
                lie_name,  lie_twice,      lie_synced_twice, lie_early_join, lie_late_peer,
                lie_left,  lie_left_early, lie_reply,        lie_request,    lie_bytes,
                lie_short, lie_long,       lie_too_many,     lie_descriptor, lie_descriptors,
        };

        for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
                int lowest = dup(STDERR_FILENO), after;
                Scene scene;

                close(lowest);
                scene_begin(&scene, *state);
                lies[i](&scene);
                wait_for_hang_up(&scene);
                scene_end(&scene);
                /* What servers sent is closed aside. */
                do {
                        after = dup(STDERR_FILENO);
                        close(after);
                } while (after > lowest);
                assert_int_equal(after, lowest);
        }
}

/* ---- Requests ---- */

static ControlRecord reply_to(const ControlRecord *request, ControlResult result) {
        return (ControlRecord){ .kind = CONTROL_REPLY, .serial = request->serial, .result = result };
}

static const struct {
        ControlResult result;
        FailureKind kind;
} results[] = {
        { CONTROL_NO_SUCH_PEER, FAILURE_NO_SUCH_PEER },
        { CONTROL_NO_SUCH_VECTOR, FAILURE_NO_SUCH_VECTOR },
        { CONTROL_RELOAD_FAILED, FAILURE_INVALID_SETTING },
        { CONTROL_FIXED, FAILURE_FIXED_SETTING },
        { CONTROL_SHORT, FAILURE_NO_MEMORY },
        { CONTROL_STOPPING, FAILURE_NOT_RUNNING },
        { CONTROL_NOT_SUPPORTED, FAILURE_NOT_SUPPORTED },
};

static void test_replies(void **state) {
        Request ring = { .kind = OPERATION_RING, .vm_id = 5, .vector = 6 };
        Scene scene;

        scene_begin(&scene, *state);
        for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
                size_t before = scene.staged->managed->n_done;
                ControlRecord request, reply;

                assert_true(managed_begin_operation(scene.staged->managed, "ring", &ring));
                server_hear(scene.staged, scene.server, &request);
                assert_int_equal(request.kind, CONTROL_RING);
                assert_int_equal(request.vm_id, 5);
                assert_int_equal(request.vector, 6);
                reply = reply_to(&request, results[i].result);
                memcpy(reply.text, "in words", 9);
                say(&scene, reply);
                while (scene.staged->managed->n_done == before) {
                        staged_turn(scene.staged);
                }
                assert_true(scene.staged->managed->failed);
                assert_int_equal(scene.staged->managed->failure.kind, results[i].kind);
                assert_non_null(strstr(scene.staged->managed->failure.text, "in words"));
        }
        scene_end(&scene);
}

/* Nobody waits for a server that is gone; and there is a bound on what waits. */
static void test_lost(void **state) {
        Request ring = { .kind = OPERATION_RING };
        unsigned n = 0;
        Scene scene;

        scene_begin(&scene, *state);
        while (managed_begin_operation(scene.staged->managed, "ring", &ring)) {
                n++;
        }
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_BUSY);
        assert_int_equal(n, 64);
        close(scene.server);
        scene.server = -EBADF;
        while (scene.staged->managed->n_done < n) {
                staged_turn(scene.staged);
                assert_true(scene.staged->managed->n_done == 0 ||
                            scene.staged->managed->failure.kind == FAILURE_SERVER_LOST);
        }
        /* Until it is back. */
        assert_false(managed_begin_operation(scene.staged->managed, "ring", &ring));
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_SERVER_LOST);
        scene.server = staged_accept(scene.staged, scene.listener);
        assert_true(managed_begin_operation(scene.staged->managed, "ring", &ring));
        scene_end(&scene);
}

/* In an answer, behind what ends the connection, and more than one: who closes the last one would wait for an hour. */
static void test_descriptors_that_are_hard_to_close(void **state) {
        for (unsigned i = 0; i < 3; i++) {
                ControlRecord record = domain_record("ring"), request;
                int end, fd = lingering_socket(&end);
                Scene scene;

                assert_true(fd >= 0);
                scene_begin(&scene, *state);
                if (i == 0) {
                        assert_true(managed_begin_operation(scene.staged->managed, "ring",
                                                            &(Request){ .kind = OPERATION_OPEN }));
                        server_hear(scene.staged, scene.server, &request);
                        record = reply_to(&request, CONTROL_OK);
                } else if (i == 1) {
                        lie_bytes(&scene);
                }
                send_descriptor(&scene, &record, fd, i == 2 ? 200 : 1);
                close(fd);
                while (i == 0 && scene.staged->managed->n_done == 0) {
                        staged_turn(scene.staged);
                }
                if (i > 0) {
                        wait_for_hang_up(&scene);
                }
                scene_end(&scene);
                close(end);
        }
}

/* An answer that must have a descriptor and has none, or has one of the network for a connection and a connection for memory. */
static void test_wrong_descriptors(void **state) {
        static const OperationKind kinds[] = { OPERATION_MEMORY, OPERATION_MEMORY, OPERATION_OPEN,
                                               OPERATION_OPEN };
        int network = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        Scene scene;

        scene_begin(&scene, *state);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                Managed *managed = scene.staged->managed;
                size_t before = managed->n_done;
                ControlRecord request, reply;

                assert_true(managed_begin_operation(managed, "ring", &(Request){ .kind = kinds[i] }));
                server_hear(scene.staged, scene.server, &request);
                reply = reply_to(&request, CONTROL_OK);
                if (i % 2 == 0) {
                        say(&scene, reply);
                } else {
                        send_descriptor(&scene, &reply,
                                        kinds[i] == OPERATION_OPEN ? network : scene.listener, 1);
                }
                while (managed->n_done == before) {
                        staged_turn(scene.staged);
                }
                assert_true(managed->failed);
                assert_int_equal(managed->failure.kind, FAILURE_SERVER_LOST);
                assert_int_equal(managed->fd, -EBADF);
        }
        close(network);
        scene_end(&scene);
}

/* Answers come in the order of the questions. */
static void test_wrong_serial(void **state) {
        Request ring = { .kind = OPERATION_RING };
        ControlRecord request;
        Scene scene;

        scene_begin(&scene, *state);
        assert_true(managed_begin_operation(scene.staged->managed, "ring", &ring));
        server_hear(scene.staged, scene.server, &request);
        request.serial++;
        say(&scene, reply_to(&request, CONTROL_OK));
        while (scene.staged->managed->n_done == 0) {
                staged_turn(scene.staged);
        }
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_SERVER_LOST);
        wait_for_hang_up(&scene);
        scene_end(&scene);
}

/* The server refuses what the manager has written: all is as it was, and one change at a time is under way. */
static void test_refused_change(void **state) {
        Setting setting = { .key = "Description", .value = "new" };
        Request set = { .kind = OPERATION_SET, .settings = &setting, .n_settings = 1 };
        ControlRecord request;
        Scene scene;

        scene_begin(&scene, *state);
        assert_true(managed_begin_operation(scene.staged->managed, "ring", &set));
        assert_string_equal(domain_definition(scene.domain)->description, "new");
        assert_false(managed_begin_operation(scene.staged->managed, "ring", &set));
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_BUSY);
        server_hear(scene.staged, scene.server, &request);
        assert_int_equal(request.kind, CONTROL_RELOAD);
        say(&scene, reply_to(&request, CONTROL_RELOAD_FAILED));
        while (scene.staged->managed->n_done == 0) {
                staged_turn(scene.staged);
        }
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_INVALID_SETTING);
        assert_null(domain_definition(scene.domain)->description);
        /* One that is lost reads the new file when it is back. And what comes or goes is not asked. */
        assert_true(managed_begin_operation(scene.staged->managed, "ring", &set));
        staged_tell(scene.staged, "ring", DOMAIN_STOPPING, "");
        while (scene.staged->managed->n_done == 1) {
                staged_turn(scene.staged);
        }
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_SERVER_LOST);
        assert_string_equal(domain_definition(scene.domain)->description, "new");
        assert_false(managed_begin_operation(scene.staged->managed, "ring", &set));
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_BUSY);
        staged_tell(scene.staged, "ring", DOMAIN_STARTING, "");
        assert_false(managed_begin_operation(scene.staged->managed, "ring", &set));
        assert_int_equal(scene.staged->managed->failure.kind, FAILURE_BUSY);
        scene_end(&scene);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_picture),
                TEST(test_left_meanwhile),
                TEST(test_again),
                TEST(test_stop),
                TEST(test_replaced),
                TEST(test_outdated),
                TEST(test_lies),
                TEST(test_replies),
                TEST(test_lost),
                TEST(test_descriptors_that_are_hard_to_close),
                TEST(test_wrong_descriptors),

                TEST(test_wrong_serial),
                TEST(test_refused_change),

        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
