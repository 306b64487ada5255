/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What benchmarks share: starting a server, and arithmetic. They print; nothing here decides what is good. */

#include "tests/bench/figures.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "tests/bench/receive.h"
#include "tests/lib/socket.h"

/* What a server has open beside peers and doorbells. */
#define DESCRIPTORS_OF_ITS_OWN 200U

/* A user of its own, as each domain has one. The reference server stays root, for whom the kernel does not count the
 * descriptors in flight. */
#define LONELY_UID (200000000U + (uint32_t) getpid())

/* Clock ticks are too coarse below this. */
#define SHARE_NSEC_MIN UINT64_C(200000000)

const char *const subject_names[_SUBJECT_MAX] = {
        [SUBJECT_OURS] = "ours",
        [SUBJECT_REFERENCE] = "reference",
};

static const char *const subject_variables[_SUBJECT_MAX] = {
        [SUBJECT_OURS] = SERVER_VARIABLE,
        [SUBJECT_REFERENCE] = REFERENCE_VARIABLE,
};

bool subject_exists(SubjectKind kind) {
        const char *program = getenv(subject_variables[kind]);

        return program && *program;
}

static int subject_destructor(Subject *subject) {
        if (subject->shm) {
                (void) unlink(subject->shm);
        }
        return 0;
}

/* The reference server does not tell when it is ready, and a connection that is closed at once would end it: so the
 * socket's file has to do, which is made a moment before it listens. */
static int wait_listening(Subject *subject) {
        uint64_t end = now_nsec() + WAIT_MSEC * UINT64_C(1000000);

        while (access(subject->socket, F_OK) < 0) {
                if (server_has_ended(subject->server) || now_nsec() > end) {
                        return -ETIMEDOUT;
                }
                sched_yield();
        }
        return 0;
}

static int subject_run(Subject *subject, uint32_t vectors, uint32_t nofile) {
        char *count = talloc_asprintf(subject, "%u", vectors);
        const char *arguments[] = {
                "-F", "-S", subject->socket, "-M", basename(subject->shm), "-l", "1M", "-n", count, NULL,
        };
        ServerOptions options = {
                .program = getenv(subject_variables[subject->kind]),
                .arguments = arguments,
                .nofile = nofile,
        };
        int r;

        if (!count) {
                return -ENOMEM;
        }
        if (subject->kind == SUBJECT_OURS) {
                options.uid = LONELY_UID;
                if (chown(subject->scratch->path, LONELY_UID, LONELY_UID) < 0) {
                        return errno_negative();
                }
                r = server_start(subject, &options, &subject->server);
                return r == SERVER_ENDED ? -EPIPE : r;
        }
        r = server_spawn(subject, &options, &subject->server);
        return r < 0 ? r : wait_listening(subject);
}

int subject_start(const void *ctx, SubjectKind kind, uint32_t vectors, Subject **ret) {
        return subject_start_limited(ctx, kind, vectors, /* nofile= */ 0, ret);
}

int subject_start_limited(const void *ctx, SubjectKind kind, uint32_t vectors, uint32_t nofile,
                          Subject **ret) {
        Subject *subject = talloc_zero(ctx, Subject);
        int r;

        if (!subject) {
                return -ENOMEM;
        }
        subject->kind = kind;
        talloc_set_destructor(subject, subject_destructor);
        r = scratch_new(subject, &subject->scratch);
        if (r == 0) {
                subject->socket = scratch_path(subject->scratch, "socket");
                subject->shm = talloc_asprintf(subject, "/dev/shm/ivshmem-bench-%d", getpid());
                r = subject->socket && subject->shm ? subject_run(subject, vectors, nofile) : -ENOMEM;
        }
        if (r < 0) {
                talloc_free(subject);
                return r;
        }
        (void) subject_cpu(subject);
        *ret = subject;
        return 0;
}

ProcessCpu subject_cpu(Subject *subject) {
        ProcessCpu now, used = { 0 };

        if (server_has_ended(subject->server) || process_wait_asleep(subject->server->pid) < 0 ||
            process_cpu(subject->server->pid, &now) < 0) {
                return used;
        }
        used = (ProcessCpu){
                .total_nsec = now.total_nsec - subject->before.total_nsec,
                .user_nsec = now.user_nsec - subject->before.user_nsec,
                .system_nsec = now.system_nsec - subject->before.system_nsec,
                .switches = now.switches - subject->before.switches,
        };
        subject->before = now;
        return used;
}

bool descriptors_suffice(uint32_t peers, uint32_t vectors) {
        uint64_t needed = (uint64_t) peers * (vectors + 1) + DESCRIPTORS_OF_ITS_OWN;
        uint64_t limit = 0;

        must(process_raise_nofile(&limit), "raising RLIMIT_NOFILE");
        if (needed > limit) {
                printf("%5u x %-2u  left out: it takes %llu descriptors, and this machine allows %llu\n",
                       peers, vectors, (unsigned long long) needed, (unsigned long long) limit);
        }
        return needed <= limit;
}

static int compare(const void *a, const void *b) {
        uint64_t left = *(const uint64_t *) a, right = *(const uint64_t *) b;

        return (left > right) - (left < right);
}

uint64_t percentile(uint64_t *samples, uint32_t n, unsigned percent) {
        uint64_t rank = ((uint64_t) n * percent + 99) / 100;

        if (n == 0) {
                return 0;
        }
        qsort(samples, n, sizeof(*samples), compare);
        return samples[rank ? rank - 1 : 0];
}

double usec_percentile(uint64_t *samples, uint32_t n, unsigned percent) {
        uint64_t nsec = percentile(samples, n, percent);

        return (double) nsec / 1000;
}

int user_share(const ProcessCpu *cpu) {
        uint64_t all = cpu->user_nsec + cpu->system_nsec;

        return all < SHARE_NSEC_MIN ? -1 : (int) (100 * cpu->user_nsec / all);
}

double usec_each(uint64_t nsec, uint64_t n) {
        return n ? (double) nsec / 1000 / (double) n : 0;
}

void must(int r, const char *what) {
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", what, strerror(-r));
                exit(EXIT_FAILURE);
        }
}
