/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program around the protocol: what it refuses to start with, what it finds, what it leaves, and signals. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/socket.h"
#include "tests/protocol/served.h"

#define ARGUMENTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define MIB (UINT64_C(1) << 20)

static bool exists(const char *path) {
        return access(path, F_OK) == 0;
}

/* The program ends by itself, unsuccessfully, and says `text`. */
static void assert_refuses_user(void *context, uint32_t uid, const char *const *arguments,
                                const char *text) {
        const ServerOptions options = { .arguments = arguments, .uid = uid };
        ServerProcess *server;
        int status;

        assert_int_equal(server_start(context, &options, &server), SERVER_ENDED);
        assert_int_equal(server_wait_end(server, &status), 0);
        assert_in_range(status, 1, 127);
        if (!strstr(server_log(server), text)) {
                fail_msg("\"%s\" is not in \"%s\"", text, server_log(server));
        }
        talloc_free(server);
}

static void assert_refuses(void *context, const char *const *arguments, const char *text) {
        assert_refuses_user(context, LONELY_UID, arguments, text);
}

/* ---- Command line ---- */

static void test_sizes_that_are_refused(void **state) {
        static const char *const sizes[] = {
                "",    "0",  "1",    "4095", "4097",  "2K",          "3M",    "5G",
                "abc", "-1", "1.5M", "4MB",  "0x100", "9999999999T", "1M 1M",
        };
        Served *served = served_new(*state, 1);

        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                assert_refuses(
                        served,
                        ARGUMENTS("-F", "-S", served->socket, "-M", "ivshmem-test-refused", "-l", sizes[i]),
                        "ize=");
                assert_false(exists(served->socket));
                assert_false(exists("/dev/shm/ivshmem-test-refused"));
        }
        talloc_free(served);
}

static void test_vectors_that_are_refused(void **state) {
        static const char *const vectors[] = { "", "0", "65", "-1", "x", "1x", "4294967297" };
        Served *served = served_new(*state, 1);

        for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
                assert_refuses(served, ARGUMENTS("-F", "-S", served->socket, "-n", vectors[i]), "vectors");
                assert_false(exists(served->socket));
        }
        talloc_free(served);
}

static void test_flags_that_are_refused(void **state) {
        assert_refuses(*state, ARGUMENTS("-F", "-z"), "ivshmem-server: ");
        assert_refuses(*state, ARGUMENTS("-F", "--no-such-option"), "ivshmem-server: ");
        assert_refuses(*state, ARGUMENTS("-F", "-S"), "ivshmem-server: ");
        assert_refuses(*state, ARGUMENTS("-F", "-M", "a/b"), "ivshmem-server: ");
        assert_refuses(*state, ARGUMENTS("--definition", "/nonexistent/a.domain"), "/nonexistent/a.domain");
        assert_refuses(*state, ARGUMENTS("--definition", "/nonexistent/a.domain", "-l", "1M"),
                       "ivshmem-server: ");
}

/* Scripts write it as they like. */
static void test_a_directory_in_any_spelling(void **state) {
        Served *served = served_new(*state, 1);
        const char *spelled[] = {
                served->scratch->path,
                talloc_asprintf(served, "%s/", served->scratch->path),
                talloc_asprintf(served, "%s//./", served->scratch->path),
                ".",
        };
        char *before = getcwd(NULL, 0);

        assert_non_null(before);
        assert_int_equal(chdir(served->scratch->path), 0);
        for (size_t i = 0; i < sizeof(spelled) / sizeof(*spelled); i++) {
                const ServerOptions options = {
                        .arguments = ARGUMENTS("-F", "-S", "socket", "-m", spelled[i], "-l", "1M"),
                        .uid = LONELY_UID,
                };
                struct stat st;
                int status;

                assert_int_equal(server_start(served, &options, &served->server), SERVER_OK);
                assert_int_equal(fstat(fd_get(join(served, CLIENT_KEEP)->memory), &st), 0);
                assert_int_equal(st.st_size, MIB);
                assert_int_equal(st.st_nlink, 0);
                assert_int_equal(server_stop(served->server, &status), 0);
                assert_int_equal(status, 0);
                assert_false(exists(served->socket));
        }
        assert_refuses(served, ARGUMENTS("-F", "-S", "socket", "-m", "none"),
                       "Cannot open the directory none: No such file");
        assert_int_equal(chdir(before), 0);
        free(before);
        talloc_free(served);
}

