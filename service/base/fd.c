/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors bound to the talloc tree. Closing is all that happens here; nothing is opened. */

#include "service/base/fd.h"

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
