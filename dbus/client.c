/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients and what they may see. What they may do is authz.c's. */

#include "dbus/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <talloc.h>
#include <unistd.h>

#include "dbus/connection.h"
#include "service/base/error.h"

#define BUS_DAEMON "org.freedesktop.DBus"
#define BUS_DAEMON_PATH "/org/freedesktop/DBus"

/* The bus daemon answers at once or not at all. Microseconds. */
#define DAEMON_TIMEOUT 5000000U

#define GROUPS_MAX 65536U /* NGROUPS_MAX of Linux */

static int client_destructor(Client *client) {
        list_remove(&client->link);
        return 0;
}

static int client_new(Connection *connection, Client **ret) {
        Client *client = talloc_zero(connection, Client);

        if (!client) {
                return -ENOMEM;
        }
        client->connection = connection;
        client->uid = (uid_t) -1;
        list_init(&client->calls);
        list_prepend(&connection->clients, &client->link);
        talloc_set_destructor(client, client_destructor);
        *ret = client;
        return 0;
}

static void client_known(Client *client) {
        client->privileged = client->uid == 0 || client->uid == geteuid();
}

/* ---- From the bus daemon ---- */

static int read_groups(Client *client, sd_bus_message *reply) {
        const void *groups;
        size_t size;
        int r = sd_bus_message_read_array(reply, 'u', &groups, &size);

        if (r < 0) {
                return r;
        }
        client->groups = talloc_memdup(client, groups, size);
        client->n_groups = size / sizeof(gid_t);
        return client->groups || size == 0 ? 0 : -ENOMEM;
}

static int read_number(sd_bus_message *reply, uint32_t *ret) {
        return sd_bus_message_read_basic(reply, 'u', ret);
}

/* One of a{sv}; 0 at the end. */
static int read_credential(Client *client, sd_bus_message *reply) {
        const char *name, *contents;
        uint32_t pid;
        int r = sd_bus_message_enter_container(reply, 'e', "sv");

        if (r <= 0 || (r = sd_bus_message_read_basic(reply, 's', &name)) < 0 ||
            (r = sd_bus_message_peek_type(reply, NULL, &contents)) < 0 ||
            (r = sd_bus_message_enter_container(reply, 'v', contents)) < 0) {
                return r;
        }
        if (strcmp(name, "UnixUserID") == 0 && strcmp(contents, "u") == 0) {
                r = read_number(reply, &client->uid);
        } else if (strcmp(name, "ProcessID") == 0 && strcmp(contents, "u") == 0) {
                r = read_number(reply, &pid);
                client->pid = r < 0 ? 0 : (pid_t) pid;
        } else if (strcmp(name, "UnixGroupIDs") == 0 && strcmp(contents, "au") == 0) {
                r = read_groups(client, reply);
        } else {
                r = sd_bus_message_skip(reply, contents);
        }
        if (r >= 0) {
                r = sd_bus_message_exit_container(reply);
        }
        if (r >= 0) {
                r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? r : 1;
}

static int read_credentials(Client *client, sd_bus_message *reply) {
        int r = sd_bus_message_enter_container(reply, 'a', "{sv}");

        while (r > 0) {
                r = read_credential(client, reply);
        }
        return r < 0 ? r : client->uid == (uid_t) -1 ? -ENODATA : 0;
}

static int ask_daemon(Client *client) {
        sd_bus *sd = client->connection->sd;
        sd_bus_message *question = NULL, *reply = NULL;
        int r = sd_bus_message_new_method_call(sd, &question, BUS_DAEMON, BUS_DAEMON_PATH, BUS_DAEMON,
                                               "GetConnectionCredentials");

        if (r >= 0) {
                r = sd_bus_message_append_basic(question, 's', client->name);
        }
        if (r >= 0) {
                r = sd_bus_call(sd, question, DAEMON_TIMEOUT, /* reterr_error= */ NULL, &reply);
        }
        if (r >= 0) {
                r = read_credentials(client, reply);
        }
        sd_bus_message_unref(question);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int client_new_from_bus(Connection *connection, const char *name, Client **ret) {
        Client *client;
        int r = client_new(connection, &client);

        if (r < 0) {
                return r;
        }
        client->name = talloc_strdup(client, name);
        r = client->name ? ask_daemon(client) : -ENOMEM;
        if (r < 0) {
                talloc_free(client);
                return r;
        }
        client_known(client);
        *ret = client;
        return 0;
}

/* ---- From the kernel ---- */

static int read_peer(Client *client, int fd) {
        struct ucred ucred;
        socklen_t size = sizeof(ucred);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0) {
                return errno_negative();
        }
        client->uid = ucred.uid;
        client->pid = ucred.pid;
        client->groups = talloc_array(client, gid_t, GROUPS_MAX + 1);
        if (!client->groups) {
                return -ENOMEM;
        }
        client->groups[0] = ucred.gid;
        size = GROUPS_MAX * sizeof(gid_t);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, client->groups + 1, &size) < 0) {
                return errno_negative();
        }
        client->n_groups = size / sizeof(gid_t) + 1;
        client->groups = talloc_realloc(client, client->groups, gid_t, (unsigned) client->n_groups);
        return client->groups ? 0 : -ENOMEM;
}

