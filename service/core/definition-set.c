/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing single settings of a definition, as programs do. Values are read by the same functions as those of files. */

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/core/definition-keys.h"

int definition_copy(void *ctx, const Definition *definition, Definition **ret) {
        char *text = definition_print(ctx, definition), *error = NULL;
        int r;

        if (!text) {
                return -ENOMEM;
        }
        r = definition_parse(ctx, "definition", text, strlen(text), ret, &error);
        talloc_free(text);
        talloc_free(error);
        return r;
}

/* ---- [Peer] sections ---- */

static Reservation *peer_find(const Definition *definition, const char *name) {
        for (size_t i = 0; i < definition->n_reservations; i++) {
                if (strcmp(definition->reservations[i].name, name) == 0) {
                        return &definition->reservations[i];
                }
        }
        return NULL;
}

static int peer_add(void *ctx, Definition *definition, const char *name, Reservation **ret,
                    char **ret_error) {
        Reservation *reservations, *peer;
        int r;

        if (!reservation_name_is_valid(name)) {
                return definition_refuse(
                        ctx, ret_error,
                        "'%s' is no name for a peer; write letters, digits, '_', '.' and '-', %u at most",
                        name, RESERVATION_NAME_MAX);
        }
        if (definition->n_reservations >= DEFINITION_RULES_MAX) {
                return definition_refuse(ctx, ret_error, "[Peer %s] is one too many; %u are allowed", name,
                                         DEFINITION_RULES_MAX);
        }
        reservations = talloc_realloc(definition, definition->reservations, Reservation,
                                      definition->n_reservations + 1);
        if (!reservations) {
                return -ENOMEM;
        }
        definition->reservations = reservations;
        peer = &reservations[definition->n_reservations];
        *peer = (Reservation){ .name = talloc_strdup(definition, name), .vm_id = VM_ID_UNSET };
        r = peer->name ? definition_section_init(definition, SECTION_PEER, peer) : -ENOMEM;
        if (r < 0) {
                return r;
        }
        definition->n_reservations++;
        *ret = peer;
        return 0;
}

static void rules_free(RuleSet *set) {
        for (size_t i = 0; i < set->n_rules; i++) {
                talloc_free(set->rules[i].text);
        }
        talloc_free(set->rules);
}

static void peer_free(Reservation *peer) {
        rules_free(&peer->match);
        talloc_free(peer->name);
}

void definition_remove_peers(Definition *definition) {
        while (definition->n_reservations > 0) {
                peer_free(&definition->reservations[--definition->n_reservations]);
        }
}

bool definition_remove_peer(Definition *definition, const char *name) {
        Reservation *peer = peer_find(definition, name);
        size_t behind;

        if (!peer) {
                return false;
        }
        peer_free(peer);
        behind = definition->n_reservations - (size_t) (peer - definition->reservations) - 1;
        memmove(peer, peer + 1, behind * sizeof(*peer));
        definition->n_reservations--;
        return true;
}

/* ---- Keys ---- */

static const DefinitionKey *key_find(const char *peer, const char *name) {
        return peer ? definition_key_find(SECTION_PEER, name)
                    : definition_key_find(SECTION_DOMAIN, name) ?: definition_key_find(SECTION_ACCESS, name);
}

static int refuse_key(void *ctx, const char *peer, const char *name, char **ret_error) {
        const DefinitionKey *guess = peer ? definition_key_guess(SECTION_PEER, name)
                                          : definition_key_guess(SECTION_DOMAIN, name)
                                                    ?: definition_key_guess(SECTION_ACCESS, name);

        if (!guess) {
                return definition_refuse(ctx, ret_error,
                                         "%s= is no setting; ivshmem.domain(5) lists the keys", name);
        }
        if ((guess->section == SECTION_PEER) != (peer != NULL)) {
                return definition_refuse(ctx, ret_error, "%s= belongs to [%s]", name,
                                         section_names[guess->section]);
        }
        return definition_refuse(ctx, ret_error, "%s= is no setting; is %s= meant?", name, guess->name);
}

static int key_set(void *ctx, Definition *definition, const DefinitionKey *key, void *base,
                   const char *value, char **ret_error) {
        void *field = definition_key_field(key, base);
        const char *text = *value ? value : key->standard;

        if (!text && !key->type->clear) {
                return definition_refuse(ctx, ret_error, "%s= has no default; give a value", key->name);
        }
        if (!text || key->type == &value_rules) {
                key->type->clear(key, field);
        }
        return text ? key->type->parse(definition, key, text, field, ret_error) : 0;
}

int definition_set(void *ctx, Definition *definition, const char *peer, const char *name, const char *value,
                   char **ret_error) {
        const DefinitionKey *key = key_find(peer, name);
        Reservation *reservation = NULL;
        char *error = NULL;
        int r = 0;

        if (!key) {
                return refuse_key(ctx, peer, name, ret_error);
        }
        if (peer) {
                reservation = peer_find(definition, peer);
                r = reservation ? 0 : peer_add(ctx, definition, peer, &reservation, ret_error);
        }
        if (r < 0) {
                return r;
        }
        r = key_set(ctx, definition, key, reservation ? (void *) reservation : definition, value, &error);
        if (error) {
                *ret_error = talloc_steal(ctx, error);
        }
        return r;
}
