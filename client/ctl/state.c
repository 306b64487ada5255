/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables and patterns; nothing is asked here. */

#include "client/ctl/state.h"

#include <fnmatch.h>
#include <string.h>

static const struct {
        const char *state;
        Colour colour;
} states[] = {
        { "running", COLOUR_GOOD },     { "stopped", COLOUR_FAINT }, { "starting", COLOUR_WARNING },
        { "stopping", COLOUR_WARNING }, { "failed", COLOUR_BAD },
};

bool state_exists(const char *state) {
        for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
                if (strcmp(states[i].state, state) == 0) {
                        return true;
                }
        }
        return false;
}

Colour state_colour(const char *state) {
        for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
                if (strcmp(states[i].state, state) == 0) {
                        return states[i].colour;
                }
        }
        return COLOUR_NONE;
}

bool names_match(const Options *options, const char *name) {
        for (size_t i = 0; i < options->n_arguments; i++) {
                if (fnmatch(options->arguments[i], name, FNM_NOESCAPE) == 0) {
                        return true;
                }
        }
        return options->n_arguments == 0;
}
