/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus with the fake manager, and clients of its private socket, all in one event loop. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "dbus/bus-parts.h"
#include "tests/bus/fake-manager.h"
#include "tests/lib/scratch.h"

typedef struct Stage Stage;

struct Stage {
        Scratch *scratch;
        Event *event;
        Manager *manager;
        Bus *bus;
        sd_bus *client;
        bool idle; /* as was told last */
        bool released;
};

/* -errno; with one client. */
int stage_new(void *ctx, Stage **ret);

/* Another client; the caller closes it. NULL when that failed. */
sd_bus *stage_connect(Stage *stage);

/* The side of the bus that the stage's client is. */
Client *stage_side(const Stage *stage);

/* As if the client were another user, neither root nor the bus's own. */
void stage_demote(const Stage *stage, uid_t uid);

/* Turns the loop until the condition holds; false when it does not hold within 10 seconds. */
bool stage_until(Stage *stage, bool (*holds)(void *userdata), void *userdata);

/* Turns the loop until nothing is left to do. */
void stage_settle(Stage *stage);

/*
 * Calls, and turns the loop until the answer is there: 0 with *ret_reply (may be NULL), or the negative errno of the error, with its
 * name in *ret_error (may be NULL), which sd_bus_error_free() frees.
 */
int stage_call(Stage *stage, const char *path, const char *interface, const char *member,
               sd_bus_message **ret_reply, sd_bus_error *ret_error, const char *types, ...);

/* The same with a message of the caller's, which it takes. */
int stage_send(Stage *stage, sd_bus_message *call, sd_bus_message **ret_reply, sd_bus_error *ret_error);
