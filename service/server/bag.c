/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many descriptors behind one. */

#include "service/server/bag.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

typedef union Control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(BAG_MAX * sizeof(int))];
} Control;

int bag_new(const int *fds, size_t n, const char *note) {
        char text[BAG_NOTE_SIZE];
        struct iovec iov = { .iov_base = text };
        Control control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
        struct msghdr header = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = CMSG_SPACE(n * sizeof(int)),
        };
        cleanup_close int reading = -EBADF, writing = -EBADF;
        int ends[2];

        assert(n >= 1 && n <= BAG_MAX);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
                return errno_negative();
        }
        reading = ends[0];
        writing = ends[1];
        snprintf(text, sizeof(text), "%s", note ?: "");
        iov.iov_len = strlen(text) + 1;
        control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
        if (sendmsg(writing, &header, MSG_NOSIGNAL) < 0) {
                return errno_negative();
        }
        return fd_steal(&reading);
}

/* How many descriptors came; more than BAG_MAX cannot. They are copied out whatever else is wrong. */
static size_t received(struct msghdr *header, int fds[static BAG_MAX]) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
                size_t more = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && n + more <= BAG_MAX) {
                        memcpy(fds + n, CMSG_DATA(c), more * sizeof(int));
                        n += more;
                }
        }
        return n;
}

int bag_look(int bag, int *ret_fds, size_t n, char ret_note[static BAG_NOTE_SIZE]) {
        char text[BAG_NOTE_SIZE];
        struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) };
        Control control;
        struct msghdr header = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int fds[BAG_MAX];
        ssize_t length = recvmsg(bag, &header, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        size_t came;

        if (length < 0) {
                return errno_negative();
        }
        came = received(&header, fds);
        if (came != n || header.msg_flags & (MSG_CTRUNC | MSG_TRUNC) ||
            !memchr(text, '\0', (size_t) length)) {
                for (size_t i = 0; i < came; i++) {
                        close(fds[i]);
                }
                return -EBADMSG;
        }
        memcpy(ret_fds, fds, n * sizeof(int));
        memcpy(ret_note, text, strlen(text) + 1);
        return 0;
}
