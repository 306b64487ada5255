/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program that ships, running: what the kernel says of its walls and its descriptors, from outside. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/client.h"
#include "tests/lib/manager.h"
#include "tests/lib/scratch.h"
#include "tests/lib/server.h"
#include "tests/lib/socket.h"
#include "tests/unit/testing.h"

#define ELEMENTS(array) (sizeof(array) / sizeof(*(array)))
#define NOBODY 65534U

/* Two forms of one program. */
typedef enum Form {
        FORM_DEFINITION,
        FORM_DROP_IN,
} Form;

typedef struct Running Running;

struct Running {
        Scratch *scratch;
        ServerProcess *server;
        const char *socket;
        const char *control; /* path of the control link's socket */
        char *shm_name;      /* FORM_DROP_IN */
};

/* Who runs the tests may join as well. Its path. */
static char *definition_write(Scratch *scratch, const char *name, const char *access) {
        char *text = talloc_asprintf(scratch, "[Domain]\nSize=1M\nVectors=2\n[Access]\n%s %u\n", access,
                                     getuid());
        char *path;

        assert_non_null(text);
        assert_int_equal(scratch_write(scratch, name, text, &path), 0);
        return path;
}

static Running *run(void *ctx, Form form, const char *seccomp, uint32_t uid) {
        Running *running = talloc_zero(ctx, Running);
        const char *arguments[12] = { 0 };
        ServerOptions options = { .arguments = arguments, .uid = uid, .passed_name = "control" };
        char *definition;
        Fd *listener;
        size_t n = 0;

        assert_non_null(running);
        assert_int_equal(scratch_new(running, &running->scratch), 0);
        assert_int_equal(chmod(running->scratch->path, 0777), 0);
        running->socket = scratch_path(running->scratch, "socket");
        running->shm_name = talloc_asprintf(running, "ivshmem-sandbox-%d", (int) getpid());
        definition = definition_write(running->scratch, "test.domain", "User=root");
        arguments[n++] = "-S";
        arguments[n++] = running->socket;
        arguments[n++] = "--seccomp";
        arguments[n++] = seccomp;
        if (form == FORM_DEFINITION) {
                arguments[n++] = "--definition";
                arguments[n++] = definition;
        } else {
                arguments[n++] = "-F";
                arguments[n++] = "-M";
                arguments[n++] = running->shm_name;
                arguments[n++] = "-n2";
        }
        running->control = scratch_path(running->scratch, "control");
        assert_int_equal(unix_listen(running, running->control, SOCK_SEQPACKET, &listener), 0);
        options.passed_fd = fd_get(listener);
        if (server_start(running, &options, &running->server) != SERVER_OK) {
                fail_msg("the server did not start: %s", running->server ? server_log(running->server) : "");
        }
        talloc_free(listener);
        return running;
}

static void stop(Running *running) {
        int status;

        assert_int_equal(server_stop(running->server, &status), SERVER_OK);
        assert_int_equal(status, 0);
        talloc_free(running);
}

/* --- /proc/PID/status --- */

static uint64_t status_number(pid_t pid, const char *field, int base) {
        char path[64], line[256];
        uint64_t number = UINT64_MAX;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':') {
                        number = strtoull(line + strlen(field) + 1, NULL, base);
                }
        }
        fclose(file);
        return number;
}

static void check_status(pid_t pid, uint64_t seccomp, bool bounded) {
        static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb" };

        for (size_t i = 0; i < ELEMENTS(sets); i++) {
                assert_int_equal(status_number(pid, sets[i], 16), 0);
        }
        if (bounded) {
                assert_int_equal(status_number(pid, "CapBnd", 16), 0);
        }
        assert_int_equal(status_number(pid, "NoNewPrivs", 10), 1);
        assert_int_equal(status_number(pid, "Seccomp", 10), seccomp);
        assert_int_equal(status_number(pid, "Threads", 10), 1);
}

