/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that have an owner from birth: an Fd is a talloc chunk whose destructor closes the descriptor, so that
 * no error path ever calls close(). For the few lines before there is a parent, cleanup_close closes at scope end.
 */
#pragma once

#include <errno.h>
#include <stddef.h>

typedef struct Fd Fd;

struct Fd {
        int fd; /* -EBADF when it was taken away */
};

/* Boxes `fd`, which the box owns from here on, also when this fails (then it is closed). -ENOMEM. */
int fd_new(const void *ctx, int fd, Fd **ret);

/* Takes the descriptor out of its box; the caller closes it from here on. */
int fd_take(Fd *fd);

static inline int fd_get(const Fd *fd) {
        return fd ? fd->fd : -EBADF;
}

/* Gives the descriptor away from a cleanup_close variable. */
static inline int fd_steal(int *fd) {
        int stolen = *fd;

        *fd = -EBADF;
        return stolen;
}

void fd_close_at_scope_end(int *fd);

#define cleanup_close __attribute__((cleanup(fd_close_at_scope_end)))

/* As many threads at a time close descriptors; what is beyond is waited for. */
#define FD_ASIDE_THREADS_MAX 1024

/*
 * Closes descriptors that somebody sent who may mean ill: it can take as long as he likes (a TCP connection with SO_LINGER, a
 * file of his own file system), and so it is done by a thread that is there for this alone. One below 0 is none.
 */
void fds_close_aside(const int *fds, size_t n);
void fd_close_aside(int fd);

void fd_close_aside_at_scope_end(int *fd);

#define cleanup_close_aside __attribute__((cleanup(fd_close_aside_at_scope_end)))
