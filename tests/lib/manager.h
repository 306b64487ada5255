/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tests' own manager: the other end of a server's control link. It keeps what it was told between its questions and
 * the answers. Waits end after WAIT_MSEC with -ETIMEDOUT; nothing here asserts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/fd.h"
#include "service/core/control.h"

typedef struct Manager Manager;

typedef enum ManagerResult {
        MANAGER_OK = 0,
        MANAGER_END,     /* the server ended the connection */
        MANAGER_FAILURE, /* what came is no record, or a second descriptor came */
} ManagerResult;

struct Manager {
        Fd *socket;
        uint32_t serial;       /* of the last request */
        ControlRecord *events; /* what came while an answer was waited for, and was not taken yet */
        size_t n_events;
};

/* Connects, and reads nothing. */
int manager_connect(const void *ctx, const char *path, Manager **ret);

/* Waits for the next record, of those kept first. *ret_fd (may be NULL) becomes a descriptor that came along, a chunk of
 * the manager, or NULL. */
int manager_next(Manager *manager, ControlRecord *ret, Fd **ret_fd);

/* Whether there is a record, or the end. */
bool manager_has_input(const Manager *manager);

/* Sends a request under the next serial, and waits for its answer, which is checked for that serial. */
int manager_ask(Manager *manager, const ControlRecord *request, ControlRecord *ret_reply, Fd **ret_fd);

/* Sends any bytes. */
int manager_send(Manager *manager, const void *bytes, size_t size);
