/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of a program as a table, of which getopt's tables and the help text are made. */
#pragma once

#include <stddef.h>

typedef struct Option Option;
typedef struct OptionTable OptionTable;

struct Option {
        char letter; /* 0: none */
        const char *name;
        const char *argument;                       /* NULL: takes none */
        unsigned form;                              /* the program's own */
        int (*set)(void *parse, const char *value); /* -EINVAL, -ERANGE */
        const char *wanted;                         /* what a value must be, for the error */
        const char *help;
};

struct OptionTable {
        const Option *options;
        size_t n; /* OPTIONS_MAX at most */
        /* An option was set. May be NULL. */
        void (*seen)(void *parse, const Option *option);
};

#define OPTIONS_MAX 64U

/*
 * Sets `parse`, which is the caller's, by the options of a command line. Returns the index in `argv` of the first argument
 * that is none, or -EINVAL with *ret_error, a chunk of `ctx`. Begins anew with each call.
 */
int options_read(void *ctx, const OptionTable *table, int argc, char **argv, void *parse, char **ret_error);

/* Prints a line for each option to standard output, with the help from column `width` + 3 on. */
void options_print(const OptionTable *table, int width);
