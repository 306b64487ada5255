/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains that run: servers that the manager starts itself, real peers, what it asks of servers, and what befalls them. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/socket.h"
#include "tests/manager/managed.h"
#include "tests/unit/testing.h"

#define VECTORS 2U

/* A domain of two vectors, two peers at most, that runs. */
static Domain *started(Managed *managed, const char *name) {
        Domain *domain = managed_create(
                managed, name, (const char *const[]){ "Size=64K", "Vectors=2", "MaxPeers=2", NULL });

        if (!managed_start(managed, name)) {
                fail_msg("%s", managed->failure.text);
        }
        assert_int_equal(domain_state(domain), DOMAIN_RUNNING);
        return domain;
}

/* Joins and hears of `n` peers' doorbells, its own among them. */
static Client *joined(Managed *managed, const Domain *domain, size_t n) {
        Client *client = NULL;

        assert_int_equal(client_connect(managed, domain_socket_path(domain), CLIENT_KEEP, &client), 0);
        assert_int_equal(client_read_doorbells(client, n * VECTORS), CLIENT_OK);
        return client;
}

static void test_life(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");

        assert_true(managed_heard(managed, "busy"));
        assert_true(managed_heard(managed, "state ring starting"));
        assert_true(managed_heard(managed, "state ring running"));
        assert_true(domain_main_pid(domain) > 0);
        /* What a terminal says to the manager does not reach it. */
        assert_int_not_equal(getsid((pid_t) domain_main_pid(domain)), getsid(0));
        assert_true(domain_since(domain) > 0);
        assert_int_equal(domain_progress(domain), 100);
        assert_string_equal(domain_status(domain), "0 of 2 peers, 64K in 4K pages");
        managed_wait(managed, "counters ring 0");
        assert_int_equal(domain_counters(domain)->memory_size, 64 << 10);
        assert_int_equal(domain_counters(domain)->vectors, VECTORS);
        assert_int_equal(domain_definition_state(domain), DEFINITION_CURRENT);
        /* Starting it again is nothing to do. */
        assert_true(managed_start(managed, "ring"));
        assert_true(managed_stop(managed, "ring"));
        assert_int_equal(domain_state(domain), DOMAIN_STOPPED);
        assert_int_equal(domain_main_pid(domain), 0);
        assert_int_equal(access(domain_socket_path(domain), F_OK), -1);
        managed_wait(managed, "idle");
        assert_true(managed_start(managed, "ring"));
        managed_free(managed);
}

static unsigned mode_of(const char *path) {
        struct stat st;

        assert_int_equal(lstat(path, &st), 0);
        return st.st_mode & 07777;
}

/* Everybody may ask to join, and nobody else gives orders. What is no socket is not removed for one. */
static void test_sockets(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        char *file;

        assert_int_equal(mode_of(domain_socket_path(domain)), 0666);
        assert_int_equal(mode_of(scratch_path(managed->scratch, "ring.control")), 0600);
        assert_int_equal(scratch_write(managed->scratch, "kept.sock", "mine", &file), 0);
        (void) managed_create(managed, "kept", (const char *const[]){ "Size=64K", NULL });
        assert_false(managed_start(managed, "kept"));
        assert_non_null(strstr(managed->failure.text, file));
        assert_int_equal(access(file, F_OK), 0);
        managed_free(managed);
}

/* What a server says is taken for that one's. */
static void test_two(void **state) {
        Managed *managed = managed_new(*state);
        Domain *first = started(managed, "first"),
               *second = managed_create(managed, "second", (const char *const[]){ "Size=128K", NULL });

        assert_true(managed_start(managed, "second"));
        assert_string_equal(domain_status(first), "0 of 2 peers, 64K in 4K pages");
        assert_string_equal(domain_status(second), "0 of 16 peers, 128K in 4K pages");
        managed_free(managed);
}

