/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Settings of a domain as they are sent to the manager: keys of ivshmem.domain(5) with their values as texts. What they
 * may be is the manager's to judge. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

typedef struct Setting Setting;
typedef struct Settings Settings;

struct Setting {
        char *peer; /* the name of its [Peer] section; NULL: of [Domain] or [Access] */
        char *key;
        char *value;
        unsigned line; /* of the text that it was read from; 0: of none */
};

struct Settings {
        Setting *list;
        size_t n;
        bool all_peers; /* the [Peer] sections are all that there shall be, be it none */
};

Settings *settings_new(const void *ctx);

/* Texts are copied. What is there already is replaced. */
void settings_set(Settings *settings, const char *peer, const char *key, const char *value);

/* The same, but a list goes on with one more entry. */
void settings_extend(Settings *settings, const char *peer, const char *key, const char *value);

/* NULL: it is not there. The pointer is good until the next change. */
Setting *settings_find(const Settings *settings, const char *peer, const char *key);

/* Its value; NULL: it is not there. */
const char *settings_get(const Settings *settings, const char *peer, const char *key);

/* "KEY=VALUE". -EINVAL: it is not of this form. */
int settings_parse(Settings *settings, const char *text);

/* "NAME:KEY=VALUE,KEY=VALUE...", a [Peer] section. A comma separates where a key and "=" follow, and is a part of the value
 * elsewhere, as in labels. -EINVAL: it is not of this form; -EEXIST: the section is there already. */
int settings_parse_peer(Settings *settings, const char *text);

/* As a{sv}, with a key "Peers", which is a(sa{sv}), when there are [Peer] sections, or shall be none. */
int settings_append(const Settings *settings, sd_bus_message *message);

/* Those of one [Peer] section as a{sv}. */
int settings_append_peer(const Settings *settings, const char *peer, sd_bus_message *message);
