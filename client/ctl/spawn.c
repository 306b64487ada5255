/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fork() and exec(), with descriptors; children end with their parent. */

#include "client/ctl/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* As another descriptor, and not closed by exec(). */
static int place(const SpawnFd *fd) {
        if (fd->ours != fd->theirs) {
                return dup2(fd->ours, fd->theirs) < 0 ? -errno : 0;
        }
        return fcntl(fd->ours, F_SETFD, 0) < 0 ? -errno : 0;
}

/* In the child; the errno of what failed. `report` has been moved out of the way of all that is placed. */
static int become(const char *const *command, const SpawnFd *fds, size_t n_fds, pid_t parent) {
        sigset_t none;
        int r = 0;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
                return -errno;
        }
        if (getppid() != parent) {
                return -ECANCELED; /* it ended before it could be told of */
        }
        for (size_t i = 0; i < n_fds && r == 0; i++) {
                r = place(&fds[i]);
        }
        if (r == 0) {
                execvp(command[0], (char *const *) command);
                r = -errno;
        }
        return r;
}

/* What the child says when it could not become the program; at exec() the pipe is closed. */
static int read_report(int fd) {
        int r = 0;
        ssize_t n;

        do {
                n = read(fd, &r, sizeof(r));
        } while (n < 0 && errno == EINTR);
        return n == sizeof(r) ? r : 0;
}

int spawn(const char *const *command, const SpawnFd *fds, size_t n_fds, pid_t *ret) {
        pid_t parent = getpid(), pid;
        int ends[2], high, r;

        if (pipe2(ends, O_CLOEXEC) < 0) {
                return -errno;
        }
        high = fcntl(ends[1], F_DUPFD_CLOEXEC, 16); /* above what is placed */
        close(ends[1]);
        pid = high < 0 ? -1 : fork();
        if (pid == 0) {
                r = become(command, fds, n_fds, parent);
                (void) !write(high, &r, sizeof(r));
                _exit(EXIT_FAILURE);
        }
        r = pid < 0 ? -errno : 0;
        if (high >= 0) {
                close(high);
        }
        r = r < 0 ? r : read_report(ends[0]);
        close(ends[0]);
        if (pid > 0 && r < 0) {
                (void) spawn_wait(pid);
        }
        if (r < 0) {
                return r;
        }
        *ret = pid;
        return 0;
}

int spawn_wait(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0) {
                if (errno != EINTR) {
                        return -errno;
                }
        }
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
