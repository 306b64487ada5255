/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory of an embedded manager: one manager has it, sockets lie in it, and servers that run are found by them. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/log.h"
#include "service/core/limits.h"
#include "service/core/text.h"
#include "service/manager/embedded.h"

#define NOTIFY_NAME "notify"
#define NOTICE_MAX 4096U
#define PROGRAM "ivshmem-server"

/* Who may join is for [Access] to say, who may give orders is not. */
#define PEERS_MODE 0666
#define CONTROL_MODE 0600

/* ---- Addresses ---- */

static int address_init(const char *path, struct sockaddr_un *ret) {
        size_t size = strlen(path) + 1;

        if (size > sizeof(ret->sun_path)) {
                return -ENAMETOOLONG;
        }
        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(ret->sun_path, path, size);
        return 0;
}

/* What is there of that name is not in use by anybody: the directory is ours. Only sockets are removed. */
static int remove_socket(const char *path) {
        struct stat st;

        if (lstat(path, &st) < 0) {
                return errno == ENOENT ? 0 : errno_negative();
        }
        return S_ISSOCK(st.st_mode) ? errno_or(unlink(path)) : -EEXIST;
}

static int bind_at(const char *path, int type, mode_t mode, int *ret) {
        cleanup_close int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address;
        int r = fd < 0 ? errno_negative() : address_init(path, &address);

        if (r == 0) {
                r = remove_socket(path);
        }
        if (r == 0) {
                r = errno_or(bind(fd, (const struct sockaddr *) &address, sizeof(address)));
        }
        if (r == 0) {
                r = errno_or(chmod(path, mode));
        }
        if (r == 0) {
                *ret = fd_steal(&fd);
        }
        return r;
}

/* ---- The sockets of a domain ---- */

static char *socket_of(const Child *child, const char *suffix) {
        return talloc_asprintf((void *) child, "%s/%s%s", child->embedded->directory, child->name, suffix);
}

static int bind_one(const Child *child, const char *suffix, int type, mode_t mode, int *ret,
                    Failure *ret_failure) {
        char *path = socket_of(child, suffix);
        int r = path ? bind_at(path, type, mode, ret) : -ENOMEM;

        if (r == -ENAMETOOLONG) {
                r = failure_set(
                        ret_failure, FAILURE_START_FAILED,
                        "The path of a socket has room for 107 bytes, which %s exceeds; use a shorter "
                        "directory",
                        path);
        } else if (r < 0) {
                r = failure_set(ret_failure, FAILURE_START_FAILED, "Cannot make the socket %s: %s",
                                path ?: suffix, strerror(-r));
        }
        talloc_free(path);
        return r;
}

int sockets_bind(const Child *child, int *ret_peers, int *ret_control, Failure *ret_failure) {
        cleanup_close int peers = -EBADF;
        int r = bind_one(child, SOCKET_SUFFIX, SOCK_STREAM, PEERS_MODE, &peers, ret_failure);

        if (r == 0) {
                r = bind_one(child, CONTROL_SUFFIX, SOCK_SEQPACKET, CONTROL_MODE, ret_control, ret_failure);
        }
        if (r < 0) {
                sockets_remove(child);
                return r;
        }
        *ret_peers = fd_steal(&peers);
        return 0;
}

void sockets_remove(const Child *child) {
        static const char *const suffixes[] = { SOCKET_SUFFIX, CONTROL_SUFFIX };

        for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
                char *path = socket_of(child, suffixes[i]);

                if (path) {
                        (void) remove_socket(path);
                }
                talloc_free(path);
        }
}

/* ---- Finding what runs ---- */

/* Who listens: the kernel has noted it. -ECONNREFUSED: nobody. */
static int listener_of(const char *path, pid_t *ret) {
        cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        socklen_t size = sizeof(struct ucred);
        struct sockaddr_un address;
        struct ucred credentials;
        int r = fd < 0 ? errno_negative() : address_init(path, &address);

        if (r == 0) {
                r = errno_or(connect(fd, (const struct sockaddr *) &address, sizeof(address)));
        }
        if (r == 0) {
                r = errno_or(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size));
        }
        if (r == 0) {
                *ret = credentials.pid;
        }
        return r;
}

static void find_one(Embedded *embedded, const char *name) {
        Child probe = { .embedded = embedded, .name = (char *) name };
        char *path = talloc_asprintf(embedded, "%s/%s" CONTROL_SUFFIX, embedded->directory, name);
        pid_t pid = 0;
        int r = path ? listener_of(path, &pid) : -ENOMEM, pidfd;

        if (r == -ECONNREFUSED) {
                talloc_free(path);
                path = talloc_asprintf(embedded, "%s/%s" SOCKET_SUFFIX, embedded->directory, name);
                (void) (path ? remove_socket(path) : 0);
                talloc_free(path);
                path = talloc_asprintf(embedded, "%s/%s" CONTROL_SUFFIX, embedded->directory, name);
                (void) (path ? remove_socket(path) : 0);
        } else if (r < 0 || pid <= 0) {
                log_plain(LOG_WARNING, "Cannot tell whether domain \"%s\" runs: %s", probe.name,
                          r < 0 ? strerror(-r) : "its server is in another PID namespace");
        } else {
                pidfd = pidfd_of(pid);
                if (pidfd >= 0) {
                        embedded_adopt(embedded, name, pid, pidfd);
                }
        }
        talloc_free(path);
}

