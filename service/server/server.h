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
#include "service/server/succession.h"

typedef struct Notify Notify;
typedef struct Server Server;
typedef struct ServerParts ServerParts;

/* What the server is made of. Definition and listeners become its own, also on failure; all else must outlive it. */
struct ServerParts {
        Source source;
        bool drop_in;  /* the flags of the reference server: nothing to reload, anyone is admitted */
        bool unlinked; /* the path of the definition is a directory, for nameless memory (-m) */
        bool verbose;  /* --verbose wins over LogLevel= */
        Definition *definition; /* resolved */
        const char *not_taken;  /* why it is the one that a predecessor served; NULL: it is the source's */
        Memory *memory;
        Doorbells *doorbells;
        Succession *succession;   /* NULL: nothing is kept for a successor */
        Inheritance *inheritance; /* NULL: nothing came from a predecessor */
        Fd *listener;
        Fd *control;          /* the listening socket of the control link; NULL: there is none */
        OwnFile *socket_file; /* of the listener; NULL: it was inherited, and goes on after us */
        Notify *notify;       /* NULL: no service manager */
        uint64_t nofile;      /* RLIMIT_NOFILE */
};

/* Negative errno. */
int server_new(void *ctx, const ServerParts *parts, Server **ret);

/* For the sandbox: how many descriptors the server has but those of the event loop and of newcomers, and which. */
size_t server_count_fds(const Server *server);
size_t server_list_fds(const Server *server, int *ret);

/* What server_run() can return beside a negative errno. */
typedef enum ServerEnd {
        SERVER_ENDED = 0,   /* the domain has */
        SERVER_HANDED_OVER, /* a successor goes on with it */
} ServerEnd;

/* Serves until SIGTERM, SIGINT, or the end that Keep=until-idle asks for, with which the domain ends; or until SIGUSR1,
 * when there is a succession, with which it does not. READY=1 is sent first. Negative errno when the event loop itself
 * fails. */
int server_run(Server *server);
