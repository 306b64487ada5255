/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: a table of options, and what they mean together. */

#include "service/server/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "config.h"
#include "service/base/option.h"
#include "service/core/fdname.h"
#include "service/core/limits.h"
#include "service/core/text.h"

#define DEFAULT_SOCKET "/tmp/ivshmem_socket"
#define DEFAULT_PID_FILE "/var/run/ivshmem-server.pid"
#define DEFAULT_SHM_NAME "ivshmem"

#define DEFAULT_SIZE (UINT64_C(4) << 20)

/* Which form of the program an option belongs to. */
typedef enum Form {
        FORM_BOTH,
        FORM_DROP_IN,
        FORM_DEFINITION,
} Form;

typedef struct Parse {
        Options options;
        const char *drop_in_option; /* one that was given and belongs to the drop-in form */
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

static int set_definition(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.definition_path = value;
        return *value ? 0 : -EINVAL;
}

static int set_check(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.check = true;
        return 0;
}

static int set_reload(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.reload = true;
        return 0;
}

_Static_assert(FD_STORE_MAX == 5456, "the option says so");

static int set_fd_store(void *userdata, const char *value) {
        Parse *parse = userdata;
        int r = number_parse(value, FD_STORE_MAX, &parse->options.fd_store);

        return r < 0 ? r : parse->options.fd_store == 0 ? -EINVAL : 0;
}

static int set_verbose(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.verbose = true;
        return 0;
}

static int set_foreground(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.foreground = true;
        return 0;
}

static int set_pid_file(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.pid_file = value;
        return *value ? 0 : -EINVAL;
}

static int set_socket(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.socket_path = value;
        return *value ? 0 : -EINVAL;
}

/* shm_open(3) allows one leading slash and no other. */
static int set_shm_name(void *userdata, const char *value) {
        Parse *parse = userdata;

        value += *value == '/';
        parse->options.shm_name = value;
        parse->options.shm_directory = NULL;
        return *value && !strchr(value, '/') && strcmp(value, ".") != 0 && strcmp(value, "..") != 0
                       ? 0
                       : -EINVAL;
}

static int set_shm_directory(void *userdata, const char *value) {
        Parse *parse = userdata;

        parse->options.shm_directory = value;
        return *value ? 0 : -EINVAL;
}

/* The reference server takes small suffixes as well. */
static int set_size(void *userdata, const char *value) {
        Parse *parse = userdata;
        char text[SIZE_TEXT_MAX];
        size_t n = strlen(value);
        int r;

        if (n == 0 || n >= sizeof(text)) {
                return -EINVAL;
        }
        memcpy(text, value, n + 1);
        text[n - 1] = (char) toupper((unsigned char) text[n - 1]);
        r = size_parse(text, &parse->options.size);
        return r < 0 ? r : parse->options.size == 0 ? -EINVAL : 0;
}

static int set_vectors(void *userdata, const char *value) {
        Parse *parse = userdata;
        int r = number_parse(value, VECTORS_MAX, &parse->options.vectors);

        return r < 0 ? r : parse->options.vectors == 0 ? -EINVAL : 0;
}

static int set_seccomp(void *userdata, const char *value) {
        Parse *parse = userdata;
        int mode = NAME_PARSE(seccomp_mode_names, value);

        if (mode < 0) {
                return mode;
        }
        parse->options.seccomp = (SeccompMode) mode;
        return 0;
}

static const Option option_table[] = {
        { 'h', "help", NULL, FORM_BOTH, set_help, NULL, "show this help" },
        { 0, "version", NULL, FORM_BOTH, set_version, NULL, "show the version" },
        { 0, "definition", "FILE", FORM_DEFINITION, set_definition, "a file",
          "serve this definition instead of looking NAME up" },
        { 0, "check", NULL, FORM_DEFINITION, set_check, NULL,
          "only check the definition; say what is wrong with it" },
        { 0, "reload", NULL, FORM_DEFINITION, set_reload, NULL,
          "only have the running server of NAME reload its definition" },
        { 0, "fd-store", "N", FORM_DEFINITION, set_fd_store, "a number from 1 to 5456",
          "keep everything in systemd's fd store, which has room for N" },
        { 'v', "verbose", NULL, FORM_BOTH, set_verbose, NULL, "log everything" },
        { 'S', "socket", "PATH", FORM_BOTH, set_socket, "a path",
          "listen here (drop-in default: " DEFAULT_SOCKET ")" },
        { 0, "seccomp", "MODE", FORM_BOTH, set_seccomp, "enforce, log or off",
          "what a forbidden system call does: enforce (default) kills, log, off" },
        { 'F', "foreground", NULL, FORM_BOTH, set_foreground, NULL,
          "stay in the foreground (a definition always does)" },
        { 'p', "pidfile", "PATH", FORM_DROP_IN, set_pid_file, "a path",
          "write the PID of the daemon here (default: " DEFAULT_PID_FILE ")" },
        { 'M', "shm-name", "NAME", FORM_DROP_IN, set_shm_name, "a name without a slash",
          "name of the shared memory in /dev/shm (default: " DEFAULT_SHM_NAME ")" },
        { 'm', "shm-directory", "DIR", FORM_DROP_IN, set_shm_directory, "a path",
          "make the memory in this directory, without a name (hugetlbfs)" },
        { 'l', "size", "SIZE", FORM_DROP_IN, set_size, "a power of two like 4096, 64M or 8G",
          "size of the memory, K, M, G or T (default: 4M)" },
        { 'n', "vectors", "N", FORM_DROP_IN, set_vectors, "a number from 1 to 64",
          "doorbells of each peer (default: 1)" },
};

/* An option of the drop-in form makes no sense with a definition. */
static void note_form(void *userdata, const Option *option) {
        Parse *parse = userdata;

        if (option->form == FORM_DROP_IN) {
                parse->drop_in_option = option->name;
        }
}

static const OptionTable option_list = {
        .options = option_table,
        .n = sizeof(option_table) / sizeof(*option_table),
        .seen = note_form,
};

static void print_help(void) {
        printf("ivshmem-server [OPTIONS...] NAME\n"
               "ivshmem-server [OPTIONS...] --definition FILE\n"
               "ivshmem-server [-F] [-v] [-p PATH] [-S PATH] [-M NAME | -m DIR] [-l SIZE] [-n N]\n\n"
               "Lets virtual machines share memory and ring each other's doorbells (QEMU's ivshmem-doorbell).\n"
               "The third form takes the flags of QEMU's reference server.\n\n");
        options_print(&option_list, 28);
        printf("\nSee ivshmem-server(8), ivshmem.domain(5).\n");
}

/* What the options mean together. */
static int options_finish(void *ctx, Parse *parse, char **names, char **ret_error) {
        Options *options = &parse->options;

        options->name = names[0];
        if (options->name && names[1]) {
                *ret_error = talloc_asprintf(
                        ctx, "\"%s\": one NAME only; each domain has a server of its own", names[1]);
        } else if (options->name && options->definition_path) {
                *ret_error = talloc_asprintf(ctx,
                                             "NAME and --definition both say which definition; give one");
        } else if (options->name && !domain_name_is_valid(options->name)) {
                *ret_error = talloc_asprintf(ctx, "\"%s\" is not a domain's name: " DOMAIN_NAME_RULE,
                                             options->name);
        } else if (options_drop_in(options) && options->check) {
                *ret_error = talloc_asprintf(ctx, "--check needs NAME or --definition");
        } else if (!options->name && options->reload) {
                *ret_error = talloc_asprintf(ctx, "--reload needs NAME");
        } else if (!options_drop_in(options) && parse->drop_in_option) {
                *ret_error = talloc_asprintf(ctx,
                                             "--%s is for use without a definition, which says it itself",
                                             parse->drop_in_option);
        } else {
                return 0;
        }
        return -EINVAL;
}

bool options_drop_in(const Options *options) {
        return !options->name && !options->definition_path;
}

int options_parse(void *ctx, int argc, char **argv, Options *ret_options, char **ret_error) {
        Parse parse = {
                .options = {
                        .pid_file = DEFAULT_PID_FILE,
                        .shm_name = DEFAULT_SHM_NAME,
                        .size = DEFAULT_SIZE,
                        .vectors = 1,
                },
        };
        int first = options_read(ctx, &option_list, argc, argv, &parse, ret_error), r;

        if (first < 0) {
                return first;
        }
        if (parse.help) {
                print_help();
                return OPTIONS_HELP;
        }
        if (parse.version) {
                printf("ivshmem-server %s\n", PROJECT_VERSION);
                return OPTIONS_VERSION;
        }
        r = options_finish(ctx, &parse, argv + first, ret_error);
        if (r < 0) {
                return r;
        }
        if (options_drop_in(&parse.options) && !parse.options.socket_path) {
                parse.options.socket_path = DEFAULT_SOCKET;
        }
        *ret_options = parse.options;
        return OPTIONS_OK;
}
