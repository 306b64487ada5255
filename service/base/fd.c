/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors bound to the talloc tree. Closing is all that happens here; nothing is opened. */

#include "service/base/fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

static int fd_destructor(Fd *fd) {
        if (fd->fd >= 0) {
                close(fd->fd);
        }
        return 0;
}

int fd_new(const void *ctx, int fd, Fd **ret) {
        Fd *box = talloc(ctx, Fd);

        if (!box) {
                close(fd);
                return -ENOMEM;
        }
        box->fd = fd;
        talloc_set_destructor(box, fd_destructor);
        *ret = box;
        return 0;
}

int fd_take(Fd *fd) {
        return fd_steal(&fd->fd);
}

void fd_close_at_scope_end(int *fd) {
        if (*fd >= 0) {
                close(*fd);
        }
}

/* ---- Aside ---- */

typedef struct Aside {
        size_t n;
        int fds[];
} Aside;

static atomic_int n_threads;

static void close_all(const int *fds, size_t n) {
        for (size_t i = 0; i < n; i++) {
                if (fds[i] >= 0) {
                        close(fds[i]);
                }
        }
}

/* Without talloc, which knows nothing of threads. */
static void *run_aside(void *userdata) {
        Aside *aside = userdata;

        close_all(aside->fds, aside->n);
        free(aside);
        n_threads--;
        return NULL;
}

/* Signals are the event loop's. */
static bool begin_aside(Aside *aside) {
        sigset_t all, before;
        pthread_t thread;
        bool begun;

        sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        begun = pthread_create(&thread, NULL, run_aside, aside) == 0;
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (begun) {
                (void) pthread_detach(thread);
        }
        return begun;
}

void fds_close_aside(const int *fds, size_t n) {
        Aside *aside = n > 0 ? malloc(sizeof(*aside) + n * sizeof(*fds)) : NULL;

        if (aside) {
                aside->n = n;
                memcpy(aside->fds, fds, n * sizeof(*fds));
                if (++n_threads <= FD_ASIDE_THREADS_MAX && begin_aside(aside)) {
                        return;
                }
                n_threads--;
                free(aside);
        }
        close_all(fds, n);
}

/* Memory without a file system of somebody's, which alone can be sealed, has nothing to wait for. */
void fd_close_aside(int fd) {
        if (fd >= 0 && fcntl(fd, F_GET_SEALS) >= 0) {
                close(fd);
        } else if (fd >= 0) {
                fds_close_aside(&fd, 1);
        }
}

void fd_close_aside_at_scope_end(int *fd) {
        fd_close_aside(*fd);
}
