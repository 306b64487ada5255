/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server under test: the program as it ships, in a process of its own that ends with its ServerProcess. Standard
 * error is kept; what the server says to its service manager (sd_notify) arrives here, so that nothing has to sleep.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "service/base/fd.h"

typedef struct ServerOptions ServerOptions;
typedef struct ServerProcess ServerProcess;

/* The environment variable that names the program. */
#define SERVER_VARIABLE "IVSHMEM_SERVER"

typedef enum ServerResult {
        SERVER_OK = 0,
        SERVER_ENDED, /* the process ended instead */
} ServerResult;

struct ServerOptions {
        const char *program;          /* NULL: $IVSHMEM_SERVER */
        const char *const *arguments; /* NULL-terminated, without argv[0] */
        uint32_t nofile;              /* RLIMIT_NOFILE, soft and hard; 0: the one of this process */
        uint32_t uid;                 /* user and group it runs as; 0: root */
        bool follow;                  /* go on listening after READY=1, for server_wait_notify() */
        bool deaf;     /* nobody reads what it writes: a pipe without a reader; server_log() is empty */
        int passed_fd; /* passed as systemd does; 0: none */
        const char *passed_name;
};

struct ServerProcess {
        pid_t pid;
        Fd *process; /* pidfd */
        Fd *notify;  /* NULL: not listening */
        Fd *log;
        char *notify_path;
        bool ended;
        int status; /* of a process that ended: exit status, or 128 + the signal's number */
};

/* Starts the program and returns at once. */
int server_spawn(const void *ctx, const ServerOptions *options, ServerProcess **ret);

/* Starts the program, and waits until it is ready. SERVER_ENDED: *ret is set too, and has status and log. */
int server_start(const void *ctx, const ServerOptions *options, ServerProcess **ret);

/* Waits for a line of sd_notify(3), such as "READY=1". SERVER_OK, SERVER_ENDED, -ETIMEDOUT. */
int server_wait_notify(ServerProcess *server, const char *line);

int server_signal(ServerProcess *server, int signal);

/* Waits until the process ended by itself; *ret_status as in `status`. */
int server_wait_end(ServerProcess *server, int *ret_status);

/* Whether the process has ended by now, expected or not. */
bool server_has_ended(ServerProcess *server);

/* SIGTERM, and server_wait_end(). */
int server_stop(ServerProcess *server, int *ret_status);

/* What it wrote to standard output and error so far. A chunk of the server; NULL when out of memory. */
char *server_log(ServerProcess *server);
