/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a definition: refused in one readable line with a line number, or something that is valid and survives
 * printing and parsing. Nothing is left behind. */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/core/definition.h"
#include "service/core/utf8.h"
#include "tests/fuzz/fuzz.h"

/* "fuzz:LINE: ...", text that can be shown on one line. Tabs may come from the input. */
static void check_error(char *error) {
        unsigned long line;
        char *end;

        FUZZ_CHECK(strncmp(error, "fuzz:", 5) == 0);
        line = strtoul(error + 5, &end, 10);
        FUZZ_CHECK(line >= 1 && isdigit((unsigned char) error[5]));
        FUZZ_CHECK(strncmp(end, ": ", 2) == 0 && end[2]);
        for (char *c = error; (c = strchr(c, '\t')); c++) {
                *c = ' ';
        }
        FUZZ_CHECK(utf8_check(error, strlen(error), NULL) == UTF8_OK);
}

/* Some names exist, others do not. */
static int lookup(const char *name, uint32_t *ret, void *userdata) {
        if (strlen(name) % 8 == 7) {
                return -ENOENT;
        }
        *ret = (uint32_t) strlen(name);
        return 0;
}

static void check_resolve(void *ctx, Definition *definition) {
        const PrincipalLookup principals = { .user = lookup, .group = lookup };
        char *error = NULL;
        int r = definition_resolve(ctx, definition, &principals, &error);

        FUZZ_CHECK(r == 0 || (r == -ENOENT && error));
        FUZZ_CHECK(r == 0 || utf8_check(error, strlen(error), NULL) == UTF8_OK);
        for (size_t i = 0; r == 0 && i < definition->access.n_rules; i++) {
                const AccessRule *rule = &definition->access.rules[i];

                FUZZ_CHECK((rule->kind <= RULE_GROUP) == (rule->id != PRINCIPAL_UNRESOLVED));
        }
}

static void check_definition(void *ctx, Definition *definition) {
        char *error = NULL, *text = definition_print(ctx, definition), *text_again;
        const char **changes;
        Definition *again;

        FUZZ_CHECK(definition_validate(ctx, definition, &error) == 0);
        FUZZ_CHECK(text && strlen(text) <= DEFINITION_TEXT_MAX);
        FUZZ_CHECK(definition_parse(ctx, "again", text, strlen(text), &again, &error) == 0);
        FUZZ_CHECK(definition_equal(definition, again));
        text_again = definition_print(ctx, again);
        FUZZ_CHECK(text_again && strcmp(text, text_again) == 0);

        check_resolve(ctx, again);
        FUZZ_CHECK(definition_equal(definition, again));
        changes = definition_fixed_changes(ctx, definition, again);
        FUZZ_CHECK(changes && !changes[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        void *ctx = talloc_named_const(NULL, 0, "fuzz");
        Definition *definition = NULL;
        char *error = NULL;
        int r = definition_parse(ctx, "fuzz", (const char *) data, size, &definition, &error);

        FUZZ_CHECK(r == 0 || r == -EINVAL);
        if (r == 0) {
                FUZZ_CHECK(definition && !error);
                check_definition(ctx, definition);
        } else {
                FUZZ_CHECK(!definition && error);
                check_error(error);
                FUZZ_CHECK(talloc_total_blocks(ctx) == 2);
        }
        talloc_free(ctx);
        return 0;
}
