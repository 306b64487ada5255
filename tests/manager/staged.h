/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A manager on a stage: its launcher and its servers are the test's, so that they can do what real ones do only when
 * something is wrong. Files lie below a root of the test's own, in all the directories that there are.
 */
#pragma once

#include "service/base/fd.h"
#include "service/core/control.h"
#include "tests/manager/managed.h"

typedef struct Staged Staged;

/* What the manager asked of the launcher last. */
struct Staged {
        Managed *managed; /* what is heard, and the manager */
        Launcher *launcher;
        LauncherObserver observer;
        LauncherVerb verb;
        char *name;
        LauncherDone done; /* NULL: nothing is under way */
        void *userdata;
        const Failure *refusal; /* of the next job; NULL: it is begun */
};

/* The directories of definitions below the root. */
#define STAGED_ETC "etc/ivshmem"
#define STAGED_RUN "run/ivshmem"
#define STAGED_VAR "var/lib/ivshmem"
#define STAGED_USR "usr/lib/ivshmem"

Staged *staged_new(void *ctx);
void staged_free(Staged *staged);

/* The manager ends, and another comes. */
void staged_restart(Staged *staged);

/* Says what has become of a domain; `pid` is this process's own where it has one. */
void staged_tell(Staged *staged, const char *name, DomainState state, const char *status);

/* Ends the job under way; NULL: it went well. */
void staged_end(Staged *staged, const Failure *failure);

/* Writes "etc/ivshmem/ring.domain", e.g. */
void staged_write(Staged *staged, const char *name, const char *text);
void staged_remove(Staged *staged, const char *name);

/* Creates a transient or persistent domain for a user. The failure's text, or NULL when it was made. */
const char *staged_create(Staged *staged, const char *name, uint32_t owner, bool persistent,
                          const char *const *settings);

/* Turns the loop once, or until the line was heard. */
void staged_turn(Staged *staged);

/* ---- A server that the test plays ---- */

/* Listens where the manager looks for the domain's server. */
int staged_listen(const char *control_path);

/* Takes the manager's connection; waits for it. */
int staged_accept(Staged *staged, int listener);

void server_say(int fd, const ControlRecord *record);

/* Waits for the next request, turning the manager's loop. */
void server_hear(Staged *staged, int fd, ControlRecord *ret);