static void test_help(void **state) {
        const ServerOptions options = { .arguments = ARGUMENTS("-h") };
        ServerProcess *server;
        const char *log;

        assert_int_equal(server_start(*state, &options, &server), SERVER_ENDED);
        assert_int_equal(server->status, 0);
        log = server_log(server);
        for (const char *c = "hFpSMmlnv"; *c; c++) {
                assert_non_null(strstr(log, (char[]){ '-', *c, '\0' }));
        }
        talloc_free(server);
}

static void test_a_mistake_in_a_definition_is_named_with_its_line(void **state) {
        Served *served = served_new(*state, 1);
        char *path;

        assert_int_equal(scratch_write(served->scratch, "a.domain", "[Domain]\nSize=1M\nVektors=2\n", &path),
                         0);
        assert_refuses(served, ARGUMENTS("--definition", path, "-S", served->socket), "a.domain:3: ");
        talloc_free(served);
}

static void test_reload_of_what_does_not_run(void **state) {
        assert_int_equal(unsetenv("MAINPID"), 0);
        assert_refuses_user(
                *state, /* uid= */ 0, ARGUMENTS("--reload", "nobody-has-this-name"),
                "ivshmem-server: Nobody answers for domain \"nobody-has-this-name\" at "
                "/run/ivshmem-control/nobody-has-this-name: it does not run, or has no control link; see "
                "'systemctl status ivshmem@nobody-has-this-name.service'\n");
        assert_int_equal(setenv("MAINPID", "x", /* overwrite= */ 1), 0);
        assert_refuses_user(*state, /* uid= */ 0, ARGUMENTS("--reload", "nobody-has-this-name"),
                            "ivshmem-server: $MAINPID is \"x\", which is no process\n");
        assert_int_equal(unsetenv("MAINPID"), 0);
}

static void test_sockets_that_cannot_be(void **state) {
        static char too_long[200];

        memset(too_long, 'x', sizeof(too_long) - 1);
        too_long[0] = '/';
        assert_refuses(*state, ARGUMENTS("-F", "-M", "ivshmem-test-refused", "-S", too_long), "longer");
        assert_refuses(*state, ARGUMENTS("-F", "-M", "ivshmem-test-refused", "-S", "/nonexistent/socket"),
                       "/nonexistent/socket");
        assert_false(exists("/dev/shm/ivshmem-test-refused"));
}

/* ---- What it finds ---- */

static void test_a_second_server_on_the_same_socket(void **state) {
        Served *served = serve_dropin(*state, "1M", 2, NULL);
        Client *clients[2];

        clients[0] = join(served, CLIENT_KEEP);
        assert_refuses(served, ARGUMENTS("-F", "-S", served->socket, "-M", "ivshmem-test-refused"),
                       served->socket);
        assert_false(exists("/dev/shm/ivshmem-test-refused"));
        clients[1] = join(served, CLIENT_KEEP);
        assert_views_exact(clients, 2, 2, /* star= */ false);
        served_end(served);
}

