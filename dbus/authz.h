/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what: one table from interface and member to polkit actions, and the rule by which it is read. Pure: asking polkit
 * is polkit.h's. What is not in the table nobody may.
 *
 * Root and the user that the manager runs as may everything. Others are asked about with the action of their row: one for
 * what belongs to themselves, one for what belongs to others or to nobody yet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define AUTHZ_INSPECT "org.ivshmem1.inspect"
#define AUTHZ_CONNECT "org.ivshmem1.connect"
#define AUTHZ_MANAGE_OWN "org.ivshmem1.manage-own"
#define AUTHZ_MANAGE "org.ivshmem1.manage"
#define AUTHZ_MANAGE_PEERS "org.ivshmem1.manage-peers"

typedef struct AuthzRow AuthzRow;

struct AuthzRow {
        const char *interface;
        const char *member;
        const char *own;   /* for what belongs to the caller; NULL: he may */
        const char *other; /* for all else; NULL: whoever sees it may */
        /* A caller whom polkit says no about gets what he may see, and no error. Polkit is not to ask anybody then. */
        bool optional;
        /* Who may inspect by this sees from then on, until his connection ends. */
        bool grants;
        /* Without a polkit an owner may do without. */
        bool owner_alone;
};

/* Who asks for what, as far as it matters here. */
typedef struct AuthzCase {
        bool privileged;
        bool own;
} AuthzCase;

typedef enum AuthzVerdict {
        AUTHZ_DENY,
        AUTHZ_ALLOW,
        AUTHZ_ASK, /* polkit, with authz_action() */
} AuthzVerdict;

/* NULL when there is none. */
const AuthzRow *authz_find(const char *interface, const char *member);

/* Whether it changes something, or gives the caller something to do so with: whoever did it is worth a log record. */
bool authz_is_change(const AuthzRow *row);

/* All rows, for tests and manuals; NULL after the last. */
const AuthzRow *authz_row(size_t i);

/* The action that decides; NULL when it takes none. */
const char *authz_action(const AuthzRow *row, const AuthzCase *question);

AuthzVerdict authz_decide(const AuthzRow *row, const AuthzCase *question);

/* What holds where there is no polkit to ask. */
bool authz_without_polkit(const AuthzRow *row, const AuthzCase *question);
