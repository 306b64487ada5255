/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all verbs share: the command line, the manager once it was asked for, and how what went wrong is said. */
#pragma once

#include <json-c/json.h>

#include "client/ctl/options.h"
#include "client/ctl/table.h"

typedef struct Connection Connection;
typedef struct Ctl Ctl;
typedef struct Pager Pager;
typedef struct Agent Agent;

/* Documented in ivshmemctl(1), "EXIT STATUS". */
typedef enum ExitStatus {
        STATUS_OK = 0,
        STATUS_FAILED = 1,
        STATUS_NOT_RUNNING = 3,
        STATUS_NO_SUCH_DOMAIN = 4,
        STATUS_USAGE = 64,
        STATUS_NO_MANAGER = 69,
        STATUS_NOT_PERMITTED = 77,
} ExitStatus;

struct Ctl {
        const Verb *verb;
        Options options;
        Connection *connection; /* NULL: connection_get() was not called yet */
        uint64_t
                patience; /* microseconds that a call waits for its answer; as long as it takes unless a verb says less */
        Pager *pager;
        Agent *agent;
};

/* Everything; the exit status. */
int ctl_main(int argc, char **argv);

/* Says on standard error what went wrong, and returns `status`. */
ExitStatus ctl_fail(ExitStatus status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a wrong command line, with a pointer to the verb's help. */
ExitStatus ctl_misuse(const Ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says on standard error what is worth knowing, unless --quiet is given. */
void ctl_note(const Ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What several domains came to: the first failure, if there is one. */
ExitStatus ctl_worse(ExitStatus before, ExitStatus now);

/* Shows a table as the options want it. `what` is counted below it ("domain"; NULL: no line). */
void ctl_show_table(Ctl *ctl, const Table *table, const char *what);

/* Writes JSON as the options want it, and puts it. */
void ctl_show_json(const Ctl *ctl, json_object *value);

/* An argument that is a VM ID or a vector; says what is wrong with it. `what` is "VM ID", e.g. */
ExitStatus ctl_number(const Ctl *ctl, const char *text, const char *what, uint64_t max, uint32_t *ret);
