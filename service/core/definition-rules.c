/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom a setting names: one user or group, or lists of users, groups and patterns. Whom they match is admission's
 * business. */

#include "service/base/error.h"
#include "service/core/definition-keys.h"
#include "service/core/text.h"
#include "service/core/utf8.h"

#include <string.h>
#include <talloc.h>

#define BLANKS " \t"

/* A shell pattern that is one bracket expression and nothing else, such as "[Access]": it would match one character.
 * *ret_open: a bracket expression is not closed. */
static bool pattern_is_bracket(const char *pattern, bool *ret_open) {
        const char *close, *c = pattern;

        *ret_open = false;
        while ((c = strchr(c, '['))) {
                const char *members = c + 1;

                members += *members == '!' || *members == '^';
                close = *members ? strchr(members + 1, ']') : NULL;
                if (!close) {
                        *ret_open = true;
                        return false;
                }
                if (c == pattern && close[1] == '\0') {
                        return true;
                }
                c = close + 1;
        }
        return false;
}

static const char *pattern_fault(const char *pattern) {
        bool open;

        if (pattern_is_bracket(pattern, &open)) {
                return "matches a single character only; if it is a section, begin it in the first column";
        }
        return open ? "has a [ that is not closed; write [[] for the character itself" : NULL;
}

static const char *principal_fault(const char *name) {
        if (name[0] == '-') {
                return "begins with a dash; write a name or a number";
        }
        return name[strcspn(name, "/:,*?[]\"'")] ? "is neither a name nor a number; separate names by blanks"
                                                 : NULL;
}

/* What is wrong with an entry whatever its kind, and with one of its kind. NULL: nothing. */
static const char *entry_fault(RuleKind kind, const char *text) {
        size_t length = strlen(text);

        if (length == 0 || text[strcspn(text, BLANKS)] || utf8_check(text, length, NULL) != UTF8_OK) {
                return "is not one word of plain text";
        }
        if (length > RULE_TEXT_MAX) {
                return "is too long; 128 bytes are allowed";
        }
        if (text[0] == '#' || text[0] == ';') {
                return "looks like a comment; comments have lines of their own";
        }
        if (strchr(text, '=')) {
                return "contains '='; if it is a key, begin it in the first column";
        }
        return kind == RULE_USER || kind == RULE_GROUP ? principal_fault(text) : pattern_fault(text);
}

/* The number that a user or group is written as, or PRINCIPAL_UNRESOLVED for a name. The largest number means "no
 * user" to the kernel. */
static int principal_number(const char *text, uint32_t *ret) {
        int r = number_parse(text, UINT32_MAX - 1, ret);

        if (r == -EINVAL) {
                *ret = PRINCIPAL_UNRESOLVED;
                return 0;
        }
        return r;
}

static int rule_init(void *ctx, const DefinitionKey *key, const char *text, AccessRule *ret,
                     char **ret_error) {
        AccessRule rule = { .kind = key->rule, .id = PRINCIPAL_UNRESOLVED };
        const char *fault = entry_fault(key->rule, text);

        if (!fault && (key->rule == RULE_USER || key->rule == RULE_GROUP) &&
            principal_number(text, &rule.id) < 0) {
                fault = "is beyond the last number, 4294967294";
        }
        if (fault) {
                return definition_refuse(ctx, ret_error, "%s=%s %s", key->name, text, fault);
        }
        rule.text = talloc_strdup(ctx, text);
        if (!rule.text) {
                return -ENOMEM;
        }
        *ret = rule;
        return 0;
}

/* A rule whose text differs is another one. Of equal texts one may be resolved and the other not yet. */
static bool rule_equal(const AccessRule *a, const AccessRule *b) {
        if (!a->text || !b->text) {
                return a->text == b->text;
        }
        return a->kind == b->kind && strcmp(a->text, b->text) == 0 &&
               (a->id == b->id || a->id == PRINCIPAL_UNRESOLVED || b->id == PRINCIPAL_UNRESOLVED);
}

static int principal_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                           char **ret_error) {
        AccessRule rule, *principal = field;
        int r = rule_init(ctx, key, text, &rule, ret_error);

        if (r < 0) {
                return r;
        }
        talloc_free(principal->text);
        *principal = rule;
        return 0;
}

/* root is a number on each system, and needs no lookup. */
static int owner_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                       char **ret_error) {
        AccessRule *owner = field;
        int r = principal_parse(ctx, key, text, field, ret_error);

        if (r == 0 && strcmp(owner->text, key->standard) == 0) {
                owner->id = 0;
        }
        return r;
}

