/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting, watching and ending one server. It knows nothing of what the server serves. */

#include "tests/lib/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "tests/lib/scratch.h"
#include "tests/lib/socket.h"

#define NOTIFY_MAX 4096

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd_open_cloexec(pid_t pid) {
        return errno_or((int) syscall(SYS_pidfd_open, pid, 0));
}

static int reap(ServerProcess *server) {
        siginfo_t info = { .si_pid = 0 };

        if (waitid((idtype_t) P_PIDFD, (id_t) fd_get(server->process), &info, WEXITED) < 0) {
                return errno_negative();
        }
        server->ended = true;
        server->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
        return 0;
}

int server_signal(ServerProcess *server, int signal) {
        return errno_or((int) syscall(SYS_pidfd_send_signal, fd_get(server->process), signal, NULL, 0));
}

static int server_destructor(ServerProcess *server) {
        if (!server->ended && server_signal(server, SIGKILL) == 0) {
                (void) reap(server);
        }
        return 0;
}

static int notify_listen(ServerProcess *server) {
        struct sockaddr_un address;
        Scratch *scratch;
        int fd, r;

        r = scratch_new(server, &scratch);
        if (r < 0) {
                return r;
        }
        server->notify_path = scratch_path(scratch, "notify");
        if (!server->notify_path) {
                return -ENOMEM;
        }
        r = unix_address(server->notify_path, &address);
        if (r < 0) {
                return r;
        }
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) {
                return errno_negative();
        }
        r = fd_new(server, fd, &server->notify);
        if (r < 0) {
                return r;
        }
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                return errno_negative();
        }
        return errno_or(chmod(server->notify_path, 0666));
}

/* A file, not a pipe: a server that logs much never waits for us. */
static int log_create(ServerProcess *server, bool deaf) {
        int fd, ends[2];

        if (deaf) {
                if (pipe2(ends, O_CLOEXEC) < 0) {
                        return errno_negative();
                }
                close(ends[0]);
        }
        fd = deaf ? ends[1] : memfd_create("log", MFD_CLOEXEC);
        return fd < 0 ? errno_negative() : fd_new(server, fd, &server->log);
}

/* In the child: passes a descriptor as systemd does (sd_listen_fds(3)). */
static int pass_fd(const ServerOptions *options) {
        char pid[16];

        if (options->passed_fd == 0) {
                return 0;
        }
        snprintf(pid, sizeof(pid), "%d", (int) getpid());
        if (dup2(options->passed_fd, SD_LISTEN_FDS_START) < 0 ||
            fcntl(SD_LISTEN_FDS_START, F_SETFD, 0) < 0 || setenv("LISTEN_PID", pid, 1) < 0 ||
            setenv("LISTEN_FDS", "1", 1) < 0 || setenv("LISTEN_FDNAMES", options->passed_name, 1) < 0) {
                return errno_negative();
        }
        return 0;
}

/* In the child: becomes the server, or ends with 127. */
static _Noreturn void become(const ServerProcess *server, const ServerOptions *options, char *const *argv) {
        struct rlimit limit = { .rlim_cur = options->nofile, .rlim_max = options->nofile };
        /* Who may not search the folders above the program can execute it all the same. */
        int program = open(argv[0], O_PATH | O_CLOEXEC);
        sigset_t none;

        sigemptyset(&none);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
            dup2(fd_get(server->log), STDOUT_FILENO) < 0 || dup2(fd_get(server->log), STDERR_FILENO) < 0 ||
            setenv("NOTIFY_SOCKET", server->notify_path, /* overwrite= */ 1) < 0 || pass_fd(options) < 0 ||
            (options->nofile && setrlimit(RLIMIT_NOFILE, &limit) < 0) ||
            (options->uid && (setresgid(options->uid, options->uid, options->uid) < 0 ||
                              setresuid(options->uid, options->uid, options->uid) < 0))) {
                _exit(127);
        }
        /* Changing the user cleared it. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) execveat(program, "", argv, environ, AT_EMPTY_PATH);
        execv(argv[0], argv); /* a script, perhaps */
        _exit(127);
}

static int make_argv(const void *ctx, const ServerOptions *options, char ***ret) {
        const char *program = options->program ? options->program : getenv(SERVER_VARIABLE);
        size_t n = 0;
        char **argv;

        if (!program) {
                return -ENOENT;
        }
        while (options->arguments[n]) {
                n++;
        }
        argv = talloc_zero_array(ctx, char *, n + 2);
        if (!argv) {
                return -ENOMEM;
        }
        argv[0] = (char *) program;
        memcpy(argv + 1, options->arguments, n * sizeof(*argv));
        *ret = argv;
        return 0;
}

