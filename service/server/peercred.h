/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel says of the process that opened a connection. */
#pragma once

#include <sys/types.h>

#include "service/core/credentials.h"

/*
 * Below which cgroup this system's manager keeps its units: "" on a host, and something longer in a container that sees
 * the host's whole tree. It never changes. A string of `ctx`; negative errno.
 */
int peercred_units_root(void *ctx, char **ret);

/*
 * Reads the credentials of the process that connected `socket`: uid, gid, supplementary groups and security label
 * from the socket (socket(7), unix(7)), systemd unit and machine from its cgroup, which is below `units_root`. Unit and
 * machine are left out when the process is gone, so that they are never those of another process with its PID. A chunk
 * of `ctx`; negative errno.
 */
int peercred_read(void *ctx, int socket, const char *units_root, Credentials **ret);

/* The cgroup in which systemd has a process, by the text of /proc/PID/cgroup (cgroups(7)), which is taken to pieces. NULL:
 * none. */
char *managers_cgroup(char *list);

/* The unit that a cgroup belongs to: "/system.slice/a.service/b" is of "a.service", below the root "". Slices are no
 * units of a process. NULL: of none, or out of memory. */
char *unit_of_cgroup(void *ctx, const char *units_root, const char *cgroup);

/*
 * Credentials of a process that somebody who may be believed names: uid, gid, pid and label are `named`'s. Groups, unit
 * and machine are asked of the kernel, and left out unless the process with this pid lives and has this (effective) uid.
 * A chunk of `ctx`; negative errno.
 */
int peercred_of_process(void *ctx, const Credentials *named, const char *units_root, Credentials **ret);

/*
 * A pidfd of the very process that connected a socket. Only where the kernel does not know that question (before Linux 6.5)
 * it is of the process that has its PID now, which can be another one: where the kernel says that there is none any
 * more, there is none. Negative errno.
 */
int pidfd_of_peer(int socket, pid_t pid);

/* The machine that a systemd unit stands for: "machine-qemu\x2d1\x2drouter.scope" is "qemu-1-router". Only the
 * system's own manager can make such a unit. NULL: it is none, or out of memory. */
char *machine_of_unit(void *ctx, const char *unit);
