/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket that peers connect to, where systemd did not pass one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/base/fd.h"
#include "service/server/ownfile.h"

/* How many connections may wait to be accepted. */
#define LISTEN_BACKLOG 4096

/*
 * Listens at `path`. The file of a socket that nobody listens on any more is replaced; a live one, or a file that is
 * no socket, is left alone: -EADDRINUSE, -EEXIST. *ret_file removes the name again. `mode` 0: as the umask has it.
 * Negative errno with *ret_error (a chunk of `ctx`).
 */
int listener_open(void *ctx, const char *path, uint32_t mode, Fd **ret, OwnFile **ret_file,
                  char **ret_error);

/*
 * Nobody sends descriptors over this socket, or over connections that are made to it from now on: sendmsg(2) there fails with
 * EPERM. Those that are not received are closed in our name, by the kernel, which may take as long as their sender likes
 * (SO_LINGER). Before Linux 6.16 there is nothing that can be done.
 */
void socket_bar_descriptors(int fd);
