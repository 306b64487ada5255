/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the server needs after it has confined itself works: one child, one attempt. */

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "policy/ivshmem-server-syscalls.h"
#include "service/server/bag.h"
#include "tests/sandbox/scene.h"

static int try_nothing(Scene *scene) {
        return 0;
}

static int try_doorbell(Scene *scene) {
        uint64_t count = 0;
        struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };
        int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);

        if (fd < 0 || preadv2(fd, &iov, 1, -1, RWF_NOWAIT) != sizeof(count) || count != 3) {
                return -EIO;
        }
        count = 1;
        return write(fd, &count, sizeof(count)) == sizeof(count) ? 0 : -EIO;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        return sd_event_exit(userdata, 0);
}

static int try_event_loop(Scene *scene) {
        uint64_t soon;
        int r;

        (void) sd_event_now(scene->event, CLOCK_MONOTONIC, &soon);
        r = sd_event_add_time(scene->event, NULL, CLOCK_MONOTONIC, soon + 1000, 0, on_timer, scene->event);
        return r < 0 ? r : sd_event_loop(scene->event);
}

static int try_notify(Scene *scene) {
        char text[64] = "";
        int r = scene_tell_manager(-EBADF);

        if (r <= 0) {
                return r < 0 ? r : -EIO;
        }
        return recv(scene->notify_fd, text, sizeof(text), MSG_DONTWAIT) == 7 ? 0 : -EIO;
}

/* Descriptors in flight are counted for the user, whose other processes may leave no room for this one; that the call
 * was let through is what counts. */
static int none_or_full(int result) {
        return result > 0 || result == -ETOOMANYREFS ? 0 : result;
}

/* As a seat that opens is stored: its doorbells in a bag, and the bag with the manager. */
static int try_store_doorbells(Scene *scene) {
        const int fds[] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
        int bag = bag_new(fds, ELEMENTS(fds), /* note= */ NULL);
        ssize_t sent;

        if (bag < 0) {
                return none_or_full(bag);
        }
        sent = scene_tell_manager(bag);
        return none_or_full(sent < 0 ? -errno : (int) sent);
}

static int try_journal(Scene *scene) {
        char text[] = "MESSAGE=hello";
        const struct iovec iov = { .iov_base = text, .iov_len = strlen(text) };

        return sd_journal_sendv(&iov, 1);
}

/* No datagram carries this: libsystemd wants a memfd for it, and is refused. */
static int try_journal_overflow(Scene *scene) {
        const size_t length = (size_t) 16 << 20;
        char *text = malloc(length);
        struct iovec iov = { .iov_base = text, .iov_len = length };

        if (!text) {
                return -ENOMEM;
        }
        memset(text, 'x', length);
        memcpy(text, "MESSAGE=", 8);
        return sd_journal_sendv(&iov, 1);
}

static int try_machine(Scene *scene) {
        char *name;

        /* Without systemd there is none; asking must be survived. */
        (void) sd_pid_get_machine_name(scene->parent, &name);
        return 0;
}

static int try_cgroup(Scene *scene) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/cgroup", (int) scene->parent);
        return errno_of(open(path, O_RDONLY | O_CLOEXEC));
}

static int try_read_file(Scene *scene) {
        char path[256], text[8] = "";
        FILE *file;

        snprintf(path, sizeof(path), "%s/text", scene->readable);
        file = fopen(path, "re");
        if (!file || !fgets(text, sizeof(text), file)) {
                return -errno;
        }
        fclose(file);
        return strcmp(text, "text") == 0 ? 0 : -EIO;
}

static int try_memory_readonly(Scene *scene) {
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", scene->memory_fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : errno_of((long) fcntl(fd, F_GETFL));
}

static int try_memory_wipe(Scene *scene) {
        void *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, scene->memory_fd, 0);

        if (memory == MAP_FAILED) {
                return -errno;
        }
        memset(memory, 0, MEMORY_SIZE);
        munmap(memory, MEMORY_SIZE);
        return errno_of(fallocate(scene->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                                  (off_t) MEMORY_SIZE));
}

static int try_malloc(Scene *scene) {
        char *chunks[64];

        for (size_t i = 0; i < ELEMENTS(chunks); i++) {
                chunks[i] = malloc((size_t) 1000 << (i % 12));
        }
        for (size_t i = 0; i < ELEMENTS(chunks); i++) {
                chunks[i] = realloc(chunks[i], (size_t) 3000 << (i % 12));
        }
        for (size_t i = 0; i < ELEMENTS(chunks); i++) {
                free(chunks[i]);
        }
        return 0;
}

static void *thread_end(void *argument) {
        return NULL;
}

