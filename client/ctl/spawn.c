/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* posix_spawn() with descriptors. */

#include "client/ctl/spawn.h"

#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

int spawn(const char *const *command, const SpawnFd *fds, size_t n_fds, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        for (size_t i = 0; i < n_fds && r == 0; i++) {
                r = posix_spawn_file_actions_adddup2(&actions, fds[i].ours, fds[i].theirs);
        }
        if (r == 0) {
                r = posix_spawnp(ret, command[0], &actions, NULL, (char *const *) command, environ);
        }
        posix_spawn_file_actions_destroy(&actions);
        return -r;
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