static void test_status(void **state) {
        static const struct {
                Form form;
                const char *mode;
                uint64_t seccomp;
        } table[] = {
                { FORM_DEFINITION, "enforce", 2 }, { FORM_DEFINITION, "log", 2 },
                { FORM_DEFINITION, "off", 0 },     { FORM_DROP_IN, "enforce", 2 },
                { FORM_DROP_IN, "log", 2 },        { FORM_DROP_IN, "off", 0 },
        };

        for (size_t i = 0; i < ELEMENTS(table); i++) {
                Running *running = run(*state, table[i].form, table[i].mode, 0);

                check_status(running->server->pid, table[i].seccomp, geteuid() == 0);
                stop(running);
        }
}

static void test_status_as_nobody(void **state) {
        Running *running;

        if (geteuid() != 0) {
                print_message("# skipped: not root, so the test before was unprivileged already\n");
                return;
        }
        running = run(*state, FORM_DROP_IN, "enforce", NOBODY);
        check_status(running->server->pid, 2, false);
        stop(running);
}

/* --- /proc/PID/fd --- */

typedef struct Kind Kind;

/* Descriptors whose target begins so. */
struct Kind {
        const char *prefix;
        unsigned least;
        unsigned most;
};

static bool is_close_on_exec(pid_t pid, const char *fd) {
        char path[320], line[256];
        unsigned flags = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int) pid, fd);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
                (void) sscanf(line, "flags: %o", &flags);
        }
        fclose(file);
        return flags & O_CLOEXEC;
}

/* 0, 1 and 2 are the tests', and are not looked at. */
static void check_descriptors(pid_t pid, const Kind *kinds, size_t n_kinds) {
        unsigned counts[16] = { 0 };
        char path[64];
        DIR *directory;
        struct dirent *entry;

        snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
        directory = opendir(path);
        assert_non_null(directory);
        while ((entry = readdir(directory))) {
                char target[256] = "";
                size_t i = 0;

                if (entry->d_name[0] == '.' || strtoul(entry->d_name, NULL, 10) <= STDERR_FILENO) {
                        continue;
                }
                assert_true(readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1) > 0);
                if (!is_close_on_exec(pid, entry->d_name)) {
                        fail_msg("%s (%s) would outlive an exec", entry->d_name, target);
                }
                while (i < n_kinds && strncmp(target, kinds[i].prefix, strlen(kinds[i].prefix)) != 0) {
                        i++;
                }
                if (i == n_kinds) {
                        fail_msg("the server has %s: %s", entry->d_name, target);
                }
                counts[i]++;
        }
        closedir(directory);
        for (size_t i = 0; i < n_kinds; i++) {
                if (counts[i] < kinds[i].least || counts[i] > kinds[i].most) {
                        fail_msg("%s: %u descriptors, not %u to %u", kinds[i].prefix, counts[i],
                                 kinds[i].least, kinds[i].most);
                }
        }
}

#define N_LEFT 4U

/* Whoever starts the server may leave anything open: it must not keep what it was not told of, not even when it looks like
 * what libraries hold. */
static void leave_descriptors_open(int fds[static N_LEFT]) {
        fds[0] = open("/etc/passwd", O_RDONLY);
        fds[1] = fcntl(fds[0], F_DUPFD, 200);
        fds[2] = socket(AF_UNIX, SOCK_DGRAM, 0);
        fds[3] = epoll_create1(0);
        assert_true(fds[0] >= 0 && fds[1] >= 200 && fds[2] >= 0 && fds[3] >= 0);
}

