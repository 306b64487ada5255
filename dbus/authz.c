/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of who may do what, and nothing that acts on it. */

#include "dbus/authz.h"

#include <string.h>

#include "dbus/names.h"

#define MANAGER(name) .interface = BUS_MANAGER_INTERFACE, .member = (name)
#define DOMAIN(name) .interface = BUS_DOMAIN_INTERFACE, .member = (name)

/* What an owner needs to make, start and change; but for making he may all of it without a polkit, too. */
#define MANAGE .own = AUTHZ_MANAGE_OWN, .other = AUTHZ_MANAGE
#define MANAGE_PEERS .own = AUTHZ_MANAGE_OWN, .other = AUTHZ_MANAGE_PEERS, .owner_alone = true

static const AuthzRow authz_table[] = {
        /* Nobody owns yet what is not made yet. Without a polkit only root makes domains. */
        { MANAGER("CreateDomain"), MANAGE },
        { MANAGER("RemoveDomain"), MANAGE, .owner_alone = true },
        { MANAGER("StartDomain"), MANAGE, .owner_alone = true },
        { MANAGER("StopDomain"), MANAGE, .owner_alone = true },
        { MANAGER("GetDomain"), .other = AUTHZ_INSPECT, .grants = true },
        { MANAGER("ListDomains"), .other = AUTHZ_INSPECT, .optional = true, .grants = true },
        /* [Access] of the domain has the last word. */
        { MANAGER("OpenDomain"), .other = AUTHZ_CONNECT },
        { MANAGER("GetLimits"), .other = AUTHZ_INSPECT },
        { MANAGER("Reload"), .own = AUTHZ_MANAGE, .other = AUTHZ_MANAGE },
        { MANAGER("Subscribe"), .other = AUTHZ_INSPECT, .optional = true, .grants = true },
        { MANAGER("Unsubscribe") },

        { DOMAIN("Start"), MANAGE, .owner_alone = true },
        { DOMAIN("Stop"), MANAGE, .owner_alone = true },
        { DOMAIN("Restart"), MANAGE, .owner_alone = true },
        { DOMAIN("Remove"), MANAGE, .owner_alone = true },
        { DOMAIN("Set"), MANAGE, .owner_alone = true },
        /* Who sees the object may look at it. */
        { DOMAIN("GetDefinition") },
        { DOMAIN("ListPeers") },
        { DOMAIN("EvictPeer"), MANAGE_PEERS },
        { DOMAIN("Ring"), MANAGE_PEERS },
        /* Whoever has the memory has all that is in it. */
        { DOMAIN("OpenMemory"), MANAGE, .owner_alone = true },
        { DOMAIN("ReservePeer"), MANAGE_PEERS },
        { DOMAIN("ReleasePeer"), MANAGE_PEERS },
};

#define N_ROWS (sizeof(authz_table) / sizeof(*authz_table))

const AuthzRow *authz_row(size_t i) {
        return i < N_ROWS ? &authz_table[i] : NULL;
}

const AuthzRow *authz_find(const char *interface, const char *member) {
        for (size_t i = 0; i < N_ROWS; i++) {
                const AuthzRow *row = &authz_table[i];

                if (strcmp(row->interface, interface) == 0 && strcmp(row->member, member) == 0) {
                        return row;
                }
        }
        return NULL;
}

/* What an owner needs a right for. */
bool authz_is_change(const AuthzRow *row) {
        return row && row->own;
}

const char *authz_action(const AuthzRow *row, const AuthzCase *question) {
        return question->own ? row->own : row->other;
}

AuthzVerdict authz_decide(const AuthzRow *row, const AuthzCase *question) {
        if (!row) {
                return AUTHZ_DENY;
        }
        return question->privileged || !authz_action(row, question) ? AUTHZ_ALLOW : AUTHZ_ASK;
}

bool authz_without_polkit(const AuthzRow *row, const AuthzCase *question) {
        return question->own && row->owner_alone;
}
