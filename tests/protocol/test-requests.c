/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a manager can ask of a server over the control link. */

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/protocol/managed.h"

#define VECTORS 2U

/* A group that nobody has. */
#define SHARED_GID 54323U

/* ---- Evicting ---- */

static void test_evict(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);
        Client *clients[3], *later[3];
        ControlRecord record;

        for (size_t i = 0; i < 3; i++) {
                clients[i] = join(scene->served, CLIENT_KEEP);
                (void) next_event(manager, CONTROL_JOINED);
        }
        assert_views_exact(clients, 3, VECTORS, /* star= */ false);
        ask_ok(manager, EVICT(1));
        record = next_event(manager, CONTROL_LEFT);
        assert_int_equal(record.peer.vm_id, 1);
        assert_string_equal(record.text, "it was evicted");
        assert_ended(clients[1]);

        /* The others are told nothing, live, and ring each other. */
        assert_false(client_has_input(clients[0]));
        assert_false(client_has_input(clients[2]));
        assert_rings(clients[0], clients[2], VECTORS);

        /* The VM ID is not given again, and who comes later does not hear of it. */
        later[0] = join(scene->served, CLIENT_KEEP);
        assert_int_equal(later[0]->vm_id, 3);
        assert_int_equal(client_vectors(later[0], 1), 0);
        assert_int_equal(client_vectors(later[0], 2), VECTORS);
        assert_int_equal(client_read_doorbells(clients[0], 4 * VECTORS), CLIENT_OK);
        assert_rings(clients[0], later[0], VECTORS);
        assert_rings(later[0], clients[2], VECTORS);

        assert_result(ask(manager, EVICT(1)), CONTROL_NO_SUCH_PEER, "retired");
        assert_non_null(strstr(server_log(scene->served->server), "VM 1 left: it was evicted"));
        scene_end(scene);
}

/* Who has the reply has the counters already: what came before it waits in the manager. */
static void test_evict_is_counted_before_the_reply(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);
        Client *client = join(scene->served, CLIENT_KEEP);
        ControlRecord record = { .kind = CONTROL_REPLY };

        (void) next_event(manager, CONTROL_JOINED);
        ask_ok(manager, EVICT(0));
        (void) next_event(manager, CONTROL_LEFT);
        while (manager->n_events > 0) {
                record = next_record(manager, CONTROL_DOMAIN);
        }
        assert_int_equal(record.kind, CONTROL_DOMAIN);
        assert_int_equal(record.domain.evictions, 1);
        assert_int_equal(record.domain.leaves, 1);
        assert_int_equal(record.domain.n_peers, 0);
        assert_ended(client);
        scene_end(scene);
}

static void test_evict_who_is_not_there(void **state) {
        Scene *scene = scene_new(*state, "MaxPeers=3\n", VECTORS);
        Manager *manager = manage(scene, 0);
        Client *clients[2], *later;

        clients[0] = join(scene->served, CLIENT_KEEP);
        clients[1] = join(scene->served, CLIENT_KEEP);
        talloc_free(clients[1]);
        (void) next_event(manager, CONTROL_JOINED);
        (void) next_event(manager, CONTROL_JOINED);
        (void) next_event(manager, CONTROL_LEFT);
        /* A vacant seat is retired: the VM that was there gets another. */
        ask_ok(manager, EVICT(1));
        later = join(scene->served, CLIENT_KEEP);
        assert_int_equal(later->vm_id, 2);
        assert_result(ask(manager, EVICT(1)), CONTROL_NO_SUCH_PEER, "VM ID 1 ");
        assert_result(ask(manager, EVICT(65535)), CONTROL_NO_SUCH_PEER, "VM ID 65535 was never given");
        /* All are taken or retired. */
        assert_int_equal(refusal_of(scene->served), 507);
        scene_end(scene);
}

/* It has not read its greeting, is behind, and is in nobody's way. */
static void test_evict_who_does_not_read(void **state) {
        Scene *scene = scene_new(*state, "", 64);
        Manager *manager = manage(scene, 0);
        Client *stuck = connect_only(scene->served, CLIENT_KEEP), *others[2];

        (void) next_event(manager, CONTROL_JOINED);
        others[0] = join(scene->served, CLIENT_KEEP);
        ask_ok(manager, EVICT(0));
        assert_ended(stuck);
        others[1] = join(scene->served, CLIENT_KEEP);
        assert_int_equal(client_vectors(others[1], 0), 0);
        assert_rings(others[1], others[0], 64);
        scene_end(scene);
}

/* ---- Ringing ---- */

