/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of ivshmemd: a table of options, of which getopt's tables and the help text are made. */

#include "service/manager/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "config.h"
#include "service/core/text.h"

#define IDLE_MAX 86400U
#define ROOT_DIRECTORY "/run/ivshmem"

typedef struct Parse {
        ManagerOptions options;
        bool idle_given;
        bool help;
        bool version;
} Parse;

typedef struct Option {
        char letter; /* 0: none */
        const char *name;
        const char *argument;                        /* NULL: takes none */
        int (*set)(Parse *parse, const char *value); /* -EINVAL, -ERANGE */
        const char *wanted;                          /* what a value must be, for the error */
        const char *help;
} Option;

static int set_help(Parse *parse, const char *value) {
        parse->help = true;
        return 0;
}

static int set_version(Parse *parse, const char *value) {
        parse->version = true;
        return 0;
}

static int set_embedded(Parse *parse, const char *value) {
        parse->options.embedded = true;
        return 0;
}

static int set_directory(Parse *parse, const char *value) {
        parse->options.directory = value;
        return *value == '/' ? 0 : -EINVAL;
}

static int set_system_bus(Parse *parse, const char *value) {
        parse->options.system_bus = true;
        return 0;
}

static int set_server(Parse *parse, const char *value) {
        parse->options.server = value;
        return *value == '/' ? 0 : -EINVAL;
}

static int set_idle(Parse *parse, const char *value) {
        parse->idle_given = true;
        return number_parse(value, IDLE_MAX, &parse->options.idle);
}

static int set_verbose(Parse *parse, const char *value) {
        parse->options.verbose = true;
        return 0;
}

static const Option option_table[] = {
        { 'h', "help", NULL, set_help, NULL, "show this help" },
        { 0, "version", NULL, set_version, NULL, "show the version" },
        { 0, "embedded", NULL, set_embedded, NULL,
          "start servers itself, as this user, without systemd and D-Bus daemon" },
        { 0, "directory", "DIR", set_directory, "an absolute path",
          "with --embedded: definitions, sockets and the manager's own socket are here" },
        { 0, "server", "PATH", set_server, "an absolute path",
          "with --embedded: ivshmem-server (default: beside ivshmemd, or in $PATH)" },
        { 0, "system-bus", NULL, set_system_bus, NULL, "with --embedded: be on the system bus as well" },
        { 0, "idle", "SECONDS", set_idle, "a number up to 86400, 0 for never",
          "end when nothing has run and nobody been connected for so long" },
        { 'v', "verbose", NULL, set_verbose, NULL, "log everything" },
};

#define N_OPTIONS (sizeof(option_table) / sizeof(*option_table))

/* What getopt_long() returns for the options that have no letter. */
#define LONG_ONLY 256

static void print_help(void) {
        printf("ivshmemd [OPTIONS...]\n\n"
               "Manages domains of shared memory for virtual machines, over D-Bus.\n\n");
        for (size_t i = 0; i < N_OPTIONS; i++) {
                const Option *option = &option_table[i];
                char spelled[40];

                snprintf(spelled, sizeof(spelled), "%c%c%s--%s%s%s", option->letter ? '-' : ' ',
                         option->letter ?: ' ', option->letter ? ", " : "  ", option->name,
                         option->argument ? "=" : "", option->argument ?: "");
                printf("  %-26s %s\n", spelled, option->help);
        }
        printf("\nSee ivshmemd(8), org.ivshmem1(5).\n");
}

static void fill_getopt(struct option *ret_long, char *ret_short) {
        *ret_short++ = ':';
        for (size_t i = 0; i < N_OPTIONS; i++) {
                const Option *option = &option_table[i];

                ret_long[i] = (struct option){
                        .name = option->name,
                        .has_arg = option->argument ? required_argument : no_argument,
                        .val = LONG_ONLY + (int) i,
                };
                if (option->letter) {
                        *ret_short++ = option->letter;
                }
        }
        ret_long[N_OPTIONS] = (struct option){ 0 };
        *ret_short = '\0';
}

static const Option *find_option(int c) {
        for (size_t i = 0; i < N_OPTIONS; i++) {
                if (c == LONG_ONLY + (int) i || (c == option_table[i].letter && c != 0)) {
                        return &option_table[i];
                }
        }
        return NULL;
}

static int read_options(void *ctx, Parse *parse, int argc, char **argv, char **ret_error) {
        struct option long_options[N_OPTIONS + 1];
        char short_options[N_OPTIONS + 2];
        int c;

        fill_getopt(long_options, short_options);
        optind = 0;
        while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
                const Option *option = find_option(c);
                int r;

                if (!option) {
                        *ret_error = talloc_asprintf(ctx, "%s: %s; see --help", argv[optind - 1],
                                                     c == ':' ? "a value is missing" : "no such option");
                        return -EINVAL;
                }
                r = option->set(parse, optarg);
                if (r < 0) {
                        *ret_error = talloc_asprintf(ctx, "--%s=%s: %s; it takes %s", option->name, optarg,
                                                     r == -ERANGE ? "too large" : "not understood",
                                                     option->wanted);
                        return -EINVAL;
                }
        }
        if (argv[optind]) {
                *ret_error = talloc_asprintf(ctx, "\"%s\": ivshmemd takes options only; see --help",
                                             argv[optind]);
                return -EINVAL;
        }
        return 0;
}

/* Of this user and this boot: root's is where tools look for a manager anyway. */
static int default_directory(void *ctx, ManagerOptions *options, char **ret_error) {
        const char *runtime = getenv("XDG_RUNTIME_DIR");

        if (geteuid() == 0) {
                options->directory = ROOT_DIRECTORY;
                return 0;
        }
        if (!runtime || *runtime != '/') {
                *ret_error = talloc_asprintf(ctx,
                                             "--embedded: there is no $XDG_RUNTIME_DIR for its sockets; "
                                             "give --directory=DIR");
                return -EINVAL;
        }
        options->directory = talloc_asprintf(ctx, "%s/ivshmem", runtime);
        return options->directory ? 0 : -ENOMEM;
}

/* What the options mean together. */
static int finish(void *ctx, Parse *parse, char **ret_error) {
        ManagerOptions *options = &parse->options;

        if (!options->embedded && (options->directory || options->server)) {
                *ret_error = talloc_asprintf(ctx,
                                             "--%s is for use with --embedded; systemd knows it otherwise",
                                             options->directory ? "directory" : "server");
                return -EINVAL;
        }
        if (!parse->idle_given) {
                options->idle = options->embedded ? 0 : IDLE_DEFAULT;
        }
        options->system_bus = options->system_bus || !options->embedded;
        return options->embedded && !options->directory ? default_directory(ctx, options, ret_error) : 0;
}

int manager_options_parse(void *ctx, int argc, char **argv, ManagerOptions *ret_options, char **ret_error) {
        Parse parse = { 0 };
        int r = read_options(ctx, &parse, argc, argv, ret_error);

        if (r < 0) {
                return r;
        }
        if (parse.help) {
                print_help();
                return MANAGER_OPTIONS_HELP;
        }
        if (parse.version) {
                printf("ivshmemd %s\n", PROJECT_VERSION);
                return MANAGER_OPTIONS_VERSION;
        }
        r = finish(ctx, &parse, ret_error);
        if (r < 0) {
                return r;
        }
        *ret_options = parse.options;
        return MANAGER_OPTIONS_OK;
}
