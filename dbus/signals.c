/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals, one message for each client that is told. */

#include "dbus/signals.h"

#include <errno.h>
#include <stdlib.h>
#include <talloc.h>

#include "dbus/bus-parts.h"
#include "dbus/names.h"
#include "dbus/owners.h"
#include "service/base/log.h"

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"
#define OBJECT_MANAGER_INTERFACE "org.freedesktop.DBus.ObjectManager"

/* After everything else of a turn, so that what happens in it is told together. */
#define FLUSH_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

#define NO_OWNER UINT32_MAX

typedef struct Change {
        Domain *domain;
        DomainChanges changes;
} Change;

struct Signals {
        Bus *bus;
        Change *changes; /* not told yet; a domain may be in it more than once */
        size_t n, size;
        EventSource *flush;
        Owners owners;
};

/* What a signal is about, and what goes into it. */
typedef struct Telling {
        Domain *domain;
        uint32_t owner;     /* who may see it if this is its owner... */
        uint32_t not_owner; /* ...and not if this was; NO_OWNER: whoever it was */
        const char *path;   /* of the domain */
        const char *object, *interface, *member;
        int (*append)(sd_bus_message *message, const struct Telling *telling);
        DomainChanges changes;
        const ControlPeer *peer;
        Refusal refusal;
        const char *text;
} Telling;

/* ---- Sending ---- */

static int tell_client(const Client *client, const Telling *telling) {
        sd_bus *sd = client->connection->sd;
        sd_bus_message *message = NULL;
        int r = sd_bus_message_new_signal(sd, &message, telling->object, telling->interface,
                                          telling->member);

        if (r >= 0 && client->name) {
                r = sd_bus_message_set_destination(message, client->name);
        }
        if (r >= 0) {
                r = telling->append(message, telling);
        }
        if (r >= 0) {
                r = sd_bus_send(sd, message, NULL);
        }
        sd_bus_message_unref(message);
        return r < 0 ? r : 0;
}

/* A client that reads nothing for so long misses what comes now; on a private connection it is not worth keeping. */
static void tell(const Client *client, const Telling *telling) {
        Connection *connection = client->connection;

        if (!client->subscribed || connection->gone ||
            !client_sees_of(client, telling->domain, telling->owner)) {
                return;
        }
        if (telling->not_owner != NO_OWNER && client_sees_all_of(client, telling->not_owner)) {
                return;
        }
        if (!connection_is_congested(connection)) {
                (void) tell_client(client, telling);
        } else if (connection->is_private) {
                bus_reap(connection->bus, connection);
        }
}

/* Tells those who see a domain that belongs to `owner`, but for those who would see it as one of `not_owner`'s: a grant
 * does not outlive the change. */
static void tell_some(Signals *signals, Telling *telling, uint32_t owner, uint32_t not_owner) {
        char *path;

        telling->owner = owner;
        telling->not_owner = not_owner;

        if (sd_bus_path_encode(BUS_DOMAIN_PATH, domain_name(telling->domain), &path) < 0) {
                return;
        }
        telling->path = path;
        telling->object = telling->object ?: path;
        LIST_FOREACH(i, &signals->bus->connections) {
                LIST_FOREACH(j, &list_entry(i, Connection, link)->clients) {
                        tell(list_entry(j, Client, link), telling);
                }
        }
        free(path);
}

static void tell_all(Signals *signals, Telling *telling) {
        tell_some(signals, telling, domain_owner(telling->domain), NO_OWNER);
}

static bool anybody_listens(const Bus *bus) {
        LIST_FOREACH(i, &bus->connections) {
                LIST_FOREACH(j, &list_entry(i, Connection, link)->clients) {
                        if (list_entry(j, Client, link)->subscribed) {
                                return true;
                        }
                }
        }
        return false;
}

/* ---- Properties ---- */

static int append_changed(sd_bus_message *message, const Telling *telling) {
        int r = sd_bus_message_append_basic(message, 's', domain_interface.name);

        if (r >= 0) {
                r = properties_append(message, &domain_interface, telling->domain, (int) telling->changes);
        }
        return r < 0 ? r : sd_bus_message_append(message, "as", 0);
}

static void tell_changed(Signals *signals, const Change *change) {
        Telling telling = {
                .domain = change->domain,
                .changes = change->changes,
                .interface = PROPERTIES_INTERFACE,
                .member = "PropertiesChanged",
                .append = append_changed,
        };

        tell_all(signals, &telling);
}

static int compare_changes(const void *a, const void *b) {
        const Change *left = a, *right = b;

        return (left->domain > right->domain) - (left->domain < right->domain);
}

