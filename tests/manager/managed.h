/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A manager under test, in a directory of its own, with the embedded launcher and the server as it ships. What it tells
 * its observer is kept as lines, so that tests wait for what they expect and never for time to pass.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "service/manager/launcher.h"
#include "service/manager/manager.h"
#include "tests/lib/scratch.h"

typedef struct Managed Managed;

struct Managed {
        Scratch *scratch;
        Event *event;
        Manager *manager;
        char *heard; /* lines: "added ring", "state ring running", "joined ring 0", "busy", "idle" */
        /* of the operation that ended last */
        size_t n_done;
        bool failed;
        Failure failure;
        int fd;
        pid_t *servers; /* that ran at some time */
};

/* Fails the test when it does not come up. */
Managed *managed_new(void *ctx);

/* Without a manager yet; and the observer of one that somebody else makes. */
Managed *managed_prepare(void *ctx);
void managed_observe(Managed *managed);

/* Turns the loop until something happens. */
void managed_turn(Managed *managed);

/* Begins an operation. True when it was begun; else ->failure. */
bool managed_begin_operation(Managed *managed, const char *name, const Request *request);

/* Frees the manager, as if it had been killed: servers go on. managed_begin() makes a new one. */
void managed_end(Managed *managed);
void managed_begin(Managed *managed);

/* Turns the loop until `line` has been heard since the last managed_forget(). Fails the test after a while. */
void managed_wait(Managed *managed, const char *line);
void managed_forget(Managed *managed);
bool managed_heard(const Managed *managed, const char *line);

/* Creates a domain; fails the test when it cannot. `settings` as in "Size=1M" "Vectors=2", NULL-terminated. */
Domain *managed_create(Managed *managed, const char *name, const char *const *settings);

/* Begins an operation and turns the loop until it has ended. True when it was done; else ->failure. */
bool managed_do(Managed *managed, const char *name, const Request *request);
bool managed_start(Managed *managed, const char *name);
bool managed_stop(Managed *managed, const char *name);

/* Stops every domain in order; then frees it. Should a test fail before, its servers are killed with it. */
void managed_free(Managed *managed);
