/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A child behind the server's walls. */

#include "tests/sandbox/scene.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

const Run enforced = { .seccomp = SECCOMP_ENFORCE };
const Run unfiltered = { .seccomp = SECCOMP_OFF };
const Run as_nobody = { .seccomp = SECCOMP_ENFORCE, .as_nobody = true };

bool is_root(void) {
        return geteuid() == 0;
}

void file_make(const char *directory, const char *name) {
        char path[256];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "text", 4), 4);
        close(fd);
}

static char *directory_make(Scene *scene, const char *name) {
        char *path = talloc_asprintf(scene, "%s/%s", scene->root, name);

        assert_non_null(path);
        assert_int_equal(mkdir(path, 0755), 0);
        assert_int_equal(chmod(path, 0777), 0);
        return path;
}

static struct sockaddr_un socket_address(const Scene *scene, const char *name) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", scene->root, name);
        return address;
}

static int socket_make(const Scene *scene, const char *name, int type) {
        struct sockaddr_un address = socket_address(scene, name);
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(chmod(address.sun_path, 0666), 0);
        return fd;
}

static void sockets_make(Scene *scene) {
        struct sockaddr_un address = socket_address(scene, "socket");

        scene->notify_fd = socket_make(scene, "notify", SOCK_DGRAM);
        scene->listening_fd = socket_make(scene, "socket", SOCK_STREAM);
        assert_int_equal(listen(scene->listening_fd, 4), 0);
        scene->client_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(scene->client_fd >= 0);
        assert_int_equal(connect(scene->client_fd, (const struct sockaddr *) &address, sizeof(address)), 0);
}

Scene *scene_make(void *ctx) {
        Scene *scene = talloc_zero(ctx, Scene);

        assert_non_null(scene);
        scene->root = talloc_strdup(scene, "/tmp/ivshmem-sandbox-XXXXXX");
        assert_non_null(mkdtemp(scene->root));
        assert_int_equal(chmod(scene->root, 0755), 0);
        scene->allowed = directory_make(scene, "allowed");
        scene->other = directory_make(scene, "other");
        scene->readable = directory_make(scene, "readable");
        file_make(scene->allowed, "victim");
        file_make(scene->other, "victim");
        file_make(scene->readable, "text");
        scene->allowed_fd = open(scene->allowed, O_PATH | O_DIRECTORY | O_CLOEXEC);
        scene->other_fd = open(scene->other, O_PATH | O_DIRECTORY | O_CLOEXEC);
        scene->memory_fd = memfd_create("scene", MFD_CLOEXEC);
        assert_true(scene->allowed_fd >= 0 && scene->other_fd >= 0 && scene->memory_fd >= 0);
        assert_int_equal(ftruncate(scene->memory_fd, (off_t) MEMORY_SIZE), 0);
        sockets_make(scene);
        scene->parent = getpid();
        return scene;
}

void scene_clear(Scene *scene) {
        static const char *const files[] = { "allowed/victim", "other/victim", "readable/text", "notify",
                                             "socket" };
        static const char *const directories[] = { "allowed", "other", "readable", "" };
        const int fds[] = { scene->allowed_fd,   scene->other_fd,  scene->memory_fd,
                            scene->listening_fd, scene->client_fd, scene->notify_fd };
        char path[256];

        for (size_t i = 0; i < ELEMENTS(fds); i++) {
                close(fds[i]);
        }
        for (size_t i = 0; i < ELEMENTS(files); i++) {
                snprintf(path, sizeof(path), "%s/%s", scene->root, files[i]);
                (void) unlink(path);
        }
        for (size_t i = 0; i < ELEMENTS(directories); i++) {
                snprintf(path, sizeof(path), "%s/%s", scene->root, directories[i]);
                assert_int_equal(rmdir(path), 0);
        }
        talloc_free(scene);
}

#define EXIT_NOT_ENTERED 99

static void become_nobody(void) {
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
            setresuid(NOBODY, NOBODY, NOBODY) < 0) {
                _exit(EXIT_NOT_ENTERED);
        }
}

static void notify_socket_set(const Scene *scene) {
        char path[256];

        snprintf(path, sizeof(path), "%s/notify", scene->root);
        setenv("NOTIFY_SOCKET", path, 1);
}

ssize_t scene_tell_manager(int fd) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(sizeof(int)) } };
        const char *where = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct iovec iov = { .iov_base = (char *) "READY=1", .iov_len = 7 };
        struct msghdr header = { .msg_name = &address, .msg_iov = &iov, .msg_iovlen = 1 };
        size_t length = strlen(where);

        if (fd >= 0) {
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
                header.msg_control = control.bytes;
                header.msg_controllen = sizeof(control.bytes);
        }
        memcpy(address.sun_path, where, length + 1);
        if (where[0] == '@') {
                address.sun_path[0] = '\0';
        } else {
                length++;
        }
        header.msg_namelen = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length);
        return sendmsg(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), &header, MSG_NOSIGNAL);
}

void scene_enter(Scene *scene, const Run *run) {
        const int keep[] = { scene->notify_fd, scene->memory_fd, scene->listening_fd,
                             scene->client_fd, scene->other_fd,  scene->allowed_fd };
        const char *const read_paths[] = { "/proc", "/nonexistent", scene->readable };
        const Isolation isolation = {
                .seccomp = run->seccomp,
                .keep_fds = keep,
                .n_keep_fds = ELEMENTS(keep),
                .read_paths = read_paths,
                .n_read_paths = ELEMENTS(read_paths),
                .remove_fds = &scene->allowed_fd,
                .n_remove_fds = 1,
        };
        const char *stage = "?";
        int r;

        if (run->as_nobody) {
                become_nobody();
        }
        /* As in the server, the clock's timerfd is there before the walls are. */
        if (isolation_close_inherited(keep, ELEMENTS(keep)) < 0 || sd_event_new(&scene->event) < 0 ||
            sd_event_add_time(scene->event, NULL, CLOCK_MONOTONIC, UINT64_MAX, 0, NULL, NULL) < 0) {
                _exit(EXIT_NOT_ENTERED);
        }
        r = isolation_enter(NULL, &isolation, &stage);
        if (r < 0) {
                fprintf(stderr, "# stage %s: %s\n", stage, strerror(-r));
                _exit(EXIT_NOT_ENTERED);
        }
}

static int attempt_forked(Scene *scene, const Run *run, Attempt attempt) {
        int status;
        pid_t pid;

        fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (run) {
                        notify_socket_set(scene);
                        scene_enter(scene, run);
                }
                _exit(-attempt(scene));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

int attempt_in_child(Scene *scene, const Run *run, Attempt attempt) {
        return attempt_forked(scene, run, attempt);
}

int attempt_in_plain_child(Scene *scene, Attempt attempt) {
        return attempt_forked(scene, NULL, attempt);
}

int errno_of(long result) {
        return result < 0 ? -errno : 0;
}
