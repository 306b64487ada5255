/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one way from a text to a definition that cannot fail without failing the test. */

#include "tests/unit/definitions.h"

#include <string.h>

#include "tests/unit/testing.h"

Definition *definition_of(void *ctx, const char *text) {
        Definition *definition = NULL;
        char *error = NULL;

        if (definition_parse(ctx, "f", text, strlen(text), &definition, &error) < 0) {
                fail_msg("%s", error);
        }
        return definition;
}
