/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other programs: pager, editor, password agent, the server's check. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* A descriptor that the program shall have as another one. */
typedef struct SpawnFd {
        int ours;
        int theirs;
} SpawnFd;

/* Starts a program, which is looked up in $PATH, and ends with us (SIGTERM). It inherits the given descriptors beside the
 * standard ones. Negative errno. */
int spawn(const char *const *command, const SpawnFd *fds, size_t n_fds, pid_t *ret);

/* Waits for its end. The exit status, or 128 and the number of the signal that killed it. Negative errno. */
int spawn_wait(pid_t pid);
