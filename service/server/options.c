/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: a table of options, of which getopt's tables and the help text are made. */

#include "service/server/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "config.h"
#include "service/core/limits.h"
#include "service/core/text.h"

#define DEFAULT_SOCKET "/tmp/ivshmem_socket"
#define DEFAULT_PID_FILE "/var/run/ivshmem-server.pid"
#define DEFAULT_SHM_NAME "ivshmem"
#define FD_STORE_MAX 65536U

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

typedef struct Option {
        char letter; /* 0: none */
        const char *name;
        const char *argument; /* NULL: takes none */
        Form form;
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

static int set_definition(Parse *parse, const char *value) {
        parse->options.definition_path = value;
        return *value ? 0 : -EINVAL;
}

static int set_check(Parse *parse, const char *value) {
        parse->options.check = true;
        return 0;
}

static int set_reload(Parse *parse, const char *value) {
        parse->options.reload = true;
        return 0;
}

static int set_fd_store(Parse *parse, const char *value) {
        int r = number_parse(value, FD_STORE_MAX, &parse->options.fd_store);

        return r < 0 ? r : parse->options.fd_store == 0 ? -EINVAL : 0;
}

static int set_verbose(Parse *parse, const char *value) {
        parse->options.verbose = true;
        return 0;
}

static int set_foreground(Parse *parse, const char *value) {
        parse->options.foreground = true;
        return 0;
}

static int set_pid_file(Parse *parse, const char *value) {
        parse->options.pid_file = value;
        return *value ? 0 : -EINVAL;
}

static int set_socket(Parse *parse, const char *value) {
        parse->options.socket_path = value;
        return *value ? 0 : -EINVAL;
}

/* shm_open(3) allows one leading slash and no other. */
static int set_shm_name(Parse *parse, const char *value) {
        value += *value == '/';
        parse->options.shm_name = value;
        parse->options.shm_directory = NULL;
        return *value && !strchr(value, '/') && strcmp(value, ".") != 0 && strcmp(value, "..") != 0
                       ? 0
                       : -EINVAL;
}

static int set_shm_directory(Parse *parse, const char *value) {
        parse->options.shm_directory = value;
        return *value == '/' ? 0 : -EINVAL;
}

/* The reference server takes small suffixes as well. */
static int set_size(Parse *parse, const char *value) {
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

static int set_vectors(Parse *parse, const char *value) {
        int r = number_parse(value, VECTORS_MAX, &parse->options.vectors);

        return r < 0 ? r : parse->options.vectors == 0 ? -EINVAL : 0;
}

static int set_seccomp(Parse *parse, const char *value) {
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
        { 0, "fd-store", "N", FORM_DEFINITION, set_fd_store, "a number from 1 to 65536",
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
        { 'm', "shm-directory", "DIR", FORM_DROP_IN, set_shm_directory, "an absolute path",
          "make the memory in this directory, without a name (hugetlbfs)" },
        { 'l', "size", "SIZE", FORM_DROP_IN, set_size, "a power of two like 4096, 64M or 8G",
          "size of the memory, K, M, G or T (default: 4M)" },
        { 'n', "vectors", "N", FORM_DROP_IN, set_vectors, "a number from 1 to 64",
          "doorbells of each peer (default: 1)" },
};

#define N_OPTIONS (sizeof(option_table) / sizeof(*option_table))

/* What getopt_long() returns for the options that have no letter. */
#define LONG_ONLY 256

static void print_help(void) {
        printf("ivshmem-server [OPTIONS...] NAME\n"
               "ivshmem-server [OPTIONS...] --definition FILE\n"
               "ivshmem-server [-F] [-v] [-p PATH] [-S PATH] [-M NAME | -m DIR] [-l SIZE] [-n N]\n\n"
               "Lets virtual machines share memory and ring each other's doorbells (QEMU's ivshmem-doorbell).\n"
               "The third form takes the flags of QEMU's reference server.\n\n");
        for (size_t i = 0; i < N_OPTIONS; i++) {
                const Option *option = &option_table[i];
                char spelled[40];

                snprintf(spelled, sizeof(spelled), "%c%c%s--%s%s%s", option->letter ? '-' : ' ',
                         option->letter ?: ' ', option->letter ? ", " : "  ", option->name,
                         option->argument ? "=" : "", option->argument ?: "");
                printf("  %-28s %s\n", spelled, option->help);
        }
        printf("\nSee ivshmem-server(8), ivshmem.domain(5).\n");
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
                        if (option->argument) {
                                *ret_short++ = ':';
                        }
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

static int set_option(void *ctx, Parse *parse, const Option *option, const char *value, char **ret_error) {
        int r = option->set(parse, value);

        if (r < 0) {
                *ret_error = talloc_asprintf(ctx, "--%s=%s: %s; it takes %s", option->name, value,
                                             r == -ERANGE ? "too large" : "not understood", option->wanted);
                return -EINVAL;
        }
        if (option->form == FORM_DROP_IN) {
                parse->drop_in_option = option->name;
        }
        return 0;
}

/* What the options mean together. */
static int options_finish(void *ctx, Parse *parse, char **argv, char **ret_error) {
        Options *options = &parse->options;

        options->name = argv[optind];
        if (options->name && argv[optind + 1]) {
                *ret_error = talloc_asprintf(
                        ctx, "\"%s\": one NAME only; each domain has a server of its own", argv[optind + 1]);
        } else if (options->name && options->definition_path) {
                *ret_error = talloc_asprintf(ctx,
                                             "NAME and --definition both say which definition; give one");
        } else if (options->name && !domain_name_is_valid(options->name)) {
                *ret_error = talloc_asprintf(
                        ctx,
                        "\"%s\" is not a domain's name: a small letter, then at most 26 small "
                        "letters, digits, \"_\" or \"-\"",
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

static int options_read(void *ctx, Parse *parse, int argc, char **argv, char **ret_error) {
        struct option long_options[N_OPTIONS + 1];
        char short_options[2 * N_OPTIONS + 2];
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
                r = set_option(ctx, parse, option, optarg, ret_error);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
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
        int r = options_read(ctx, &parse, argc, argv, ret_error);

        if (r < 0) {
                return r;
        }
        if (parse.help) {
                print_help();
                return OPTIONS_HELP;
        }
        if (parse.version) {
                printf("ivshmem-server %s\n", PROJECT_VERSION);
                return OPTIONS_VERSION;
        }
        r = options_finish(ctx, &parse, argv, ret_error);
        if (r < 0) {
                return r;
        }
        if (options_drop_in(&parse.options) && !parse.options.socket_path) {
                parse.options.socket_path = DEFAULT_SOCKET;
        }
        *ret_options = parse.options;
        return OPTIONS_OK;
}
