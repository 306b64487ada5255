/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table of options, of which getopt's tables and the help texts are made. */

#include "client/ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/guess.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

typedef uint64_t VerbSet;

#define OF(verb) (UINT64_C(1) << VERB_##verb)
#define EVERY UINT64_MAX

/* Verbs that have options in common. */
#define DEFINES (OF(CREATE) | OF(EDIT))
#define ATTACHES (OF(QEMU_ARGS) | OF(LIBVIRT_XML))
#define COUNTS (OF(MONITOR) | OF(TOP) | OF(RING))

typedef struct Option Option;

struct Option {
        char letter; /* 0: none */
        const char *name;
        const char *argument; /* NULL: takes none; "[X]": it can be left out */
        VerbSet verbs;
        int (*set)(Options *options, const Option *option, const char *value); /* -EINVAL, -EEXIST */
        size_t offset;                                                         /* of the field that is set */
        const char *key;    /* of the setting that is set */
        const char *wanted; /* what a value must be, for the error */
        const char *help;
};

static void *field(Options *options, const Option *option) {
        return (char *) options + option->offset;
}

static int set_flag(Options *options, const Option *option, const char *value) {
        *(bool *) field(options, option) = true;
        return 0;
}

static int set_text(Options *options, const Option *option, const char *value) {
        *(const char **) field(options, option) = value;
        return *value ? 0 : -EINVAL;
}

static int set_json(Options *options, const Option *option, const char *value) {
        static const char *const names[_JSON_MODE_MAX] = { "off", "short", "pretty" };

        for (int i = 0; i < _JSON_MODE_MAX; i++) {
                if (strcmp(value, names[i]) == 0) {
                        options->json = (JsonMode) i;
                        return 0;
                }
        }
        return -EINVAL;
}

static int set_setting(Options *options, const Option *option, const char *value) {
        settings_set(options->settings, NULL, option->key, value);
        return 0;
}

/* A key with yes or no: without a value it means yes. */
static int set_switch(Options *options, const Option *option, const char *value) {
        settings_set(options->settings, NULL, option->key, value ?: "yes");
        return 0;
}

static int set_list(Options *options, const Option *option, const char *value) {
        settings_extend(options->settings, NULL, option->key, value);
        return 0;
}

static int set_any(Options *options, const Option *option, const char *value) {
        return settings_parse(options->settings, value);
}

static int set_peer(Options *options, const Option *option, const char *value) {
        return settings_parse_peer(options->settings, value);
}

/* Names between commas, and the option again and again. */
static int set_properties(Options *options, const Option *option, const char *value) {
        char *names = text_new(options->settings, "%s", value);

        for (char *name; (name = strsep(&names, ","));) {
                options->properties = need(talloc_realloc(options->settings, options->properties,
                                                          const char *,
                                                          (unsigned) options->n_properties + 1));
                options->properties[options->n_properties++] = name;
        }
        return *value ? 0 : -EINVAL;
}

static int set_count(Options *options, const Option *option, const char *value) {
        int r = human_parse_number(value, UINT32_MAX, &options->count);

        return r < 0 ? -EINVAL : options->count == 0 ? -EINVAL : 0;
}

static int set_delay(Options *options, const Option *option, const char *value) {
        uint64_t seconds;
        int r = human_parse_number(value, 86400, &seconds);

        if (r < 0 || seconds == 0) {
                return -EINVAL;
        }
        options->delay = seconds * 1000000;
        return 0;
}

#define FLAG(member) .set = set_flag, .offset = offsetof(Options, member)
#define TEXT(member) .set = set_text, .offset = offsetof(Options, member), .wanted = "a value"
#define SETTING(name) .verbs = DEFINES, .set = set_setting, .key = (name)
#define SWITCH(name) .argument = "[BOOL]", .verbs = DEFINES, .set = set_switch, .key = (name)
#define LIST(name) .verbs = DEFINES | OF(RESERVE), .set = set_list, .key = (name)