/* Afterwards each domain is in it once. */
static void merge_changes(Signals *signals) {
        size_t n = 0;

        qsort(signals->changes, signals->n, sizeof(*signals->changes), compare_changes);
        for (size_t i = 0; i < signals->n; i++) {
                if (n > 0 && signals->changes[n - 1].domain == signals->changes[i].domain) {
                        signals->changes[n - 1].changes |= signals->changes[i].changes;
                } else {
                        signals->changes[n++] = signals->changes[i];
                }
        }
        signals->n = n;
}

static int on_flush(sd_event_source *source, void *userdata) {
        Signals *signals = talloc_get_type_abort(userdata, Signals);

        if (signals->n > 0) {
                merge_changes(signals);
        }
        for (size_t i = 0; i < signals->n; i++) {
                tell_changed(signals, &signals->changes[i]);
        }
        signals->n = 0;
        return 0;
}

static int make_room(Signals *signals) {
        size_t size = signals->size ? 2 * signals->size : 64;
        Change *changes;

        if (signals->n > 0) {
                merge_changes(signals);
        }
        if (2 * signals->n < signals->size) {
                return 0;
        }
        changes = talloc_realloc(signals, signals->changes, Change, size);
        if (!changes) {
                return -ENOMEM;
        }
        signals->changes = changes;
        signals->size = size;
        return 0;
}

static void gather_change(Signals *signals, Domain *domain, DomainChanges changes) {
        if (signals->n > 0 && signals->changes[signals->n - 1].domain == domain) {
                signals->changes[signals->n - 1].changes |= changes;
                return;
        }
        if (signals->n == signals->size && make_room(signals) < 0) {
                log_plain(LOG_ERR, "Out of memory: nobody is told that domain %s has changed",
                          domain_name(domain));
                return;
        }
        signals->changes[signals->n++] = (Change){ domain, changes };
        (void) event_source_arm_once(signals->flush);
}

static void forget_changes(Signals *signals, const Domain *domain) {
        size_t n = 0;

        for (size_t i = 0; i < signals->n; i++) {
                if (signals->changes[i].domain != domain) {
                        signals->changes[n++] = signals->changes[i];
                }
        }
        signals->n = n;
}

/* ---- Domains that come and go ---- */

static int append_domain(sd_bus_message *message, const Telling *telling) {
        return sd_bus_message_append(message, "so", domain_name(telling->domain), telling->path);
}

