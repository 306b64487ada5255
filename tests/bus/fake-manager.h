/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A manager that does what a test wants: it fails as it is told to, and operations end when the test ends them. It stands
 * in the place of service/manager for tests of the bus; what a manager really does is not tried with it.
 */
#pragma once

#include "service/base/list.h"
#include "service/manager/manager.h"

struct Manager {
        Event *event;
        ManagerOps observer;
        List domains; /* by name */
        List operations;
        Failure failure; /* of the next thing that is asked for; kind _FAILURE_KIND_MAX: none */
        unsigned reloads;
        char *created; /* "KEY=VALUE" of the last manager_create() or request, a line each, sections before their keys */
};

struct Domain {
        List link;
        Manager *manager;
        char *name;
        uint32_t owner;
        bool persistent;
        DomainState state;
        Definition *definition;
        ControlDomain counters;
        ControlPeer peer;
        const ControlPeer *peers[1];
        size_t n_peers;
};

struct Operation {
        List link;
        Manager *manager;
        Request request;
        OperationDone done;
        void *userdata;
        bool cancelled;
};

int fake_manager_new(void *ctx, Event *event, Manager **ret);

Domain *fake_domain_add(Manager *manager, const char *name, uint32_t owner);

/* As if it had been removed by other means. */
void fake_domain_drop(Domain *domain);

/* Ends the oldest operation: with success for NULL. Call it from outside of the event loop's callbacks. */
void fake_operation_end(Manager *manager, const Failure *failure, int fd);

size_t fake_operations(const Manager *manager);

/* The next thing that is asked for fails so. */
void fake_fail(Manager *manager, FailureKind kind);
