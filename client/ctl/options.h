/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: options, which may stand anywhere, a verb, and its arguments. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/ctl/settings.h"

typedef struct Options Options;
typedef struct Verb Verb;

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
        _JSON_MODE_MAX,
} JsonMode;

struct Options {
        /* which manager */
        const char *directory;
        const char *address;
        const char *host;
        const char *container;

        /* how it is shown */
        JsonMode json;
        bool no_pager;
        bool no_legend;
        bool quiet;
        bool no_ask_password;
        bool help;
        bool version;

        /* of single verbs */
        Settings *settings; /* never NULL */
        bool transient;
        bool start;
        bool now;
        bool plain;
        bool master;
        bool value;
        bool definition;
        const char *from;
        const char *id;
        const char *socket;
        const char *state;
        const char *sort;
        const char **properties;
        size_t n_properties;
        uint64_t count; /* 0: not given */
        uint64_t delay; /* microseconds */

        const char *verb; /* NULL: none was given */
        const char **arguments;
        size_t n_arguments;
};

/*
 * Reads the command line; argv is put into another order, and must outlive the options. 0, or -EINVAL and *ret_error, a
 * chunk of `ctx`: what is wrong, in one line without its end. Whether an option belongs to the verb is checked for verbs that
 * exist.
 */
int options_parse(void *ctx, int argc, char **argv, Options *ret, char **ret_error);

/* Writes those of a verb, or those of all when it is NULL. */
void options_print(FILE *file, const Verb *verb);
