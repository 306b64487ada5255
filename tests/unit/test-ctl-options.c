/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/ctl/options and verbs: command lines and what they mean, or what is wrong with them. */

#include "client/ctl/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/verbs.h"
#include "tests/unit/testing.h"

#define ARGUMENTS_MAX 16

/* Splits at blanks; options_parse() wants a writable argv. All becomes a chunk of `ctx`. */
static int parse(void *ctx, const char *line, Options *ret, char **ret_error) {
        char **argv = talloc_zero_array(ctx, char *, ARGUMENTS_MAX + 2), *rest = talloc_strdup(ctx, line);
        int argc = 1;

        argv[0] = talloc_strdup(ctx, "ivshmemctl");
        for (char *word; (word = strsep(&rest, " ")) && argc <= ARGUMENTS_MAX;) {
                if (*word) {
                        argv[argc++] = word;
                }
        }
        return options_parse(ctx, argc, argv, ret, ret_error);
}

static Options parse_good(void *ctx, const char *line) {
        Options options;
        char *error = NULL;

        if (parse(ctx, line, &options, &error) < 0) {
                fail_msg("%s: %s", line, error);
        }
        return options;
}

static void test_nothing(void **state) {
        Options options = parse_good(*state, "");

        assert_null(options.verb);
        assert_int_equal(options.json, JSON_OFF);
        assert_int_equal(options.settings->n, 0);
        assert_int_equal(options.delay, 2000000);
        talloc_free_children(*state);
}

static void test_options_stand_anywhere(void **state) {
        Options options = parse_good(*state, "--json=short start ring --quiet other --no-pager");

        assert_string_equal(options.verb, "start");
        assert_int_equal(options.n_arguments, 2);
        assert_string_equal(options.arguments[0], "ring");
        assert_string_equal(options.arguments[1], "other");
        assert_int_equal(options.json, JSON_SHORT);
        assert_true(options.quiet && options.no_pager);
        talloc_free_children(*state);
}

static void test_double_dash(void **state) {
        Options options = parse_good(*state, "start -- --quiet");

        assert_int_equal(options.n_arguments, 1);
        assert_string_equal(options.arguments[0], "--quiet");
        assert_false(options.quiet);
        talloc_free_children(*state);
}

static void test_settings(void **state) {
        Options options = parse_good(
                *state, "create ring --size 64M --hugepages=2M --user alice --user bob --prefault "
                        "--wipe-when-idle=no --set Keep=until-idle --start --transient");
        const Settings *settings = options.settings;

        assert_string_equal(settings_get(settings, NULL, "Size"), "64M");
        assert_string_equal(settings_get(settings, NULL, "HugePages"), "2M");
        assert_string_equal(settings_get(settings, NULL, "User"), "alice bob");
        assert_string_equal(settings_get(settings, NULL, "Prefault"), "yes");
        assert_string_equal(settings_get(settings, NULL, "WipeWhenIdle"), "no");
        assert_string_equal(settings_get(settings, NULL, "Keep"), "until-idle");
        assert_true(options.start && options.transient);
        talloc_free_children(*state);
}

static void test_peers(void **state) {
        Options options = parse_good(
                *state, "create ring --peer=fw:VMID=1,Label=*:c1,c2,User=alice --peer r:VMID=0");
        const Settings *settings = options.settings;

        assert_string_equal(settings_get(settings, "fw", "VMID"), "1");
        assert_string_equal(settings_get(settings, "fw", "Label"), "*:c1,c2");
        assert_string_equal(settings_get(settings, "fw", "User"), "alice");
        assert_string_equal(settings_get(settings, "r", "VMID"), "0");
        assert_null(settings_get(settings, NULL, "VMID"));
        talloc_free_children(*state);
}

static void test_properties(void **state) {
        Options options = parse_good(*state, "show ring -p State,Size --property=Path");

        assert_int_equal(options.n_properties, 3);
        assert_string_equal(options.properties[0], "State");
        assert_string_equal(options.properties[1], "Size");
        assert_string_equal(options.properties[2], "Path");
        talloc_free_children(*state);
}

