/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of keys, in canonical order, and what follows from a row alone. */

#include "service/core/definition-keys.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <talloc.h>

#include "service/core/limits.h"

/* What is longer is no misspelt key. */
#define NAME_MAX_GUESSED 20U

const char *const section_names[_SECTION_MAX] = {
        [SECTION_DOMAIN] = "Domain",
        [SECTION_ACCESS] = "Access",
        [SECTION_PEER] = "Peer",
};

#define DOMAIN_KEY(field) .section = SECTION_DOMAIN, .offset = offsetof(Definition, field)
#define ACCESS_KEY(field) .section = SECTION_ACCESS, .offset = offsetof(Definition, field)
#define PEER_KEY(field) .section = SECTION_PEER, .offset = offsetof(Reservation, field)
#define NAMES(table) .type = &value_names, .names = (table), .n_names = sizeof(table) / sizeof(*(table))

const DefinitionKey definition_key_table[] = {
        { "Description", DOMAIN_KEY(description), .type = &value_text },
        { "Owner", DOMAIN_KEY(owner), .type = &value_owner, .rule = RULE_USER, .standard = "root" },
        { "LogLevel", DOMAIN_KEY(log_level), NAMES(log_level_names), .standard = "info" },
        { "Size", DOMAIN_KEY(size), .type = &value_size, .fixed = true },
        { "HugePages", DOMAIN_KEY(huge_pages), NAMES(huge_pages_names), .standard = "no", .fixed = true },
        { "NUMANodes", DOMAIN_KEY(numa_nodes), .type = &value_nodes, .fixed = true },
        { "NUMAPolicy", DOMAIN_KEY(numa_policy), NAMES(numa_policy_names), .standard = "bind",
          .needs = "NUMANodes", .fixed = true },
        { "Prefault", DOMAIN_KEY(prefault), .type = &value_boolean, .standard = "no", .fixed = true },
        { "Path", DOMAIN_KEY(path), .type = &value_path, .fixed = true },
        { "PathUser", DOMAIN_KEY(path_user), .type = &value_principal, .rule = RULE_USER, .needs = "Path",
          .fixed = true },
        { "PathGroup", DOMAIN_KEY(path_group), .type = &value_principal, .rule = RULE_GROUP, .needs = "Path",
          .fixed = true },
        { "PathMode", DOMAIN_KEY(path_mode), .type = &value_mode, .standard = "0600", .needs = "Path",
          .fixed = true },
        { "PathLabel", DOMAIN_KEY(path_label), .type = &value_text, .needs = "Path", .fixed = true },
        { "Keep", DOMAIN_KEY(keep), NAMES(keep_names), .standard = "until-stopped", .fixed = true },
        { "WipeWhenIdle", DOMAIN_KEY(wipe_when_idle), .type = &value_boolean, .standard = "no",
          .fixed = true },
        { "Vectors", DOMAIN_KEY(vectors), .type = &value_number, .min = 1, .max = VECTORS_MAX,
          .standard = "1", .fixed = true },
        { "MaxPeers", DOMAIN_KEY(max_peers), .type = &value_number, .min = 1, .max = VM_IDS_MAX,
          .standard = "16", .fixed = true },
        { "Topology", DOMAIN_KEY(topology), NAMES(topology_names), .standard = "mesh", .fixed = true },

        { "User", ACCESS_KEY(access), .type = &value_rules, .rule = RULE_USER },
        { "Group", ACCESS_KEY(access), .type = &value_rules, .rule = RULE_GROUP },
        { "Machine", ACCESS_KEY(access), .type = &value_rules, .rule = RULE_MACHINE },
        { "Unit", ACCESS_KEY(access), .type = &value_rules, .rule = RULE_UNIT },
        { "Label", ACCESS_KEY(access), .type = &value_rules, .rule = RULE_LABEL },
        { "PeersPerUser", ACCESS_KEY(peers_per_user), .type = &value_number, .max = VM_IDS_MAX,
          .standard = "0" },
        { "ConnectRate", ACCESS_KEY(connect_rate), .type = &value_number, .max = CONNECT_RATE_MAX,
          .standard = "100" },

        { "VMID", PEER_KEY(vm_id), .type = &value_number, .max = VM_IDS_MAX - 1, .fixed = true },
        { "Master", PEER_KEY(master), .type = &value_boolean, .standard = "no" },
        { "User", PEER_KEY(match), .type = &value_rules, .rule = RULE_USER },
        { "Group", PEER_KEY(match), .type = &value_rules, .rule = RULE_GROUP },
        { "Machine", PEER_KEY(match), .type = &value_rules, .rule = RULE_MACHINE },
        { "Unit", PEER_KEY(match), .type = &value_rules, .rule = RULE_UNIT },
        { "Label", PEER_KEY(match), .type = &value_rules, .rule = RULE_LABEL },
};

