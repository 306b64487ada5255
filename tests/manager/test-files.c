/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions in all their directories: which wins, who may change which, what is watched, what is never followed. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/manager/staged.h"
#include "tests/unit/testing.h"

#define SIZE(text) "[Domain]\nSize=" text "\n"
#define SIZE_1M                 \
        (const char *const[]) { \
                "Size=1M", NULL \
        }

static Domain *find(Staged *staged, const char *name) {
        return manager_find(staged->managed->manager, name);
}

static char *path_of(Staged *staged, const char *name) {
        return scratch_path(staged->managed->scratch, name);
}

/* From the last directory to the first each file takes the place of the one before, and gives it back. */
static void test_precedence(void **state) {
        static const struct {
                const char *file;
                const char *text;
                Origin origin;
        } rows[] = {
                { STAGED_USR "/ring.domain", SIZE("1M"), ORIGIN_VENDOR },
                { STAGED_VAR "/ring.domain", SIZE("2M"), ORIGIN_PERSISTENT },
                { STAGED_RUN "/ring.domain", SIZE("4M"), ORIGIN_TRANSIENT },
                { STAGED_ETC "/ring.domain", SIZE("8M"), ORIGIN_ADMINISTRATOR },
        };
        Staged *staged = staged_new(*state);

        for (size_t i = 0; i < 4; i++) {
                managed_forget(staged->managed);
                staged_write(staged, rows[i].file, rows[i].text);
                managed_wait(staged->managed, i == 0 ? "added ring" : "definition ring current");
                while (domain_origin(find(staged, "ring")) != rows[i].origin ||
                       domain_definition(find(staged, "ring"))->size != UINT64_C(1) << (20 + i)) {
                        staged_turn(staged);
                }
                assert_string_equal(domain_path(find(staged, "ring")), path_of(staged, rows[i].file));
        }
        for (size_t i = 4; i > 1; i--) {
                staged_remove(staged, rows[i - 1].file);
                while (domain_origin(find(staged, "ring")) != rows[i - 2].origin) {
                        staged_turn(staged);
                }
        }
        assert_int_equal(domain_definition(find(staged, "ring"))->size, 1 << 20);
        staged_free(staged);
}

static void test_not_ours(void **state) {
        static const char *const files[] = { STAGED_ETC "/ring.domain", STAGED_USR "/ring.domain" };
        Setting setting = { .key = "Size", .value = "2M" };
        Request set = { .kind = OPERATION_SET, .settings = &setting, .n_settings = 1 };

        for (size_t i = 0; i < 2; i++) {
                Staged *staged = staged_new(*state);
                Failure failure;

                staged_write(staged, files[i], SIZE("1M"));
                managed_wait(staged->managed, "added ring");
                assert_int_equal(manager_remove(staged->managed->manager, find(staged, "ring"), &failure),
                                 -EREMOTEIO);
                assert_int_equal(failure.kind, FAILURE_NOT_OURS);
                assert_false(managed_begin_operation(staged->managed, "ring", &set));
                assert_int_equal(staged->managed->failure.kind, FAILURE_NOT_OURS);
                assert_non_null(strstr(staged->managed->failure.text, files[i]));
                assert_int_equal(access(path_of(staged, files[i]), F_OK), 0);
                staged_free(staged);
        }
}

