/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who asks: credentials from the bus daemon or from the kernel, read once, and what we remember of a client as long as it
 * is connected - what polkit let it see, whether it wants signals, and its calls, which end when it ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "service/base/list.h"
#include "service/manager/manager.h"

typedef struct Client Client;
typedef struct Connection Connection;
typedef struct Renewal Renewal;

/* As much as domains may be granted one by one; a client that asks for more has the oldest ones forgotten. */
#define CLIENT_GRANTS_MAX 1024U

struct Client {
        List link; /* in its connection's list, the last one that asked first */
        Connection *connection;
        char *name; /* unique on the bus; NULL on a private connection */
        uid_t uid;
        pid_t pid;
        gid_t *groups; /* all of them; what the client does later does not change them */
        size_t n_groups;
        bool privileged; /* root, or whom the manager runs as */
        bool subscribed;
        bool sees_all;
        char **granted; /* names of domains that polkit lets it inspect */
        size_t n_granted;
        Renewal *renewal; /* polkit is asked about them again; NULL: it is not */
        List calls;
};

/* Asks who is behind a unique name of the bus. -ENXIO when it is gone by now; negative errno. */
int client_new_from_bus(Connection *connection, const char *name, Client **ret);

/* Asks the kernel who is at the other end of a private connection. Negative errno. */
int client_new_from_socket(Connection *connection, int fd, Client **ret);

/* Whether a domain exists for this client. */
bool client_sees(const Client *client, const Domain *domain);

/* The same if it belonged to this user. */
bool client_sees_of(const Client *client, const Domain *domain, uint32_t owner);

/* Whether it sees whatever belongs to this user, also when polkit was not asked about the domain itself. */
bool client_sees_all_of(const Client *client, uint32_t owner);

/* Polkit lets it inspect a domain from now on; all for NULL. -ENOMEM. */
int client_grant(Client *client, const char *name);

/* Takes one grant back, all for NULL. */
void client_revoke(Client *client, const char *name);

/* Whether we would lose something for it if we ended now. */
bool client_is_remembered(const Client *client);

/* What a domain's server is told of it as a peer. */
void client_describe(const Client *client, ControlPeer *ret);