static void test_peers(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        const ControlPeer *const *peers;
        Client *first, *second, *third = NULL;
        size_t n;

        managed_wait(managed, "counters ring 0");
        first = joined(managed, domain, 1);
        managed_wait(managed, "joined ring 0");
        second = joined(managed, domain, 2);
        managed_wait(managed, "joined ring 1");
        peers = domain_peers(domain, &n);
        assert_int_equal(n, 2);
        assert_int_equal(peers[1]->vm_id, 1);
        assert_int_equal(peers[1]->uid, getuid());
        assert_int_equal(peers[1]->pid, getpid());
        assert_true(peers[1]->since > 0);
        managed_wait(managed, "counters ring 2");
        assert_int_equal(domain_counters(domain)->joins, 2);
        /* A third finds no seat. */
        assert_int_equal(client_connect(managed, domain_socket_path(domain), CLIENT_KEEP, &third), 0);
        assert_int_equal(client_read_to_end(third), CLIENT_FAILURE);
        managed_wait(managed, "refused ring 507");
        talloc_free(first);
        managed_wait(managed, "left ring 0");
        peers = domain_peers(domain, &n);
        assert_int_equal(n, 1);
        assert_int_equal(peers[0]->vm_id, 1);
        talloc_free(second);
        talloc_free(third);
        managed_free(managed);
}

static void test_requests(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        Client *client;
        uint64_t count;

        managed_wait(managed, "counters ring 0");
        client = joined(managed, domain, 1);
        managed_wait(managed, "joined ring 0");
        assert_true(
                managed_do(managed, "ring", &(Request){ .kind = OPERATION_RING, .vm_id = 0, .vector = 1 }));
        assert_int_equal(client_wait_ring(client, 1, &count), 0);
        assert_int_equal(count, 1);
        assert_false(
                managed_do(managed, "ring", &(Request){ .kind = OPERATION_RING, .vm_id = 0, .vector = 2 }));
        assert_int_equal(managed->failure.kind, FAILURE_NO_SUCH_VECTOR);
        assert_false(
                managed_do(managed, "ring", &(Request){ .kind = OPERATION_RING, .vm_id = 1, .vector = 0 }));
        assert_int_equal(managed->failure.kind, FAILURE_NO_SUCH_PEER);
        assert_true(managed_do(managed, "ring", &(Request){ .kind = OPERATION_EVICT, .vm_id = 0 }));
        assert_true(managed_heard(managed, "left ring 0"));
        assert_int_equal(domain_counters(domain)->evictions, 1);
        assert_int_equal(domain_counters(domain)->n_peers, 0);
        assert_int_equal(client_read_to_end(client), CLIENT_END);
        assert_false(managed_do(managed, "ring", &(Request){ .kind = OPERATION_EVICT, .vm_id = 0 }));
        assert_int_equal(managed->failure.kind, FAILURE_NO_SUCH_PEER);
        talloc_free(client);
        managed_free(managed);
}

static void test_memory(void **state) {
        Managed *managed = managed_new(*state);
        struct stat st;
        void *map;

        started(managed, "ring");
        managed_wait(managed, "counters ring 0");
        assert_true(managed_do(managed, "ring", &(Request){ .kind = OPERATION_MEMORY }));
        assert_int_equal(fstat(managed->fd, &st), 0);
        assert_int_equal(st.st_size, 64 << 10);
        map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, managed->fd, 0);
        assert_true(map != MAP_FAILED);
        assert_int_equal(munmap(map, 4096), 0);
        close(managed->fd);
        assert_true(managed_do(managed, "ring", &(Request){ .kind = OPERATION_MEMORY, .read_only = true }));
        assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, managed->fd, 0) == MAP_FAILED);
        close(managed->fd);
        managed_free(managed);
}

/* The connection that the manager gives away speaks the protocol: first the version. */
static void test_open(void **state) {
        Managed *managed = managed_new(*state);
        ControlPeer peer = { .uid = getuid(), .gid = getgid(), .pid = getpid() };
        int64_t version = -1;

        started(managed, "ring");
        managed_wait(managed, "counters ring 0");
        if (!managed_do(managed, "ring", &(Request){ .kind = OPERATION_OPEN, .peer = &peer })) {
                fail_msg("%s", managed->failure.text);
        }
        assert_int_equal(wait_input(managed->fd), 0);
        assert_int_equal(recv(managed->fd, &version, sizeof(version), 0), sizeof(version));
        assert_int_equal(version, 0);
        managed_wait(managed, "joined ring 0");
        close(managed->fd);
        managed_wait(managed, "left ring 0");
        managed_free(managed);
}

