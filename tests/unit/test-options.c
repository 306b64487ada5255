/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/options: command lines and what they mean, or what is wrong with them. */

#include "service/server/options.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/testing.h"

#define ARGUMENTS_MAX 16

/* Splits at blanks; options_parse() wants a writable argv. */
static int parse(void *ctx, const char *line, Options *ret, char **ret_error) {
        char *argv[ARGUMENTS_MAX + 2] = { (char *) "ivshmem-server" };
        char *text = talloc_strdup(ctx, line), *rest = text;
        int argc = 1;

        for (char *word; (word = strsep(&rest, " ")) && argc <= ARGUMENTS_MAX;) {
                if (*word) {
                        argv[argc++] = word;
                }
        }
        return options_parse(text, argc, argv, ret, ret_error);
}

static void test_reference_defaults(void **state) {
        Options options;
        char *error = NULL;

        assert_int_equal(parse(*state, "", &options, &error), OPTIONS_OK);
        assert_true(options_drop_in(&options));
        assert_string_equal(options.socket_path, "/tmp/ivshmem_socket");
        assert_string_equal(options.pid_file, "/var/run/ivshmem-server.pid");
        assert_string_equal(options.shm_name, "ivshmem");
        assert_null(options.shm_directory);
        assert_int_equal(options.size, 4 << 20);
        assert_int_equal(options.vectors, 1);
        assert_false(options.foreground);
        assert_false(options.verbose);
        assert_int_equal(options.seccomp, SECCOMP_ENFORCE);
        talloc_free_children(*state);
}

static void test_reference_flags(void **state) {
        Options options;
        char *error = NULL;

        assert_int_equal(parse(*state, "-v -F -p p -S s -M /ring -l 8g -n 64", &options, &error),
                         OPTIONS_OK);
        assert_true(options.verbose && options.foreground && options_drop_in(&options));
        assert_string_equal(options.pid_file, "p");
        assert_string_equal(options.socket_path, "s");
        assert_string_equal(options.shm_name, "ring");
        assert_int_equal(options.size, UINT64_C(8) << 30);
        assert_int_equal(options.vectors, 64);
        assert_int_equal(parse(*state, "-m /dev/hugepages -l 64M", &options, &error), OPTIONS_OK);
        assert_string_equal(options.shm_directory, "/dev/hugepages");
        talloc_free_children(*state);
}

static void test_definition_form(void **state) {
        Options options;
        char *error = NULL;

        assert_int_equal(parse(*state, "-v ring --seccomp=log", &options, &error), OPTIONS_OK);
        assert_false(options_drop_in(&options));
        assert_string_equal(options.name, "ring");
        assert_null(options.socket_path);
        assert_int_equal(options.seccomp, SECCOMP_LOG);
        assert_int_equal(parse(*state, "--check --definition /x/ring.domain -S s", &options, &error),
                         OPTIONS_OK);
        assert_string_equal(options.definition_path, "/x/ring.domain");
        assert_true(options.check);
        talloc_free_children(*state);
}

static void test_errors(void **state) {
        static const struct {
                const char *line;
                const char *error;
        } table[] = {
                { "-l 4x", "--size=4x: not understood; it takes a power of two like 4096, 64M or 8G" },
                { "-l 99999999999T",
                  "--size=99999999999T: too large; it takes a power of two like 4096, 64M or 8G" },
                { "-l 1000000000000000000000000",
                  "--size=1000000000000000000000000: not understood; it takes a power "
                  "of two like 4096, 64M or 8G" },
                { "-l 0", "--size=0: not understood; it takes a power of two like 4096, 64M or 8G" },
                { "-n 0", "--vectors=0: not understood; it takes a number from 1 to 64" },
                { "-n 65", "--vectors=65: too large; it takes a number from 1 to 64" },
                { "-M a/b", "--shm-name=a/b: not understood; it takes a name without a slash" },
                { "-M ..", "--shm-name=..: not understood; it takes a name without a slash" },
                { "--shm-directory=", "--shm-directory=: not understood; it takes a path" },
                { "-S", "-S: a value is missing; see --help" },
                { "-x", "-x: no such option; see --help" },
                { "-F -x", "-x: no such option; see --help" },
                { "-xF", "-x: no such option; see --help" },
                { "-vxF", "-x: no such option; see --help" },
                { "-FS", "-S: a value is missing; see --help" },
                { "--frob", "--frob: no such option; see --help" },
                { "--help=3", "--help=3: it takes no value; see --help" },
                { "--size", "--size: a value is missing; see --help" },
                { "--seccomp=on", "--seccomp=on: not understood; it takes enforce, log or off" },
                { "ring ring2", "\"ring2\": one NAME only; each domain has a server of its own" },
                { "ring --definition f", "NAME and --definition both say which definition; give one" },
                { "Ring",
                  "\"Ring\" is not a domain's name: a lower-case letter, then at most 26 lower-case letters, digits, "
                  "\"_\" or \"-\"" },
                { "--check", "--check needs NAME or --definition" },
                { "--reload", "--reload needs NAME" },
                { "--reload --definition /a.domain", "--reload needs NAME" },
                { "ring -l 4M", "--size is for use without a definition, which says it itself" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                Options options = { .vectors = 7 };
                char *error = NULL;

                assert_int_equal(parse(*state, table[i].line, &options, &error), -EINVAL);
                assert_string_equal(error, table[i].error);
                assert_int_equal(options.vectors, 7);
                talloc_free_children(*state);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_reference_defaults),
                TEST(test_reference_flags),
                TEST(test_definition_form),
                TEST(test_errors),
        };

        return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
