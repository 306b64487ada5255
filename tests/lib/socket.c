/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connecting and waiting. What goes over a socket is the caller's. */

#include "tests/lib/socket.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "service/base/error.h"

int unix_address(const char *path, struct sockaddr_un *ret) {
        size_t size = strlen(path) + 1;

        if (size > sizeof(ret->sun_path)) {
                return -ENAMETOOLONG;
        }
        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(ret->sun_path, path, size);
        return 0;
}

int unix_connect(const void *ctx, const char *path, int type, Fd **ret) {
        struct timeval patience = { .tv_sec = WAIT_MSEC / 1000 };
        cleanup_close int fd = -EBADF;
        struct sockaddr_un address;
        int r;

        r = unix_address(path, &address);
        if (r < 0) {
                return r;
        }
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                return errno_negative();
        }
        return fd_new(ctx, fd_steal(&fd), ret);
}

int unix_listen(const void *ctx, const char *path, int type, Fd **ret) {
        cleanup_close int fd = -EBADF;
        struct sockaddr_un address;
        int r = unix_address(path, &address);

        if (r < 0) {
                return r;
        }
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
            listen(fd, SOMAXCONN) < 0) {
                return errno_negative();
        }
        return fd_new(ctx, fd_steal(&fd), ret);
}

int wait_input(int fd) {
        struct pollfd input = { .fd = fd, .events = POLLIN };
        int n = errno_or(poll(&input, 1, WAIT_MSEC));

        if (n == 0) {
                return -ETIMEDOUT;
        }
        return n < 0 ? n : 0;
}

static int connect_pair(int listener, int fd, int *ret_end) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);

        if (bind(listener, (struct sockaddr *) &address, length) < 0 || listen(listener, 1) < 0 ||
            getsockname(listener, (struct sockaddr *) &address, &length) < 0 ||
            connect(fd, (struct sockaddr *) &address, length) < 0) {
                return errno_negative();
        }
        *ret_end = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        return errno_or(*ret_end);
}

int lingering_socket(int *ret_end) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 3600 };
        cleanup_close int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        static const char junk[65536];
        int r = connect_pair(listener, fd, ret_end);

        if (r < 0) {
                return r;
        }
        while (send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0) {
        }
        if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0) {
                return errno_negative();
        }
        return fd_steal(&fd);
}
