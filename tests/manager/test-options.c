/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/manager/options: command lines of ivshmemd and what they mean, or what is wrong with them. */

#include "service/manager/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/testing.h"

#define ARGUMENTS_MAX 16

static int parse(void *ctx, const char *line, ManagerOptions *ret, char **ret_error) {
        char *argv[ARGUMENTS_MAX + 2] = { (char *) "ivshmemd" };
        char *text = talloc_strdup(ctx, line), *rest = text;
        int argc = 1;

        for (char *word; (word = strsep(&rest, " ")) && argc <= ARGUMENTS_MAX;) {
                if (*word) {
                        argv[argc++] = word;
                }
        }
        return manager_options_parse(text, argc, argv, ret, ret_error);
}

static void test_defaults(void **state) {
        ManagerOptions options;
        char *error = NULL;

        assert_int_equal(parse(*state, "", &options, &error), MANAGER_OPTIONS_OK);
        assert_false(options.embedded);
        assert_true(options.system_bus);
        assert_null(options.directory);
        assert_null(options.server);
        assert_int_equal(options.idle, IDLE_DEFAULT);
        talloc_free_children(*state);
}

static void test_embedded(void **state) {
        ManagerOptions options;
        char *error = NULL;

        assert_int_equal(
                parse(*state, "--embedded --directory=/x --server /y/ivshmem-server -v", &options, &error),
                MANAGER_OPTIONS_OK);
        assert_true(options.embedded && options.verbose);
        assert_false(options.system_bus);
        assert_string_equal(options.directory, "/x");
        assert_string_equal(options.server, "/y/ivshmem-server");
        /* Nobody would start it again. */
        assert_int_equal(options.idle, 0);
        assert_int_equal(parse(*state, "--embedded --directory=/x --idle 5 --system-bus", &options, &error),
                         MANAGER_OPTIONS_OK);
        assert_int_equal(options.idle, 5);
        assert_true(options.system_bus);
        talloc_free_children(*state);
}

static void test_directory_of_this_user(void **state) {
        ManagerOptions options;
        char *error = NULL;
        int r;

        setenv("XDG_RUNTIME_DIR", "/run/user/4711", /* overwrite= */ 1);
        assert_int_equal(parse(*state, "--embedded", &options, &error), MANAGER_OPTIONS_OK);
        assert_string_equal(options.directory, geteuid() == 0 ? "/run/ivshmem" : "/run/user/4711/ivshmem");
        unsetenv("XDG_RUNTIME_DIR");
        r = parse(*state, "--embedded", &options, &error);
        assert_int_equal(r, geteuid() == 0 ? MANAGER_OPTIONS_OK : -EINVAL);
        talloc_free_children(*state);
}

static void test_errors(void **state) {
        static const struct {
                const char *line;
                const char *error;
        } rows[] = {
                { "ring", "\"ring\": ivshmemd takes options only; see --help" },
                { "--directory=/x", "--directory is for use with --embedded; systemd knows it otherwise" },
                { "--server=/x", "--server is for use with --embedded; systemd knows it otherwise" },
                { "--embedded --directory=x", "--directory=x: not understood; it takes an absolute path" },
                { "--embedded --server=x", "--server=x: not understood; it takes an absolute path" },
                { "--idle=-1", "--idle=-1: not understood; it takes a number up to 86400, 0 for never" },
                { "--idle=86401", "--idle=86401: too large; it takes a number up to 86400, 0 for never" },
                { "--idle", "--idle: a value is missing; see --help" },
                { "--embeded", "--embeded: no such option; see --help" },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                ManagerOptions options = { .idle = 4711 };
                char *error = NULL;

                assert_int_equal(parse(*state, rows[i].line, &options, &error), -EINVAL);
                assert_string_equal(error, rows[i].error);
                assert_int_equal(options.idle, 4711);
                talloc_free_children(*state);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_defaults),
                TEST(test_embedded),
                TEST(test_directory_of_this_user),
                TEST(test_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