static void test_ring(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);
        Client *client = join(scene->served, CLIENT_KEEP);
        uint64_t count;

        ask_ok(manager, RING(0, 1));
        assert_int_equal(client_rings(client, 0, &count), 0);
        assert_int_equal(count, 0);
        assert_int_equal(client_rings(client, 1, &count), 0);
        assert_int_equal(count, 1);
        assert_result(ask(manager, RING(0, VECTORS)), CONTROL_NO_SUCH_VECTOR, "2 vectors");
        assert_result(ask(manager, RING(1, 0)), CONTROL_NO_SUCH_PEER, "VM ID 1");
        assert_result(ask(manager, RING(65535, 0)), CONTROL_NO_SUCH_PEER, "VM ID 65535");
        ask_ok(manager, EVICT(0));
        assert_result(ask(manager, RING(0, 0)), CONTROL_NO_SUCH_PEER, "retired");
        scene_end(scene);
}

/* The eventfd is full, and the peer has made it one that waits: the server does not. */
static void test_ring_what_is_full(void **state) {
        Scene *scene = scene_new(*state, "", 1);
        Manager *manager = manage(scene, 0);
        Client *client = join(scene->served, CLIENT_KEEP);
        int doorbell = fd_get(client_doorbell(client, 0, 0)->eventfd);

        assert_int_equal(eventfd_write(doorbell, UINT64_MAX - 1), 0);
        assert_int_equal(fcntl(doorbell, F_SETFL, 0), 0);
        ask_ok(manager, RING(0, 0));
        talloc_free(join(scene->served, CLIENT_KEEP));
        scene_end(scene);
}

/* ---- Opening ---- */

static void test_open(void **state) {
        Scene *scene = scene_new(*state, ACCESS_OTHERS, VECTORS);
        Manager *manager = manage(scene, 0);
        Client *clients[3];
        ControlRecord record;

        clients[0] = join(scene->served, CLIENT_KEEP);
        (void) next_event(manager, CONTROL_JOINED);
        assert_int_equal(client_adopt(scene, ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, 0)), CLIENT_KEEP,
                                      &clients[1]),
                         0);
        record = next_event(manager, CONTROL_JOINED);
        assert_int_equal(record.peer.vm_id, 1);
        assert_int_equal(record.peer.uid, OTHER_UID);
        assert_int_equal(record.peer.gid, OTHER_UID);
        assert_string_equal(record.peer.identity, "uid:54321");
        clients[2] = join(scene->served, CLIENT_KEEP);
        assert_views_exact(clients, 3, VECTORS, /* star= */ false);
        assert_rings(clients[1], clients[2], VECTORS);
        assert_rings(clients[2], clients[1], VECTORS);

        (void) next_event(manager, CONTROL_JOINED);
        talloc_free(clients[1]);
        record = next_event(manager, CONTROL_LEFT);
        assert_int_equal(record.peer.vm_id, 1);
        scene_end(scene);
}

static char *map_last_page(const Client *client) {
        struct stat st;
        char *page;

        assert_int_equal(fstat(fd_get(client->memory), &st), 0);
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd_get(client->memory),
                    st.st_size - 4096);
        assert_ptr_not_equal(page, MAP_FAILED);
        return page;
}

/* One who comes while the server wipes what the last one left: so much, though none of it is there, that this takes thousands
 * of turns of the event loop. */
static Client *open_while_it_wipes(Scene *scene, Manager *manager) {
        Client *last = join(scene->served, CLIENT_KEEP), *next;
        char *page = map_last_page(last);

        (void) next_event(manager, CONTROL_JOINED);
        page[0] = 1;
        munmap(page, 4096);
        talloc_free(last);
        assert_int_equal(
                client_adopt(scene, ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, 0)), CLIENT_KEEP, &next), 0);
        return next;
}

static void test_open_while_memory_is_wiped(void **state) {
        Scene *scene = scene_new(*state, "Size=64G\nWipeWhenIdle=yes\n" ACCESS_OTHERS, VECTORS);
        Manager *manager = manage(scene, 0);
        Client *client = open_while_it_wipes(scene, manager);
        char *page;

        while (!client->memory) {
                assert_int_equal(client_step(client, NULL), CLIENT_OK);
        }
        page = map_last_page(client);
        assert_int_equal(page[0], 0);
        munmap(page, 4096);
        scene_end(scene);
}

/* This would take minutes. Meanwhile the manager is answered, a signal heeded, and who waits is told: a QEMU must not find
 * its connection just closed. */
static void test_stop_while_memory_is_wiped(void **state) {
        Scene *scene = scene_new(*state, "Size=256T\nWipeWhenIdle=yes\n" ACCESS_OTHERS, VECTORS);
        Manager *manager = manage(scene, 0);
        Client *client = open_while_it_wipes(scene, manager);

        assert_int_equal(server_signal(scene->served->server, SIGTERM), 0);
        assert_int_equal(client_step(client, NULL), CLIENT_FAILURE);
        assert_int_equal(wire_decoder_refusal(client->decoder), REFUSAL_STOPPING);
        scene_end(scene);
}