static void test_errors(void **state) {
        static const struct {
                const char *line;
                const char *error;
        } table[] = {
                { "--sise=4", "unknown option --sise=4; did you mean --size?" },
                { "--frobnicate", "unknown option --frobnicate; see 'ivshmemctl --help'" },
                { "list -x", "unknown option -x; see 'ivshmemctl --help'" },
                { "list -qx", "unknown option -x; see 'ivshmemctl --help'" },
                { "create --size", "--size needs a value; see 'ivshmemctl --help'" },
                { "list --quiet=yes", "--quiet takes no value" },
                { "create --peer=a:VMID=1 --peer=b:VMID=2 --peer=a:User=u",
                  "--peer=a:User=u: [Peer a] was given already; join the two" },
                { "--user list", "'list' has no option --user; see 'ivshmemctl list --help'" },
                { "list --size=4M", "'list' has no option --size; see 'ivshmemctl list --help'" },
                { "--json=yaml list", "--json=yaml: not understood; it takes pretty, short or off" },
                { "create r --set Size", "--set=Size: not understood; it takes KEY=VALUE with a key of "
                                         "ivshmem.domain(5), such as Size=64M" },
                { "create r --peer router",
                  "--peer=router: not understood; it takes NAME:KEY=VALUE,..., such as "
                  "router:VMID=0,Machine=qemu-*-router" },
                { "create r --peer :VMID=0",
                  "--peer=:VMID=0: not understood; it takes NAME:KEY=VALUE,..., such as "
                  "router:VMID=0,Machine=qemu-*-router" },
                { "monitor -n 0", "--count=0: not understood; it takes a number above 0" },
                { "top -d x",
                  "--delay=x: not understood; it takes a whole number of seconds, 86400 at most" },
                { "--directory= list", "--directory=: not understood; it takes a value" },
                { "-H a --directory b list",
                  "--directory, --address, --host and --container each say which manager is "
                  "asked; give one of them" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                Options options = { .count = 7 };
                char *error = NULL;

                assert_int_equal(parse(*state, table[i].line, &options, &error), -EINVAL);
                assert_string_equal(error, table[i].error);
                assert_int_equal(options.count, 7);
                talloc_free_children(*state);
        }
}

static void test_verbs(void **state) {
        assert_string_equal(verb_find("qemu-args")->name, "qemu-args");
        assert_null(verb_find("qemu"));
        assert_string_equal(verb_guess("strat"), "start");
        assert_string_equal(verb_guess("stauts"), "status");
        assert_null(verb_guess("frobnicate"));
        assert_null(verb_guess("a word that is much longer than each verb there is"));
        for (size_t i = 0; i < _VERB_MAX; i++) {
                assert_ptr_equal(verb_find(verb_table[i].name), &verb_table[i]);
                assert_int_equal(verb_id(&verb_table[i]), i);
                assert_true(verb_table[i].min <= verb_table[i].max);
        }
}

static char *help_of(void *ctx, const Verb *verb) {
        char *text = NULL, *copy;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        options_print(file, verb);
        fclose(file);
        copy = talloc_strdup(ctx, text);
        free(text);
        return copy;
}

static void test_help(void **state) {
        char *all = help_of(*state, NULL), *create = help_of(*state, verb_find("create"));

        assert_non_null(strstr(all, "  -H, --host=[USER@]HOST "));
        assert_null(strstr(all, "--size"));
        assert_non_null(strstr(create, "      --prefault[=BOOL] "));
        assert_null(strstr(create, "--host"));
        assert_null(strstr(help_of(*state, verb_find("list")), "--size"));
        talloc_free_children(*state);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_nothing),     TEST(test_options_stand_anywhere),
                TEST(test_double_dash), TEST(test_settings),
                TEST(test_peers),       TEST(test_properties),
                TEST(test_errors),      TEST(test_verbs),
                TEST(test_help),
        };

        return cmocka_run_group_tests_name("ctl-options", tests, NULL, NULL);
}
