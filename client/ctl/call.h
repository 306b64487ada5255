/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asking the manager: calls that say what went wrong in the words of the verb, and the exit status for it. */
#pragma once

#include <systemd/sd-bus.h>

#include "client/ctl/ctl.h"

#define cleanup_message __attribute__((cleanup(sd_bus_message_unrefp)))
#define cleanup_error __attribute__((cleanup(sd_bus_error_free)))

/* Which object of the manager, and as what. */
typedef struct Target {
        const char *path;
        const char *interface;
} Target;

extern const Target manager_target;

/*
 * Calls a method of the manager, or of the object of a domain. `what` is what is being done ("list domains"), for "Failed
 * to ...". *ret may be NULL. It waits as long as it takes; polkit may ask for a password.
 */
ExitStatus call(Ctl *ctl, const Target *target, const char *member, const char *what, sd_bus_message **ret,
                const char *types, ...);

/* The same in two steps, for arguments that are no basic types. */
ExitStatus call_new(Ctl *ctl, const Target *target, const char *member, sd_bus_message **ret);
ExitStatus call_send(Ctl *ctl, sd_bus_message *message, const char *what, sd_bus_message **ret);

/* The object of a domain, after asking whether there is one. */
ExitStatus call_find_domain(Ctl *ctl, const char *name, Target *ret);

/* All properties of an object's interface. The caller puts them. */
ExitStatus call_properties(Ctl *ctl, const Target *target, const char *what, json_object **ret);

/* Those of a domain. */
ExitStatus call_domain_properties(Ctl *ctl, const char *name, json_object **ret);

/* Has the manager send signals. */
ExitStatus call_subscribe(Ctl *ctl);

/* Whether a signal is the manager's, after call_subscribe(): anybody on a bus can send one to us alone, whatever the match
 * says. */
bool call_is_from_manager(const Ctl *ctl, sd_bus_message *message);

/* Says what an error of the bus means. For a message that could not be read, `error` is NULL and `r` the errno. */
ExitStatus call_failed(const Ctl *ctl, const char *what, const sd_bus_error *error, int r);

/* Whether a signal is to be heard of: the same match on the bus and on a private socket. */
ExitStatus call_match(Ctl *ctl, const char *interface, const char *member, sd_bus_message_handler_t callback,
                      void *userdata);

/* The domain that an object is; NULL: it is none. A chunk of `ctx`. */
char *call_domain_of(const void *ctx, const char *path);
