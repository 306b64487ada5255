/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is checked of a definition as a whole, as a list of checks; each names the key that is to blame. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <talloc.h>

#include "service/core/definition-keys.h"
#include "service/core/text.h"

typedef struct Checker Checker;

struct Checker {
        void *ctx; /* the fault's text goes here */
        void *tmp;
        const Definition *definition;
        DefinitionFault fault;
};

/* Blames a key (NULL: the section as such) of [Domain], [Access] or the peer's section. */
static int blame(Checker *checker, const DefinitionKey *key, const Reservation *peer, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

static int blame(Checker *checker, const DefinitionKey *key, const Reservation *peer, const char *format,
                 ...) {
        va_list arguments;
        char *text;

        va_start(arguments, format);
        text = talloc_vasprintf(checker->ctx, format, arguments);
        va_end(arguments);
        if (!text) {
                return -ENOMEM;
        }
        checker->fault = (DefinitionFault){ .key = key, .reservation = peer, .text = text };
        return -EINVAL;
}

static int blame_domain(Checker *checker, const char *key, const char *text) {
        return blame(checker, definition_key_find(SECTION_DOMAIN, key), NULL, "%s", text);
}

bool reservation_name_is_valid(const char *name) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
        size_t length = strlen(name);

        return length > 0 && length <= RESERVATION_NAME_MAX && name[strspn(name, allowed)] == '\0';
}

static int check_bounds(Checker *checker) {
        const Definition *definition = checker->definition;
        size_t n_rules = definition->access.n_rules;

        if (definition->n_reservations > DEFINITION_RULES_MAX) {
                return blame(checker, NULL, &definition->reservations[DEFINITION_RULES_MAX],
                             "there are more than %u [Peer] sections; merge some", DEFINITION_RULES_MAX);
        }
        for (size_t i = 0; i < definition->n_reservations; i++) {
                n_rules += definition->reservations[i].match.n_rules;
        }
        if (n_rules > DEFINITION_RULES_MAX) {
                return blame(
                        checker, NULL, NULL,
                        "all lists together have %zu entries, of which %u are allowed; use groups or patterns",
                        n_rules, DEFINITION_RULES_MAX);
        }
        return 0;
}

static int check_places(Checker *checker) {
        for (size_t i = 0; i < checker->definition->n_reservations; i++) {
                const Reservation *peer = &checker->definition->reservations[i];

                if (peer->vm_id == VM_ID_UNSET) {
                        return blame(checker, definition_key_find(SECTION_PEER, "VMID"), peer,
                                     "[Peer %s] has no VMID=; add it, as in VMID=0", peer->name);
                }
        }
        return 0;
}

/* Each value must be what its key reads: what is printed for it reads back as the same. */
static int check_value(Checker *checker, const DefinitionKey *key, const void *base,
                       const Reservation *peer) {
        struct {
                _Alignas(max_align_t) char bytes[sizeof(Definition)];
        } other = { 0 };
        void *scratch = &other;
        char *text = NULL, *error = NULL;
        int r = definition_key_print(checker->tmp, key, base, &text);

        if (r < 0) {
                return r;
        }
        if (!text && key->standard) {
                text = talloc_strdup(checker->tmp, key->standard);
                if (!text) {
                        return -ENOMEM;
                }
        }
        if (text) {
                r = key->type->parse(checker->tmp, key, text, definition_key_field(key, scratch), &error);
        }
        if (r == -EINVAL) {
                return blame(checker, key, peer, "%s", error);
        }
        if (r == 0 &&
            !key->type->equal(key, definition_key_value(key, base), definition_key_value(key, scratch))) {
                return blame(checker, key, peer, "%s= has a value that cannot be written down", key->name);
        }
        if (r == 0 && text && key->type != &value_rules &&
            strlen(key->name) + 1 + strlen(text) > DEFINITION_LINE_MAX) {
                return blame(checker, key, peer, "%s= is too long; a line has room for %u bytes", key->name,
                             DEFINITION_LINE_MAX);
        }
        return r;
}

