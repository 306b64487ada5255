/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of ivshmemd: a table of options, and what they mean together. */

#include "service/manager/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>
#include <unistd.h>

#include "config.h"
#include "service/base/option.h"
#include "service/core/text.h"

#define IDLE_MAX 86400U
#define ROOT_DIRECTORY "/run/ivshmem"

typedef struct Parse {
        ManagerOptions options;
        bool idle_given;
        bool help;
        bool version;
} Parse;

static int set_help(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->help = true;
        return 0;
}

static int set_version(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->version = true;
        return 0;
}

static int set_embedded(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.embedded = true;
        return 0;
}

static int set_directory(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.directory = value;
        return *value == '/' ? 0 : -EINVAL;
}

static int set_system_bus(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.system_bus = true;
        return 0;
}

static int set_server(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.server = value;
        return *value == '/' ? 0 : -EINVAL;
}

static int set_idle(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->idle_given = true;
        return number_parse(value, IDLE_MAX, &parse->options.idle);
}

static int set_verbose(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.verbose = true;
        return 0;
}

static const Option option_table[] = {
        { 'h', "help", NULL, 0, set_help, NULL, "show this help" },
        { 0, "version", NULL, 0, set_version, NULL, "show the version" },
        { 0, "embedded", NULL, 0, set_embedded, NULL,
          "start servers itself, as this user, without systemd and D-Bus daemon" },
        { 0, "directory", "DIR", 0, set_directory, "an absolute path",
          "with --embedded: definitions, sockets and the manager's own socket are here" },
        { 0, "server", "PATH", 0, set_server, "an absolute path",
          "with --embedded: ivshmem-server (default: beside ivshmemd, or in $PATH)" },
        { 0, "system-bus", NULL, 0, set_system_bus, NULL, "with --embedded: be on the system bus as well" },
        { 0, "idle", "SECONDS", 0, set_idle, "a number up to 86400, 0 for never",
          "end when nothing has run and nobody been connected for so long" },
        { 'v', "verbose", NULL, 0, set_verbose, NULL, "log everything" },
};

static const OptionTable option_list = {
        .options = option_table,
        .n = sizeof(option_table) / sizeof(*option_table),
};

static void print_help(void) {
        printf("ivshmemd [OPTIONS...]\n\n"
               "Manages domains of shared memory for virtual machines, over D-Bus.\n\n");
        options_print(&option_list, 26);
        printf("\nSee ivshmemd(8), org.ivshmem1(5).\n");
}

static int read_options(void *ctx, Parse *parse, int argc, char **argv, char **ret_error) {
        int first = options_read(ctx, &option_list, argc, argv, parse, ret_error);

        if (first >= 0 && argv[first]) {
                *ret_error = talloc_asprintf(ctx, "\"%s\": ivshmemd takes options only; see --help",
                                             argv[first]);
                return -EINVAL;
        }
        return first < 0 ? first : 0;
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