int embedded_find(Embedded *embedded) {
        DIR *directory = opendir(embedded->directory);
        size_t suffix = strlen(CONTROL_SUFFIX);

        if (!directory) {
                return errno_negative();
        }
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
                size_t length = strlen(entry->d_name);
                char name[DOMAIN_NAME_MAX + 1];

                if (length <= suffix || length - suffix > DOMAIN_NAME_MAX ||
                    strcmp(entry->d_name + length - suffix, CONTROL_SUFFIX) != 0) {
                        continue;
                }
                memcpy(name, entry->d_name, length - suffix);
                name[length - suffix] = '\0';
                if (domain_name_is_valid(name)) {
                        find_one(embedded, name);
                }
        }
        closedir(directory);
        return 0;
}

/* ---- What servers say ---- */

typedef union NoticeControl {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(16 * sizeof(int))];
} NoticeControl;

/* The sender, as the kernel knows it. Descriptors are of no use here. */
static pid_t notice_sender(struct msghdr *message) {
        pid_t pid = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
                        pid = ((const struct ucred *) (const void *) CMSG_DATA(c))->pid;
                } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
                                int fd;

                                memcpy(&fd, (char *) c + at, sizeof(fd));
                                close(fd);
                        }
                }
        }
        return pid;
}

static int on_notice(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Embedded *embedded = talloc_get_type_abort(userdata, Embedded);
        char text[NOTICE_MAX + 1];
        struct iovec iov = { .iov_base = text, .iov_len = NOTICE_MAX };
        NoticeControl control;
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        pid_t pid;

        if (n < 0) {
                return errno == EAGAIN || errno == EINTR ? 0 : errno_negative();
        }
        pid = notice_sender(&message);
        text[n] = '\0';
        if (!(message.msg_flags & MSG_TRUNC)) {
                embedded_take_notice(embedded, pid, text);
        }
        return 0;
}

static int listen_to_notices(Embedded *embedded) {
        int fd = -EBADF, yes = 1, r;

        embedded->notify_path = talloc_asprintf(embedded, "%s/" NOTIFY_NAME, embedded->directory);
        r = embedded->notify_path ? bind_at(embedded->notify_path, SOCK_DGRAM, 0600, &fd) : -ENOMEM;
        if (r == 0) {
                r = fd_new(embedded, fd, &embedded->notify);
        }
        if (r == 0) {
                r = errno_or(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)));
        }
        /* Before the ends of servers: what one said last is why it ended. */
        return r < 0 ? r
                     : event_add_io(embedded, embedded->event, fd, EPOLLIN, SD_EVENT_PRIORITY_IMPORTANT,
                                    on_notice, embedded, &embedded->notices);
}

/* ---- Beginning and end ---- */

/* The one beside this program, as it is in a build and where it is installed; else by $PATH. NULL: none. */
static char *find_program(void *ctx) {
        char own[4096], *path, *rest, *directory;
        ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
        char *slash;

        if (n > 0) {
                own[n] = '\0';
                slash = strrchr(own, '/');
                path = talloc_asprintf(ctx, "%.*s/" PROGRAM, slash ? (int) (slash - own) : 0, own);
                if (path && access(path, X_OK) == 0) {
                        return path;
                }
        }
        rest = talloc_strdup(ctx, getenv("PATH") ?: "/usr/bin:/bin");
        while (rest && (directory = strsep(&rest, ":"))) {
                path = talloc_asprintf(ctx, "%s/" PROGRAM, directory);
                if (path && *directory == '/' && access(path, X_OK) == 0) {
                        return path;
                }
        }
        return NULL;
}

/* The loop lets go of the socket before it is closed. Its file goes; those of servers stay. */
static int embedded_destructor(Embedded *embedded) {
        TALLOC_FREE(embedded->notices);
        if (embedded->notify) {
                (void) unlink(embedded->notify_path);
        }
        return 0;
}

static int take_directory(Embedded *embedded, const char *directory, Failure *ret_failure) {
        char *absolute = realpath(directory, NULL);
        int fd, r = absolute ? 0 : errno_negative();

        embedded->directory = absolute ? talloc_strdup(embedded, absolute) : NULL;
        free(absolute);
        if (r == 0) {
                fd = open(embedded->directory ?: directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                r = fd < 0 ? errno_negative() : fd_new(embedded, fd, &embedded->lock);
        }
        if (r < 0 || !embedded->directory) {
                return failure_set(ret_failure, FAILURE_SYSTEM, "Cannot use the directory %s: %s", directory,
                                   strerror(r < 0 ? -r : ENOMEM));
        }
        if (flock(fd_get(embedded->lock), LOCK_EX | LOCK_NB) < 0) {
                return failure_set(ret_failure, FAILURE_SYSTEM,
                                   errno == EWOULDBLOCK ? "Another manager has the directory %s already"
                                                        : "Cannot lock the directory %s",
                                   embedded->directory);
        }
        return 0;
}

/* Each domain takes two descriptors here. What the servers need they see to themselves. */
static void raise_descriptors(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
}

int embedded_init(Embedded *embedded, const char *directory, const char *program, Failure *ret_failure) {
        int r = take_directory(embedded, directory, ret_failure);

        if (r < 0) {
                return r;
        }
        talloc_set_destructor(embedded, embedded_destructor);
        raise_descriptors();
        embedded->program = program ? talloc_strdup(embedded, program) : find_program(embedded);
        if (!embedded->program) {
                return failure_set(ret_failure, FAILURE_SYSTEM,
                                   "There is no " PROGRAM
                                   " beside this program and none in $PATH; install it");
        }
        r = listen_to_notices(embedded);
        return r < 0 ? failure_errno(ret_failure, r, "Cannot listen to servers") : 0;
}