static void test_set(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        Setting description = { .key = "Description", .value = "of all" },
                size = { .key = "Size", .value = "1M" };
        Setting user = { .key = "User", .value = "root" };

        managed_wait(managed, "counters ring 0");
        assert_true(
                managed_do(managed, "ring",
                           &(Request){ .kind = OPERATION_SET, .settings = &description, .n_settings = 1 }));
        assert_string_equal(domain_definition(domain)->description, "of all");
        assert_int_equal(domain_definition_state(domain), DEFINITION_CURRENT);
        assert_true(managed_do(managed, "ring",
                               &(Request){ .kind = OPERATION_SET, .settings = &user, .n_settings = 1 }));
        assert_false(managed_do(managed, "ring",
                                &(Request){ .kind = OPERATION_SET, .settings = &size, .n_settings = 1 }));
        assert_int_equal(managed->failure.kind, FAILURE_FIXED_SETTING);
        assert_non_null(strstr(managed->failure.text, "Size"));
        assert_int_equal(domain_definition(domain)->size, 64 << 10);
        managed_free(managed);
}

/* What somebody else changed in the file the server refuses with a change of ours; then all is as it was. */
static void test_set_refused(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        Setting description = { .key = "Description", .value = "of all" };
        const char *text = "# by hand\n[Domain]\nSize=128K\nVectors=2\nMaxPeers=2\n";
        char read[256] = "", *path;
        FILE *file;

        managed_wait(managed, "counters ring 0");
        assert_int_equal(scratch_write(managed->scratch, "ring.domain", text, &path), 0);
        managed_wait(managed, "definition ring changed");
        assert_false(
                managed_do(managed, "ring",
                           &(Request){ .kind = OPERATION_SET, .settings = &description, .n_settings = 1 }));
        assert_int_equal(managed->failure.kind, FAILURE_FIXED_SETTING);
        assert_null(domain_definition(domain)->description);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fread(read, 1, sizeof(read) - 1, file), strlen(text));
        fclose(file);
        assert_string_equal(read, text);
        managed_free(managed);
}

static void test_reserve(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        Setting settings[] = { { "router", "VMID", "0" }, { "router", "User", "daemon" } };
        Request reserve = {
                .kind = OPERATION_RESERVE, .section = "router", .settings = settings, .n_settings = 2
        };
        Client *client;

        managed_wait(managed, "counters ring 0");
        assert_true(managed_do(managed, "ring", &reserve));
        client = joined(managed, domain, 1);
        assert_int_equal(client->vm_id, 1);
        talloc_free(client);
        assert_true(
                managed_do(managed, "ring", &(Request){ .kind = OPERATION_RELEASE, .section = "router" }));
        assert_int_equal(domain_definition(domain)->n_reservations, 0);
        managed_free(managed);
}

/* The sections of a running domain are replaced as a whole, or stay as a whole. */
static void test_set_all_peers(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        Setting settings[] = { { "a", "VMID", "0" },
                               { "a", "User", "daemon" },
                               { "b", "VMID", "1" },
                               { "b", "User", "daemon" },
                               { .key = "Description", .value = "x" } };
        Request set = { .kind = OPERATION_SET, .settings = settings, .n_settings = 4, .all_peers = true };

        managed_wait(managed, "counters ring 0");
        assert_true(managed_do(managed, "ring", &set));
        assert_int_equal(domain_definition(domain)->n_reservations, 2);
        /* Another one takes the VM ID of one that is dropped; what is wrong with it drops nothing. */
        settings[0].section = settings[1].section = "c";
        settings[1].key = "Usr";
        set.n_settings = 2;
        assert_false(managed_do(managed, "ring", &set));
        assert_int_equal(managed->failure.kind, FAILURE_INVALID_SETTING);
        assert_int_equal(domain_definition(domain)->n_reservations, 2);
        settings[1].key = "User";
        assert_true(managed_do(managed, "ring", &set));
        assert_int_equal(domain_definition(domain)->n_reservations, 1);
        assert_string_equal(domain_definition(domain)->reservations[0].name, "c");
        /* Without them they stay; with none none is left. */
        assert_true(
                managed_do(managed, "ring",
                           &(Request){ .kind = OPERATION_SET, .settings = &settings[4], .n_settings = 1 }));
        assert_int_equal(domain_definition(domain)->n_reservations, 1);
        set.n_settings = 0;
        assert_true(managed_do(managed, "ring", &set));
        assert_int_equal(domain_definition(domain)->n_reservations, 0);
        managed_free(managed);
}