/* They wait for the wipe, which takes minutes, and there is a bound. */
static void test_open_for_too_many_who_wait(void **state) {
        Scene *scene = scene_new(*state, "Size=256T\nWipeWhenIdle=yes\n" ACCESS_OTHERS, VECTORS);
        Manager *manager = manage(scene, 0);

        (void) open_while_it_wipes(scene, manager);
        for (size_t i = 1; i < 64; i++) {
                (void) ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, 0));
        }
        assert_result(ask(manager, OPEN(OTHER_UID, OTHER_UID, 0)), CONTROL_SHORT,
                      "too many wait to be admitted");
        scene_end(scene);
}

/* Its end, which the server made, is one that waits when it is full. */
static void test_open_for_who_does_not_read(void **state) {
        Scene *scene = scene_new(*state, "MaxPeers=40\n" ACCESS_OTHERS "ConnectRate=0\n", 8);
        Manager *manager = manage(scene, 0);
        Client *clients[21];

        for (size_t i = 0; i < 20; i++) {
                clients[i] = join(scene->served, CLIENT_NOTE);
        }
        assert_int_equal(client_adopt(scene, ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, 0)), CLIENT_NOTE,
                                      &clients[20]),
                         0);
        /* More than it can have unread. */
        for (size_t i = 0; i < 20; i++) {
                assert_int_equal(client_read_doorbells(clients[i], 21 * 8), CLIENT_OK);
        }
        assert_views_exact(clients, 21, 8, /* star= */ false);
        scene_end(scene);
}

/* The version that a client is refused by. */
static int64_t refusal_of_opened(Scene *scene, Fd *fd) {
        int64_t refusal;
        Client *client;

        assert_int_equal(client_adopt(scene, fd, CLIENT_KEEP, &client), 0);
        assert_int_equal(client_step(client, NULL), CLIENT_FAILURE);
        refusal = wire_decoder_refusal(client->decoder);
        talloc_free(client);
        return refusal;
}

static void test_open_for_who_may_not(void **state) {
        Scene *scene = scene_new(*state, ACCESS_OTHERS, VECTORS);
        Manager *manager = manage(scene, 0);
        ControlRecord record;

        /* That the server itself, or root, made the connection counts for nothing. */
        assert_int_equal(refusal_of_opened(scene, ask_fd(manager, OPEN(STRANGER_UID, 1, getpid()))), 403);
        record = next_event(manager, CONTROL_REFUSED);
        assert_int_equal(record.peer.uid, STRANGER_UID);
        assert_int_equal(record.peer.pid, getpid());
        scene_end(scene);
}

/* A process of OTHER_UID with a supplementary group, that lives until the pipe's other end closes. */
static pid_t fork_in_group(int *ret_end) {
        const gid_t group = SHARED_GID;
        int ends[2], ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                close(ends[1]);
                if (setgroups(1, &group) < 0 || setresgid(OTHER_UID, OTHER_UID, OTHER_UID) < 0 ||
                    setresuid(OTHER_UID, OTHER_UID, OTHER_UID) < 0) {
                        _exit(1);
                }
                close(ready[1]);
                _exit(read(ends[0], &byte, 1) != 0);
        }
        close(ends[0]);
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 0);
        close(ready[0]);
        *ret_end = ends[1];
        return pid;
}

/* Groups are those of the process, as long as it can be the one that is meant. */
static void test_open_by_group(void **state) {
        Scene *scene = scene_new(*state, "[Access]\nGroup=54323\n", VECTORS);
        Manager *manager = manage(scene, 0);
        int end, status;
        pid_t pid = fork_in_group(&end);
        Client *client;

        assert_int_equal(
                client_adopt(scene, ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, pid)), CLIENT_KEEP, &client),
                0);
        assert_int_equal(client_read_doorbells(client, VECTORS), CLIENT_OK);
        /* Another user's process, or none. */
        assert_int_equal(refusal_of_opened(scene, ask_fd(manager, OPEN(STRANGER_UID, 1, pid))), 403);
        assert_int_equal(refusal_of_opened(scene, ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, 0))), 403);
        assert_int_equal(refusal_of_opened(scene, ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, getpid()))),
                         403);
        close(end);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(refusal_of_opened(scene, ask_fd(manager, OPEN(OTHER_UID, OTHER_UID, pid))), 403);
        scene_end(scene);
}

/* ---- Memory ---- */

static void test_memory(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);
        Client *client = join(scene->served, CLIENT_KEEP);
        Fd *memory = ask_fd(manager, MEMORY(false)), *readonly = ask_fd(manager, MEMORY(true));
        char byte = 0;

        assert_int_equal(pwrite(fd_get(memory), "x", 1, 4711), 1);
        assert_int_equal(pread(fd_get(client->memory), &byte, 1, 4711), 1);
        assert_int_equal(byte, 'x');
        byte = 0;
        assert_int_equal(pread(fd_get(readonly), &byte, 1, 4711), 1);
        assert_int_equal(byte, 'x');
        scene_end(scene);
}