static void check_form(void *ctx, Form form) {
        Running *running = run(ctx, form, "enforce", 0);
        const bool named = form == FORM_DROP_IN;
        ControlRecord reply;
        const Kind kinds[] = {
                /* Three seats with two vectors; two sockets that listen, the copy of one to fall back on, three clients, a
                 * manager, the service manager. */
                { "anon_inode:[eventfd]", 6, 6 },
                { "socket:", 8, 8 },
                { "anon_inode:[eventpoll]", 1, 1 },
                { "anon_inode:[signalfd]", 1, 3 },
                { "anon_inode:[timerfd]", 1, 4 },
                /* What tells that the definition is gone. */
                { "anon_inode:inotify", 0, 1 },
                { "/memfd:", named ? 0 : 1, named ? 0 : 2 },
                { "/dev/shm/", named ? 1 : 0, named ? 3 : 0 },
                /* What wiping reads from. */
                { "/dev/zero", 0, 1 },
                /* The directories in which it removes its files. */
                { "/dev/shm", named ? 1 : 0, named ? 1 : 0 },
                { running->scratch->path, 1, 1 },
        };

        Manager *manager;

        assert_int_equal(manager_connect(running, running->control, &manager), 0);
        assert_int_equal(manager_ask(manager, &(ControlRecord){ .kind = CONTROL_RELOAD }, &reply, NULL), 0);
        for (size_t i = 0; i < 3; i++) {
                Client *client;

                assert_int_equal(client_connect(running, running->socket, CLIENT_KEEP, &client), 0);
                assert_int_equal(client_read_doorbells(client, 2), 0);
        }
        check_descriptors(running->server->pid, kinds, ELEMENTS(kinds));
        stop(running);
}

static void test_descriptors(void **state) {
        int left[N_LEFT];

        if (geteuid() != 0) {
                print_message(
                        "# skipped: the descriptors of a process that is not dumpable are root's to see\n");
                return;
        }
        leave_descriptors_open(left);
        check_form(*state, FORM_DEFINITION);
        check_form(*state, FORM_DROP_IN);
        for (size_t i = 0; i < N_LEFT; i++) {
                close(left[i]);
        }
}

/* --- what the walls must leave possible --- */

static void check_end(void *ctx, Form form, uint32_t uid) {
        Running *running = run(ctx, form, "enforce", uid);
        char *socket = talloc_strdup(ctx, running->socket);
        char *shm = talloc_asprintf(ctx, "/dev/shm/%s", running->shm_name);
        int status;

        assert_int_equal(access(socket, F_OK), 0);
        assert_int_equal(access(shm, F_OK), form == FORM_DROP_IN ? 0 : -1);
        assert_int_equal(server_stop(running->server, &status), SERVER_OK);
        assert_int_equal(status, 0);
        assert_int_equal(access(socket, F_OK), -1);
        assert_int_equal(access(shm, F_OK), -1);
        talloc_free(running);
        talloc_free(socket);
        talloc_free(shm);
}

static void test_own_files_go(void **state) {
        check_end(*state, FORM_DEFINITION, 0);
        check_end(*state, FORM_DROP_IN, 0);
        if (geteuid() == 0) {
                check_end(*state, FORM_DROP_IN, NOBODY);
        }
}

static void test_reload(void **state) {
        Running *running = run(*state, FORM_DEFINITION, "enforce", 0);
        char *path;

        /* It is replaced, as editors do: the server has to read another file of the same name. */
        path = definition_write(running->scratch, "new", "Group=daemon\nUser=root nobody");
        assert_int_equal(rename(path, scratch_path(running->scratch, "test.domain")), 0);
        assert_int_equal(server_signal(running->server, SIGHUP), 0);
        for (int tries = 0; !strstr(server_log(running->server), "eload"); tries++) {
                Client *client;

                /* Each turn is one that the server has made as well. */
                assert_true(tries < 1000);
                assert_int_equal(client_connect(running, running->socket, CLIENT_DROP, &client), 0);
                assert_int_equal(client_read_doorbells(client, 2), 0);
                talloc_free(client);
        }
        if (strstr(server_log(running->server), "Not reloaded")) {
                fail_msg("%s", server_log(running->server));
        }
        stop(running);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_status),       TEST(test_status_as_nobody), TEST(test_descriptors),
                TEST(test_own_files_go), TEST(test_reload),
        };

        return cmocka_run_group_tests_name("running", tests, NULL, NULL);
}