static void test_crash(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        Client *client;
        size_t n;

        managed_wait(managed, "counters ring 0");
        client = joined(managed, domain, 1);
        managed_wait(managed, "joined ring 0");
        assert_int_equal(kill((pid_t) domain_main_pid(domain), SIGKILL), 0);
        managed_wait(managed, "state ring failed");
        assert_true(managed_heard(managed, "left ring 0"));
        assert_non_null(strstr(domain_status(domain), "killed by signal 9"));
        assert_int_equal(domain_counters(domain)->n_seats, 0);
        (void) domain_peers(domain, &n);
        assert_int_equal(n, 0);
        assert_false(managed_do(managed, "ring", &(Request){ .kind = OPERATION_RING }));
        assert_int_equal(managed->failure.kind, FAILURE_NOT_RUNNING);
        assert_true(managed_start(managed, "ring"));
        talloc_free(client);
        managed_free(managed);
}

/* The server's own words come with the failure. */
static void test_start_fails(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = managed_create(managed, "huge",
                                        (const char *const[]){ "Size=64K", "Path=/proc/nowhere/x", NULL });

        assert_false(managed_start(managed, "huge"));
        assert_int_equal(managed->failure.kind, FAILURE_START_FAILED);
        assert_non_null(strstr(managed->failure.text, "/proc/nowhere"));
        assert_int_equal(domain_state(domain), DOMAIN_FAILED);
        assert_non_null(strstr(domain_status(domain), "/proc/nowhere"));
        assert_int_equal(access(domain_socket_path(domain), F_OK), -1);
        managed_free(managed);
}

static void test_remove_running(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        Failure failure;
        char *path;

        assert_int_equal(manager_remove(managed->manager, domain, &failure), -EREMOTEIO);
        assert_int_equal(failure.kind, FAILURE_DOMAIN_RUNNING);
        assert_false(managed_do(managed, "ring", &(Request){ .kind = OPERATION_RESTART }));
        assert_int_equal(managed->failure.kind, FAILURE_NOT_SUPPORTED);
        /* Somebody spoils the file, and removes it: nothing is wrong with what is not there. The domain goes when its server
         * does. */
        assert_int_equal(scratch_write(managed->scratch, "ring.domain", "[Domain]\nSize=3\n", &path), 0);
        managed_wait(managed, "definition ring invalid");
        assert_non_null(strstr(domain_definition_error(domain), "ring.domain:2: "));
        assert_int_equal(unlink(domain_path(domain)), 0);
        managed_wait(managed, "definition ring removed");
        assert_string_equal(domain_definition_error(domain), "");
        assert_true(managed_stop(managed, "ring"));
        managed_wait(managed, "removed ring");
        assert_null(manager_find(managed->manager, "ring"));
        managed_free(managed);
}

/* Servers go on without a manager, and the next one finds all: the server, its peers, and how to stop it. */
static void test_new_manager(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        uint32_t pid = domain_main_pid(domain);
        const ControlPeer *const *peers;
        Client *client = joined(managed, domain, 1), *second;
        size_t n;

        managed_wait(managed, "joined ring 0");
        managed_end(managed);
        assert_int_equal(client_ring(client, 0, 0), 0);
        managed_begin(managed);
        domain = manager_find(managed->manager, "ring");
        assert_non_null(domain);
        assert_int_equal(domain_state(domain), DOMAIN_RUNNING);
        assert_int_equal(domain_main_pid(domain), pid);
        assert_true(domain_since(domain) > 0);
        assert_true(manager_is_busy(managed->manager));
        managed_forget(managed);
        managed_wait(managed, "joined ring 0");
        assert_string_equal(domain_status(domain), "1 of 2 peers, 64K in 4K pages");
        peers = domain_peers(domain, &n);
        assert_int_equal(n, 1);
        assert_int_equal(peers[0]->pid, getpid());
        second = joined(managed, domain, 2);
        managed_wait(managed, "joined ring 1");
        managed_wait(managed, "status ring 2 of 2 peers, 64K in 4K pages");
        assert_true(managed_stop(managed, "ring"));
        assert_string_equal(domain_status(domain), "");
        assert_int_equal(client_read_to_end(client), CLIENT_END);
        assert_int_equal(domain_state(domain), DOMAIN_STOPPED);
        talloc_free(client);
        talloc_free(second);
        managed_free(managed);
}

