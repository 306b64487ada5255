/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options by getopt_long(3). What they are, and what they mean together, is the program's. */

#include "service/base/option.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <talloc.h>

/* What getopt_long() returns for the options that have no letter. */
#define LONG_ONLY 256

static void fill_getopt(const OptionTable *table, struct option *ret_long, char *ret_short) {
        *ret_short++ = ':';
        for (size_t i = 0; i < table->n; i++) {
                const Option *option = &table->options[i];

                ret_long[i] = (struct option){
                        .name = option->name,
                        .has_arg = option->argument ? required_argument : no_argument,
                        .val = LONG_ONLY + (int) i,
                };
                if (option->letter) {
                        *ret_short++ = option->letter;
                        if (option->argument) {
                                *ret_short++ = ':';
                        }
                }
        }
        ret_long[table->n] = (struct option){ 0 };
        *ret_short = '\0';
}

static const Option *find_option(const OptionTable *table, int c) {
        for (size_t i = 0; i < table->n; i++) {
                if (c == LONG_ONLY + (int) i || (c == table->options[i].letter && c != 0)) {
                        return &table->options[i];
                }
        }
        return NULL;
}

static int set_option(void *ctx, const OptionTable *table, const Option *option, const char *value,
                      void *parse, char **ret_error) {
        int r = option->set(parse, value);

        if (r < 0) {
                *ret_error = talloc_asprintf(ctx, "--%s=%s: %s; it takes %s", option->name, value,
                                             r == -ERANGE ? "too large" : "not understood", option->wanted);
                return -EINVAL;
        }
        if (table->seen) {
                table->seen(parse, option);
        }
        return 0;
}

/* getopt_long() stands behind the argument only when it is done with all letters of it, so that a letter is named by
 * itself. `c` is what it returned; optopt is what it was about, 0: a long option that is not there. */
static int refuse(void *ctx, const char *argument, int c, char **ret_error) {
        bool is_letter = optopt > 0 && optopt < LONG_ONLY;
        const char *why = c == ':'              ? "a value is missing"
                          : optopt >= LONG_ONLY ? "it takes no value"
                                                : "no such option";

        *ret_error = is_letter ? talloc_asprintf(ctx, "-%c: %s; see --help", optopt, why)
                               : talloc_asprintf(ctx, "%s: %s; see --help", argument, why);
        return -EINVAL;
}

int options_read(void *ctx, const OptionTable *table, int argc, char **argv, void *parse, char **ret_error) {
        struct option long_options[OPTIONS_MAX + 1];
        char short_options[2 * OPTIONS_MAX + 2];
        int c;

        assert(table->n <= OPTIONS_MAX);
        fill_getopt(table, long_options, short_options);
        optind = 0;
        while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
                const Option *option = find_option(table, c);
                int r;

                if (!option) {
                        return refuse(ctx, argv[optind - 1], c, ret_error);
                }
                r = set_option(ctx, table, option, optarg, parse, ret_error);
                if (r < 0) {
                        return r;
                }
        }
        return optind;
}

void options_print(const OptionTable *table, int width) {
        for (size_t i = 0; i < table->n; i++) {
                const Option *option = &table->options[i];
                char spelled[40];

                snprintf(spelled, sizeof(spelled), "%c%c%s--%s%s%s", option->letter ? '-' : ' ',
                         option->letter ?: ' ', option->letter ? ", " : "  ", option->name,
                         option->argument ? "=" : "", option->argument ?: "");
                printf("  %-*s %s\n", width, spelled, option->help);
        }
}