static int append_interfaces_added(sd_bus_message *message, const Telling *telling) {
        int r = sd_bus_message_append_basic(message, 'o', telling->path);

        if (r >= 0) {
                r = sd_bus_message_open_container(message, 'a', "{sa{sv}}");
        }
        if (r >= 0) {
                r = sd_bus_message_open_container(message, 'e', "sa{sv}");
        }
        if (r >= 0) {
                r = sd_bus_message_append_basic(message, 's', domain_interface.name);
        }
        if (r >= 0) {
                r = properties_append(message, &domain_interface, telling->domain, -1);
        }
        if (r >= 0) {
                r = sd_bus_message_close_container(message);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_interfaces_removed(sd_bus_message *message, const Telling *telling) {
        return sd_bus_message_append(message, "oas", telling->path, 1, domain_interface.name);
}

static void tell_appeared(Signals *signals, Domain *domain, uint32_t owner, uint32_t not_owner) {
        Telling object = {
                .domain = domain,
                .object = BUS_PATH,
                .interface = OBJECT_MANAGER_INTERFACE,
                .member = "InterfacesAdded",
                .append = append_interfaces_added,
        };
        Telling ours = {
                .domain = domain,
                .object = BUS_PATH,
                .interface = BUS_MANAGER_INTERFACE,
                .member = "DomainAdded",
                .append = append_domain,
        };

        tell_some(signals, &object, owner, not_owner);
        tell_some(signals, &ours, owner, not_owner);
}

static void tell_disappeared(Signals *signals, Domain *domain, uint32_t owner, uint32_t not_owner) {
        Telling object = {
                .domain = domain,
                .object = BUS_PATH,
                .interface = OBJECT_MANAGER_INTERFACE,
                .member = "InterfacesRemoved",
                .append = append_interfaces_removed,
        };
        Telling ours = {
                .domain = domain,
                .object = BUS_PATH,
                .interface = BUS_MANAGER_INTERFACE,
                .member = "DomainRemoved",
                .append = append_domain,
        };

        tell_some(signals, &object, owner, not_owner);
        tell_some(signals, &ours, owner, not_owner);
}

/* Out of memory its next owner is taken for the one that it always had. */
static void remember_owner(Domain *domain, void *userdata) {
        Signals *signals = talloc_get_type_abort(userdata, Signals);

        (void) owners_put(signals, &signals->owners, domain, domain_owner(domain));
}

static void on_domain_added(Domain *domain, void *userdata) {
        Signals *signals = talloc_get_type_abort(userdata, Signals);

        remember_owner(domain, signals);
        tell_appeared(signals, domain, domain_owner(domain), NO_OWNER);
}

/* What polkit said was about this one, not about another one by its name. */
static void forget_grants(const Bus *bus, const char *name) {
        LIST_FOREACH(i, &bus->connections) {
                LIST_FOREACH(j, &list_entry(i, Connection, link)->clients) {
                        client_revoke(list_entry(j, Client, link), name);
                }
        }
}

static void on_domain_removed(Domain *domain, void *userdata) {
        Signals *signals = talloc_get_type_abort(userdata, Signals);

        tell_disappeared(signals, domain, domain_owner(domain), NO_OWNER);
        owners_remove(&signals->owners, domain);
        forget_changes(signals, domain);
        forget_grants(signals->bus, domain_name(domain));
        bus_check_idle(signals->bus);
}

/* It is gone for those who saw it as its owners or were let see what was theirs, and there for its new ones. */
static void check_owner(Signals *signals, Domain *domain) {
        uint32_t now = domain_owner(domain), before = owners_get(&signals->owners, domain, now);

        if (now != before) {
                tell_disappeared(signals, domain, before, now);
                forget_grants(signals->bus, domain_name(domain));
                tell_appeared(signals, domain, now, before);
                remember_owner(domain, signals);
                bus_check_idle(signals->bus);
        }
}

static void on_domain_changed(Domain *domain, DomainChanges changes, void *userdata) {
        Signals *signals = talloc_get_type_abort(userdata, Signals);

        if (changes & DOMAIN_CHANGED_DEFINITION) {
                check_owner(signals, domain);
        }
        if (anybody_listens(signals->bus)) {
                gather_change(signals, domain, changes);
        }
}

/* ---- Peers ---- */

static int append_joined(sd_bus_message *message, const Telling *telling) {
        return sd_bus_message_append(message, "usu", telling->peer->vm_id, telling->peer->identity,
                                     telling->peer->uid);
}

static int append_left(sd_bus_message *message, const Telling *telling) {
        return sd_bus_message_append(message, "uss", telling->peer->vm_id, telling->peer->identity,
                                     telling->text);
}

static int append_refused(sd_bus_message *message, const Telling *telling) {
        return sd_bus_message_append(message, "uus", (uint32_t) telling->refusal, telling->peer->uid,
                                     telling->text);
}

static void on_peer_joined(Domain *domain, const ControlPeer *peer, void *userdata) {
        Telling telling = {
                .domain = domain,
                .interface = BUS_DOMAIN_INTERFACE,
                .member = "PeerJoined",
                .append = append_joined,
                .peer = peer,
        };

        tell_all(userdata, &telling);
}

static void on_peer_left(Domain *domain, const ControlPeer *peer, const char *why, void *userdata) {
        Telling telling = {
                .domain = domain,
                .interface = BUS_DOMAIN_INTERFACE,
                .member = "PeerLeft",
                .append = append_left,
                .peer = peer,
                .text = why,
        };

        tell_all(userdata, &telling);
}

static void on_peer_refused(Domain *domain, const ControlPeer *peer, Refusal refusal, const char *reason,
                            void *userdata) {
        Telling telling = {
                .domain = domain,
                .interface = BUS_DOMAIN_INTERFACE,
                .member = "PeerRefused",
                .append = append_refused,
                .peer = peer,
                .refusal = refusal,
                .text = reason,
        };

        tell_all(userdata, &telling);
}

static void on_busy_changed(bool busy, void *userdata) {
        Signals *signals = talloc_get_type_abort(userdata, Signals);

        bus_check_idle(signals->bus);
}

int signals_new(Bus *bus, Signals **ret) {
        const ManagerOps ops = {
                .domain_added = on_domain_added,
                .domain_removed = on_domain_removed,
                .domain_changed = on_domain_changed,
                .peer_joined = on_peer_joined,
                .peer_left = on_peer_left,
                .peer_refused = on_peer_refused,
                .busy_changed = on_busy_changed,
                .userdata = talloc_zero(bus, Signals),
        };
        Signals *signals = ops.userdata;
        int r;

        if (!signals) {
                return -ENOMEM;
        }
        signals->bus = bus;
        r = event_add_deferred(signals, bus->event, FLUSH_PRIORITY, on_flush, signals, &signals->flush);
        if (r < 0) {
                talloc_free(signals);
                return r;
        }
        manager_foreach(bus->manager, remember_owner, signals);
        manager_observe(bus->manager, &ops);
        *ret = signals;
        return 0;
}
