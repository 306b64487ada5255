/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program while it runs: what it reads again, what it tells, what becomes of the memory when nobody is there. */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/protocol/served.h"

#define MIB (UINT64_C(1) << 20)

/* ---- Reload ---- */

static void reload(Served *served, const char *text) {
        char *path;

        assert_int_equal(scratch_write(served->scratch, "test.domain", text, &path), 0);
        assert_int_equal(server_signal(served->server, SIGHUP), 0);
        assert_int_equal(server_wait_notify(served->server, "READY=1"), SERVER_OK);
}

static void test_sighup_reloads_who_may_join(void **state) {
        Served *served = serve_definition(*state, "", 1, &(ServerOptions){ .follow = true });

        assert_int_equal(refusal_as(served, OTHER_UID), REFUSAL_NOT_PERMITTED);
        reload(served, "[Domain]\nSize=1M\nVectors=1\n[Access]\nUser=54321\n");
        join_as(served, CLIENT_KEEP, OTHER_UID);
        served_end(served);
}

static void test_sighup_reserves(void **state) {
        Served *served = serve_definition(*state, "", 1, &(ServerOptions){ .follow = true });

        reload(served,
               "[Domain]\nSize=1M\nVectors=1\n[Access]\nUser=54321\n[Peer kept]\nVMID=1\nUser=54321\n");
        assert_int_equal(join(served, CLIENT_KEEP)->vm_id, 0);
        assert_int_equal(join(served, CLIENT_KEEP)->vm_id, 2);
        assert_int_equal(join_as(served, CLIENT_KEEP, OTHER_UID)->vm_id, 1);
        reload(served, "[Domain]\nSize=1M\nVectors=1\n");
        served_end(served);
}

static void test_sighup_changes_what_is_logged(void **state) {
        static const char quiet[] = "[Domain]\nSize=1M\nVectors=1\nLogLevel=warning\n";
        static const char loud[] = "[Domain]\nSize=1M\nVectors=1\nLogLevel=info\n";
        Served *served = serve_definition(*state, "LogLevel=warning\n", 1,
                                          &(ServerOptions){ .follow = true });

        join(served, CLIENT_KEEP);
        reload(served, loud);
        join(served, CLIENT_KEEP);
        reload(served, quiet);
        join(served, CLIENT_KEEP);
        assert_null(strstr(server_log(served->server), "VM 0 joined"));
        assert_non_null(strstr(server_log(served->server), "VM 1 joined"));
        assert_null(strstr(server_log(served->server), "VM 2 joined"));
        served_end(served);
}

static void test_sighup_refuses_what_takes_a_restart(void **state) {
        Served *served = serve_definition(*state, "", 1, &(ServerOptions){ .follow = true });
        Client *clients[2];
        struct stat st;

        clients[0] = join(served, CLIENT_KEEP);
        reload(served, "[Domain]\nSize=2M\nVectors=2\n[Access]\nUser=54321\n");
        assert_non_null(strstr(server_log(served->server), "Size"));
        assert_non_null(strstr(server_log(served->server), "Vectors"));
        assert_int_equal(refusal_as(served, OTHER_UID), REFUSAL_NOT_PERMITTED);
        clients[1] = join(served, CLIENT_KEEP);
        assert_int_equal(fstat(fd_get(clients[1]->memory), &st), 0);
        assert_int_equal(st.st_size, MIB);
        assert_views_exact(clients, 2, 1, /* star= */ false);
        served_end(served);
}

static void test_sighup_with_a_mistake_changes_nothing(void **state) {
        Served *served = serve_definition(*state, "[Access]\nUser=54321\n", 1,
                                          &(ServerOptions){ .follow = true });

        reload(served, "[Domain]\nSize=1M\nVectors=1\nnonsense\n");
        assert_non_null(strstr(server_log(served->server), "test.domain:4: "));
        join_as(served, CLIENT_KEEP, OTHER_UID);
        served_end(served);
}

/* ---- What it tells ---- */

static void test_the_service_manager_is_told(void **state) {
        Served *served = serve_definition(*state, "", 1, &(ServerOptions){ .follow = true });
        Client *client = join(served, CLIENT_KEEP);

        assert_int_equal(server_wait_notify(served->server, "STATUS=1 of 16 peers, 1M in 4K pages"),
                         SERVER_OK);
        talloc_free(client);
        assert_int_equal(server_wait_notify(served->server, "STATUS=0 of 16 peers, 1M in 4K pages"),
                         SERVER_OK);
        assert_int_equal(server_signal(served->server, SIGTERM), 0);
        assert_int_equal(server_wait_notify(served->server, "STOPPING=1"), SERVER_OK);
        served_end(served);
}

