/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/memory: a file of Path= that one process opens for another, how it may be reached, and its label. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "service/server/memory-parts.h"
#include "tests/unit/memory-fixture.h"

static char error[400];

/* Who owns a directory on the way can have it lead anywhere. */
static void test_no_links_on_the_way(void **state) {
        Definition definition = file_definition();
        MemoryRequest request;
        Memory *memory = NULL;
        char link[64], text[128], *why = NULL;

        snprintf(link, sizeof(link), "%s/link", file_directory);
        snprintf(text, sizeof(text), "%s/link/ring", file_directory);
        assert_int_equal(symlink(".", link), 0);
        definition.path = text;
        request = memory_request(&definition);
        request.no_links = true;
        assert_int_equal(memory_prepare(*state, &request, &memory, &why), -ELOOP);
        snprintf(error, sizeof(error),
                 "there is a symbolic link in %s: write the directory's real path in Path=", link);
        assert_string_equal(why, error);
        talloc_free(why);
        definition.path = file_path;
        assert_int_equal(memory_prepare(*state, &request, &memory, &why), 0);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
        assert_int_equal(unlink(link), 0);
}

static void test_only_a_new_one(void **state) {
        Definition definition = file_definition();
        MemoryRequest request = memory_request(&definition);
        Memory *memory = NULL;
        char *why = NULL;

        request.only_new = true;
        file_write(FILE_SIZE, 0600, geteuid());
        assert_int_equal(memory_prepare(*state, &request, &memory, &why), -EEXIST);
        assert_non_null(
                strstr(why, " exists: a file is taken over for definitions only that nobody but root"));
        talloc_free(why);
        assert_int_equal(unlink(file_path), 0);
        assert_int_equal(memory_prepare(*state, &request, &memory, &why), 0);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

/* One prepares it, another one has it, and the first one's name goes last. */
static void test_prepared(void **state) {
        Definition definition = file_definition();
        MemoryRequest request = memory_request(&definition);
        Memory *prepared, *memory;
        char *why = NULL;
        int fds[MEMORY_FILE_FDS];

        assert_int_equal(memory_prepare(*state, &request, &prepared, &why), 0);
        assert_int_equal(file_stat().st_size, FILE_SIZE);
        assert_string_equal(memory_file(prepared, fds), file_path);
        request.file = fds;
        assert_int_equal(memory_new(*state, &request, &memory, &why), 0);
        assert_false(memory_is_adopted(memory));
        assert_int_equal(memory_directory_fd(memory), -EBADF);
        memory_poke(memory, 7, 42);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
        assert_int_equal(memory_peek(prepared, 7), 42);
        /* A descriptor that can write is not one for readers. */
        fds[MEMORY_FILE_READONLY] = fds[MEMORY_FILE_SHARED];
        assert_int_equal(memory_new(*state, &request, &memory, &why), -EINVAL);
        snprintf(error, sizeof(error), "what was handed over is not the file %s", file_path);
        assert_string_equal(why, error);
        talloc_free(why);
        assert_int_equal(memory_remove(prepared), 0);
        talloc_free(prepared);
}

/* ---- Labels ---- */

static void test_which_labels_the_kernel_has(void **state) {
        char folder[80], file[96];

        assert_null(memory_label_attribute(file_directory));
        for (int i = 0; i < 2; i++) {
                static const char *const kinds[][3] = {
                        { "smackfs", "load2", "security.SMACK64" },
                        { "selinux", "enforce", "security.selinux" },
                };

                snprintf(folder, sizeof(folder), "%s/%s", file_directory, kinds[i][0]);
                snprintf(file, sizeof(file), "%s/%s", folder, kinds[i][1]);
                assert_int_equal(mkdir(folder, 0700), 0);
                assert_null(memory_label_attribute(file_directory));
                assert_int_equal(close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
                assert_string_equal(memory_label_attribute(file_directory), kinds[i][2]);
                assert_int_equal(unlink(file), 0);
                assert_int_equal(rmdir(folder), 0);
        }
}

/* Without a security module root can give any label, which nobody looks at. */
static void test_a_label_is_given(void **state) {
        static const char attribute[] = "security.ivshmemtest", label[] = "a_u:b_r:c_t:s0";
        char found[sizeof(label)];
        int fd, r;

        file_write(FILE_SIZE, 0600, geteuid());
        fd = open(file_path, O_RDWR | O_CLOEXEC);
        r = memory_label_set(fd, attribute, label);
        assert_int_equal(memory_label_set(-1, attribute, label), -EBADF);
        if (r >= 0) {
                assert_int_equal(fgetxattr(fd, attribute, found, sizeof(found)), strlen(label));
                assert_memory_equal(found, label, strlen(label));
        }
        assert_int_equal(close(fd), 0);
        assert_int_equal(unlink(file_path), 0);
        if (r < 0) {
                print_message("files cannot be labelled here: %s\n", strerror(-r));
                skip();
        }
}

static void test_a_label_that_there_is_not(void **state) {
        Definition definition = file_definition();

        if (memory_label_attribute("/sys/fs")) {
                print_message("this kernel has labels\n");
                skip();
        }
        definition.path_label = (char *) "a_u:b_r:c_t:s0";
        memory_refuse(
                *state, &definition, -EOPNOTSUPP,
                "PathLabel=a_u:b_r:c_t:s0: this kernel runs neither SELinux nor Smack, which label files; "
                "remove PathLabel=");
        assert_int_equal(access(file_path, F_OK), -1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                FILE_TEST(test_no_links_on_the_way),
                FILE_TEST(test_only_a_new_one),
                FILE_TEST(test_prepared),
                FILE_TEST(test_which_labels_the_kernel_has),
                FILE_TEST(test_a_label_is_given),
                FILE_TEST(test_a_label_that_there_is_not),
        };

        return cmocka_run_group_tests_name("memory-prepare", tests, NULL, NULL);
}
