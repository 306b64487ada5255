/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/prepare: whose definitions may have what, and the notes of what was made. The program as a whole is tried on a
 * machine that runs systemd (tests/system/test_file.py). */

#include "service/prepare/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/prepare/prepared.h"
#include "tests/lib/scratch.h"
#include "tests/unit/testing.h"

/* ---- What may be done ---- */

static void test_what_definitions_of_others_may_have(void **state) {
        static const struct {
                const char *path;
                Keep keep;
                const char *label;
                const char *error; /* how it begins; NULL: none */
        } rows[] = {
                { "/dev/shm/ring", KEEP_UNTIL_STOPPED, NULL, NULL },
                { "/dev/shm/ring", KEEP_UNTIL_IDLE, NULL, NULL },
                { "/dev/shm/ring", KEEP_ALWAYS, NULL,
                  "Keep=always takes a definition that nobody but root" },
                { "/dev/shm/ring", KEEP_UNTIL_STOPPED, "l",
                  "PathLabel= takes a definition that nobody but root" },
                { "/dev/shm/a/ring", KEEP_UNTIL_STOPPED, NULL,
                  "Path=/dev/shm/a/ring is not directly in /dev/shm" },
                { "/dev/shmring", KEEP_UNTIL_STOPPED, NULL,
                  "Path=/dev/shmring is not directly in /dev/shm" },
                { "/dev/shn/ring", KEEP_UNTIL_STOPPED, NULL,
                  "Path=/dev/shn/ring is not directly in /dev/shm" },
                { "/etc/passwd", KEEP_UNTIL_STOPPED, NULL, "Path=/etc/passwd is not directly in /dev/shm" },
                { "/ring", KEEP_UNTIL_STOPPED, NULL, "Path=/ring is not directly in /dev/shm" },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                const Definition definition = {
                        .path = (char *) rows[i].path,
                        .keep = rows[i].keep,
                        .path_label = (char *) rows[i].label,
                };
                char *error = definition_forbids(*state, &definition, /* roots= */ false);

                assert_null(definition_forbids(*state, &definition, /* roots= */ true));
                if (!rows[i].error) {
                        assert_null(error);
                } else {
                        assert_non_null(error);
                        assert_memory_equal(error, rows[i].error, strlen(rows[i].error));
                }
                talloc_free(error);
        }
}

/* Else a tenant could have a file that another user is taken to have written. */
static void test_to_whom_they_may_give_the_file(void **state) {
        const AccessRule root = { .kind = RULE_USER, .text = (char[]){ "0" }, .id = 0 },
                         alice = { .kind = RULE_USER, .text = (char[]){ "1001" }, .id = 1001 },
                         bob = { .kind = RULE_USER, .text = (char[]){ "1002" }, .id = 1002 },
                         not_given = { .kind = RULE_USER };
        const struct {
                AccessRule owner, user;
                bool allowed;
        } rows[] = {
                { alice, alice, true }, { alice, not_given, true }, { alice, bob, false },
                { alice, root, false }, { root, bob, true },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                const Definition definition = {
                        .path = (char[]){ "/dev/shm/ring" },
                        .owner = rows[i].owner,
                        .path_user = rows[i].user,
                };
                char *error = definition_forbids(*state, &definition, /* roots= */ false);

                assert_int_equal(error == NULL, rows[i].allowed);
                assert_null(definition_forbids(*state, &definition, /* roots= */ true));
                talloc_free(error);
        }
}

/* Whatever the test's own umask and directory: root can make a file look as if it were anybody's. */
static void test_whose_a_definition_is(void **state) {
        Scratch *scratch;
        char *path, *other;

        if (geteuid() != 0) {
                print_message("root is needed to own files\n");
                skip();
        }
        assert_int_equal(scratch_new(*state, &scratch), 0);
        assert_int_equal(scratch_write(scratch, "ring.domain", "", &path), 0);
        other = scratch_path(scratch, "other.domain");
        assert_int_equal(chmod(scratch->path, 0755), 0);
        assert_int_equal(chmod(path, 0644), 0);
        assert_true(definition_is_roots(path));
        assert_int_equal(chmod(path, 0664), 0);
        assert_false(definition_is_roots(path));
        assert_int_equal(chmod(path, 0646), 0);
        assert_false(definition_is_roots(path));
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(chown(path, 65534, 0), 0);
        assert_false(definition_is_roots(path));
        assert_int_equal(chown(path, 0, 0), 0);
        assert_int_equal(chmod(scratch->path, 0775), 0);
        assert_false(definition_is_roots(path));
        assert_int_equal(chmod(scratch->path, 01777), 0);
        assert_false(definition_is_roots(path));
        assert_int_equal(chmod(scratch->path, 0755), 0);
        assert_int_equal(chown(scratch->path, 65534, 0), 0);
        assert_false(definition_is_roots(path));
        assert_int_equal(chown(scratch->path, 0, 0), 0);
        assert_true(definition_is_roots(path));
        assert_int_equal(symlink(path, other), 0);
        assert_false(definition_is_roots(other));
        assert_false(definition_is_roots("/nonexistent/ring.domain"));
        assert_int_equal(unlink(other), 0);
        talloc_free(scratch);
}