const size_t definition_key_count = sizeof(definition_key_table) / sizeof(*definition_key_table);

static_assert(sizeof(definition_key_table) / sizeof(*definition_key_table) <= DEFINITION_KEYS_MAX,
              "arrays that are indexed like the table are too small");

/* Names are stored in these fields as int. */
static_assert(sizeof(HugePages) == sizeof(int) && sizeof(NumaPolicy) == sizeof(int) &&
                      sizeof(Keep) == sizeof(int) && sizeof(Topology) == sizeof(int),
              "an enum is not as wide as an int");

bool definition_key(size_t i, const char **ret_section, const char **ret_key, const char **ret_default) {
        if (i >= definition_key_count) {
                return false;
        }
        *ret_section = section_names[definition_key_table[i].section];
        *ret_key = definition_key_table[i].name;
        *ret_default = definition_key_table[i].standard;
        return true;
}

const DefinitionKey *definition_key_find(DefinitionSection section, const char *name) {
        DEFINITION_KEY_FOREACH(key) {
                if (key->section == section && strcmp(key->name, name) == 0) {
                        return key;
                }
        }
        return NULL;
}

/* How many letters must be changed, added or removed to get from one name to the other (Levenshtein), whatever their
 * case. For names below NAME_MAX_GUESSED. */
static size_t name_distance(const char *a, const char *b) {
        size_t row[NAME_MAX_GUESSED], length = strlen(b);

        for (size_t j = 0; j <= length; j++) {
                row[j] = j;
        }
        for (size_t i = 1; a[i - 1]; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= length; j++) {
                        size_t least = diagonal + (tolower((unsigned char) a[i - 1]) !=
                                                   tolower((unsigned char) b[j - 1]));

                        diagonal = row[j];
                        least = diagonal + 1 < least ? diagonal + 1 : least;
                        row[j] = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
                }
        }
        return row[length];
}

const DefinitionKey *definition_key_guess(DefinitionSection section, const char *name) {
        const DefinitionKey *guess = NULL;
        size_t least = 3;

        if (strlen(name) >= NAME_MAX_GUESSED) {
                return NULL;
        }
        DEFINITION_KEY_FOREACH(key) {
                size_t distance = name_distance(name, key->name);

                bool near = key->section == section ? distance * 2 <= strlen(key->name) : distance == 0;

                /* Short names are near to everything, so half of the letters at most may differ. */
                if (near && distance < least) {
                        guess = key;
                        least = distance;
                }
        }
        return guess;
}

int definition_key_print(void *ctx, const DefinitionKey *key, const void *base, char **ret) {
        char *text = NULL;
        int r = key->type->print(ctx, key, definition_key_value(key, base), &text);

        if (r < 0) {
                return r;
        }
        if (text && key->standard && strcmp(text, key->standard) == 0) {
                talloc_free(text);
                text = NULL;
        }
        *ret = text;
        return 0;
}

int definition_section_init(void *ctx, DefinitionSection section, void *base) {
        DEFINITION_KEY_FOREACH(key) {
                char *error = NULL;
                int r;

                if (key->section != section || !key->standard) {
                        continue;
                }
                r = key->type->parse(ctx, key, key->standard, definition_key_field(key, base), &error);
                assert(!error);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int definition_refuse(void *ctx, char **ret_error, const char *format, ...) {
        va_list arguments;
        char *error;

        va_start(arguments, format);
        error = talloc_vasprintf(ctx, format, arguments);
        va_end(arguments);
        if (!error) {
                return -ENOMEM;
        }
        *ret_error = error;
        return -EINVAL;
}