/* In a process of another user: every way to write through the descriptor that is known. 0: there is none. */
static int try_to_write(int fd) {
        char path[64];

        if (setresgid(OTHER_UID, OTHER_UID, OTHER_UID) < 0 ||
            setresuid(OTHER_UID, OTHER_UID, OTHER_UID) < 0) {
                return 10;
        }
        if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED) {
                return 11;
        }
        if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED) {
                return 1;
        }
        if (mprotect(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), 4096, PROT_READ | PROT_WRITE) == 0) {
                return 2;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (open(path, O_RDWR) >= 0 || open(path, O_WRONLY) >= 0) {
                return 3;
        }
        if (write(fd, "x", 1) >= 0 || ftruncate(fd, 0) >= 0 || fchmod(fd, 0666) >= 0 ||
            fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096) >= 0) {
                return 4;
        }
        return 0;
}

static void test_memory_that_is_only_read(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0);
        Fd *readonly = ask_fd(manager, MEMORY(true));
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                _exit(try_to_write(fd_get(readonly)));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        scene_end(scene);
}

/* ---- Reloading ---- */

static void rewrite(Scene *scene, const char *text) {
        char *path;

        assert_int_equal(scratch_write(scene->served->scratch, "test.domain", text, &path), 0);
}

static bool is_removed(const ControlDomain *domain) {
        return domain->definition_removed;
}

static bool is_not_removed(const ControlDomain *domain) {
        return !domain->definition_removed;
}

static void test_reload(void **state) {
        Scene *scene = scene_new(*state, "", VECTORS);
        Manager *manager = manage(scene, 0), *second;
        char *path = scratch_path(scene->served->scratch, "test.domain");

        assert_int_equal(refusal_as(scene->served, OTHER_UID), 403);
        rewrite(scene, "[Domain]\nSize=1M\nVectors=2\n" ACCESS_OTHERS);
        ask_ok(manager, RELOAD);
        talloc_free(join_as(scene->served, CLIENT_KEEP, OTHER_UID));

        rewrite(scene, "[Domain]\nSize=1M\nVectors=2\nColour=red\n");
        assert_result(ask(manager, RELOAD), CONTROL_RELOAD_FAILED, "test.domain:4: ");
        rewrite(scene, "[Domain]\nSize=2M\nVectors=2\nMaxPeers=3\n");
        assert_result(ask(manager, RELOAD), CONTROL_FIXED, "Size, MaxPeers");
        rewrite(scene, "[Domain]\nSize=1M\nVectors=2\n[Access]\nUser=no-such-user\n");
        assert_result(ask(manager, RELOAD), CONTROL_RELOAD_FAILED, "no-such-user");
        talloc_free(join_as(scene->served, CLIENT_KEEP, OTHER_UID));
        /* Wrong is not removed: a manager that comes now hears nothing of the kind. */
        assert_int_equal(manager_connect(scene, scene->control, &second), 0);
        assert_false(next_record(second, CONTROL_DOMAIN).domain.definition_removed);

        assert_int_equal(unlink(path), 0);
        assert_result(ask(manager, RELOAD), CONTROL_RELOAD_FAILED, "test.domain: No such file");
        wait_domain(manager, is_removed);
        rewrite(scene, "[Domain]\nSize=1M\nVectors=2\n");
        ask_ok(manager, RELOAD);
        wait_domain(manager, is_not_removed);
        assert_int_equal(refusal_as(scene->served, OTHER_UID), 403);
        scene_end(scene);
}

static void test_reload_without_definition(void **state) {
        Scene *scene = scene_new(*state, NULL, VECTORS);
        Manager *manager = manage(scene, 0);

        assert_result(ask(manager, RELOAD), CONTROL_NOT_SUPPORTED, "no definition");
        scene_end(scene);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_evict),
                TEST(test_evict_is_counted_before_the_reply),
                TEST(test_evict_who_is_not_there),
                TEST(test_evict_who_does_not_read),
                TEST(test_ring),
                TEST(test_ring_what_is_full),
                TEST(test_open),
                TEST(test_open_while_memory_is_wiped),
                TEST(test_stop_while_memory_is_wiped),
                TEST(test_open_for_too_many_who_wait),
                TEST(test_open_for_who_does_not_read),
                TEST(test_open_for_who_may_not),
                TEST(test_open_by_group),
                TEST(test_memory),
                TEST(test_memory_that_is_only_read),
                TEST(test_reload),
                TEST(test_reload_without_definition),
        };

        return protocol_tests_run("requests", tests);
}
