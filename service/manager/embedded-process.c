/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting servers as children. The child gets what systemd would give it: two sockets by name, where to report to, and
 * nothing else. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

/* Puts the sockets where sd_listen_fds(3) looks. The copies are not closed by the exec. */
static int place_sockets(int peers, int control) {
        int high = fcntl(control, F_DUPFD, SD_LISTEN_FDS_START + 2);

        if (high < 0 || dup2(fcntl(peers, F_DUPFD, SD_LISTEN_FDS_START + 2), SD_LISTEN_FDS_START) < 0 ||
            dup2(high, SD_LISTEN_FDS_START + 1) < 0) {
                return errno_negative();
        }
        return errno_or((int) syscall(SYS_close_range, SD_LISTEN_FDS_START + 2, ~0U, 0));
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

static void __attribute__((noreturn))
become_server(const Child *child, const char *definition, int peers, int control) {
        const Embedded *embedded = child->embedded;
        const char *const arguments[] = { embedded->program, "--definition", definition, NULL };
        int r = prepare(embedded, peers, control);

        if (r == 0) {
                (void) execv(embedded->program, (char *const *) arguments);
                r = errno_negative();
        }
        dprintf(STDERR_FILENO, "Cannot run %s: %s\n", embedded->program, strerror(-r));
        _exit(EXIT_EXEC);
}

/* ---- In the manager ---- */

int child_spawn(Child *child, const char *definition, pid_t *ret_pid, int *ret_pidfd, Failure *ret_failure) {
        cleanup_close int peers = -EBADF, control = -EBADF;
        pid_t pid;
        int r;

        if (access(child->embedded->program, X_OK) < 0) {
                return failure_set(ret_failure, FAILURE_START_FAILED, "Cannot run %s: %s",
                                   child->embedded->program, strerror(errno));
        }
        r = sockets_bind(child, &peers, &control, ret_failure);
        if (r < 0) {
                return r;
        }
        pid = fork();
        if (pid == 0) {
                become_server(child, definition, peers, control);
        }
        *ret_pidfd = pid < 0 ? errno_negative() : pidfd_of(pid);
        if (*ret_pidfd < 0) {
                sockets_remove(child);
                return failure_errno(ret_failure, *ret_pidfd, "Cannot start a server");
        }
        *ret_pid = pid;
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
