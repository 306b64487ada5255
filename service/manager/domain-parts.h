/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a domain consists of. For the files of the manager that put it together; others see domain.h. */
#pragma once

#include "service/manager/domain.h"
#include "service/manager/launcher.h"
#include "service/manager/peerlist.h"
#include "service/manager/store.h"

typedef struct Mirror Mirror;
typedef struct Manager Manager;
typedef struct Operation Operation;

struct Domain {
        Manager *manager;
        char *name;
        char *socket_path;
        char *control_path;
        char *unit;

        /* what the store says */
        bool defined; /* there is a file */
        Origin origin;
        char *path;
        uint64_t modified; /* CLOCK_REALTIME, microseconds: when the file was */
        uint32_t owner;
        Definition *definition; /* the last good one */
        char *definition_error; /* NULL: the file is good */

        /* what the launcher says */
        DomainState state;
        char *status;
        bool status_is_told; /* by the server, for the launcher hears nothing from it */
        uint32_t main_pid;
        uint64_t since;
        uint64_t loaded;

        /* what the server says */
        Mirror *mirror; /* NULL: it does not run */
        ControlDomain counters;
        PeerList peers;

        Operation *job; /* a start, stop, restart or change under way; NULL: none */
};

/* A domain of which nothing is known yet. NULL: no memory. */
Domain *domain_new(void *ctx, Manager *manager, const Launcher *launcher, const char *name);

/* Whether there is a server: it starts, runs or stops. */
bool domain_is_active(const Domain *domain);

/* Takes over what the store or the launcher says, and returns what has changed by it. -ENOMEM leaves it as it was. */
int domain_take_entry(Domain *domain, StoreEntry *entry, DomainChanges *ret);
int domain_take_state(Domain *domain, const LauncherState *state, DomainChanges *ret);

/* What the server says over the control link; it counts as long as the launcher has nothing to say. */
int domain_take_status(Domain *domain, const char *text, DomainChanges *ret);