static int server_fork(ServerProcess *server, const ServerOptions *options) {
        char **argv;
        int fd, r;

        r = make_argv(server, options, &argv);
        if (r < 0) {
                return r;
        }
        server->pid = fork();
        if (server->pid < 0) {
                return errno_negative();
        }
        if (server->pid == 0) {
                become(server, options, argv);
        }
        fd = pidfd_open_cloexec(server->pid);
        if (fd < 0) {
                return fd;
        }
        server->ended = false;
        return fd_new(server, fd, &server->process);
}

int server_spawn(const void *ctx, const ServerOptions *options, ServerProcess **ret) {
        ServerProcess *server = talloc_zero(ctx, ServerProcess);
        int r;

        if (!server) {
                return -ENOMEM;
        }
        server->ended = true;
        talloc_set_destructor(server, server_destructor);
        r = notify_listen(server);
        if (r == 0) {
                r = log_create(server, options->deaf);
        }
        if (r == 0) {
                r = server_fork(server, options);
        }
        if (r < 0) {
                talloc_free(server);
                return r;
        }
        *ret = server;
        return 0;
}

/* Whether `line` is one of the lines of a notification. */
static bool has_line(const char *text, const char *line) {
        size_t length = strlen(line);

        for (const char *at = strstr(text, line); at; at = strstr(at + 1, line)) {
                if ((at == text || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\0')) {
                        return true;
                }
        }
        return false;
}

static bool notify_receive(ServerProcess *server, const char *line) {
        char text[NOTIFY_MAX];
        ssize_t n;

        while ((n = recv(fd_get(server->notify), text, sizeof(text) - 1, 0)) >= 0) {
                text[n] = '\0';
                if (has_line(text, line)) {
                        return true;
                }
        }
        return false;
}

int server_wait_notify(ServerProcess *server, const char *line) {
        struct pollfd polls[] = {
                { .fd = fd_get(server->notify), .events = POLLIN },
                { .fd = fd_get(server->process), .events = POLLIN },
        };

        while (!notify_receive(server, line)) {
                int n = errno_or(poll(polls, 2, WAIT_MSEC));

                if (n < 0) {
                        return n;
                }
                if (n == 0) {
                        return -ETIMEDOUT;
                }
                if (polls[1].revents && !polls[0].revents) {
                        n = reap(server);
                        return n < 0 ? n : SERVER_ENDED;
                }
        }
        return SERVER_OK;
}

int server_start(const void *ctx, const ServerOptions *options, ServerProcess **ret) {
        ServerProcess *server;
        int r;

        r = server_spawn(ctx, options, &server);
        if (r < 0) {
                return r;
        }
        r = server_wait_notify(server, "READY=1");
        if (r < 0) {
                talloc_free(server);
                return r;
        }
        if (!options->follow) {
                /* A socket of datagrams that nobody reads would stop the server after ten. */
                TALLOC_FREE(server->notify);
        }
        *ret = server;
        return r;
}

int server_wait_end(ServerProcess *server, int *ret_status) {
        struct pollfd poll_process = { .fd = fd_get(server->process), .events = POLLIN };
        int r;

        if (!server->ended) {
                r = errno_or(poll(&poll_process, 1, WAIT_MSEC));
                if (r <= 0) {
                        return r < 0 ? r : -ETIMEDOUT;
                }
                r = reap(server);
                if (r < 0) {
                        return r;
                }
        }
        *ret_status = server->status;
        return 0;
}

bool server_has_ended(ServerProcess *server) {
        struct pollfd poll_process = { .fd = fd_get(server->process), .events = POLLIN };

        return server->ended || (poll(&poll_process, 1, 0) > 0 && reap(server) == 0);
}

int server_stop(ServerProcess *server, int *ret_status) {
        int r;

        if (!server->ended) {
                r = server_signal(server, SIGTERM);
                if (r < 0) {
                        return r;
                }
        }
        return server_wait_end(server, ret_status);
}

char *server_log(ServerProcess *server) {
        struct stat st;
        char *text;
        ssize_t n;

        if (fstat(fd_get(server->log), &st) < 0) {
                return NULL;
        }
        text = talloc_zero_size(server, (size_t) st.st_size + 1);
        if (!text) {
                return NULL;
        }
        n = pread(fd_get(server->log), text, (size_t) st.st_size, 0);
        text[n < 0 ? 0 : n] = '\0';
        return text;
}