/* QEMU aborts when it has too few descriptors for the doorbells that it is told of. */
static void test_many_doorbells_are_worth_a_warning(void **state) {
        static const char text[] = "Each QEMU holds ";
        Served *served = serve_dropin(*state, "1M", 64, NULL);
        const char *first;

        for (size_t i = 0; i < 12; i++) {
                join(served, CLIENT_NOTE);
        }
        assert_null(strstr(server_log(served->server), text));
        for (size_t i = 0; i < 3; i++) {
                join(served, CLIENT_NOTE);
        }
        first = strstr(server_log(served->server), text);
        assert_non_null(first);
        assert_memory_equal(first, "Each QEMU holds 832 doorbells", strlen("Each QEMU holds 832 doorbells"));
        assert_null(strstr(first + 1, text));
        served_end(served);
}

/* The soft limit, by proc(5). */
static unsigned long long open_files_limit(pid_t pid) {
        unsigned long long limit = 0;
        char path[64], line[256];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/limits", (int) pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                (void) sscanf(line, "Max open files %llu", &limit);
        }
        fclose(file);
        return limit;
}

/* Whoever starts it by hand has a low soft limit, and a high hard one. */
static void test_it_takes_all_descriptors_that_it_may_have(void **state) {
        struct rlimit limit, low;
        Served *served;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        low = limit;
        low.rlim_cur = 128;
        assert_true(limit.rlim_max > low.rlim_cur);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        served = serve_dropin(*state, "1M", 1, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(open_files_limit(served->server->pid), limit.rlim_max);
        served_end(served);
}

/* "ivshmem-server -F 2>&1 | head": the one who read the log has gone. */
static void test_it_outlives_who_reads_its_log(void **state) {
        Served *served = serve_definition(*state, "", 1, &(ServerOptions){ .deaf = true });

        for (size_t i = 0; i < 3; i++) {
                talloc_free(join(served, CLIENT_KEEP));
        }
        served_end(served);
}

/* ---- The memory ---- */

static char *map(const Client *client) {
        char *memory = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd_get(client->memory), 0);

        assert_ptr_not_equal(memory, MAP_FAILED);
        return memory;
}

static void test_the_memory_is_wiped_when_the_last_one_left(void **state) {
        Served *served = serve_definition(*state, "WipeWhenIdle=yes\n", 1, NULL);
        Client *first = join(served, CLIENT_KEEP);
        Client *second = join(served, CLIENT_KEEP);
        char *memory = map(first);

        memory[0] = 1;
        memory[MIB - 1] = 2;
        talloc_free(first);
        first = join(served, CLIENT_KEEP);
        assert_int_equal(memory[0], 1);
        assert_int_equal(memory[MIB - 1], 2);

        talloc_free(first);
        talloc_free(second);
        join(served, CLIENT_KEEP);
        assert_int_equal(memory[0], 0);
        assert_int_equal(memory[MIB - 1], 0);
        munmap(memory, MIB);
        served_end(served);
}

static void test_the_memory_stays_while_nobody_is_there(void **state) {
        Served *served = serve_definition(*state, "", 1, NULL);
        Client *client = join(served, CLIENT_KEEP);
        char *memory = map(client);

        memory[0] = 1;
        munmap(memory, MIB);
        talloc_free(client);
        memory = map(join(served, CLIENT_KEEP));
        assert_int_equal(memory[0], 1);
        munmap(memory, MIB);
        served_end(served);
}

static void test_until_idle_ends_with_the_last_peer(void **state) {
        Served *served = serve_definition(*state, "Keep=until-idle\n", 1, NULL);
        Client *first = join(served, CLIENT_KEEP);
        Client *second = join(served, CLIENT_KEEP);
        int status;

        talloc_free(first);
        first = join(served, CLIENT_KEEP);
        talloc_free(first);
        talloc_free(second);
        assert_int_equal(server_wait_end(served->server, &status), 0);
        assert_int_equal(status, 0);
        assert_int_equal(access(served->socket, F_OK), -1);
        talloc_free(served);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_sighup_reloads_who_may_join),
                TEST(test_sighup_reserves),
                TEST(test_sighup_changes_what_is_logged),
                TEST(test_sighup_refuses_what_takes_a_restart),
                TEST(test_sighup_with_a_mistake_changes_nothing),
                TEST(test_the_service_manager_is_told),
                TEST(test_many_doorbells_are_worth_a_warning),
                TEST(test_it_takes_all_descriptors_that_it_may_have),
                TEST(test_it_outlives_who_reads_its_log),
                TEST(test_the_memory_is_wiped_when_the_last_one_left),
                TEST(test_the_memory_stays_while_nobody_is_there),
                TEST(test_until_idle_ends_with_the_last_peer),
        };

        return protocol_tests_run("life", tests);
}
