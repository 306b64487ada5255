/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Newcomers: accepted, asked of the kernel who they are, admitted or refused. A refused one is sent the reason as a
 * version number, never just closed: QEMU would spin for ever (ivshmem-protocol(7)).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "service/base/event.h"
#include "service/base/fd.h"
#include "service/server/domain.h"

typedef struct Admission Admission;
typedef struct Arrivals Arrivals;
typedef struct ArrivalsOps ArrivalsOps;
typedef struct Credentials Credentials;
typedef struct Peers Peers;
typedef struct Tenant Tenant;

typedef enum ArrivalsPause {
        PAUSE_WIPE = 1 << 0,     /* memory is being zeroed */
        PAUSE_SHORTAGE = 1 << 1, /* nobody could be accepted for want of memory */
} ArrivalsPause;

/* What the owner of the arrivals wants to hear: somebody was refused. */
struct ArrivalsOps {
        void (*refused)(Tenant *tenant, const Credentials *credentials, const char *identity,
                        const Admission *admission, void *userdata);
        void *userdata;
};

/* Serves a listening socket, which the arrivals own from here on, also on failure. Negative errno. */
int arrivals_new(void *ctx, Event *event, Domain *domain, Peers *peers, Fd *listener, const ArrivalsOps *ops,
                 Arrivals **ret);

/* For the sandbox: how many descriptors there are, of the listener and of those who wait, and which. */
size_t arrivals_count_fds(const Arrivals *arrivals);
size_t arrivals_list_fds(const Arrivals *arrivals, int *ret);

/* While there is any reason to pause, newcomers wait. */
void arrivals_pause(Arrivals *arrivals, ArrivalsPause why, bool pause);

/* Refuses all who were accepted but not admitted, for the domain is stopping; with `backlog` also those who still wait
 * to be accepted. An inherited socket outlives us, and who waits there is for our successor. */
void arrivals_refuse_all(Arrivals *arrivals, bool backlog);

/*
 * Makes a connection for a process that somebody who may be believed names (peercred_of_process()); it is admitted or
 * refused in its turn like anybody else. *ret is its end, close-on-exec and blocking, a chunk of `ctx`. -EBUSY while too
 * many wait already, or what the kernel says.
 */
int arrivals_open(Arrivals *arrivals, void *ctx, const Credentials *named, Fd **ret);

/* Adds a newcomer that a predecessor accepted. Takes the socket over, also on failure. -ENOMEM. */
int arrivals_add(Arrivals *arrivals, Fd *socket);

/* Admits all who were accepted, now: their connections would not outlive us otherwise. */
void arrivals_admit_all(Arrivals *arrivals);

/* Whether somebody was accepted and is not admitted yet. */
bool arrivals_pending(const Arrivals *arrivals);
