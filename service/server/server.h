/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A domain being served: the event loop with everything in it. Signals, the reload of a definition, wiping, the status
 * that systemd shows, and the end.
 */
#pragma once

#include <stdint.h>

#include "service/base/fd.h"
#include "service/server/domain.h"
#include "service/server/load.h"
#include "service/server/ownfile.h"

typedef struct Notify Notify;
typedef struct Server Server;
typedef struct ServerParts ServerParts;

/* How many descriptors server_list_fds() writes at most. */
#define SERVER_FDS_MAX 2U

/* What the server is made of. Definition and listener become its own, also on failure; all else must outlive it. */
struct ServerParts {
        Source source;
        bool drop_in; /* the flags of the reference server: nothing to reload, anyone is admitted */
        bool verbose; /* --verbose wins over LogLevel= */
        Definition *definition; /* resolved */
        Memory *memory;
        Fd *listener;
        OwnFile *socket_file; /* of the listener; NULL: it was inherited, and goes on after us */
        Notify *notify;       /* NULL: no service manager */
        uint64_t nofile;      /* RLIMIT_NOFILE */
};

/* Negative errno. */
int server_new(void *ctx, const ServerParts *parts, Server **ret);

/* For the sandbox: each descriptor of the server but those of the event loop. Returns how many. */
size_t server_list_fds(const Server *server, int ret[static SERVER_FDS_MAX]);

/* Serves until SIGTERM, SIGINT, or the end that Keep=until-idle asks for. READY=1 is sent first. Negative errno when
 * the event loop itself fails. */
int server_run(Server *server);
