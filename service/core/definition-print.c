/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A definition as canonical text: keys in the order of the table, defaults left out, long lists folded. */

#include <stdarg.h>
#include <string.h>
#include <talloc.h>

#include "service/core/definition-keys.h"

/* Lists are folded where the next entry would pass this column. */
#define FOLD_COLUMN 100U
#define FOLD_INDENT "        "

/* Appends, and forgets the text when there is no memory for it. */
static void append(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char **text, const char *format, ...) {
        va_list arguments;

        if (!*text) {
                return;
        }
        va_start(arguments, format);
        *text = talloc_vasprintf_append_buffer(*text, format, arguments);
        va_end(arguments);
}

/* Appends "KEY=ENTRY ENTRY", going on in indented lines. */
static void append_list(char **text, const char *key, char *entries) {
        size_t column = strlen(key) + 1;
        char *entry;

        append(text, "%s=", key);
        for (bool first = true; (entry = strsep(&entries, " ")); first = false) {
                size_t length = strlen(entry);

                if (!first && column + 1 + length > FOLD_COLUMN) {
                        append(text, "\n" FOLD_INDENT "%s", entry);
                        column = strlen(FOLD_INDENT) + length;
                } else {
                        append(text, "%s%s", first ? "" : " ", entry);
                        column += length + !first;
                }
        }
        append(text, "\n");
}

/* The lines of a section's keys as a chunk of `ctx`, NULL when out of memory. */
static char *section_print(void *ctx, DefinitionSection section, const void *base) {
        char *text = talloc_strdup(ctx, "");

        DEFINITION_KEY_FOREACH(key) {
                char *value = NULL;

                if (!text || key->section != section) {
                        continue;
                }
                if (definition_key_print(ctx, key, base, &value) < 0) {
                        return NULL;
                }
                if (value && key->type == &value_rules) {
                        append_list(&text, key->name, value);
                } else if (value) {
                        append(&text, "%s=%s\n", key->name, value);
                }
                talloc_free(value);
        }
        return text;
}

static void append_section(void *tmp, char **text, DefinitionSection section, const Reservation *peer,
                           const void *base) {
        char *body = section_print(tmp, section, base);

        if (!body) {
                *text = NULL;
                return;
        }
        if (peer) {
                append(text, "%s[%s %s]\n%s", *text && **text ? "\n" : "", section_names[section],
                       peer->name, body);
        } else if (*body) {
                append(text, "%s[%s]\n%s", *text && **text ? "\n" : "", section_names[section], body);
        }
        talloc_free(body);
}

char *definition_print(void *ctx, const Definition *definition) {
        void *tmp = talloc_new(ctx);
        char *text;

        if (!tmp) {
                return NULL;
        }
        text = talloc_strdup(tmp, "");
        append_section(tmp, &text, SECTION_DOMAIN, NULL, definition);
        append_section(tmp, &text, SECTION_ACCESS, NULL, definition);
        for (size_t i = 0; i < definition->n_reservations && text; i++) {
                append_section(tmp, &text, SECTION_PEER, &definition->reservations[i],
                               &definition->reservations[i]);
        }
        text = talloc_steal(ctx, text);
        talloc_free(tmp);
        return text;
}