/* There is no memory: malloc looks for it in every way it has, which are more once there was a thread. */
static int try_malloc_without_memory(Scene *scene) {
        static void *chunks[1024];
        const struct rlimit limit = { .rlim_cur = 8U << 20, .rlim_max = 8U << 20 };
        size_t n = 0;
        pthread_t thread;

        if (pthread_create(&thread, NULL, thread_end, NULL) != 0 || pthread_join(thread, NULL) != 0) {
                return -EAGAIN;
        }
        if (setrlimit(RLIMIT_DATA, &limit) < 0) {
                return -errno;
        }
        scene_enter(scene, &enforced);
        for (void *chunk = malloc(16000); chunk; chunk = malloc(16000)) {
                chunks[n++ % ELEMENTS(chunks)] = chunk;
        }
        for (size_t i = 0; i < n && i < ELEMENTS(chunks); i++) {
                free(chunks[i]);
        }
        return n > 0 ? 0 : -ENOMEM;
}

static int try_accept(Scene *scene) {
        struct ucred credentials;
        socklen_t length = sizeof(credentials);
        int buffer = 65536, unread = -1;
        int fd = accept4(scene->listening_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)) < 0 ||
            ioctl(fd, SIOCOUTQ, &unread) < 0) {
                return -errno;
        }
        return credentials.pid == scene->parent && unread == 0 ? 0 : -EIO;
}

static int try_send_descriptor(Scene *scene) {
        uint64_t value = 0;
        struct iovec iov = { .iov_base = &value, .iov_len = sizeof(value) };
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
        struct mmsghdr message = {
                .msg_hdr = { .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control) },
        };
        struct cmsghdr *header = CMSG_FIRSTHDR(&message.msg_hdr);

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &scene->memory_fd, sizeof(int));
        return none_or_full(errno_of(sendmmsg(scene->client_fd, &message, 1, MSG_DONTWAIT | MSG_NOSIGNAL)));
}

static int try_refuse(Scene *scene) {
        const uint64_t version = 403;

        return errno_of(send(scene->client_fd, &version, sizeof(version), MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int try_receive(Scene *scene) {
        char byte;

        return errno_of(recv(scene->client_fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK));
}

static int try_peer_lives(Scene *scene) {
        struct pollfd poll_fd = { .events = POLLIN };

        poll_fd.fd = (int) syscall(SYS_pidfd_open, scene->parent, 0);
        return poll_fd.fd >= 0 && poll(&poll_fd, 1, 0) == 0 ? 0 : -EIO;
}

static int try_unlink_allowed(Scene *scene) {
        return errno_of(unlinkat(scene->allowed_fd, "victim", 0));
}

static int try_duplicate(Scene *scene) {
        int fd = fcntl(scene->memory_fd, F_DUPFD_CLOEXEC, 3);

        return fd < 0 ? -errno : errno_of(fcntl(fd, F_GETFD));
}

static int try_clock(Scene *scene) {
        struct timespec now;

        return errno_of(syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now));
}

static const struct {
        const char *name;
        Attempt attempt;
        int result;
} allowed_table[] = {
        { "nothing", try_nothing },
        { "ring and drain a doorbell", try_doorbell },
        { "a timer of the event loop", try_event_loop },
        { "notify the manager", try_notify },
        { "store doorbells", try_store_doorbells },
        { "write to the journal", try_journal },
        { "overflow the journal", try_journal_overflow, -EPERM },
        { "ask for the machine", try_machine },
        { "read a peer's cgroup", try_cgroup },
        { "read an allowed file", try_read_file },
        { "open the memory for reading", try_memory_readonly },
        { "wipe the memory", try_memory_wipe },
        { "allocate, grow and free", try_malloc },
        { "accept and identify a peer", try_accept },
        { "send a descriptor", try_send_descriptor },
        { "refuse a peer", try_refuse },
        { "receive nothing", try_receive, -EAGAIN },
        { "see whether a peer lives", try_peer_lives },
        { "unlink where allowed", try_unlink_allowed },
        { "duplicate a descriptor", try_duplicate },
        { "tell the time by a call", try_clock },
};

static void check_allowed(void *ctx, const Run *run) {
        for (size_t i = 0; i < ELEMENTS(allowed_table); i++) {
                Scene *scene;
                int status;

                scene = scene_make(ctx);
                status = attempt_in_child(scene, run, allowed_table[i].attempt);
                scene_clear(scene);
                if (!WIFEXITED(status) || WEXITSTATUS(status) != -allowed_table[i].result) {
                        fail_msg("%s: wait status %#x", allowed_table[i].name, (unsigned) status);
                }
        }
}

static void test_allowed(void **state) {
        check_allowed(*state, &enforced);
}

static void test_allowed_as_nobody(void **state) {
        if (!is_root()) {
                print_message("# skipped: not root, so the tests before were unprivileged already\n");
                return;
        }
        check_allowed(*state, &as_nobody);
}

static void test_no_memory(void **state) {
        Scene *scene;
        int status;

        if (sanitizer_n_syscalls > 0) {
                print_message("# skipped: with a sanitizer malloc is another one\n");
                return;
        }
        scene = scene_make(*state);
        status = attempt_in_plain_child(scene, try_malloc_without_memory);
        scene_clear(scene);
        assert_int_equal(status, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = { TEST(test_allowed), TEST(test_allowed_as_nobody),
                                                   TEST(test_no_memory) };

        return cmocka_run_group_tests_name("allowed", tests, NULL, NULL);
}