/* ---- Notes ---- */

typedef struct Stage {
        Scratch *scratch;
        char *notes; /* a directory that is not there yet */
        char *file;
        Prepared prepared;
} Stage;

static Stage *stage_new(void *ctx) {
        Stage *stage = talloc_zero(ctx, Stage);
        struct stat st;

        assert_int_equal(scratch_new(stage, &stage->scratch), 0);
        stage->notes = scratch_path(stage->scratch, "notes");
        assert_int_equal(scratch_write(stage->scratch, "a file", "memory", &stage->file), 0);
        assert_int_equal(stat(stage->file, &st), 0);
        stage->prepared = (Prepared){
                .path = stage->file, .device = st.st_dev, .inode = st.st_ino, .remove = true
        };
        return stage;
}

static void stage_end(Stage *stage) {
        (void) rmdir(stage->notes);
        talloc_free(stage);
}

static bool exists(const char *path) {
        return access(path, F_OK) == 0;
}

static void test_a_note_is_read_back(void **state) {
        Stage *stage = stage_new(*state);
        Prepared *prepared = NULL;

        assert_int_equal(prepared_load(stage, stage->notes, "ring", &prepared), -ENOENT);
        assert_int_equal(prepared_save(stage->notes, "ring", &stage->prepared), 0);
        assert_int_equal(prepared_save(stage->notes, "ring", &stage->prepared), -EEXIST);
        assert_int_equal(prepared_load(stage, stage->notes, "ring", &prepared), 0);
        assert_string_equal(prepared->path, stage->file);
        assert_int_equal(prepared->device, stage->prepared.device);
        assert_int_equal(prepared->inode, stage->prepared.inode);
        assert_true(prepared->remove);
        assert_false(prepared->remove_directory);
        assert_int_equal(prepared_load(stage, stage->notes, "other", &prepared), -ENOENT);
        assert_int_equal(prepared_end(stage->notes, "ring"), 0);
        stage_end(stage);
}

static void test_the_end_removes_file_and_note(void **state) {
        Stage *stage = stage_new(*state);
        Prepared *prepared;

        assert_int_equal(prepared_end(stage->notes, "ring"), 0);
        assert_int_equal(prepared_save(stage->notes, "ring", &stage->prepared), 0);
        assert_int_equal(prepared_end(stage->notes, "ring"), 0);
        assert_false(exists(stage->file));
        assert_int_equal(prepared_load(stage, stage->notes, "ring", &prepared), -ENOENT);
        assert_int_equal(prepared_end(stage->notes, "ring"), 0);
        stage_end(stage);
}

/* The directory goes with the file, if it was made for it, and nobody else has anything there. */
static void test_directories_at_the_end(void **state) {
        static const struct {
                bool made;
                bool used;
                bool stays;
        } rows[] = { { true, false, false }, { true, true, true }, { false, false, true } };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                Stage *stage = stage_new(*state);
                char *folder = scratch_path(stage->scratch, "folder"), *other;

                assert_int_equal(mkdir(folder, 0755), 0);
                stage->prepared.path = talloc_asprintf(stage, "%s/file", folder);
                assert_int_equal(rename(stage->file, stage->prepared.path), 0);
                other = talloc_asprintf(stage, "%s/other", folder);
                if (rows[i].used) {
                        assert_int_equal(symlink("x", other), 0);
                }
                stage->prepared.remove_directory = rows[i].made;
                assert_int_equal(prepared_save(stage->notes, "ring", &stage->prepared), 0);
                assert_int_equal(prepared_end(stage->notes, "ring"), 0);
                assert_false(exists(stage->prepared.path));
                assert_int_equal(exists(folder), rows[i].stays);
                (void) unlink(other);
                (void) rmdir(folder);
                stage_end(stage);
        }
}

static void test_a_file_that_stays(void **state) {
        Stage *stage = stage_new(*state);

        stage->prepared.remove = false;
        assert_int_equal(prepared_save(stage->notes, "ring", &stage->prepared), 0);
        assert_int_equal(prepared_end(stage->notes, "ring"), 0);
        assert_true(exists(stage->file));
        stage_end(stage);
}

