/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands of 'ivshmemctl open': what one can do as a peer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/ctl/input.h"
#include "client/ctl/peer.h"

typedef struct Shell Shell;

typedef enum ShellResult {
        SHELL_OK,
        SHELL_QUIT,
        SHELL_FAILED, /* what went wrong was said */
} ShellResult;

/* Takes over the connection, and waits until `vectors` doorbells of our own are known. NULL: it is no peer, for the reason
 * that was said. */
Shell *shell_new(void *ctx, int socket, uint32_t vectors);

/* Runs one line. */
ShellResult shell_run(Shell *shell, const char *line);

/* Tells of doorbells and the server, around the prompt, until there is input, and reads that. SHELL_FAILED: the server did not
 * speak the protocol. */
ShellResult shell_wait_input(Shell *shell, Input *input);

void shell_print_help(void);
