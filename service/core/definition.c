/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A definition as a value: its names, defaults, comparison, and the numbers of the users and groups that it names. */

#include "service/core/definition.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <talloc.h>

#include "service/core/definition-keys.h"

const char *const log_level_names[8] = {
        [LOG_ERR] = "err",   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

const char *const huge_pages_names[_HUGE_PAGES_MAX] = {
        [HUGE_PAGES_NONE] = "no",
        [HUGE_PAGES_2M] = "2M",
        [HUGE_PAGES_1G] = "1G",
};

const char *const numa_policy_names[_NUMA_POLICY_MAX] = {
        [NUMA_POLICY_BIND] = "bind",
        [NUMA_POLICY_PREFERRED] = "preferred",
        [NUMA_POLICY_INTERLEAVE] = "interleave",
};

const char *const keep_names[_KEEP_MAX] = {
        [KEEP_UNTIL_STOPPED] = "until-stopped",
        [KEEP_UNTIL_IDLE] = "until-idle",
        [KEEP_ALWAYS] = "always",
};

const char *const topology_names[_TOPOLOGY_MAX] = {
        [TOPOLOGY_MESH] = "mesh",
        [TOPOLOGY_STAR] = "star",
};

const char *const rule_kind_names[_RULE_KIND_MAX] = {
        [RULE_USER] = "User", [RULE_GROUP] = "Group", [RULE_MACHINE] = "Machine",
        [RULE_UNIT] = "Unit", [RULE_LABEL] = "Label",
};

uint64_t huge_pages_size(HugePages huge_pages) {
        static const uint64_t sizes[_HUGE_PAGES_MAX] = {
                [HUGE_PAGES_NONE] = 4096,
                [HUGE_PAGES_2M] = UINT64_C(1) << 21,
                [HUGE_PAGES_1G] = UINT64_C(1) << 30,
        };

        return sizes[huge_pages];
}

int definition_new(void *ctx, Definition **ret) {
        Definition *definition = talloc_zero(ctx, Definition);
        int r;

        if (!definition) {
                return -ENOMEM;
        }
        r = definition_section_init(definition, SECTION_DOMAIN, definition);
        if (r >= 0) {
                r = definition_section_init(definition, SECTION_ACCESS, definition);
        }
        if (r < 0) {
                talloc_free(definition);
                return r;
        }
        *ret = definition;
        return 0;
}

static bool key_equal(const DefinitionKey *key, const void *a, const void *b) {
        return key->type->equal(key, definition_key_value(key, a), definition_key_value(key, b));
}

static bool reservation_equal(const Reservation *a, const Reservation *b) {
        DEFINITION_KEY_FOREACH(key) {
                if (key->section == SECTION_PEER && !key_equal(key, a, b)) {
                        return false;
                }
        }
        return strcmp(a->name, b->name) == 0;
}

bool definition_equal(const Definition *a, const Definition *b) {
        DEFINITION_KEY_FOREACH(key) {
                if (key->section != SECTION_PEER && !key_equal(key, a, b)) {
                        return false;
                }
        }
        if (a->n_reservations != b->n_reservations) {
                return false;
        }
        for (size_t i = 0; i < a->n_reservations; i++) {
                if (!reservation_equal(&a->reservations[i], &b->reservations[i])) {
                        return false;
                }
        }
        return true;
}

static const Reservation *reservation_find(const Definition *definition, const char *name) {
        for (size_t i = 0; i < definition->n_reservations; i++) {
                if (strcmp(definition->reservations[i].name, name) == 0) {
                        return &definition->reservations[i];
                }
        }
        return NULL;
}

/* Whether a key has another value in a [Peer] section that both definitions have. */
static bool peer_key_changed(const DefinitionKey *key, const Definition *running,
                             const Definition *reloaded) {
        for (size_t i = 0; i < running->n_reservations; i++) {
                const Reservation *old = &running->reservations[i];
                const Reservation *new = reservation_find(reloaded, old->name);

                if (new && !key_equal(key, old, new)) {
                        return true;
                }
        }
        return false;
}

const char **definition_fixed_changes(void *ctx, const Definition *running, const Definition *reloaded) {
        const char **changes = talloc_zero_array(ctx, const char *, definition_key_count + 1);
        size_t n = 0;

        if (!changes) {
                return NULL;
        }
        DEFINITION_KEY_FOREACH(key) {
                bool peer = key->section == SECTION_PEER;

                if (key->fixed &&
                    (peer ? peer_key_changed(key, running, reloaded) : !key_equal(key, running, reloaded))) {
                        changes[n++] = key->name;
                }
        }
        return changes;
}

/* A lookup under way: where the name stands, and where complaints go. */
typedef struct Resolver {
        void *ctx;
        const PrincipalLookup *lookup;
        const char *section;
        const char *peer; /* the name beside the section's, or "" */
        char **ret_error;
} Resolver;

static int principal_refuse(const Resolver *resolver, const char *key, const AccessRule *rule, int error) {
        int r = definition_refuse(
                resolver->ctx, resolver->ret_error,
                error == -ENOENT ? "[%s%s%s] %s=%s: there is no such %s on this system; create it, or "
                                   "take it out"
                                 : "[%s%s%s] %s=%s: this %s cannot be looked up now",
                resolver->section, *resolver->peer ? " " : "", resolver->peer, key, rule->text,
                rule->kind == RULE_USER ? "user" : "group");

        return r == -EINVAL ? error : r;
}

static int principal_resolve(const Resolver *resolver, const char *key, AccessRule *rule) {
        int (*find)(const char *, uint32_t *, void *) = rule->kind == RULE_USER    ? resolver->lookup->user
                                                        : rule->kind == RULE_GROUP ? resolver->lookup->group
                                                                                   : NULL;
        uint32_t id;
        int r;

        if (!find || !rule->text || rule->id != PRINCIPAL_UNRESOLVED) {
                return 0;
        }
        r = find(rule->text, &id, resolver->lookup->userdata);
        if (r < 0) {
                return principal_refuse(resolver, key, rule, r);
        }
        rule->id = id;
        return 0;
}

static int rules_resolve(const Resolver *resolver, RuleSet *set) {
        for (size_t i = 0; i < set->n_rules; i++) {
                int r = principal_resolve(resolver, rule_kind_names[set->rules[i].kind], &set->rules[i]);

                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int definition_resolve(void *ctx, Definition *definition, const PrincipalLookup *lookup, char **ret_error) {
        Resolver resolver = { ctx, lookup, section_names[SECTION_DOMAIN], "", ret_error };
        int r = principal_resolve(&resolver, "Owner", &definition->owner);

        if (r >= 0) {
                r = principal_resolve(&resolver, "PathUser", &definition->path_user);
        }
        if (r >= 0) {
                r = principal_resolve(&resolver, "PathGroup", &definition->path_group);
        }
        if (r >= 0) {
                resolver.section = section_names[SECTION_ACCESS];
                r = rules_resolve(&resolver, &definition->access);
        }
        resolver.section = section_names[SECTION_PEER];
        for (size_t i = 0; i < definition->n_reservations && r >= 0; i++) {
                resolver.peer = definition->reservations[i].name;
                r = rules_resolve(&resolver, &definition->reservations[i].match);
        }
        return r;
}