/* Somebody has taken the name for something else: that is not ours. */
static void test_a_file_that_took_the_name_stays(void **state) {
        Stage *stage = stage_new(*state);
        char *aside = scratch_path(stage->scratch, "aside");

        assert_int_equal(prepared_save(stage->notes, "ring", &stage->prepared), 0);
        assert_int_equal(rename(stage->file, aside), 0);
        assert_int_equal(scratch_write(stage->scratch, "a file", "another", &stage->file), 0);
        assert_int_equal(prepared_end(stage->notes, "ring"), 0);
        assert_true(exists(stage->file));
        assert_true(exists(aside));
        assert_int_equal(unlink(aside), 0);
        stage_end(stage);
}

/* A directory on the way was replaced by a link to somewhere else, where a file of that name is. */
static void test_no_link_is_followed_at_the_end(void **state) {
        Stage *stage = stage_new(*state);
        char *real = scratch_path(stage->scratch, "real"), *link = scratch_path(stage->scratch, "link"),
             *file;
        struct stat st;

        assert_int_equal(mkdir(real, 0700), 0);
        assert_int_equal(symlink("real", link), 0);
        file = talloc_asprintf(stage, "%s/file", real);
        assert_int_equal(rename(stage->file, file), 0);
        stage->prepared.path = talloc_asprintf(stage, "%s/file", link);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(prepared_save(stage->notes, "ring", &stage->prepared), 0);
        assert_int_equal(prepared_end(stage->notes, "ring"), -ELOOP);
        assert_true(exists(file));
        assert_int_equal(unlink(file), 0);
        assert_int_equal(unlink(link), 0);
        assert_int_equal(rmdir(real), 0);
        stage_end(stage);
}

static void test_a_note_that_cannot_be_read(void **state) {
        static const char *const texts[] = {
                "",
                "remove",
                "remove keep 1",
                "remove keep 1 2",
                "remove keep 1 2 \n",
                "remove keep 1 2 relative\n",
                "remove keep x 2 /a\n",
                "remove 1 2 /a\n",
        };
        Stage *stage = stage_new(*state);
        char *path = talloc_asprintf(stage, "%s/ring", stage->notes);

        assert_int_equal(mkdir(stage->notes, 0700), 0);
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                Prepared *prepared = NULL;
                FILE *file = fopen(path, "we");

                assert_non_null(file);
                assert_true(fputs(texts[i], file) >= 0);
                assert_int_equal(fclose(file), 0);
                assert_int_equal(prepared_load(stage, stage->notes, "ring", &prepared), -EBADMSG);
                assert_null(prepared);
        }
        assert_int_equal(prepared_end(stage->notes, "ring"), -EBADMSG);
        assert_false(exists(path));
        stage_end(stage);
}

/* ---- The command line ---- */

/* That it is refused, and what is said about it. */
static void check_refused(int argc, char **argv, const char *words) {
        char said[512] = "";
        int ends[2], stderr_fd = dup(STDERR_FILENO), status;

        assert_true(stderr_fd >= 0);
        assert_int_equal(pipe(ends), 0);
        assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
        status = prepare_main(argc, argv);
        assert_true(dup2(stderr_fd, STDERR_FILENO) >= 0);
        assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
        close(ends[0]);
        close(ends[1]);
        close(stderr_fd);
        assert_int_equal(status, 64);
        assert_non_null(strstr(said, words));
}

static void test_the_command_line(void **state) {
        char *program = (char *) "ivshmem-prepare", *end = (char *) "--end", *name = (char *) "../etc";

        check_refused(1, (char *[]){ program, NULL }, "NAME of one domain");
        check_refused(2, (char *[]){ program, name, NULL }, "\"../etc\" is not a domain's name");
        check_refused(3, (char *[]){ program, end, name, NULL }, "\"../etc\" is not a domain's name");
        check_refused(3, (char *[]){ program, (char *) "--name", name, NULL },
                      "\"../etc\" is not a domain's name");
        check_refused(3, (char *[]){ program, (char *) "a", (char *) "b", NULL }, "NAME of one domain");
        assert_int_equal(prepare_main(3, (char *[]){ program, (char *) "--name", (char *) "ring", NULL }),
                         0);
        /* A domain of which there is nothing to remove, and one that has no definition. */
        assert_int_equal(prepare_main(3, (char *[]){ program, end, (char *) "no-such-domain", NULL }), 0);
        assert_int_equal(prepare_main(2, (char *[]){ program, (char *) "no-such-domain", NULL }), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_what_definitions_of_others_may_have),
                TEST(test_to_whom_they_may_give_the_file),
                TEST(test_whose_a_definition_is),
                TEST(test_a_note_is_read_back),
                TEST(test_the_end_removes_file_and_note),
                TEST(test_directories_at_the_end),
                TEST(test_a_file_that_stays),
                TEST(test_a_file_that_took_the_name_stays),
                TEST(test_no_link_is_followed_at_the_end),
                TEST(test_a_note_that_cannot_be_read),
                TEST(test_the_command_line),
        };

        return cmocka_run_group_tests_name("prepare", tests, NULL, NULL);
}