/* The reference server cuts the memory of the running one, whose VMs then die of SIGBUS. */
static void test_a_second_server_on_the_same_memory(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        Client *client = join(served, CLIENT_KEEP);
        char *memory = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd_get(client->memory), 0);
        char *other_socket = scratch_path(served->scratch, "other");

        assert_ptr_not_equal(memory, MAP_FAILED);
        memory[MIB - 1] = 42;
        assert_refuses(served, ARGUMENTS("-F", "-S", other_socket, "-M", basename(served->shm), "-l", "4K"),
                       served->shm);
        assert_refuses(served, ARGUMENTS("-F", "-S", other_socket, "-M", basename(served->shm), "-l", "1M"),
                       "stop that server, or take another -M");
        assert_false(exists(other_socket));
        assert_true(exists(served->shm));
        assert_int_equal(memory[MIB - 1], 42);
        munmap(memory, MIB);
        served_end(served);
}

static void test_what_a_killed_server_left_is_taken_over(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        const ServerOptions options = {
                .arguments = ARGUMENTS("-F", "-S", served->socket, "-M", basename(served->shm), "-l", "1M"),
                .uid = LONELY_UID,
        };
        int status;

        assert_int_equal(server_signal(served->server, SIGKILL), 0);
        assert_int_equal(server_wait_end(served->server, &status), 0);
        assert_true(exists(served->socket) && exists(served->shm));
        assert_int_equal(server_start(served, &options, &served->server), SERVER_OK);
        join(served, CLIENT_KEEP);
        served_end(served);
}

static void test_a_file_that_is_no_socket_is_left_alone(void **state) {
        Served *served = served_new(*state, 1);
        char *path;

        assert_int_equal(scratch_write(served->scratch, "socket", "precious", &path), 0);
        assert_refuses(served, ARGUMENTS("-F", "-S", path, "-M", "ivshmem-test-refused"), path);
        assert_true(exists(path));
        talloc_free(served);
}

/* Left behind by root, say, where root's server was killed. */
static void test_a_stale_socket_of_another_user(void **state) {
        static const char text[] = "there is a socket of another user; if nobody listens";
        Served *served = served_new(*state, 1);
        const char *const *arguments = ARGUMENTS("-F", "-S", served->socket, "-M", "ivshmem-test-refused");
        Fd *listener;

        assert_int_equal(unix_listen(served, served->socket, SOCK_STREAM, &listener), 0);
        talloc_free(listener);
        assert_true(exists(served->socket));
        /* It cannot be asked; then it can be, but not be removed from a directory like /tmp. */
        assert_int_equal(chmod(served->socket, 0600), 0);
        assert_refuses(served, arguments, text);
        assert_int_equal(chmod(served->socket, 0666), 0);
        assert_int_equal(chown(served->scratch->path, 0, 0), 0);
        assert_int_equal(chmod(served->scratch->path, 01777), 0);
        assert_refuses(served, arguments, text);
        assert_true(exists(served->socket));
        talloc_free(served);
}

/* ---- What it leaves ---- */

static void stop_by(void *context, int signal) {
        Served *served = serve_dropin(context, "1M", 1, NULL);
        Client *client = join(served, CLIENT_KEEP);
        int status;

        assert_true(exists(served->socket) && exists(served->shm));
        assert_int_equal(server_signal(served->server, signal), 0);
        assert_int_equal(server_wait_end(served->server, &status), 0);
        assert_int_equal(status, 0);
        assert_false(exists(served->socket));
        assert_false(exists(served->shm));
        assert_ended(client);
        talloc_free(served);
}

static void test_sigterm_removes_what_it_made(void **state) {
        stop_by(*state, SIGTERM);
}

static void test_sigint_removes_what_it_made(void **state) {
        stop_by(*state, SIGINT);
}

