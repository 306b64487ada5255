/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two processes and nothing between them but socketpairs. */

#include "tests/bench/floor.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/core/wire.h"
#include "tests/bench/receive.h"

#define BATCH_MAX 64U
#define EVENTS_MAX 64

typedef struct Floor {
        uint32_t n_sockets;
        uint32_t n_messages; /* for each */
        uint32_t batch;
        int (*pairs)[2];
        int epoll;
} Floor;

/* One descriptor a message, all laid out beforehand. */
typedef struct Batch {
        struct mmsghdr headers[BATCH_MAX];
        struct iovec iov;
        uint8_t bytes[WIRE_MESSAGE_SIZE];
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control;
} Batch;

static void batch_init(Batch *batch, int fd) {
        struct cmsghdr *cmsg = &batch->control.header;

        *batch = (Batch){ .iov = { .iov_base = batch->bytes, .iov_len = sizeof(batch->bytes) } };
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
        for (size_t i = 0; i < BATCH_MAX; i++) {
                batch->headers[i].msg_hdr = (struct msghdr){
                        .msg_iov = &batch->iov,
                        .msg_iovlen = 1,
                        .msg_control = batch->control.bytes,
                        .msg_controllen = sizeof(batch->control.bytes),
                };
        }
}

static int watch_all(Floor *run, int side, uint32_t events) {
        run->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (run->epoll < 0) {
                return errno_negative();
        }
        for (uint32_t i = 0; i < run->n_sockets; i++) {
                struct epoll_event event = { .events = events, .data.u32 = i };

                if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, run->pairs[i][side], &event) < 0) {
                        return errno_negative();
                }
        }
        return 0;
}

/* ---- The receiver's process ---- */

static _Noreturn void receive_all(Floor *run) {
        uint64_t left = (uint64_t) run->n_sockets * run->n_messages;
        struct epoll_event events[EVENTS_MAX];
        Received messages[RECEIVE_MAX];

        if (watch_all(run, 0, EPOLLIN) < 0) {
                _exit(1);
        }
        while (left > 0) {
                int n = epoll_wait(run->epoll, events, EVENTS_MAX, -1);

                for (int i = 0; i < n; i++) {
                        int got = receive_messages(run->pairs[events[i].data.u32][0], messages);

                        left -= got > 0 ? (uint64_t) got : 0;
                }
        }
        _exit(0);
}

/* ---- The sender's process ---- */

/* A turn of one socket. Returns whether it can go on with it now. */
static bool send_turn(const Floor *run, Batch *batch, uint32_t i, uint32_t *left) {
        uint32_t n = *left < run->batch ? *left : run->batch;
        int sent = sendmmsg(run->pairs[i][1], batch->headers, n, MSG_DONTWAIT | MSG_NOSIGNAL);

        *left -= sent > 0 ? (uint32_t) sent : 0;
        return sent == (int) n;
}

static int send_all(Floor *run, Batch *batch) {
        uint32_t *left = talloc_array(NULL, uint32_t, run->n_sockets);
        bool *ready = talloc_zero_array(left, bool, run->n_sockets);
        uint64_t unfinished = run->n_sockets;
        struct epoll_event events[EVENTS_MAX];

        if (!left || !ready) {
                return -ENOMEM;
        }
        for (uint32_t i = 0; i < run->n_sockets; i++) {
                left[i] = run->n_messages;
        }
        while (unfinished > 0) {
                bool any = false;
                int n;

                for (uint32_t i = 0; i < run->n_sockets; i++) {
                        if (ready[i] && left[i] > 0) {
                                ready[i] = send_turn(run, batch, i, &left[i]);
                                unfinished -= left[i] == 0;
                                any |= ready[i];
                        }
                }
                n = epoll_wait(run->epoll, events, EVENTS_MAX, any || unfinished == 0 ? 0 : -1);
                for (int i = 0; i < n; i++) {
                        ready[events[i].data.u32] = true;
                }
        }
        talloc_free(left);
        return 0;
}

