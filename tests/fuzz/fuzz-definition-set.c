/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as settings that a tenant sends - section, key and value, each up to a NUL - for a definition that belongs to
 * user 1000. What is accepted as a whole can be written down and read back, says the same then, and has no more in it
 * than was set: the same owner, and [Peer] sections of no other names.
 */

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/core/definition.h"
#include "tests/fuzz/fuzz.h"

#define BASE "[Domain]\nOwner=1000\nSize=1M\n"
#define SETTINGS_MAX 32U

typedef struct Input {
        const char *at;
        const char *end;
        const char *peers[SETTINGS_MAX];
        size_t n;
        bool owner; /* it was set */
} Input;

/* The next string of the input, which ends with a NUL. NULL: there is none. */
static const char *next(Input *input) {
        const char *text = input->at;
        const char *end = input->at < input->end ? memchr(input->at, '\0', (size_t) (input->end - input->at))
                                                 : NULL;

        if (!end) {
                return NULL;
        }
        input->at = end + 1;
        return text;
}

static void check_error(char *error) {
        FUZZ_CHECK(error && *error);
        talloc_free(error);
}

/* False: it was refused, or there is none. */
static bool set_one(void *ctx, Definition *definition, Input *input) {
        const char *peer = next(input), *key = next(input), *value = next(input);
        char *error = NULL;
        int r;

        if (!value || input->n >= SETTINGS_MAX) {
                return false;
        }
        r = definition_set(ctx, definition, *peer ? peer : NULL, key, value, &error);
        FUZZ_CHECK(r == 0 || r == -EINVAL);
        if (r < 0) {
                check_error(error);
                return false;
        }
        FUZZ_CHECK(!error);
        input->owner |= !*peer && strcmp(key, "Owner") == 0;
        input->peers[input->n++] = peer;
        return true;
}

static bool is_known(const Input *input, const char *name) {
        for (size_t i = 0; i < input->n; i++) {
                if (strcmp(input->peers[i], name) == 0) {
                        return true;
                }
        }
        return false;
}

static void check_result(void *ctx, Definition *definition, const Input *input) {
        char *text = definition_print(ctx, definition), *error = NULL;
        Definition *again = NULL;

        FUZZ_CHECK(text);
        FUZZ_CHECK(definition_parse(ctx, "again", text, strlen(text), &again, &error) == 0);
        FUZZ_CHECK(definition_equal(definition, again));
        FUZZ_CHECK(input->owner || strcmp(again->owner.text, "1000") == 0);
        for (size_t i = 0; i < again->n_reservations; i++) {
                FUZZ_CHECK(is_known(input, again->reservations[i].name));
        }
        while (again->n_reservations > 0) {
                FUZZ_CHECK(definition_remove_peer(again, again->reservations[0].name));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        void *ctx = talloc_named_const(NULL, 0, "fuzz");
        Input input = { .at = (const char *) data, .end = (const char *) data + size };
        Definition *definition = NULL;
        char *error = NULL;
        int r;

        FUZZ_CHECK(definition_parse(ctx, "base", BASE, strlen(BASE), &definition, &error) == 0);
        while (set_one(ctx, definition, &input)) {
        }
        r = definition_validate(ctx, definition, &error);
        FUZZ_CHECK(r == 0 || r == -EINVAL);
        if (r == 0) {
                check_result(ctx, definition, &input);
        } else {
                check_error(error);
        }
        talloc_free(ctx);
        return 0;
}
