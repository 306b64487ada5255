/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel says of the process that opened a connection. */
#pragma once

#include "service/core/credentials.h"

/*
 * Reads the credentials of the process that connected `socket`: uid, gid, supplementary groups and security label
 * from the socket (socket(7), unix(7)), systemd unit and machine from its cgroup. Unit and machine are left out when
 * the process is gone, so that they are never those of another process with its PID. A chunk of `ctx`; negative
 * errno.
 */
int peercred_read(void *ctx, int socket, Credentials **ret);

/* The machine that a systemd unit stands for: "machine-qemu\x2d1\x2drouter.scope" is "qemu-1-router". Only the
 * system's own manager can make such a unit. NULL: it is none, or out of memory. */
char *machine_of_unit(void *ctx, const char *unit);