static int principal_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        const AccessRule *principal = field;

        if (!principal->text) {
                return 0;
        }
        *ret = talloc_strdup(ctx, principal->text);
        return *ret ? 0 : -ENOMEM;
}

static bool principal_equal(const DefinitionKey *key, const void *a, const void *b) {
        return rule_equal(a, b);
}

static void principal_clear(const DefinitionKey *key, void *field) {
        AccessRule *principal = field;

        talloc_free(principal->text);
        *principal = (AccessRule){ 0 };
}

const ValueType value_owner = { .parse = owner_parse, .print = principal_print, .equal = principal_equal };
const ValueType value_principal = { .parse = principal_parse,
                                    .print = principal_print,
                                    .equal = principal_equal,
                                    .clear = principal_clear };

/* Adds a rule behind those of its kind and of the kinds before. */
static int rules_insert(void *ctx, RuleSet *set, const AccessRule *rule) {
        AccessRule *rules = talloc_realloc(ctx, set->rules, AccessRule, set->n_rules + 1);
        size_t position = set->n_rules;

        if (!rules) {
                return -ENOMEM;
        }
        while (position > 0 && rules[position - 1].kind > rule->kind) {
                position--;
        }
        memmove(rules + position + 1, rules + position, (set->n_rules - position) * sizeof(*rules));
        rules[position] = *rule;
        set->rules = rules;
        set->n_rules++;
        return 0;
}

static int rules_add(void *ctx, const DefinitionKey *key, const char *text, RuleSet *set, char **ret_error) {
        AccessRule rule;
        int r;

        if (set->n_rules >= DEFINITION_RULES_MAX) {
                return definition_refuse(
                        ctx, ret_error, "%s=%s is one too many; all lists together have room for %u entries",
                        key->name, text, DEFINITION_RULES_MAX);
        }
        r = rule_init(ctx, key, text, &rule, ret_error);
        if (r < 0) {
                return r;
        }
        r = rules_insert(ctx, set, &rule);
        if (r < 0) {
                talloc_free(rule.text);
        }
        return r;
}

static int rules_parse(void *ctx, const DefinitionKey *key, const char *text, void *field,
                       char **ret_error) {
        char *words = talloc_strdup(ctx, text), *rest = words, *word;
        size_t n = 0;
        int r = words ? 0 : -ENOMEM;

        while (r == 0 && (word = strsep(&rest, BLANKS))) {
                if (*word) {
                        r = rules_add(ctx, key, word, field, ret_error);
                        n++;
                }
        }
        talloc_free(words);
        if (r == 0 && n == 0) {
                return definition_refuse(ctx, ret_error,
                                         "%s= names nobody; give an entry on this line, or remove it",
                                         key->name);
        }
        return r;
}

static int rules_print(void *ctx, const DefinitionKey *key, const void *field, char **ret) {
        const RuleSet *set = field;
        char *text = NULL;

        for (size_t i = 0; i < set->n_rules; i++) {
                const AccessRule *rule = &set->rules[i];

                if (rule->kind != key->rule || !rule->text) {
                        continue;
                }
                text = text ? talloc_asprintf_append_buffer(text, " %s", rule->text)
                            : talloc_strdup(ctx, rule->text);
                if (!text) {
                        return -ENOMEM;
                }
        }
        *ret = text;
        return 0;
}

/* The next rule of a kind from *i on, NULL when there is none. */
static const AccessRule *rules_next(const RuleSet *set, RuleKind kind, size_t *i) {
        while (*i < set->n_rules) {
                const AccessRule *rule = &set->rules[(*i)++];

                if (rule->kind == kind) {
                        return rule;
                }
        }
        return NULL;
}

static bool rules_equal(const DefinitionKey *key, const void *a, const void *b) {
        const AccessRule *one, *other;
        size_t i = 0, j = 0;

        do {
                one = rules_next(a, key->rule, &i);
                other = rules_next(b, key->rule, &j);
        } while (one && other && rule_equal(one, other));
        return !one && !other;
}

/* Takes out the rules of the key's kind. */
static void rules_clear(const DefinitionKey *key, void *field) {
        RuleSet *set = field;
        size_t n = 0;

        for (size_t i = 0; i < set->n_rules; i++) {
                if (set->rules[i].kind == key->rule) {
                        talloc_free(set->rules[i].text);
                } else {
                        set->rules[n++] = set->rules[i];
                }
        }
        set->n_rules = n;
}

const ValueType value_rules = {
        .parse = rules_parse, .print = rules_print, .equal = rules_equal, .clear = rules_clear
};
