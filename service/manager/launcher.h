/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who starts and stops the servers of domains, and knows how they are: systemd, or the manager itself. Domains are known
 * here by name only. What happens behind the manager's back is told like what it asked for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/event.h"
#include "service/manager/domain.h"
#include "service/manager/failure.h"

typedef struct Launcher Launcher;
typedef struct LauncherObserver LauncherObserver;
typedef struct LauncherOps LauncherOps;
typedef struct LauncherState LauncherState;

typedef enum LauncherVerb {
        LAUNCHER_START,
        LAUNCHER_STOP, /* of the sockets too: nobody starts it by connecting */
        LAUNCHER_RESTART,
        _LAUNCHER_VERB_MAX,
        _LAUNCHER_VERB_INVALID = -22,
} LauncherVerb;

/* What becomes of a server. */
struct LauncherState {
        DomainState state;
        const char *status; /* what the server says of itself, why it failed; never NULL */
        uint32_t main_pid;  /* 0: none */
        uint64_t since;     /* CLOCK_REALTIME, microseconds: when it became running; 0: it does not run */
        uint64_t loaded;    /* the same: when it last read its definition; 0: not known */
};

/* A job has ended: `failure` is NULL when it went well. From the event loop. */
typedef void (*LauncherDone)(const Failure *failure, void *userdata);

struct LauncherObserver {
        /* A domain that was never told of is stopped. `state` is the launcher's. */
        void (*changed)(const char *name, const LauncherState *state, void *userdata);
        void *userdata;
};

struct LauncherOps {
        const char *name;
        /* Tells of all that runs now, from within the call, and from then on what changes. Negative errno. */
        int (*attach)(Launcher *launcher, const LauncherObserver *observer);
        /* Begins a job of a domain whose definition is in the file `definition`. `done` is called exactly once, from
         * the event loop, unless the launcher is freed before; not when this returns -EREMOTEIO with *ret_failure. */
        int (*begin)(Launcher *launcher, LauncherVerb verb, const char *name, const char *definition,
                     LauncherDone done, void *userdata, Failure *ret_failure);
        /* Chunks of `ctx`: where peers connect, where the manager does, the unit ("" for none). NULL: no memory. */
        char *(*socket_path)(void *ctx, const Launcher *launcher, const char *name);
        char *(*control_path)(void *ctx, const Launcher *launcher, const char *name);
        char *(*unit)(void *ctx, const Launcher *launcher, const char *name);
};

struct Launcher {
        const LauncherOps *ops;
        void *self; /* the implementation, a chunk of this */
};

/*
 * The one of machines that systemd has booted: units ivshmem@NAME.service over the system bus, to which it has a
 * connection of its own. It comes back when the bus or systemd was restarted. -ENOMEM.
 */
int launcher_systemd_new(void *ctx, Event *event, Launcher **ret);

/*
 * The one that starts servers itself, with the rights of this process; sockets lie in `directory`. Servers go on when the
 * manager ends, and the next one finds them. `program` is ivshmem-server; NULL: the one beside this program, else by
 * $PATH. -EREMOTEIO with *ret_failure, e.g. when another manager has the directory.
 */
int launcher_embedded_new(void *ctx, Event *event, const char *directory, const char *program,
                          Launcher **ret, Failure *ret_failure);
