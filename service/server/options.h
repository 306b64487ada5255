/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line. Two forms of one program: `ivshmem-server NAME` serves a definition, and without NAME and
 * --definition it takes the flags of QEMU's reference server and means by them what that means.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/server/isolation.h"

typedef enum OptionsResult OptionsResult;
typedef struct Options Options;

enum OptionsResult {
        OPTIONS_OK = 0,
        OPTIONS_HELP,    /* --help was asked for and printed */
        OPTIONS_VERSION, /* --version was asked for and printed */
};

struct Options {
        /* Definition form; both NULL: drop-in form. */
        const char *name;            /* a domain that is looked up in the definition directories */
        const char *definition_path; /* --definition */
        uint32_t fd_store;           /* FileDescriptorStoreMax= of the unit; 0: a restart loses the peers */
        bool check;                  /* only say whether the definition is good */
        bool reload;                 /* only have the running server of `name` reload it */

        /* Drop-in form: QEMU's contrib/ivshmem-server, same letters, defaults and meaning. */
        bool foreground;
        const char *pid_file;
        const char *shm_name;
        const char *shm_directory; /* NULL: shm_name is used */
        uint64_t size;
        uint32_t vectors;

        /* Both. */
        bool verbose;
        const char *
                socket_path; /* NULL in the definition form: the socket is inherited, or /run/ivshmem/NAME.sock */
        SeccompMode seccomp;
};

/*
 * Parses a command line. *ret_options points into argv. On OPTIONS_HELP and OPTIONS_VERSION the answer was printed to
 * standard output. -EINVAL: *ret_error, a chunk of `ctx`, says what is wrong; -ENOMEM.
 */
int options_parse(void *ctx, int argc, char **argv, Options *ret_options, char **ret_error);

/* No NAME and no --definition: QEMU's flags. */
bool options_drop_in(const Options *options);