/* One that died while nobody looked is stopped, and its sockets are removed. */
static void test_died_unseen(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");
        pid_t pid = (pid_t) domain_main_pid(domain);
        char *path = talloc_strdup(*state, domain_socket_path(domain));

        managed_end(managed);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        managed_begin(managed);
        domain = manager_find(managed->manager, "ring");
        assert_int_equal(domain_state(domain), DOMAIN_STOPPED);
        assert_int_equal(access(path, F_OK), -1);
        assert_true(managed_start(managed, "ring"));
        talloc_free(path);
        managed_free(managed);
}

/* Who asked may go away; and the end of the manager is an end of all that is under way. */
static void on_counted(const Failure *failure, int fd, void *userdata) {
        unsigned *n = userdata;

        *n += failure && failure->kind == FAILURE_SERVER_LOST ? 100 : 1;
}

static void test_cancel(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = managed_create(managed, "ring", (const char *const[]){ "Size=64K", NULL });
        Request start = { .kind = OPERATION_START }, stop = { .kind = OPERATION_STOP };
        Operation *operation = NULL;
        unsigned n = 0;
        Failure failure;

        assert_int_equal(
                manager_begin(managed->manager, domain, &start, on_counted, &n, &operation, &failure), 0);
        operation_cancel(operation);
        managed_wait(managed, "state ring running");
        assert_int_equal(
                manager_begin(managed->manager, domain, &stop, on_counted, &n, &operation, &failure), 0);
        assert_int_equal(manager_begin(managed->manager, domain, &stop, on_counted, &n, NULL, &failure),
                         -EREMOTEIO);
        assert_int_equal(failure.kind, FAILURE_BUSY);
        operation_cancel(operation);
        managed_wait(managed, "state ring stopped");
        managed_wait(managed, "idle");
        assert_int_equal(n, 0);
        assert_int_equal(
                manager_begin(managed->manager, domain, &start, on_counted, &n, &operation, &failure), 0);
        managed_end(managed);
        assert_int_equal(n, 100);
        managed_free(managed);
}

/* Two who start the same wait for the same, and a third who has gone does not end it for them. */
static void test_start_together(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = managed_create(managed, "ring", (const char *const[]){ "Size=64K", NULL });
        Request start = { .kind = OPERATION_START };
        Operation *operation = NULL;
        unsigned n = 0;
        Failure failure;

        assert_int_equal(
                manager_begin(managed->manager, domain, &start, on_counted, &n, &operation, &failure), 0);
        assert_int_equal(manager_begin(managed->manager, domain, &start, on_counted, &n, NULL, &failure), 0);
        operation_cancel(operation);
        assert_true(managed_start(managed, "ring"));
        while (n == 0) {
                managed_turn(managed);
        }
        assert_int_equal(n, 1);
        assert_int_equal(domain_state(domain), DOMAIN_RUNNING);
        managed_free(managed);
}

/* A server that does not hear is killed, after ten seconds. */
static void test_stop_deaf(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = started(managed, "ring");

        assert_int_equal(kill((pid_t) domain_main_pid(domain), SIGSTOP), 0);
        assert_true(managed_stop(managed, "ring"));
        assert_int_equal(domain_state(domain), DOMAIN_STOPPED);
        managed_free(managed);
}

/* A start that takes long can be stopped. */
static void test_stop_starting(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = managed_create(managed, "ring", (const char *const[]){ "Size=64K", NULL });
        Request start = { .kind = OPERATION_START };
        unsigned n = 0;
        Failure failure;

        assert_int_equal(manager_begin(managed->manager, domain, &start, on_counted, &n, NULL, &failure), 0);
        assert_true(managed_stop(managed, "ring"));
        assert_int_equal(n, 1);
        assert_int_equal(domain_state(domain), DOMAIN_STOPPED);
        managed_free(managed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_life),          TEST(test_two),
                TEST(test_sockets),       TEST(test_peers),
                TEST(test_requests),      TEST(test_memory),
                TEST(test_open),          TEST(test_set),
                TEST(test_set_refused),   TEST(test_reserve),
                TEST(test_set_all_peers), TEST(test_crash),
                TEST(test_start_fails),   TEST(test_remove_running),
                TEST(test_new_manager),   TEST(test_died_unseen),
                TEST(test_cancel),        TEST(test_start_together),
                TEST(test_stop_starting), TEST(test_stop_deaf),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
