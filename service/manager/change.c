/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From settings that somebody sent to a definition that can be written down. The core's parser is the only judge of
 * values: what is written is parsed again, and must say the same. */

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/manager/manager-parts.h"
#include "service/manager/names.h"

/* More than one setting for each key of each section that a definition can have. */
#define SETTINGS_MAX 65536U

/* An error of the core as a failure. */
static int refuse(Failure *ret, int r, const char *error) {
        return r == -ENOMEM ? failure_errno(ret, r, "Cannot change the definition")
                            : failure_set(ret, FAILURE_INVALID_SETTING, "%s", error ?: strerror(-r));
}

static int apply(void *tmp, Definition *definition, const Setting *settings, size_t n_settings,
                 Failure *ret_failure) {
        if (n_settings > SETTINGS_MAX) {
                return failure_set(ret_failure, FAILURE_INVALID_SETTING, "%zu settings are too many at once",
                                   n_settings);
        }
        for (size_t i = 0; i < n_settings; i++) {
                char *error = NULL;
                int r = definition_set(tmp, definition, settings[i].section, settings[i].key,
                                       settings[i].value, &error);

                if (r < 0) {
                        return refuse(ret_failure, r, error);
                }
        }
        return 0;
}

/* Values were checked one by one, and together; this finds what no check has thought of. */
static int parse_again(void *tmp, const Definition *definition, char **ret_text, Failure *ret_failure) {
        char *text = definition_print(tmp, definition), *error = NULL;
        Definition *parsed;
        int r = text ? definition_parse(tmp, "definition", text, strlen(text), &parsed, &error) : -ENOMEM;

        if (r < 0) {
                return refuse(ret_failure, r, error);
        }
        if (!definition_equal(definition, parsed)) {
                return failure_set(ret_failure, FAILURE_INVALID_SETTING,
                                   "These settings cannot be written down as a definition");
        }
        *ret_text = text;
        return 0;
}

static int check(void *tmp, Definition *definition, char **ret_text, Failure *ret_failure) {
        char *error = NULL;
        int r = definition_validate(tmp, definition, &error);

        if (r < 0) {
                return refuse(ret_failure, r, error);
        }
        r = parse_again(tmp, definition, ret_text, ret_failure);
        if (r < 0) {
                return r;
        }
        r = definition_resolve(tmp, definition, &names_lookup, &error);
        return r < 0 ? refuse(ret_failure, r, error) : 0;
}

static void drop(Definition *definition, const Change *change) {
        if (change->drop_peers) {
                definition_remove_peers(definition);
        } else if (change->drop_peer) {
                (void) definition_remove_peer(definition, change->drop_peer);
        }
}

int change_definition(void *ctx, const Definition *from, const Change *change, Definition **ret,
                      char **ret_text, Failure *ret_failure) {
        void *tmp = talloc_new(ctx);
        Definition *definition;
        char *text;
        int r = !tmp   ? -ENOMEM
                : from ? definition_copy(tmp, from, &definition)
                       : definition_new(tmp, &definition);

        if (r < 0) {
                r = refuse(ret_failure, r, NULL);
        }
        if (r == 0) {
                drop(definition, change);
                r = apply(tmp, definition, change->settings, change->n_settings, ret_failure);
        }
        if (r == 0) {
                r = check(tmp, definition, &text, ret_failure);
        }
        if (r == 0) {
                *ret = talloc_steal(ctx, definition);
                *ret_text = talloc_steal(ctx, text);
        }
        talloc_free(tmp);
        return r;
}