/* With the start not done yet: the memory is being prepared, and the first part of it is told. */
static void stop_while_it_starts(void *context, int signal) {
        Served *served = served_new(context, 1);
        ServerOptions options = { .uid = LONELY_UID };
        char *path;
        int status;

        assert_int_equal(
                scratch_write(served->scratch, "a.domain", "[Domain]\nSize=512M\nPrefault=yes\n", &path), 0);
        options.arguments = ARGUMENTS("--definition", path, "-S", served->socket);
        assert_int_equal(server_spawn(served, &options, &served->server), 0);
        assert_int_equal(server_wait_notify(served->server, "EXTEND_TIMEOUT_USEC=30000000"), SERVER_OK);
        assert_true(exists(served->socket));
        assert_int_equal(server_signal(served->server, signal), 0);
        TALLOC_FREE(served->server->notify);
        assert_int_equal(server_wait_end(served->server, &status), 0);
        /* On a machine with many processors it can be done before the signal came. */
        assert_true(status == 128 + signal || status == 0);
        assert_false(exists(served->socket));
        talloc_free(served);
}

static void test_a_start_that_is_stopped_leaves_nothing(void **state) {
        stop_while_it_starts(*state, SIGTERM);
        stop_while_it_starts(*state, SIGINT);
}

static ServerProcess *start_as_root(Served *served) {
        const ServerOptions options = {
                .arguments = ARGUMENTS("-F", "-S", served->socket, "-M", basename(served->shm), "-l", "1M"),
        };
        ServerProcess *server;

        assert_int_equal(server_start(served, &options, &server), SERVER_OK);
        return server;
}

/* Without capabilities root may not write there; a start after that is none the worse for it. */
static void test_what_root_cannot_remove_is_said_at_start(void **state) {
        static const char text[] = "will be left behind at the end";
        Served *served = served_new(*state, 1);
        int status;

        served->shm = talloc_asprintf(served, "/dev/shm/ivshmem-test-%d", getpid());
        for (size_t i = 0; i < 2; i++) {
                served->server = start_as_root(served);
                assert_non_null(strstr(server_log(served->server), text));
                assert_non_null(strstr(server_log(served->server), served->socket));
                join(served, CLIENT_KEEP);
                assert_int_equal(server_stop(served->server, &status), 0);
                assert_int_equal(status, 0);
                assert_true(exists(served->socket));
        }
        assert_int_equal(chown(served->scratch->path, 0, 0), 0);
        served->server = start_as_root(served);
        assert_null(strstr(server_log(served->server), text));
        assert_int_equal(server_stop(served->server, &status), 0);
        assert_false(exists(served->socket));
        talloc_free(served);
}

static void test_what_others_put_in_its_place_stays(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        char *path;
        int status;

        assert_int_equal(unlink(served->socket), 0);
        assert_int_equal(scratch_write(served->scratch, "socket", "precious", &path), 0);
        assert_int_equal(server_stop(served->server, &status), 0);
        assert_int_equal(status, 0);
        assert_true(exists(path));
        talloc_free(served);
}

/* A bare close would make QEMU spin for ever. */
static void test_who_comes_while_it_stops_gets_an_answer(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        Client *clients[5];
        int status;

        assert_int_equal(server_signal(served->server, SIGSTOP), 0);
        for (size_t i = 0; i < 5; i++) {
                clients[i] = connect_only(served, CLIENT_KEEP);
        }
        assert_int_equal(server_signal(served->server, SIGTERM), 0);
        assert_int_equal(server_signal(served->server, SIGCONT), 0);
        assert_int_equal(server_wait_end(served->server, &status), 0);
        assert_int_equal(status, 0);
        for (size_t i = 0; i < 5; i++) {
                if (client_read_to_end(clients[i]) == CLIENT_FAILURE) {
                        assert_int_equal(wire_decoder_refusal(clients[i]->decoder), REFUSAL_STOPPING);
                } else {
                        assert_true(clients[i]->memory);
                }
        }
        talloc_free(served);
}

/* ---- In the background ---- */

/* A process that is not our child. It is killed with this object if it still runs then. */
typedef struct Daemon {
        pid_t pid;
        Fd *process;
} Daemon;

static int daemon_signal(Daemon *daemon, int signal) {
        return (int) syscall(SYS_pidfd_send_signal, fd_get(daemon->process), signal, NULL, 0);
}