static void test_transient_and_persistent(void **state) {
        Staged *staged = staged_new(*state);
        struct stat st;

        assert_null(staged_create(staged, "now", 0, /* persistent= */ false, SIZE_1M));
        assert_null(staged_create(staged, "ever", 0, /* persistent= */ true, SIZE_1M));
        assert_int_equal(domain_origin(find(staged, "now")), ORIGIN_TRANSIENT);
        assert_int_equal(domain_origin(find(staged, "ever")), ORIGIN_PERSISTENT);
        assert_int_equal(stat(path_of(staged, STAGED_RUN "/now.domain"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0644);
        assert_int_equal(access(path_of(staged, STAGED_VAR "/ever.domain"), F_OK), 0);
        assert_string_equal(domain_unit(find(staged, "now")), "fake@now");
        staged_free(staged);
}

/* Neither the name of a definition nor the one under which it is written first leads anywhere else. */
static void test_links(void **state) {
        static const char *const names[] = { STAGED_RUN "/ring.domain", STAGED_RUN "/.ring.domain.new" };
        Setting setting = { .key = "Size", .value = "2M" };
        Request set = { .kind = OPERATION_SET, .settings = &setting, .n_settings = 1 };

        for (size_t i = 0; i < 2; i++) {
                Staged *staged = staged_new(*state);
                struct stat st;

                staged_write(staged, "victim", SIZE("1M"));
                assert_int_equal(symlink(path_of(staged, "victim"), path_of(staged, names[i])), 0);
                if (i == 0) {
                        managed_wait(staged->managed, "added ring");
                } else {
                        assert_null(staged_create(staged, "ring", 0, /* persistent= */ false, SIZE_1M));
                }
                assert_true(managed_do(staged->managed, "ring", &set));
                assert_int_equal(domain_definition(find(staged, "ring"))->size, 2 << 20);
                assert_int_equal(lstat(path_of(staged, STAGED_RUN "/ring.domain"), &st), 0);
                assert_true(S_ISREG(st.st_mode));
                assert_int_equal(stat(path_of(staged, "victim"), &st), 0);
                assert_int_equal(st.st_size, strlen(SIZE("1M")));
                assert_int_equal(access(path_of(staged, STAGED_RUN "/.ring.domain.new"), F_OK), -1);
                staged_free(staged);
        }
}

/* A link that somebody makes is complete at once; /dev/null hides what is in the directories behind. */
static void test_mask(void **state) {
        Staged *staged = staged_new(*state);

        staged_write(staged, STAGED_USR "/ring.domain", SIZE("1M"));
        managed_wait(staged->managed, "added ring");
        assert_int_equal(symlink("/dev/null", path_of(staged, STAGED_ETC "/ring.domain")), 0);
        managed_wait(staged->managed, "definition ring invalid");
        assert_non_null(
                strstr(domain_definition_error(find(staged, "ring")), "there is no [Domain] section"));
        staged_free(staged);
}

static void test_odd_files(void **state) {
        Staged *staged = staged_new(*state);

        assert_int_equal(mkfifo(path_of(staged, STAGED_RUN "/fifo.domain"), 0600), 0);
        managed_wait(staged->managed, "added fifo");
        assert_non_null(strstr(domain_definition_error(find(staged, "fifo")), "is not a regular file"));
        assert_null(domain_definition(find(staged, "fifo")));
        assert_int_equal(domain_owner(find(staged, "fifo")), 0);
        assert_int_equal(mkdir(path_of(staged, STAGED_RUN "/folder.domain"), 0700), 0);
        managed_wait(staged->managed, "added folder");
        assert_non_null(strstr(domain_definition_error(find(staged, "folder")), "Is a directory"));
        /* Names that are none, and what editors leave. */
        staged_write(staged, STAGED_RUN "/Ring.domain", SIZE("1M"));
        staged_write(staged, STAGED_RUN "/.ring.domain", SIZE("1M"));
        staged_write(staged, STAGED_RUN "/ring.domain~", SIZE("1M"));
        staged_write(staged, STAGED_RUN "/last.domain", SIZE("1M"));
        managed_wait(staged->managed, "added last");
        assert_int_equal(manager_count(staged->managed->manager), 3);
        staged_free(staged);
}

/* Directories come and go, and domains with them. */
static void test_directories(void **state) {
        Staged *staged = staged_new(*state);

        staged_write(staged, STAGED_ETC "/ring.domain", SIZE("1M"));
        managed_wait(staged->managed, "added ring");
        assert_int_equal(rename(path_of(staged, STAGED_ETC), path_of(staged, "etc/elsewhere")), 0);
        managed_wait(staged->managed, "removed ring");
        managed_forget(staged->managed);
        assert_int_equal(rename(path_of(staged, "etc/elsewhere"), path_of(staged, STAGED_ETC)), 0);
        managed_wait(staged->managed, "added ring");
        assert_int_equal(unlink(path_of(staged, STAGED_ETC "/ring.domain")), 0);
        managed_wait(staged->managed, "removed ring");
        assert_int_equal(rmdir(path_of(staged, STAGED_ETC)), 0);
        assert_int_equal(mkdir(path_of(staged, STAGED_ETC), 0755), 0);
        managed_forget(staged->managed);
        /* Before the new directory is watched a file in it would be found by the scan, and afterwards by its event. */
        staged_write(staged, STAGED_ETC "/ring.domain", SIZE("1M"));
        managed_wait(staged->managed, "added ring");
        staged_free(staged);
}

/* What cannot be written is told, and nothing comes of it. */
static void test_no_directory(void **state) {
        Staged *staged = staged_new(*state);
        const char *why;

        assert_int_equal(rmdir(path_of(staged, STAGED_VAR)), 0);
        why = staged_create(staged, "ring", 0, /* persistent= */ true, SIZE_1M);
        assert_non_null(why);
        assert_int_equal(staged->managed->failure.kind, FAILURE_SYSTEM);
        assert_string_equal(why, "Cannot write the definition: No such file or directory");
        assert_null(find(staged, "ring"));
        staged_free(staged);
}

/* Set and Create never lose what is there: the file of a name that is hidden by no other. */
static void test_create_beside_a_file(void **state) {
        Staged *staged = staged_new(*state);

        staged_write(staged, STAGED_VAR "/ring.domain", SIZE("4M"));
        /* The manager has not looked yet. */
        assert_non_null(staged_create(staged, "ring", 0, /* persistent= */ true, SIZE_1M));
        assert_int_equal(staged->managed->failure.kind, FAILURE_DOMAIN_EXISTS);
        managed_wait(staged->managed, "added ring");
        assert_int_equal(domain_definition(find(staged, "ring"))->size, 4 << 20);
        staged_free(staged);
}

/* A start looks again at what was wrong, before an event has told. */
static void test_start_looks_again(void **state) {
        Request start = { .kind = OPERATION_START };
        Staged *staged = staged_new(*state);

        staged_write(staged, STAGED_VAR "/ring.domain", SIZE("3M"));
        managed_wait(staged->managed, "added ring");
        assert_false(managed_begin_operation(staged->managed, "ring", &start));
        assert_int_equal(staged->managed->failure.kind, FAILURE_START_FAILED);
        staged_write(staged, STAGED_VAR "/ring.domain", SIZE("4M"));
        assert_true(managed_begin_operation(staged->managed, "ring", &start));
        staged_end(staged, NULL);
        managed_wait(staged->managed, "idle");
        staged_write(staged, STAGED_VAR "/ring.domain", SIZE("3M"));
        managed_wait(staged->managed, "definition ring invalid");
        staged_remove(staged, STAGED_VAR "/ring.domain");
        assert_false(managed_begin_operation(staged->managed, "ring", &start));
        assert_int_equal(staged->managed->failure.kind, FAILURE_NO_SUCH_DOMAIN);
        assert_null(find(staged, "ring"));
        staged_free(staged);
}

static void test_reload(void **state) {
        Staged *staged = staged_new(*state);

        staged_write(staged, STAGED_VAR "/ring.domain", SIZE("4M"));
        manager_reload(staged->managed->manager);
        assert_non_null(find(staged, "ring"));
        staged_remove(staged, STAGED_VAR "/ring.domain");
        manager_reload(staged->managed->manager);
        assert_null(find(staged, "ring"));
        staged_free(staged);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_precedence),
                TEST(test_not_ours),
                TEST(test_transient_and_persistent),
                TEST(test_links),
                TEST(test_mask),
                TEST(test_odd_files),
                TEST(test_directories),
                TEST(test_no_directory),
                TEST(test_create_beside_a_file),
                TEST(test_start_looks_again),
                TEST(test_reload),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
