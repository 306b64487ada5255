/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Grants, asked about again one after the other. */

#include "dbus/renewal.h"

#include <errno.h>
#include <talloc.h>

#include "dbus/authz.h"
#include "dbus/bus-parts.h"

struct Renewal {
        Client *client;
        Polkit *polkit;
        char **names; /* of what is asked about in this round; all domains first, as NULL */
        size_t n, next;
        uint32_t owner; /* of the domain that is being asked about */
        bool again;     /* something has changed since the round began */
        PolkitQuery *query;
};

static void ask_next(Renewal *renewal);

static int add(Renewal *renewal, const char *name) {
        renewal->names[renewal->n] = name ? talloc_strdup(renewal->names, name) : NULL;
        if (name && !renewal->names[renewal->n]) {
                return -ENOMEM;
        }
        renewal->n++;
        return 0;
}

static int begin_round(Renewal *renewal) {
        const Client *client = renewal->client;
        int r = 0;

        TALLOC_FREE(renewal->names);
        renewal->n = renewal->next = 0;
        renewal->again = false;
        renewal->names = talloc_zero_array(renewal, char *, client->n_granted + 1);
        if (!renewal->names) {
                return -ENOMEM;
        }
        if (client->sees_all) {
                r = add(renewal, NULL);
        }
        for (size_t i = 0; i < client->n_granted && r >= 0; i++) {
                r = add(renewal, client->granted[i]);
        }
        return r;
}

static Domain *find(const Renewal *renewal, const char *name) {
        return name ? manager_find(renewal->client->connection->bus->manager, name) : NULL;
}

static void take_back(Client *client, const char *name) {
        if (name) {
                client_revoke(client, name);
        } else {
                client->sees_all = false;
        }
}

static void on_answer(PolkitAnswer answer, const char *text, void *userdata) {
        Renewal *renewal = talloc_get_type_abort(userdata, Renewal);
        const char *name = renewal->names[renewal->next++];
        const Domain *domain = find(renewal, name);

        renewal->query = NULL;
        if (answer != POLKIT_YES || (name && (!domain || domain_owner(domain) != renewal->owner))) {
                take_back(renewal->client, name);
        }
        ask_next(renewal);
}

static int ask(Renewal *renewal, const char *name) {
        const Domain *domain = find(renewal, name);
        const PolkitQuestion question = {
                .subject = renewal->client->name,
                .uid = renewal->client->uid,
                .action = AUTHZ_INSPECT,
                .domain = name,
                .unit = domain && *domain_unit(domain) ? domain_unit(domain) : NULL,
                .owner = domain ? domain_owner(domain) : UINT32_MAX,
        };

        if (name && !domain) {
                return -ENOENT;
        }
        renewal->owner = question.owner;
        return polkit_ask(renewal->polkit, renewal, &question, on_answer, renewal, &renewal->query);
}

static void end(Renewal *renewal) {
        Client *client = renewal->client;

        client->renewal = NULL;
        talloc_free(renewal);
        bus_check_idle(client->connection->bus);
}

static void ask_next(Renewal *renewal) {
        if (renewal->next == renewal->n && renewal->again && begin_round(renewal) < 0) {
                client_revoke(renewal->client, NULL);
        }
        for (; renewal->next < renewal->n; renewal->next++) {
                const char *name = renewal->names[renewal->next];

                if (ask(renewal, name) >= 0) {
                        return;
                }
                take_back(renewal->client, name);
        }
        end(renewal);
}

void renewal_begin(Polkit *polkit, Client *client) {
        Renewal *renewal = client->renewal;

        if (!client->sees_all && client->n_granted == 0) {
                return;
        }
        if (renewal) {
                renewal->again = true;
                return;
        }
        renewal = talloc_zero(client, Renewal);
        if (renewal) {
                renewal->client = client;
                renewal->polkit = polkit;
        }
        if (!renewal || begin_round(renewal) < 0) {
                talloc_free(renewal);
                client_revoke(client, NULL);
                return;
        }
        client->renewal = renewal;
        ask_next(renewal);
}