int client_new_from_socket(Connection *connection, int fd, Client **ret) {
        Client *client;
        int r = client_new(connection, &client);

        if (r >= 0) {
                r = read_peer(client, fd);
                if (r < 0) {
                        talloc_free(client);
                }
        }
        if (r < 0) {
                return r;
        }
        client_known(client);
        *ret = client;
        return 0;
}

/* ---- What it sees ---- */

static size_t find_grant(const Client *client, const char *name) {
        size_t i = 0;

        while (i < client->n_granted && strcmp(client->granted[i], name) != 0) {
                i++;
        }
        return i;
}

bool client_sees_all_of(const Client *client, uint32_t owner) {
        return client->privileged || client->sees_all || client->uid == owner;
}

bool client_sees_of(const Client *client, const Domain *domain, uint32_t owner) {
        return client_sees_all_of(client, owner) ||
               find_grant(client, domain_name(domain)) < client->n_granted;
}

bool client_sees(const Client *client, const Domain *domain) {
        return client_sees_of(client, domain, domain_owner(domain));
}

static void drop_grant(Client *client, size_t i) {
        talloc_free(client->granted[i]);
        client->n_granted--;
        memmove(&client->granted[i], &client->granted[i + 1],
                (client->n_granted - i) * sizeof(*client->granted));
}

int client_grant(Client *client, const char *name) {
        char *copy;

        if (!name) {
                client->sees_all = true;
                return 0;
        }
        if (find_grant(client, name) < client->n_granted) {
                return 0;
        }
        if (!client->granted) {
                client->granted = talloc_array(client, char *, CLIENT_GRANTS_MAX);
        }
        copy = client->granted ? talloc_strdup(client->granted, name) : NULL;
        if (!copy) {
                return -ENOMEM;
        }
        if (client->n_granted == CLIENT_GRANTS_MAX) {
                drop_grant(client, 0);
        }
        client->granted[client->n_granted++] = copy;
        return 0;
}

void client_revoke(Client *client, const char *name) {
        size_t i;

        if (!name) {
                client->sees_all = false;
                client->n_granted = 0;
                TALLOC_FREE(client->granted);
                return;
        }
        i = find_grant(client, name);
        if (i < client->n_granted) {
                drop_grant(client, i);
        }
}

bool client_is_remembered(const Client *client) {
        return client->subscribed || client->sees_all || client->n_granted > 0 ||
               !list_is_empty(&client->calls);
}

/* ---- As a peer ---- */

static bool is_member(const Client *client, gid_t gid) {
        for (size_t i = 0; i < client->n_groups; i++) {
                if (client->groups[i] == gid) {
                        return true;
                }
        }
        return false;
}

static void copy_text(char *ret, size_t size, const char *text) {
        if (text && strlen(text) < size) {
                memcpy(ret, text, strlen(text) + 1);
        }
}

/* What the process is by now. By then its PID may be another's: what follows from it must fit what is known for certain. */
static void describe_process(const Client *client, sd_bus_creds *creds, ControlPeer *ret) {
        const char *unit = NULL, *label = NULL;
        uid_t uid;
        gid_t gid;

        if (sd_bus_creds_get_euid(creds, &uid) < 0 || uid != client->uid) {
                return;
        }
        if (sd_bus_creds_get_egid(creds, &gid) >= 0 && is_member(client, gid)) {
                ret->gid = gid;
        }
        (void) sd_bus_creds_get_unit(creds, &unit);
        (void) sd_bus_creds_get_selinux_context(creds, &label);
        copy_text(ret->unit, sizeof(ret->unit), unit);
        copy_text(ret->label, sizeof(ret->label), label);
}

void client_describe(const Client *client, ControlPeer *ret) {
        const uint64_t mask = SD_BUS_CREDS_EUID | SD_BUS_CREDS_EGID | SD_BUS_CREDS_UNIT |
                              SD_BUS_CREDS_SELINUX_CONTEXT;
        sd_bus_creds *creds = NULL;

        *ret = (ControlPeer){ .uid = client->uid, .gid = (uint32_t) -1, .pid = client->pid };
        if (client->pid > 0 && sd_bus_creds_new_from_pid(&creds, client->pid, mask) >= 0) {
                describe_process(client, creds, ret);
        }
        sd_bus_creds_unref(creds);
}
