/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A method call in flight: read, authorised, carried out, answered, in this order. It is a chunk of its client and ends
 * with it: what was begun for it goes on unheard, what polkit was asked is called off.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "dbus/authz.h"
#include "dbus/client.h"
#include "dbus/settings.h"
#include "dbus/vtable.h"
#include "service/manager/manager.h"

typedef struct Bus Bus;
typedef struct PolkitQuery PolkitQuery;

/* Calls that wait for something, of one user and of all. One that is answered at once is not counted. */
#define CALLS_PER_USER_MAX 1024U
#define CALLS_MAX 4096U

/* What was read from the message; texts are the message's. */
typedef struct Arguments {
        const char *name;    /* of a domain that exists or that is to be made */
        const char *section; /* of a peer */
        Settings settings;
        bool flag;
        uint32_t uid;
        uint32_t vm_id;
        uint32_t vector;
} Arguments;

struct Call {
        List link; /* in its client's list */
        Client *client;
        sd_bus_message *message;
        const Interface *interface;
        const Method *method;
        const AuthzRow *row; /* NULL: nobody may */
        Arguments arguments;
        const char *domain; /* the name of the one that it is about; NULL: none */
        uint32_t owner;     /* whose it was when the call was authorised; UINT32_MAX: there was none */
        bool waits;         /* counted */
        AuthzCase question;
        PolkitQuery *query;
        Operation *operation;
};

/* Takes a call of an interface; `domain` (may be NULL) is the object's that it came to. The result is what a handler of
 * sd-bus returns. */
int call_take(Connection *connection, sd_bus_message *message, const Interface *interface,
              const Domain *domain, sd_bus_error *error);

/* What methods use; each but call_find() and the first two ends the call, now or later. */

Bus *call_bus(const Call *call);
Manager *call_manager(const Call *call);

/* The domain that the call is about: the one that was authorised for. NULL when it is not there (any more), after having
 * ended the call. */
Domain *call_find(Call *call);

/* Sends a reply with these values, like sd_bus_reply_method_return(). */
void call_reply(Call *call, const char *types, ...);

/* Sends a reply that was made with sd_bus_message_new_method_return(). A negative `error` of making it is sent instead. */
void call_reply_message(Call *call, sd_bus_message *reply, int error);

void call_fail(Call *call, const Failure *failure);

/* Begins an operation on the domain that the call is about; its end is the call's. */
void call_begin_operation(Call *call, const Request *request);

/* Removes that domain's definition. A method of both interfaces. */
void call_remove(Call *call);
