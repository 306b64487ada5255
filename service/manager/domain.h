/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain as the manager sees it: its definition, the state of its unit, and a mirror of what its server says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/control.h"
#include "service/core/definition.h"

typedef struct Domain Domain;

typedef enum DomainState {
        DOMAIN_STOPPED,
        DOMAIN_STARTING,
        DOMAIN_RUNNING,
        DOMAIN_STOPPING,
        DOMAIN_FAILED,
        _DOMAIN_STATE_MAX,
        _DOMAIN_STATE_INVALID = -22,
} DomainState;

/* Where a definition is from; the order is that of ivshmem.domain(5). */
typedef enum Origin {
        ORIGIN_ADMINISTRATOR, /* /etc/ivshmem */
        ORIGIN_TRANSIENT,     /* /run/ivshmem */
        ORIGIN_PERSISTENT,    /* /var/lib/ivshmem */
        ORIGIN_VENDOR,        /* /usr/lib/ivshmem */
        _ORIGIN_MAX,
        _ORIGIN_INVALID = -22,
} Origin;

typedef enum DefinitionState {
        DEFINITION_CURRENT,
        DEFINITION_CHANGED, /* the running server has not taken it over */
        DEFINITION_REMOVED, /* the domain runs, but its file is gone */
        DEFINITION_INVALID,
        _DEFINITION_STATE_MAX,
        _DEFINITION_STATE_INVALID = -22,
} DefinitionState;

extern const char *const domain_state_names[_DOMAIN_STATE_MAX];
extern const char *const origin_names[_ORIGIN_MAX];
extern const char *const definition_state_names[_DEFINITION_STATE_MAX];

/* What of a domain has changed: a set. */
typedef enum DomainChanges {
        DOMAIN_CHANGED_STATE = 1 << 0,      /* state, main PID, since */
        DOMAIN_CHANGED_STATUS = 1 << 1,     /* status text, progress */
        DOMAIN_CHANGED_DEFINITION = 1 << 2, /* settings, origin, path, definition state and error */
        DOMAIN_CHANGED_COUNTERS = 1 << 3,
} DomainChanges;

const char *domain_name(const Domain *domain);
DomainState domain_state(const Domain *domain);
const char *domain_status(const Domain *domain); /* never NULL */
uint32_t domain_progress(const Domain *domain);  /* percent; 100 when nothing is being prepared */
uint32_t domain_main_pid(const Domain *domain);  /* 0: none */
uint64_t domain_since(const Domain *domain);     /* CLOCK_REALTIME, microseconds; 0: does not run */
uint32_t domain_owner(const Domain *domain);     /* uid; root's where a definition does not tell */
Origin domain_origin(const Domain *domain);
const char *domain_path(const Domain *domain); /* of the definition's file */
DefinitionState domain_definition_state(const Domain *domain);
const char *domain_definition_error(const Domain *domain); /* never NULL */

/* The last one that could be read; NULL when there never was one. */
const Definition *domain_definition(const Domain *domain);

const char *domain_socket_path(const Domain *domain);
const char *domain_unit(const Domain *domain); /* empty when the launcher has none */

/* What the server said last; zeroes when it does not run. */
const ControlDomain *domain_counters(const Domain *domain);

/* The connected peers by VM ID. The array is the domain's, and stays until the event loop goes on. */
const ControlPeer *const *domain_peers(const Domain *domain, size_t *ret_n);
