/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of a definition as one table, and the kinds of values that they have. Parsing, printing, checking and
 * comparing walk this table; a new key is a new row. For definition*.c only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/definition.h"

typedef struct DefinitionKey DefinitionKey;
typedef struct ValueType ValueType;

typedef enum DefinitionSection {
        SECTION_DOMAIN,
        SECTION_ACCESS,
        SECTION_PEER,
        _SECTION_MAX,
        _SECTION_INVALID = -22,
} DefinitionSection;

extern const char *const section_names[_SECTION_MAX];

/* A kind of value. A field is where it stands in a Definition, or in a Reservation for the keys of [Peer]. */
struct ValueType {
        /* Sets the field from text, or adds to a list. What it allocates belongs to `ctx`. -EINVAL with *ret_error (a
         * chunk of `ctx`), or -ENOMEM. */
        int (*parse)(void *ctx, const DefinitionKey *key, const char *text, void *field, char **ret_error);
        /* The canonical text as a chunk of `ctx`, NULL when the field is not set or holds what no text can say. */
        int (*print)(void *ctx, const DefinitionKey *key, const void *field, char **ret);
        bool (*equal)(const DefinitionKey *key, const void *a, const void *b);
        /* Makes the field as if nothing had been given. NULL for kinds whose keys always have a value. */
        void (*clear)(const DefinitionKey *key, void *field);
};

struct DefinitionKey {
        const char *name; /* without its section */
        DefinitionSection section;
        const ValueType *type;
        size_t offset;            /* of the field */
        const char *standard;     /* canonical text of the default; NULL: not set */
        const char *needs;        /* the key of the same section without which this one means nothing */
        const char *const *names; /* of names */
        size_t n_names;           /* of names */
        uint32_t min;             /* of numbers */
        uint32_t max;             /* of numbers */
        RuleKind rule;            /* of principals and lists */
        bool fixed;               /* a running domain cannot change it */
};

extern const DefinitionKey definition_key_table[];
extern const size_t definition_key_count;

/* As many keys as the table may have, for arrays that are indexed like it. */
#define DEFINITION_KEYS_MAX 48U

#define DEFINITION_KEY_FOREACH(key)                           \
        for (const DefinitionKey *key = definition_key_table; \
             key < definition_key_table + definition_key_count; key++)

extern const ValueType value_text, value_owner, value_principal, value_names, value_size, value_boolean,
        value_path, value_nodes, value_mode, value_number, value_rules;

/* The key of this name in this section, or NULL. */
const DefinitionKey *definition_key_find(DefinitionSection section, const char *name);

static inline size_t definition_key_index(const DefinitionKey *key) {
        return (size_t) (key - definition_key_table);
}

/* What may be meant by a name that is no key of this section: a key of it whose name is nearly the same, or the key of
 * another section. NULL when nothing comes near. */
const DefinitionKey *definition_key_guess(DefinitionSection section, const char *name);

/* For a key that stands without the one that it needs. */
#define DEFINITION_NEEDS_FORMAT "%s= means nothing without %s=; add that, or remove this"

/* The key's field. `base` is the Definition, for keys of [Peer] the Reservation. */
static inline void *definition_key_field(const DefinitionKey *key, void *base) {
        return (char *) base + key->offset;
}

static inline const void *definition_key_value(const DefinitionKey *key, const void *base) {
        return (const char *) base + key->offset;
}

/* What is printed for a key: NULL when it has its default or is not set. -ENOMEM. */
int definition_key_print(void *ctx, const DefinitionKey *key, const void *base, char **ret);

/* Sets the defaults of a section's keys; strings belong to `ctx`. -ENOMEM. */
int definition_section_init(void *ctx, DefinitionSection section, void *base);

/* What is wrong with a definition as a whole, and where. */
typedef struct DefinitionFault DefinitionFault;

struct DefinitionFault {
        const DefinitionKey *key;       /* that is to blame; NULL: the section as such */
        const Reservation *reservation; /* whose section it is; NULL: [Domain] or [Access] */
        char *text;
};

/* What definition_validate() checks. -EINVAL with a fault whose text is a chunk of `ctx`, or -ENOMEM. */
int definition_check(void *ctx, const Definition *definition, DefinitionFault *ret_fault);

/* Whether [A-Za-z0-9_.-]{1,64}. */
bool reservation_name_is_valid(const char *name);

/* Formats an error as a chunk of `ctx`. Returns -EINVAL, or -ENOMEM with *ret_error untouched. */
int definition_refuse(void *ctx, char **ret_error, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
