/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket that peers connect to, made at a path. */

#include "service/server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "policy/ivshmem-server-syscalls.h"
#include "service/base/error.h"
#include "service/server/stop-signals.h"

/* How long servers wait for each other that start at the same time: each needs next to nothing. */
#define LOCK_PAUSE_NSEC (10 * 1000 * 1000)
#define LOCK_TRIES 300U

static int fail(void *ctx, char **ret_error, const char *path, int r, const char *why) {
        *ret_error = talloc_asprintf(ctx, "Cannot listen on %s: %s", path, why ?: strerror(-r));
        return r;
}

/*
 * Whether nobody listens on the socket with this address: a datagram socket cannot connect to a stream socket,
 * and is told so (EPROTOTYPE) only when there is one behind the name. So nobody is woken by the question. -EPERM: it is
 * another user's, and must not be asked.
 */
static int check_stale(const struct sockaddr_un *address, socklen_t length) {
        cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0) {
                return errno_negative();
        }
        if (connect(fd, (const struct sockaddr *) address, length) >= 0) {
                return -EADDRINUSE;
        }
        return errno == ECONNREFUSED ? 0 : errno == EACCES ? -EPERM : -EADDRINUSE;
}

/* Makes way for a new socket file: removes one that nobody listens on. */
static int clear_name(const OwnFile *file, const struct sockaddr_un *address, socklen_t length) {
        struct stat st;
        int r;

        if (fstatat(ownfile_directory(file), ownfile_name(file), &st, AT_SYMLINK_NOFOLLOW) < 0) {
                return errno == ENOENT ? 0 : errno_negative();
        }
        if (!S_ISSOCK(st.st_mode)) {
                return -EEXIST;
        }
        r = check_stale(address, length);
        return r < 0 ? r : errno_or(unlinkat(ownfile_directory(file), ownfile_name(file), /* flags= */ 0));
}

static int bind_and_listen(int fd, OwnFile *file, const struct sockaddr_un *address, socklen_t length,
                           uint32_t mode) {
        int r;

        if (bind(fd, (const struct sockaddr *) address, length) < 0) {
                return errno_negative();
        }
        r = ownfile_made(file);
        if (r < 0) {
                return r;
        }
        r = mode ? errno_or(fchmodat(ownfile_directory(file), ownfile_name(file), mode, /* flags= */ 0)) : 0;
        return r < 0 ? r : errno_or(listen(fd, LISTEN_BACKLOG));
}

/* Anybody who may read a directory can hold its lock, in /tmp above all, and must not keep servers from starting without a
 * word. */
static int directory_lock(int directory) {
        static const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NSEC };

        for (unsigned tries = 0; flock(directory, LOCK_EX | LOCK_NB) < 0; tries++) {
                if (errno != EWOULDBLOCK) {
                        return errno_negative();
                }
                if (stop_signals_came()) {
                        return -ECANCELED;
                }
                if (tries >= LOCK_TRIES) {
                        return -EBUSY;
                }
                nanosleep(&pause, NULL);
        }
        return 0;
}

/* Two servers that start at the same time must not take each other's new socket for a stale one: the directory is
 * locked meanwhile. */
static int replace_and_bind(int fd, OwnFile *file, const char *path, uint32_t mode) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int directory = ownfile_directory(file), r;

        if (strlen(path) >= sizeof(address.sun_path)) {
                return -ENAMETOOLONG;
        }
        memcpy(address.sun_path, path, strlen(path) + 1);
        r = directory_lock(directory);
        if (r < 0) {
                return r;
        }
        r = clear_name(file, &address, sizeof(address));
        if (r >= 0) {
                r = bind_and_listen(fd, file, &address, sizeof(address), mode);
        }
        if (r < 0) {
                ownfile_remove(file);
        }
        (void) flock(directory, LOCK_UN);
        return r;
}

static const char *explain(int r) {
        switch (r) {
        case -EBUSY:
                return "another process holds a lock on its directory (/proc/locks has it); end that, or choose another path";
        case -EADDRINUSE:
                return "another server listens there; stop it first, or choose another path";
        case -EPERM:
                return "there is a socket of another user; if nobody listens there any more, have it removed, or "
                       "choose another path";
        case -EEXIST:
                return "there is a file that is no socket; remove it, or choose another path";
        case -ENOENT:
                return "its directory does not exist; make it, or choose another path";
        case -ENAMETOOLONG:
                return "the path is longer than a socket's may be (107 bytes)";
        default:
                return NULL;
        }
}

int listener_open(void *ctx, const char *path, uint32_t mode, Fd **ret, OwnFile **ret_file,
                  char **ret_error) {
        OwnFile *file;
        Fd *listener;
        int fd, r = ownfile_new(ctx, path, &file);

        if (r < 0) {
                return fail(ctx, ret_error, path, r, explain(r));
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        r = fd < 0 ? errno_negative() : fd_new(ctx, fd, &listener);
        if (r < 0) {
                talloc_free(file);
                return fail(ctx, ret_error, path, r, NULL);
        }
        r = replace_and_bind(fd, file, path, mode);
        if (r < 0) {
                talloc_free(listener);
                talloc_free(file);
                return fail(ctx, ret_error, path, r, explain(r));
        }
        *ret = listener;
        *ret_file = file;
        return 0;
}

void socket_bar_descriptors(int fd) {
        const int no = 0;

        (void) setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));
}
