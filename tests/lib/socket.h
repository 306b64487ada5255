/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets by path, and waiting for them: for tests, so each wait has an end. */
#pragma once

#include <sys/un.h>

#include "service/base/fd.h"

/* No wait of the tests is longer than this. */
#define WAIT_MSEC 30000

/* -ENAMETOOLONG. */
int unix_address(const char *path, struct sockaddr_un *ret);

/* A connected socket of this type (SOCK_STREAM, SOCK_SEQPACKET). It waits while the listener's queue is full. */
int unix_connect(const void *ctx, const char *path, int type, Fd **ret);

/* A listening socket of this type. */
int unix_listen(const void *ctx, const char *path, int type, Fd **ret);

/* Waits until `fd` has input or its other end is gone. -ETIMEDOUT. */
int wait_input(int fd);

/* A descriptor that takes an hour to close, for it waits for its other end, *ret_end, to read. Negative errno. */
int lingering_socket(int *ret_end);
