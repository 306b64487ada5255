/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings as callers send them (a{sv}) and as the manager takes them: key and text. What a key means the manager knows;
 * here it is seen to that what comes is bounded, of a type that makes sense for the key, and text of one line.
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

#include "service/manager/manager.h"

/* Bounds on one message; a definition cannot be larger anyway. */
#define SETTINGS_MAX 8192U
#define SETTINGS_SECTION_MAX 64U          /* of one section */
#define SETTINGS_BYTES_MAX (256U * 1024U) /* of keys and values together */

typedef struct Settings {
        Setting *settings;
        size_t n;
        bool owner;   /* "Owner" is among them */
        bool peers;   /* "Peers" is, be it an empty list */
        size_t bytes; /* that they take in their message, about */
} Settings;

/*
 * Reads an a{sv} at the message's position. `section` is that of a [Peer] section, NULL for the domain's own, among which
 * "Peers", a(sa{sv}), is a [Peer] section each. What is made is a chunk of `ctx`. -EREMOTEIO with *ret_failure, which
 * names the key; -ENOMEM; a negative errno when the message is no such thing.
 */
int settings_read(void *ctx, sd_bus_message *message, const char *section, Settings *ret,
                  Failure *ret_failure);
