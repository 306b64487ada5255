/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting servers as children. The child gets what systemd would give it: two sockets by name, where to report to, and
 * nothing else. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/manager/embedded.h"

/* As in the socket unit: who connects while the server starts waits here. */
#define BACKLOG 4096

/* Shells say so of a program that could not be run. */
#define EXIT_EXEC 127

int pidfd_of(pid_t pid) {
        return errno_or((int) syscall(SYS_pidfd_open, pid, 0));
}

int child_signal(const Child *child, int signal) {
        return errno_or((int) syscall(SYS_pidfd_send_signal, fd_get(child->process), signal, NULL, 0));
}

/* ---- In the child ---- */

/* The event loop has blocked what it reads itself. */
static void reset_signals(void) {
        sigset_t none;

        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        for (int signal = 1; signal < NSIG; signal++) {
                (void) sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
        }
}

/* Puts the sockets where sd_listen_fds(3) looks. All else is closed by the exec. */
static int place_sockets(int peers, int control) {
        int high = fcntl(control, F_DUPFD, SD_LISTEN_FDS_START + 2);

        if (high < 0 || dup2(fcntl(peers, F_DUPFD, SD_LISTEN_FDS_START + 2), SD_LISTEN_FDS_START) < 0 ||
            dup2(high, SD_LISTEN_FDS_START + 1) < 0) {
                return errno_negative();
        }
        return errno_or((int) syscall(SYS_close_range, SD_LISTEN_FDS_START + 2, ~0U, CLOSE_RANGE_CLOEXEC));
}

static int place_input(void) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        return fd < 0 || dup2(fd, STDIN_FILENO) < 0 ? errno_negative() : 0;
}

static int set_environment(const Embedded *embedded) {
        static const char *const of_ours[] = { "WATCHDOG_PID", "WATCHDOG_USEC", "FDSTORE" };
        char pid[16];

        snprintf(pid, sizeof(pid), "%d", getpid());
        for (size_t i = 0; i < sizeof(of_ours) / sizeof(*of_ours); i++) {
                (void) unsetenv(of_ours[i]);
        }
        if (setenv("LISTEN_PID", pid, 1) < 0 || setenv("LISTEN_FDS", "2", 1) < 0 ||
            setenv("LISTEN_FDNAMES", "peers:control", 1) < 0 ||
            setenv("NOTIFY_SOCKET", embedded->notify_path, 1) < 0) {
                return errno_negative();
        }
        return 0;
}

/* Listening is what the kernel notes a process for: the next manager finds the server by that. The session is of its own,
 * for what the terminal says to the manager is not meant for it. */
static int prepare(const Embedded *embedded, int peers, int control) {
        int r = errno_or(listen(peers, BACKLOG));

        (void) setsid();
        reset_signals();
        if (r == 0) {
                r = errno_or(listen(control, BACKLOG));
        }
        if (r == 0) {
                r = place_input();
        }
        if (r == 0) {
                r = place_sockets(peers, control);
        }
        return r == 0 ? set_environment(embedded) : r;
}

/* `report` is closed by the exec; what comes out of it is why there was none. */
static void __attribute__((noreturn))
become_server(const Child *child, const char *definition, int peers, int control, int report) {
        const Embedded *embedded = child->embedded;
        const char *const arguments[] = { embedded->program, "--definition", definition, NULL };
        int high = fcntl(report, F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + 2);
        int r = high < 0 ? errno_negative() : prepare(embedded, peers, control);

        if (r == 0) {
                (void) execv(embedded->program, (char *const *) arguments);
                r = errno_negative();
        }
        (void) !write(high < 0 ? report : high, &r, sizeof(r));
        _exit(EXIT_EXEC);
}

/* ---- In the manager ---- */

/* Waits the moment until the child is the server: till then it holds what is ours. */
static int wait_for_exec(int report, pid_t pid) {
        int error = 0;
        ssize_t n;

        do {
                n = read(report, &error, sizeof(error));
        } while (n < 0 && errno == EINTR);
        if (n == 0) {
                return 0;
        }
        (void) waitpid(pid, NULL, 0);
        return n == sizeof(error) && error < 0 ? error : -EIO;
}

static int spawn(const Child *child, const char *definition, int peers, int control, pid_t *ret) {
        cleanup_close int mine = -EBADF, theirs = -EBADF;
        int ends[2];
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) < 0) {
                return errno_negative();
        }
        mine = ends[0];
        theirs = ends[1];
        pid = fork();
        if (pid < 0) {
                return errno_negative();
        }
        if (pid == 0) {
                become_server(child, definition, peers, control, theirs);
        }
        close(fd_steal(&theirs));
        *ret = pid;
        return wait_for_exec(mine, pid);
}

int child_spawn(Child *child, const char *definition, pid_t *ret_pid, int *ret_pidfd, Failure *ret_failure) {
        cleanup_close int peers = -EBADF, control = -EBADF;
        int r = sockets_bind(child, &peers, &control, ret_failure);

        if (r < 0) {
                return r;
        }
        r = spawn(child, definition, peers, control, ret_pid);
        if (r < 0) {
                sockets_remove(child);
                return failure_set(ret_failure, FAILURE_START_FAILED, "Cannot run %s: %s",
                                   child->embedded->program, strerror(-r));
        }
        *ret_pidfd = pidfd_of(*ret_pid);
        if (*ret_pidfd < 0) {
                (void) kill(*ret_pid, SIGKILL);
                (void) waitpid(*ret_pid, NULL, 0);
                sockets_remove(child);
                return failure_errno(ret_failure, *ret_pidfd, "Cannot watch the server");
        }
        return 0;
}

/* ---- Since when ---- */

/* The start time in clock ticks since the boot is the 20th word behind the name, which may contain anything (proc(5)). */
static bool start_ticks(pid_t pid, uint64_t *ret) {
        char path[32], line[1024], *word;
        FILE *file;
        bool found;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        file = fopen(path, "re");
        if (!file) {
                return false;
        }
        found = fgets(line, sizeof(line), file);
        fclose(file);
        word = found ? strrchr(line, ')') : NULL;
        for (unsigned i = 0; word && i < 20; i++) {
                word = strchr(word + 1, ' ');
        }
        return word && sscanf(word, " %" SCNu64, ret) == 1;
}

uint64_t process_start(pid_t pid) {
        uint64_t ticks, hertz = (uint64_t) sysconf(_SC_CLK_TCK), booted;
        struct timespec now, up;

        if (!start_ticks(pid, &ticks) || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
            clock_gettime(CLOCK_BOOTTIME, &up) < 0) {
                return 0;
        }
        booted = (uint64_t) (now.tv_sec - up.tv_sec) * 1000000 +
                 (uint64_t) ((now.tv_nsec - up.tv_nsec) / 1000);
        return booted + ticks * 1000000 / hertz;
}
