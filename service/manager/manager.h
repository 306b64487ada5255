/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager of all domains: definitions, who owns them, what tenants may have, starting and stopping. Whoever shows it
 * to the world (the bus) observes it through ManagerOps and asks it through the functions below, after having decided
 * that the caller may. The manager checks what does not depend on who asks: names, settings, limits, states.
 *
 * Operations that take time end with a callback, always from the event loop, never from within the call, and exactly once,
 * also when the manager is freed (FAILURE_SERVER_LOST). An operation can be given up before (operation_cancel()): what was begun goes
 * on, but nobody hears of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/event.h"
#include "service/manager/domain.h"
#include "service/manager/failure.h"

typedef struct Launcher Launcher;
typedef struct Manager Manager;
typedef struct ManagerOps ManagerOps;
typedef struct ManagerParts ManagerParts;
typedef struct Operation Operation;
typedef struct Usage Usage;

/* What the observer wants to hear. Objects must not be kept beyond `domain_removed`. */
struct ManagerOps {
        void (*domain_added)(Domain *domain, void *userdata);
        void (*domain_removed)(Domain *domain, void *userdata); /* it is still whole */
        void (*domain_changed)(Domain *domain, DomainChanges changes, void *userdata);
        void (*peer_joined)(Domain *domain, const ControlPeer *peer, void *userdata);
        void (*peer_left)(Domain *domain, const ControlPeer *peer, const char *why, void *userdata);
        void (*peer_refused)(Domain *domain, const ControlPeer *peer, Refusal refusal, const char *reason,
                             void *userdata);
        /* Nothing is being done and no domain runs, or that has changed: for the exit of an idle manager. */
        void (*busy_changed)(bool busy, void *userdata);
        void *userdata;
};

struct ManagerParts {
        Event *event;
        Launcher *launcher; /* becomes the manager's */
        /* "/" or, for an embedded manager and for tests, the directory below which definitions and configuration lie; NULL
         * is "/". */
        const char *root;
        /* The directory for definitions of an embedded manager, which has no other; NULL: those of ivshmem.domain(5). */
        const char *directory;
};

/* Negative errno. What is wrong with single definitions or with the configuration does not keep it from coming up: it is
 * logged and shown. */
int manager_new(void *ctx, const ManagerParts *parts, Manager **ret);

/* From here on the observer hears; what there is already it finds by manager_foreach(). One observer. */
void manager_observe(Manager *manager, const ManagerOps *ops);

/* ---- Looking ---- */

/* NULL when there is none. */
Domain *manager_find(const Manager *manager, const char *name);

/* Domains by name. The callback must not add or remove any. */
void manager_foreach(const Manager *manager, void (*callback)(Domain *domain, void *userdata),
                     void *userdata);
size_t manager_count(const Manager *manager);

/* Whether a domain runs or an operation is pending. */
bool manager_is_busy(const Manager *manager);

/* "systemd" or "embedded". */
const char *manager_launcher_name(const Manager *manager);

/* One thing that is limited. */
struct Usage {
        const char *what; /* "Domains", "Bytes", "HugePageBytes", "Peers", "Vectors" */
        uint64_t used;
        uint64_t limit; /* UINT64_MAX: none */
};

#define USAGES 5U

/* What a user has, and may have. */
void manager_usage(const Manager *manager, uint32_t uid, Usage ret[static USAGES]);

/* ---- Doing, at once ---- */

/* A key of ivshmem.domain(5) with its value as it would stand in a file. `section` is NULL for [Domain] and [Access], whose
 * keys differ, and the name of a [Peer] section otherwise. For domain_set() an empty value is the default. */
typedef struct Setting {
        const char *section;
        const char *key;
        const char *value;
} Setting;

/* Whether a domain can be called so: 0, or -EREMOTEIO with *ret_failure. */
int manager_check_name(const char *name, Failure *ret_failure);

/* Makes a definition that belongs to `owner` (a uid) and a domain that is stopped. 0, or -EREMOTEIO with *ret_failure. */
int manager_create(Manager *manager, const char *name, uint32_t owner, bool persistent,
                   const Setting *settings, size_t n_settings, Domain **ret, Failure *ret_failure);

/* Removes a stopped domain whose definition manager_create() made. */
int manager_remove(Manager *manager, Domain *domain, Failure *ret_failure);

/* Reads configuration and definitions again. */
void manager_reload(Manager *manager);

/* ---- Doing, which takes time ---- */

/* `failure` is NULL when it was done. `fd` is of those that open something, else -EBADF; it is the callback's to close. */
typedef void (*OperationDone)(const Failure *failure, int fd, void *userdata);

typedef enum OperationKind {
        OPERATION_START,
        OPERATION_STOP,
        OPERATION_RESTART,
        OPERATION_SET,     /* .settings, .all_peers */
        OPERATION_RESERVE, /* .settings, all of one section; .vm_id is among them as VMID */
        OPERATION_RELEASE, /* .section */
        OPERATION_EVICT,   /* .vm_id */
        OPERATION_RING,    /* .vm_id, .vector */
        OPERATION_OPEN,    /* .peer: credentials of the caller; gives a connection */
        OPERATION_MEMORY,  /* .read_only; gives the memory */
        _OPERATION_KIND_MAX,
        _OPERATION_KIND_INVALID = -22,
} OperationKind;

/* What is asked for. All strings are copied where they are needed longer. */
typedef struct Request {
        OperationKind kind;
        const char *section;
        const Setting *settings;
        size_t n_settings;
        bool all_peers; /* the [Peer] sections among the settings are all that there shall be */
        uint32_t vm_id;
        uint32_t vector;
        bool read_only;
        const ControlPeer *peer;
} Request;

/*
 * Begins an operation on a domain. It is a chunk of the manager, and frees itself after `done`. *ret (may be NULL) is for
 * operation_cancel(). 0, or -EREMOTEIO with *ret_failure when it is refused at once; `done` is not called then.
 */
int manager_begin(Manager *manager, Domain *domain, const Request *request, OperationDone done,
                  void *userdata, Operation **ret, Failure *ret_failure);

/* The one who asked is gone: `done` is not called any more. */
void operation_cancel(Operation *operation);