static const Option option_table[] = {
        { 'h', "help", NULL, EVERY, FLAG(help), .help = "show help, also of a verb" },
        { 0, "version", NULL, EVERY, FLAG(version), .help = "show the version" },
        { 0, "directory", "DIR", EVERY, TEXT(directory),
          .help = "ask the embedded manager of this directory ($IVSHMEM_DIRECTORY)" },
        { 0, "address", "ADDRESS", EVERY, TEXT(address),
          .help = "ask the manager that listens at this D-Bus address" },
        { 'H', "host", "[USER@]HOST", EVERY, TEXT(host),
          .help = "ask the manager of another machine (ssh)" },
        { 'M', "container", "NAME", EVERY, TEXT(container), .help = "ask the manager of a local container" },
        { 0, "json", "MODE", EVERY, .set = set_json, .wanted = "pretty, short or off",
          .help = "write JSON: pretty, short (one line) or off" },
        { 0, "no-pager", NULL, EVERY, FLAG(no_pager), .help = "do not page what is longer than the screen" },
        { 0, "no-legend", NULL, EVERY, FLAG(no_legend), .help = "no titles, and no count at the end" },
        { 0, "no-ask-password", NULL, EVERY, FLAG(no_ask_password), .help = "never ask for a password" },
        { 'q', "quiet", NULL, EVERY, FLAG(quiet), .help = "say nothing but errors and results" },

        { 0, "size", "SIZE", SETTING("Size"), .help = "of the memory: 64M, 1G, ..." },
        { 0, "hugepages", "SIZE", SETTING("HugePages"), .help = "consist of huge pages: 2M or 1G" },
        { 0, "vectors", "N", SETTING("Vectors"), .help = "doorbells of each peer (1)" },
        { 0, "max-peers", "N", SETTING("MaxPeers"), .help = "peers at most (16)" },
        { 0, "topology", "KIND", SETTING("Topology"), .help = "who can ring whom: mesh or star" },
        { 0, "description", "TEXT", SETTING("Description"), .help = "one line for people" },
        { 0, "owner", "USER", SETTING("Owner"), .help = "to whom it belongs (for root only)" },
        { 0, "log-level", "LEVEL", SETTING("LogLevel"), .help = "err, warning, notice, info or debug" },
        { 0, "numa-nodes", "LIST", SETTING("NUMANodes"), .help = "where the memory is taken from: 0-1,3" },
        { 0, "numa-policy", "POLICY", SETTING("NUMAPolicy"), .help = "bind, preferred or interleave" },
        { 0, "prefault", SWITCH("Prefault"), .help = "allocate all pages at the start" },
        { 0, "path", "FILE", SETTING("Path"), .help = "the memory is this file" },
        { 0, "path-user", "USER", SETTING("PathUser"), .help = "owner of the file" },
        { 0, "path-group", "GROUP", SETTING("PathGroup"), .help = "group of the file" },
        { 0, "path-mode", "MODE", SETTING("PathMode"), .help = "access mode of the file (0600)" },
        { 0, "path-label", "LABEL", SETTING("PathLabel"), .help = "security label of the file" },
        { 0, "keep", "HOW", SETTING("Keep"), .help = "until-stopped, until-idle or always" },
        { 0, "wipe-when-idle", SWITCH("WipeWhenIdle"), .help = "zero the memory when the last peer leaves" },
        { 0, "peers-per-user", "N", SETTING("PeersPerUser"), .help = "connections of one user (no limit)" },
        { 0, "connect-rate", "N", SETTING("ConnectRate"), .help = "connects of a user per second (100)" },
        { 0, "user", "USER", LIST("User"), .help = "who may join; can be given again, as the next four" },
        { 0, "group", "GROUP", LIST("Group"), .help = "whose members may join" },
        { 0, "machine", "PATTERN", LIST("Machine"), .help = "which machines may join: qemu-*-router" },
        { 0, "unit", "PATTERN", LIST("Unit"), .help = "which systemd units may join" },
        { 0, "label", "PATTERN", LIST("Label"), .help = "which security labels may join" },
        { 0, "peer", "NAME:KEY=VALUE,...", OF(CREATE), .set = set_peer,
          .wanted = "NAME:KEY=VALUE,..., such as router:VMID=0,Machine=qemu-*-router",
          .help = "reserve a VM ID: router:VMID=0,Machine=qemu-*-router" },
        { 0, "set", "KEY=VALUE", DEFINES, .set = set_any,
          .wanted = "KEY=VALUE with a key of ivshmem.domain(5), such as Size=64M",
          .help = "any key of ivshmem.domain(5)" },
        { 0, "from", "FILE", OF(CREATE) | OF(EDIT), TEXT(from),
          .help = "take the settings from a definition; - is standard input" },
        { 0, "transient", NULL, OF(CREATE), FLAG(transient), .help = "until the next boot only (/run)" },
        { 0, "start", NULL, OF(CREATE), FLAG(start), .help = "start it too" },
        { 0, "now", NULL, OF(ENABLE) | OF(DISABLE) | OF(REMOVE), FLAG(now),
          .help = "start it now as well (enable); stop it first (disable, remove)" },
        { 0, "master", NULL, OF(RESERVE) | ATTACHES, FLAG(master),
          .help = "for the VM that can be migrated (VM ID 0)" },
        { 0, "plain", NULL, ATTACHES, FLAG(plain), .help = "for an ivshmem-plain device: memory only" },
        { 0, "id", "ID", ATTACHES, TEXT(id), .help = "what the device is called in the VM (NAME)" },
        { 0, "state", "STATE", OF(LIST), TEXT(state), .help = "only those that are running, stopped, ..." },
        { 'p', "property", "NAME,...", OF(SHOW), .set = set_properties, .wanted = "names",
          .help = "only these properties" },
        { 0, "value", NULL, OF(SHOW), FLAG(value), .help = "only values, without names" },
        { 0, "definition", NULL, OF(SHOW), FLAG(definition), .help = "the definition as text" },
        { 0, "socket", "PATH", OF(OPEN), TEXT(socket),
          .help = "connect to a server's socket, without manager" },
        { 'n', "count", "N", COUNTS, .set = set_count, .wanted = "a number above 0",
          .help = "events, rounds or rings, then end" },
        { 'd', "delay", "SECONDS", OF(TOP), .set = set_delay,
          .wanted = "a whole number of seconds, 86400 at most", .help = "between two rounds (2)" },
        { 0, "sort", "COLUMN", OF(TOP), TEXT(sort), .help = "by this column: peers, joins, messages, ..." },
};

