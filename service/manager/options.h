/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of ivshmemd. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct ManagerOptions ManagerOptions;

typedef enum ManagerOptionsResult {
        MANAGER_OPTIONS_OK = 0,
        MANAGER_OPTIONS_HELP,    /* --help was asked for and printed */
        MANAGER_OPTIONS_VERSION, /* --version was asked for and printed */
} ManagerOptionsResult;

/* How long an idle manager stays; an embedded one, which nobody starts again, stays for good. */
#define IDLE_DEFAULT 60U

struct ManagerOptions {
        bool embedded;
        const char *directory; /* of an embedded manager; NULL otherwise */
        bool system_bus;       /* to be on; always, but for an embedded one */
        const char *server;    /* the program that serves a domain; NULL: it is looked for */
        uint32_t idle;         /* seconds; 0: never ends by itself */
        bool verbose;
};

/*
 * Parses a command line. What *ret_options points to is argv's, the environment's, or a chunk of `ctx`. On HELP and VERSION
 * the answer was printed to standard output. -EINVAL: *ret_error, a chunk of `ctx`, says what is wrong; -ENOMEM.
 */
int manager_options_parse(void *ctx, int argc, char **argv, ManagerOptions *ret_options, char **ret_error);