static uint64_t timeval_nsec(const struct timeval *tv) {
        return (uint64_t) tv->tv_sec * 1000000000 + (uint64_t) tv->tv_usec * 1000;
}

static int own_cpu(ProcessCpu *ret) {
        struct timespec total;
        struct rusage usage;

        if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &total) < 0 || getrusage(RUSAGE_SELF, &usage) < 0) {
                return errno_negative();
        }
        *ret = (ProcessCpu){
                .total_nsec = (uint64_t) total.tv_sec * 1000000000 + (uint64_t) total.tv_nsec,
                .user_nsec = timeval_nsec(&usage.ru_utime),
                .system_nsec = timeval_nsec(&usage.ru_stime),
        };
        return 0;
}

static int measure_sending(Floor *run, ProcessCpu *ret) {
        cleanup_close int fd = eventfd(0, EFD_CLOEXEC);
        ProcessCpu before;
        Batch batch;
        int r;

        if (fd < 0) {
                return errno_negative();
        }
        batch_init(&batch, fd);
        r = watch_all(run, 1, EPOLLOUT | EPOLLET);
        if (r == 0) {
                r = own_cpu(&before);
        }
        if (r == 0) {
                r = send_all(run, &batch);
        }
        if (r == 0) {
                r = own_cpu(ret);
        }
        if (r == 0) {
                ret->total_nsec -= before.total_nsec;
                ret->user_nsec -= before.user_nsec;
                ret->system_nsec -= before.system_nsec;
        }
        return r;
}

static _Noreturn void send_and_report(Floor *run, int report) {
        ProcessCpu cpu;
        int r = measure_sending(run, &cpu);

        _exit(r < 0 || write(report, &cpu, sizeof(cpu)) != sizeof(cpu));
}

/* ---- Both ---- */

static void close_pairs(Floor *run, uint32_t n) {
        for (uint32_t i = 0; i < n; i++) {
                close(run->pairs[i][0]);
                close(run->pairs[i][1]);
        }
}

static int run_both(Floor *run, ProcessCpu *ret, uint64_t *ret_receiver_nsec) {
        struct rusage usage = { .ru_nsignals = 0 };
        pid_t receiver, sender;
        int report[2], status;
        ssize_t n;

        if (pipe(report) < 0) {
                return errno_negative();
        }
        receiver = fork();
        if (receiver == 0) {
                receive_all(run);
        }
        sender = fork();
        if (sender == 0) {
                send_and_report(run, report[1]);
        }
        close(report[1]);
        n = read(report[0], ret, sizeof(*ret));
        close(report[0]);
        if (receiver > 0) {
                (void) wait4(receiver, &status, 0, &usage);
        }
        if (sender > 0) {
                (void) waitpid(sender, &status, 0);
        }
        *ret_receiver_nsec = timeval_nsec(&usage.ru_utime) + timeval_nsec(&usage.ru_stime);
        return n == sizeof(*ret) ? 0 : -EIO;
}

int floor_measure(uint32_t sockets, uint32_t messages, uint32_t batch, ProcessCpu *ret,
                  uint64_t *ret_receiver_nsec) {
        Floor run = {
                .n_sockets = sockets,
                .n_messages = messages,
                .batch = batch < BATCH_MAX ? batch : BATCH_MAX,
        };
        uint32_t n = 0;
        int r = 0;

        run.pairs = talloc_zero_size(NULL, sockets * sizeof(*run.pairs));
        if (!run.pairs) {
                return -ENOMEM;
        }
        while (n < sockets && r == 0) {
                r = errno_or(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, run.pairs[n]));
                n += r == 0;
        }
        if (r == 0) {
                r = run_both(&run, ret, ret_receiver_nsec);
        }
        close_pairs(&run, n);
        talloc_free(run.pairs);
        return r;
}
