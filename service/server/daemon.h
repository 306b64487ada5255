/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going to the background, as the drop-in form does without -F. */
#pragma once

#include "service/server/ownfile.h"

/*
 * Forks; the child goes on in a session of its own. The parent waits and exits: with 0 when the child says
 * daemon_ready(), else with the child's failure, so that a script sees what became of the start. Returns in the
 * child, with the descriptor to say it on in *ret_ready. Negative errno in the only process there is.
 */
int daemon_fork(int *ret_ready);

/* The child serves: lets the parent exit with success. Standard output and error stay as they are, as with the
 * reference server, so that a script that collects them goes on doing so. */
void daemon_ready(int *ready);

/* Writes the PID of this process to a new or existing file. Negative errno. */
int pidfile_write(void *ctx, const char *path, OwnFile **ret);