#define N_OPTIONS (sizeof(option_table) / sizeof(*option_table))

/* What getopt_long() returns for the options that have no letter. */
#define LONG_ONLY 256

static bool is_optional(const Option *option) {
        return option->argument && option->argument[0] == '[' && option->set == set_switch;
}

static void fill_getopt(struct option *ret_long, char *ret_short) {
        *ret_short++ = ':';
        for (size_t i = 0; i < N_OPTIONS; i++) {
                const Option *option = &option_table[i];

                ret_long[i] = (struct option){
                        .name = option->name,
                        .has_arg = is_optional(option) ? optional_argument
                                   : option->argument  ? required_argument
                                                       : no_argument,
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

static const char *guess_option(const char *typed) {
        Guess guess = { .typed = typed };

        for (size_t i = 0; i < N_OPTIONS; i++) {
                guess_try(&guess, option_table[i].name);
        }
        return guess.best;
}

/* c: what getopt_long() returned, '?' or ':'. */
static char *unknown_option(void *ctx, int c, char **argv) {
        const char *typed = argv[optind - 1], *guess = NULL;
        char letter[3] = { '-', (char) optopt, '\0' };

        if (c == ':') {
                return text_new(ctx, "%s needs a value; see 'ivshmemctl --help'", typed);
        }
        if (optopt > 0 && optopt < LONG_ONLY) {
                typed = letter; /* one of several behind one dash */
        } else if (optopt >= LONG_ONLY) {
                return text_new(ctx, "--%s takes no value", option_table[optopt - LONG_ONLY].name);
        } else if (strncmp(typed, "--", 2) == 0) {
                guess = guess_option(text_new(ctx, "%.*s", (int) strcspn(typed + 2, "="), typed + 2));
        }
        return guess ? text_new(ctx, "unknown option %s; did you mean --%s?", typed, guess)
                     : text_new(ctx, "unknown option %s; see 'ivshmemctl --help'", typed);
}

static int take(void *ctx, Options *options, const Option *option, const char *value, char **ret_error) {
        int r = option->set(options, option, value);

        if (r == -EEXIST) {
                *ret_error = text_new(ctx, "--%s=%s: [Peer %.*s] was given already; join the two",
                                      option->name, value, (int) strcspn(value, ":"), value);
        } else if (r < 0) {
                *ret_error = text_new(ctx, "--%s=%s: not understood; it takes %s", option->name, value,
                                      option->wanted);
        }
        return r < 0 ? -EINVAL : 0;
}

/* Whether each option that was used belongs to the verb. */
static int check_verb(void *ctx, const Options *options, const bool *used, char **ret_error) {
        const Verb *verb = verb_find(options->verb ?: VERB_DEFAULT);

        for (size_t i = 0; i < N_OPTIONS && verb; i++) {
                if (used[i] && !(option_table[i].verbs & UINT64_C(1) << verb_id(verb))) {
                        *ret_error = text_new(ctx, "'%s' has no option --%s; see 'ivshmemctl %s --help'",
                                              verb->name, option_table[i].name, verb->name);
                        return -EINVAL;
                }
        }
        return 0;
}

/* Which manager: one way to say it. */
static int check_target(void *ctx, const Options *options, char **ret_error) {
        int n = !!options->directory + !!options->address + !!options->host + !!options->container;

        if (n > 1) {
                *ret_error = text_new(
                        ctx, "--directory, --address, --host and --container each say which manager "
                             "is asked; give one of them");
                return -EINVAL;
        }
        return 0;
}

static int read_options(void *ctx, int argc, char **argv, Options *options, bool *used, char **ret_error) {
        struct option long_options[N_OPTIONS + 1];
        char short_options[2 * N_OPTIONS + 2];
        int c;

        fill_getopt(long_options, short_options);
        optind = 0;
        opterr = 0;
        while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
                const Option *option = find_option(c);
                int r;

                if (!option) {
                        *ret_error = unknown_option(ctx, c, argv);
                        return -EINVAL;
                }
                used[option - option_table] = true;
                r = take(ctx, options, option, optarg, ret_error);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

int options_parse(void *ctx, int argc, char **argv, Options *ret, char **ret_error) {
        Options options = { .settings = settings_new(ctx), .delay = 2000000 };
        bool used[N_OPTIONS] = { false };
        int r = read_options(ctx, argc, argv, &options, used, ret_error);

        if (r < 0) {
                return r;
        }
        if (optind < argc) {
                options.verb = argv[optind];
                options.arguments = (const char **) argv + optind + 1;
                options.n_arguments = (size_t) (argc - optind - 1);
        }
        r = check_verb(ctx, &options, used, ret_error);
        r = r < 0 ? r : check_target(ctx, &options, ret_error);
        if (r < 0) {
                return r;
        }
        *ret = options;
        return 0;
}

void options_print(FILE *file, const Verb *verb) {
        for (size_t i = 0; i < N_OPTIONS; i++) {
                const Option *option = &option_table[i];
                char spelled[48];

                if ((option->verbs == EVERY) == (verb != NULL) ||
                    (verb && !(option->verbs & UINT64_C(1) << verb_id(verb)))) {
                        continue;
                }
                snprintf(spelled, sizeof(spelled), "%c%c%s--%s%s%s", option->letter ? '-' : ' ',
                         option->letter ?: ' ', option->letter ? ", " : "  ", option->name,
                         is_optional(option) ? "[=" : option->argument ? "=" : "",
                         is_optional(option) ? option->argument + 1 : option->argument ?: "");
                fprintf(file, "  %-30s %s\n", spelled, option->help);
        }
}
