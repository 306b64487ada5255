/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going to the background. */

#include "service/server/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

/* Waits for the child's word; without one it has ended, and its exit status is ours. */
static void __attribute__((noreturn)) wait_for_child(pid_t child, int ready) {
        char word;
        int status;

        if (read(ready, &word, sizeof(word)) == sizeof(word)) {
                _exit(EXIT_SUCCESS);
        }
        if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
                _exit(WEXITSTATUS(status));
        }
        _exit(EXIT_FAILURE);
}

int daemon_fork(int *ret_ready) {
        pid_t child;
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0) {
                return errno_negative();
        }
        child = fork();
        if (child < 0) {
                int r = errno_negative();

                close(ends[0]);
                close(ends[1]);
                return r;
        }
        if (child > 0) {
                close(ends[1]);
                wait_for_child(child, ends[0]);
        }
        close(ends[0]);
        (void) setsid();
        *ret_ready = ends[1];
        return 0;
}

void daemon_ready(int *ready) {
        const char word = 1;

        /* A parent that is gone needs no answer. */
        (void) !write(*ready, &word, sizeof(word));
        close(fd_steal(ready));
}

static int write_pid(const OwnFile *file) {
        cleanup_close int fd = openat(ownfile_directory(file), ownfile_name(file),
                                      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

        return fd < 0 ? errno_negative() : dprintf(fd, "%d\n", getpid()) < 0 ? errno_negative() : 0;
}

int pidfile_write(void *ctx, const char *path, OwnFile **ret) {
        OwnFile *file;
        int r = ownfile_new(ctx, path, &file);

        if (r < 0) {
                return r;
        }
        r = write_pid(file);
        if (r >= 0) {
                r = ownfile_made(file);
        }
        if (r < 0) {
                talloc_free(file);
                return r;
        }
        *ret = file;
        return 0;
}
