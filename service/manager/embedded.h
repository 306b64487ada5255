/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the embedded launcher: its directory and sockets, and the processes in it. For these files only. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "service/base/fd.h"
#include "service/manager/launcher.h"

#define SOCKET_SUFFIX ".sock"
#define CONTROL_SUFFIX ".control"

typedef struct Child Child;
typedef struct Embedded Embedded;

/* A domain's server: one that runs, or what there is to say of the last. */
struct Child {
        Embedded *embedded;
        char *name;
        pid_t pid;   /* 0: it does not run */
        Fd *process; /* pidfd */
        EventSource *watch;
        EventSource *timer; /* until it is killed */
        EventSource *deferred;
        DomainState state;
        char *status; /* NULL: none */
        uint64_t since;
        uint64_t loaded;
        bool stopping;     /* it was asked to */
        LauncherDone done; /* of the job under way; NULL: none */
        void *userdata;
};

struct Embedded {
        Event *event;
        char *directory; /* absolute */
        char *program;
        Fd *lock; /* the directory itself */
        Fd *notify;
        EventSource *notices;
        char *notify_path;
        LauncherObserver observer;
        Child **children;
        size_t n_children;
};

/* ---- launcher-embedded.c ---- */

/* Takes what a process says of itself; `text` is cut into lines. */
void embedded_take_notice(Embedded *embedded, pid_t pid, char *text);

/* A server of a manager that is gone; `pidfd` becomes ours. */
void embedded_adopt(Embedded *embedded, const char *name, pid_t pid, int pidfd);

/* ---- embedded-sockets.c ---- */

/* Takes the directory, and listens to servers. -EREMOTEIO with *ret_failure. */
int embedded_init(Embedded *embedded, const char *directory, const char *program, Failure *ret_failure);

/* Adopts each server that runs in the directory, and removes the sockets of those that do not. */
int embedded_find(Embedded *embedded);

/* Bound, not listening yet: the kernel notes who listens. -EREMOTEIO with *ret_failure. */
int sockets_bind(const Child *child, int *ret_peers, int *ret_control, Failure *ret_failure);
void sockets_remove(const Child *child);

/* ---- embedded-process.c ---- */

/* Starts the server. -EREMOTEIO with *ret_failure; there are no sockets then. */
int child_spawn(Child *child, const char *definition, pid_t *ret_pid, int *ret_pidfd, Failure *ret_failure);

/* Negative errno. */
int child_signal(const Child *child, int signal);

int pidfd_of(pid_t pid);

/* When a process started: CLOCK_REALTIME, microseconds; 0: not known. */
uint64_t process_start(pid_t pid);
