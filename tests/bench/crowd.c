/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The crowd's two ends: commands at the one, peers at the other. What peers do is in peers.c. */

#include "tests/bench/crowd.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "tests/bench/peers.h"
#include "tests/lib/process.h"

/* In the crowd's process. */
#define CONTROL_FD 3

struct Crowd {
        pid_t pid;
        Fd *control;
};

typedef enum CommandKind {
        COMMAND_JOIN,
        COMMAND_COMPLETE,
        COMMAND_RETURN,
        COMMAND_STAND_BACK,
} CommandKind;

typedef struct Command {
        CommandKind kind;
        CrowdJoin how;
        uint32_t n;
} Command;

/* ---- In the crowd's process ---- */

static int stand_back(void) {
        const struct sched_param param = { .sched_priority = 0 };

        return errno_or(sched_setscheduler(0, SCHED_BATCH, &param) | setpriority(PRIO_PROCESS, 0, 19));
}

static int obey(BenchPeers *peers, const Command *command, CrowdReport *ret) {
        switch (command->kind) {
        case COMMAND_JOIN:
                return peers_join(peers, command->how, command->n, ret);
        case COMMAND_COMPLETE:
                return peers_complete(peers, command->n, ret);
        case COMMAND_RETURN:
                return peers_return(peers, command->n, ret);
        case COMMAND_STAND_BACK:
                return stand_back();
        }
        return -EINVAL;
}

/* Returns when the other end is gone. */
static int serve(BenchPeers *peers, int control) {
        Command command;
        int r;

        for (;;) {
                CrowdReport report = { .nsec = 0 };

                r = peers_read_until_input(peers, control);
                if (r < 0) {
                        return r;
                }
                if (recv(control, &command, sizeof(command), 0) != sizeof(command)) {
                        return 0;
                }
                r = obey(peers, &command, &report);
                if (r < 0) {
                        return r;
                }
                if (send(control, &report, sizeof(report), MSG_NOSIGNAL) < 0) {
                        return errno_negative();
                }
        }
}

static _Noreturn void be_the_crowd(const char *path, uint32_t vectors, uint32_t ids, int control) {
        BenchPeers *peers;
        int r;

        /* Above all not the ends of other crowds, which wait for them to be closed. */
        r = errno_or(dup2(control, CONTROL_FD));
        if (r >= 0) {
                r = errno_or(close_range(CONTROL_FD + 1, ~0U, /* flags= */ 0));
        }
        if (r >= 0) {
                r = errno_or(prctl(PR_SET_PDEATHSIG, SIGKILL));
        }
        if (r >= 0) {
                r = peers_new(NULL, path, vectors, ids, &peers);
        }
        if (r >= 0) {
                r = serve(peers, CONTROL_FD);
        }
        if (r < 0) {
                fprintf(stderr, "A crowd failed: %s\n", strerror(-r));
        }
        _exit(r < 0);
}

/* ---- At the other end ---- */

static int crowd_destructor(Crowd *crowd) {
        TALLOC_FREE(crowd->control);
        if (crowd->pid > 0) {
                (void) waitpid(crowd->pid, NULL, 0);
        }
        return 0;
}

int crowd_start(const void *ctx, const char *path, uint32_t vectors, uint32_t ids, Crowd **ret) {
        Crowd *crowd = talloc_zero(ctx, Crowd);
        cleanup_close int theirs = -EBADF;
        int pair[2], r;

        if (!crowd) {
                return -ENOMEM;
        }
        talloc_set_destructor(crowd, crowd_destructor);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
                r = errno_negative();
                goto fail;
        }
        theirs = pair[1];
        r = fd_new(crowd, pair[0], &crowd->control);
        if (r < 0) {
                goto fail;
        }
        crowd->pid = fork();
        if (crowd->pid == 0) {
                be_the_crowd(path, vectors, ids, theirs);
        }
        if (crowd->pid < 0) {
                r = errno_negative();
                goto fail;
        }
        *ret = crowd;
        return 0;

fail:
        talloc_free(crowd);
        return r;
}

static int command(Crowd *crowd, const Command *message, CrowdReport *ret) {
        ssize_t size;

        if (send(fd_get(crowd->control), message, sizeof(*message), MSG_NOSIGNAL) < 0) {
                return errno_negative();
        }
        size = recv(fd_get(crowd->control), ret, sizeof(*ret), 0);
        if (size < 0) {
                return errno_negative();
        }
        return size == sizeof(*ret) ? 0 : -EPIPE;
}

int crowd_stand_back(Crowd *crowd) {
        CrowdReport report;

        return command(crowd, &(Command){ .kind = COMMAND_STAND_BACK }, &report);
}

int crowd_join(Crowd *crowd, CrowdJoin how, uint32_t n, CrowdReport *ret) {
        return command(crowd, &(Command){ .kind = COMMAND_JOIN, .how = how, .n = n }, ret);
}

int crowd_complete(Crowd *crowd, uint32_t seats, CrowdReport *ret) {
        return command(crowd, &(Command){ .kind = COMMAND_COMPLETE, .n = seats }, ret);
}

int crowd_return(Crowd *crowd, uint32_t n, CrowdReport *ret) {
        return command(crowd, &(Command){ .kind = COMMAND_RETURN, .n = n }, ret);
}

uint64_t crowd_cpu(const Crowd *crowd) {
        ProcessCpu cpu = { 0 };

        (void) process_wait_asleep(crowd->pid);
        (void) process_cpu(crowd->pid, &cpu);
        return cpu.total_nsec;
}