static int check_values_of(Checker *checker, DefinitionSection section, const void *base,
                           const Reservation *peer) {
        DEFINITION_KEY_FOREACH(key) {
                int r = key->section == section ? check_value(checker, key, base, peer) : 0;

                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

static int check_values(Checker *checker) {
        const Definition *definition = checker->definition;
        int r = check_values_of(checker, SECTION_DOMAIN, definition, NULL);

        if (r == 0) {
                r = check_values_of(checker, SECTION_ACCESS, definition, NULL);
        }
        for (size_t i = 0; i < definition->n_reservations && r == 0; i++) {
                const Reservation *peer = &definition->reservations[i];

                r = check_values_of(checker, SECTION_PEER, peer, peer);
        }
        return r;
}

static int check_size(Checker *checker) {
        const Definition *definition = checker->definition;
        uint64_t page = huge_pages_size(definition->huge_pages);
        char size[SIZE_TEXT_MAX], least[SIZE_TEXT_MAX];

        if (definition->size == 0) {
                return blame_domain(checker, "Size", "Size= is missing; add it to [Domain], as in Size=64M");
        }
        if (definition->size >= page) {
                return 0;
        }
        size_format(definition->size, size);
        size_format(page, least);
        return blame(checker, definition_key_find(SECTION_DOMAIN, "Size"), NULL,
                     "Size=%s is less than one page; write at least %s", size, least);
}

/* A setting that would mean nothing. */
static int check_needs(Checker *checker) {
        DEFINITION_KEY_FOREACH(key) {
                const DefinitionKey *needed = key->needs ? definition_key_find(key->section, key->needs)
                                                         : NULL;
                char *text = NULL, *other = NULL;
                int r;

                if (!needed) {
                        continue;
                }
                r = definition_key_print(checker->tmp, key, checker->definition, &text);
                if (r == 0) {
                        r = definition_key_print(checker->tmp, needed, checker->definition, &other);
                }
                if (r < 0) {
                        return r;
                }
                if (text && !other) {
                        return blame(checker, key, NULL, DEFINITION_NEEDS_FORMAT, key->name, needed->name);
                }
        }
        return 0;
}

static int check_keep(Checker *checker) {
        if (checker->definition->keep == KEEP_ALWAYS && !checker->definition->path) {
                return blame_domain(
                        checker, "Keep",
                        "Keep=always needs Path=, for memory without a file ends with the domain");
        }
        return 0;
}

/* The peer with the same name or VM ID among those before this one. */
static int check_twins(Checker *checker, const Reservation *peer) {
        for (const Reservation *other = checker->definition->reservations; other < peer; other++) {
                if (strcmp(peer->name, other->name) == 0) {
                        return blame(checker, NULL, peer,
                                     "[Peer %s] is there twice; rename one, or join them", peer->name);
                }
                if (peer->vm_id == other->vm_id) {
                        return blame(checker, definition_key_find(SECTION_PEER, "VMID"), peer,
                                     "VMID=%" PRIu32 " is reserved by [Peer %s] already; choose another",
                                     peer->vm_id, other->name);
                }
        }
        return 0;
}

static int check_peer(Checker *checker, const Reservation *peer) {
        if (!reservation_name_is_valid(peer->name)) {
                return blame(
                        checker, NULL, peer,
                        "'%s' is no name for a peer; write letters, digits, '_', '.' and '-', %u at most",
                        peer->name, RESERVATION_NAME_MAX);
        }
        if (peer->vm_id >= checker->definition->max_peers) {
                return blame(checker, definition_key_find(SECTION_PEER, "VMID"), peer,
                             "VMID=%" PRIu32 " is not below MaxPeers=%" PRIu32 "; lower it, or raise that",
                             peer->vm_id, checker->definition->max_peers);
        }
        if (peer->match.n_rules == 0) {
                return blame(
                        checker, NULL, peer,
                        "[Peer %s] says not who may sit there; add User=, Group=, Machine=, Unit= or Label=",
                        peer->name);
        }
        if (peer->master && peer->vm_id != 0) {
                return blame(checker, definition_key_find(SECTION_PEER, "Master"), peer,
                             "Master=yes needs VMID=0, for QEMU lets no other peer be master");
        }
        return check_twins(checker, peer);
}

static int check_peers(Checker *checker) {
        int r = 0;

        for (size_t i = 0; i < checker->definition->n_reservations && r == 0; i++) {
                r = check_peer(checker, &checker->definition->reservations[i]);
        }
        return r;
}

int definition_check(void *ctx, const Definition *definition, DefinitionFault *ret_fault) {
        /* In this order: the bounds first, so that the work has one. The size asks for valid page sizes. */
        static int (*const checks[])(Checker *) = {
                check_bounds, check_places, check_values, check_size, check_needs, check_keep, check_peers,
        };
        Checker checker = { .ctx = ctx, .tmp = talloc_new(ctx), .definition = definition };
        int r = checker.tmp ? 0 : -ENOMEM;

        for (size_t i = 0; i < sizeof(checks) / sizeof(*checks) && r == 0; i++) {
                r = checks[i](&checker);
        }
        if (r == -EINVAL) {
                *ret_fault = checker.fault;
        }
        talloc_free(checker.tmp);
        return r;
}

int definition_validate(void *ctx, const Definition *definition, char **ret_error) {
        DefinitionFault fault;
        int r = definition_check(ctx, definition, &fault);

        if (r == -EINVAL) {
                *ret_error = fault.text;
        }
        return r;
}
