/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/listener and ownfile: names that are made, left alone, and removed. */

#include "service/server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/testing.h"

typedef struct Place {
        char *directory;
        char *path;
} Place;

static Place *place_new(void *ctx) {
        Place *place = talloc(ctx, Place);

        place->directory = talloc_strdup(place, "/tmp/ivshmem-listener-XXXXXX");
        assert_non_null(mkdtemp(place->directory));
        place->path = talloc_asprintf(place, "%s/socket", place->directory);
        return place;
}

static void place_end(Place *place) {
        (void) unlink(place->path);
        assert_int_equal(rmdir(place->directory), 0);
        talloc_free(place);
}

static Fd *open_listener(Place *place, uint32_t mode, OwnFile **ret_file) {
        Fd *listener = NULL;
        char *error = NULL;

        assert_int_equal(listener_open(place, place->path, mode, &listener, ret_file, &error), 0);
        return listener;
}

static void expect_refused(Place *place, int result, const char *why) {
        char *expected = talloc_asprintf(place, "Cannot listen on %s: %s", place->path, why), *error = NULL;
        OwnFile *file = NULL;
        Fd *listener = NULL;

        assert_int_equal(listener_open(place, place->path, 0, &listener, &file, &error), result);
        assert_string_equal(error, expected);
        assert_null(listener);
        assert_null(file);
}

static mode_t mode_of(const char *path) {
        struct stat st;

        return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static void test_opened_and_removed(void **state) {
        Place *place = place_new(*state);
        OwnFile *file;

        open_listener(place, 0666, &file);
        assert_int_equal(mode_of(place->path), 0666);
        ownfile_remove(file);
        assert_int_equal(access(place->path, F_OK), -1);
        place_end(place);
}

static void test_a_stale_socket_is_replaced(void **state) {
        Place *place = place_new(*state);
        OwnFile *file;
        Fd *first = open_listener(place, 0, &file);

        talloc_free(first);
        assert_int_equal(access(place->path, F_OK), 0);
        open_listener(place, 0, &file);
        place_end(place);
}

static void test_a_live_socket_is_left_alone_and_not_woken(void **state) {
        Place *place = place_new(*state);
        OwnFile *file;
        Fd *first = open_listener(place, 0, &file);

        expect_refused(place, -EADDRINUSE,
                       "another server listens there; stop it first, or choose another path");
        assert_int_equal(accept4(fd_get(first), NULL, NULL, 0), -1);
        assert_int_equal(errno, EAGAIN);
        place_end(place);
}

static void test_a_file_that_is_no_socket_is_left_alone(void **state) {
        Place *place = place_new(*state);
        int fd = open(place->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        close(fd);
        expect_refused(place, -EEXIST,
                       "there is a file that is no socket; remove it, or choose another path");
        assert_int_equal(mode_of(place->path), 0600);
        place_end(place);
}

static void test_paths_that_cannot_be(void **state) {
        Place *place = place_new(*state);
        char *path = place->path;

        place->path = talloc_asprintf(place, "%s/%0110d", place->directory, 0);
        expect_refused(place, -ENAMETOOLONG, "the path is longer than a socket's may be (107 bytes)");
        place->path = talloc_asprintf(place, "%s/missing/socket", place->directory);
        expect_refused(place, -ENOENT, "its directory does not exist; make it, or choose another path");
        place->path = path;
        place_end(place);
}

/* Others may hold it for a moment, or for ever. */
static void test_a_directory_that_is_locked(void **state) {
        Place *place = place_new(*state);
        int directory = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        OwnFile *file;

        assert_int_equal(flock(directory, LOCK_EX), 0);
        expect_refused(
                place, -EBUSY,
                "another process holds a lock on its directory (/proc/locks has it); end that, or choose "
                "another path");
        assert_int_equal(access(place->path, F_OK), -1);
        assert_int_equal(flock(directory, LOCK_UN), 0);
        open_listener(place, 0, &file);
        /* It is not kept. */
        assert_int_equal(flock(directory, LOCK_EX | LOCK_NB), 0);
        close(directory);
        place_end(place);
}

static void test_somebody_elses_file_is_not_removed(void **state) {
        Place *place = place_new(*state);
        OwnFile *file;
        int fd;

        open_listener(place, 0, &file);
        assert_int_equal(unlink(place->path), 0);
        fd = open(place->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        ownfile_remove(file);
        assert_int_equal(access(place->path, F_OK), 0);
        place_end(place);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_opened_and_removed),
                TEST(test_a_stale_socket_is_replaced),
                TEST(test_a_live_socket_is_left_alone_and_not_woken),
                TEST(test_a_file_that_is_no_socket_is_left_alone),
                TEST(test_paths_that_cannot_be),
                TEST(test_a_directory_that_is_locked),
                TEST(test_somebody_elses_file_is_not_removed),
        };

        return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
