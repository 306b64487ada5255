/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A list of settings, from the command line or a definition's text, and its form on the bus. */

#include "client/ctl/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/memory.h"

Settings *settings_new(const void *ctx) {
        return need(talloc_zero(ctx, Settings));
}

static bool same(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

Setting *settings_find(const Settings *settings, const char *peer, const char *key) {
        for (size_t i = 0; i < settings->n; i++) {
                if (same(settings->list[i].peer, peer) && strcmp(settings->list[i].key, key) == 0) {
                        return &settings->list[i];
                }
        }
        return NULL;
}

static Setting *find_or_add(Settings *settings, const char *peer, const char *key) {
        Setting *setting = settings_find(settings, peer, key);

        if (!setting) {
                settings->list = need(
                        talloc_realloc(settings, settings->list, Setting, (unsigned) settings->n + 1));
                setting = &settings->list[settings->n++];
                *setting = (Setting){
                        .peer = peer ? text_new(settings, "%s", peer) : NULL,
                        .key = text_new(settings, "%s", key),
                };
        }
        return setting;
}

void settings_set(Settings *settings, const char *peer, const char *key, const char *value) {
        find_or_add(settings, peer, key)->value = text_new(settings, "%s", value);
}

void settings_extend(Settings *settings, const char *peer, const char *key, const char *value) {
        Setting *setting = find_or_add(settings, peer, key);

        setting->value = setting->value && *setting->value
                                 ? text_new(settings, "%s %s", setting->value, value)
                                 : text_new(settings, "%s", value);
}

const char *settings_get(const Settings *settings, const char *peer, const char *key) {
        const Setting *setting = settings_find(settings, peer, key);

        return setting ? setting->value : NULL;
}

/* The length of the key at the start of a text, with "=" behind it; 0: there is none. */
static size_t key_length(const char *text) {
        size_t n = 0;

        while (isalnum((unsigned char) text[n])) {
                n++;
        }
        return n > 0 && isupper((unsigned char) text[0]) && text[n] == '=' ? n : 0;
}

int settings_parse(Settings *settings, const char *text) {
        size_t n = key_length(text);
        char *key;

        if (n == 0) {
                return -EINVAL;
        }
        key = text_new(settings, "%.*s", (int) n, text);
        settings_set(settings, NULL, key, text + n + 1);
        return 0;
}

/* Up to the comma that separates it from the next one. */
static size_t pair_length(const char *text) {
        size_t n = 0;

        while (text[n] && !(text[n] == ',' && key_length(text + n + 1) > 0)) {
                n++;
        }
        return n;
}

static bool has_peer(const Settings *settings, const char *peer) {
        for (size_t i = 0; i < settings->n; i++) {
                if (same(settings->list[i].peer, peer)) {
                        return true;
                }
        }
        return false;
}

int settings_parse_peer(Settings *settings, const char *text) {
        const char *colon = strchr(text, ':');
        char *peer;

        if (!colon || colon == text) {
                return -EINVAL;
        }
        peer = text_new(settings, "%.*s", (int) (colon - text), text);
        if (has_peer(settings, peer)) {
                return -EEXIST;
        }
        text = colon + 1;
        do {
                size_t n = key_length(text), length = pair_length(text);
                char *key, *value;

                if (n == 0) {
                        return -EINVAL;
                }
                key = text_new(settings, "%.*s", (int) n, text);
                value = text_new(settings, "%.*s", (int) (length - n - 1), text + n + 1);
                settings_extend(settings, peer, key, value);
                text += length;
        } while (*text++);
        return 0;
}

int settings_append_peer(const Settings *settings, const char *peer, sd_bus_message *message) {
        int r = sd_bus_message_open_container(message, 'a', "{sv}");

        for (size_t i = 0; i < settings->n && r >= 0; i++) {
                if (same(settings->list[i].peer, peer)) {
                        r = sd_bus_message_append(message, "{sv}", settings->list[i].key, "s",
                                                  settings->list[i].value);
                }
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static bool is_first_of_peer(const Settings *settings, size_t i) {
        const char *peer = settings->list[i].peer;

        for (size_t j = 0; j < i; j++) {
                if (same(settings->list[j].peer, peer)) {
                        return false;
                }
        }
        return peer != NULL;
}

static int append_peers(const Settings *settings, sd_bus_message *message) {
        int r = sd_bus_message_open_container(message, 'e', "sv");

        r = r < 0 ? r : sd_bus_message_append(message, "s", "Peers");
        r = r < 0 ? r : sd_bus_message_open_container(message, 'v', "a(sa{sv})");
        r = r < 0 ? r : sd_bus_message_open_container(message, 'a', "(sa{sv})");
        for (size_t i = 0; i < settings->n && r >= 0; i++) {
                if (is_first_of_peer(settings, i)) {
                        r = sd_bus_message_open_container(message, 'r', "sa{sv}");
                        r = r < 0 ? r : sd_bus_message_append(message, "s", settings->list[i].peer);
                        r = r < 0 ? r : settings_append_peer(settings, settings->list[i].peer, message);
                        r = r < 0 ? r : sd_bus_message_close_container(message);
                }
        }
        for (int level = 0; level < 3 && r >= 0; level++) {
                r = sd_bus_message_close_container(message);
        }
        return r;
}

int settings_append(const Settings *settings, sd_bus_message *message) {
        bool peers = settings->all_peers;
        int r = sd_bus_message_open_container(message, 'a', "{sv}");

        for (size_t i = 0; i < settings->n && r >= 0; i++) {
                peers |= settings->list[i].peer != NULL;
                if (!settings->list[i].peer) {
                        r = sd_bus_message_append(message, "{sv}", settings->list[i].key, "s",
                                                  settings->list[i].value);
                }
        }
        if (peers && r >= 0) {
                r = append_peers(settings, message);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}