static int daemon_destructor(Daemon *daemon) {
        (void) daemon_signal(daemon, SIGKILL);
        return 0;
}

static Daemon *daemon_of_pidfile(void *ctx, const char *path) {
        Daemon *daemon = talloc_zero(ctx, Daemon);
        char text[32] = "";
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

        assert_true(read(fd, text, sizeof(text) - 1) > 0);
        daemon->pid = (pid_t) strtol(text, NULL, 10);
        assert_int_equal(fd_new(daemon, (int) syscall(SYS_pidfd_open, daemon->pid, 0), &daemon->process), 0);
        assert_true(fd_get(daemon->process) >= 0);
        talloc_set_destructor(daemon, daemon_destructor);
        return daemon;
}

static void test_without_f_it_goes_to_the_background(void **state) {
        Served *served = served_new(*state, 1);
        char *pidfile = scratch_path(served->scratch, "pid");
        char *name = talloc_asprintf(served, "ivshmem-test-%d", getpid());
        const ServerOptions options = {
                .arguments = ARGUMENTS("-S", served->socket, "-M", name, "-l", "1M", "-p", pidfile),
                .uid = LONELY_UID,
        };
        ServerProcess *parent;
        Daemon *daemon;
        int status;

        served->shm = talloc_asprintf(served, "/dev/shm/%s", name);
        assert_int_equal(server_spawn(served, &options, &parent), 0);
        assert_int_equal(server_wait_end(parent, &status), 0);
        assert_int_equal(status, 0);
        TALLOC_FREE(parent->notify);

        /* Whoever waited for the first process can connect now. */
        daemon = daemon_of_pidfile(served, pidfile);
        /* What ends the session that it was started in does not end it. */
        assert_int_equal(getsid(daemon->pid), daemon->pid);
        join(served, CLIENT_KEEP);
        assert_int_equal(daemon_signal(daemon, SIGTERM), 0);
        assert_int_equal(wait_input(fd_get(daemon->process)), 0);
        assert_false(exists(served->socket));
        assert_false(exists(served->shm));
        assert_false(exists(pidfile));
        talloc_free(served);
}

static void test_what_fails_fails_before_it_goes_to_the_background(void **state) {
        Served *served = serve_dropin(*state, "1M", 1, NULL);
        char *pidfile = scratch_path(served->scratch, "pid");

        assert_refuses(served, ARGUMENTS("-S", served->socket, "-M", "ivshmem-test-refused", "-p", pidfile),
                       served->socket);
        assert_false(exists(pidfile));
        served_end(served);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_sizes_that_are_refused),
                TEST(test_vectors_that_are_refused),
                TEST(test_flags_that_are_refused),
                TEST(test_a_directory_in_any_spelling),
                TEST(test_help),
                TEST(test_a_mistake_in_a_definition_is_named_with_its_line),
                TEST(test_reload_of_what_does_not_run),
                TEST(test_sockets_that_cannot_be),
                TEST(test_a_second_server_on_the_same_socket),
                TEST(test_a_second_server_on_the_same_memory),
                TEST(test_what_a_killed_server_left_is_taken_over),
                TEST(test_a_file_that_is_no_socket_is_left_alone),
                TEST(test_a_stale_socket_of_another_user),
                TEST(test_sigterm_removes_what_it_made),
                TEST(test_sigint_removes_what_it_made),
                TEST(test_a_start_that_is_stopped_leaves_nothing),
                TEST(test_what_root_cannot_remove_is_said_at_start),
                TEST(test_what_others_put_in_its_place_stays),
                TEST(test_who_comes_while_it_stops_gets_an_answer),
                TEST(test_without_f_it_goes_to_the_background),
                TEST(test_what_fails_fails_before_it_goes_to_the_background),
        };

        return protocol_tests_run("program", tests);
}
