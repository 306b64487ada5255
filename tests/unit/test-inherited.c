/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/inherited and bag: what systemd passes, checked before it is used. */

#include "service/server/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/server/bag.h"
#include "tests/unit/testing.h"

/* What a child found, as text: a listener, stored descriptors, strangers - or the error. */
static char *describe(void *ctx, const Inherited *inherited) {
        char *text = talloc_asprintf(ctx, "%s%s", inherited->listener ? "listener" : "",
                                     inherited->control ? " control" : "");

        /* systemd passes sockets that wait, and whoever connected may be gone when it is accepted. */
        if ((inherited->listener && !(fcntl(fd_get(inherited->listener), F_GETFL) & O_NONBLOCK)) ||
            (inherited->control && !(fcntl(fd_get(inherited->control), F_GETFL) & O_NONBLOCK))) {
                text = talloc_asprintf_append(text, " (blocking)");
        }

        for (size_t i = 0; i < inherited->n_stored; i++) {
                char name[FDNAME_SIZE];

                fdname_format(&inherited->stored[i].name, name);
                text = talloc_asprintf_append(text, " stored:%s", name);
        }
        for (size_t i = 0; i < inherited->n_strangers; i++) {
                text = talloc_asprintf_append(text, " stranger:%s", inherited->strangers[i]);
        }
        return text;
}

/* Runs inherited_take() in a child that has the descriptors from 3 on, as systemd passes them; returns what it found. */
static char *inherit(void *ctx, const int *fds, int n, const char *names) {
        char text[512], *error = NULL, number[16];
        Inherited *inherited;
        int ends[2], status;
        ssize_t length;
        pid_t child;

        assert_int_equal(pipe(ends), 0);
        child = fork();
        if (child == 0) {
                const char *answer;

                dup2(ends[1], 200);
                for (int i = 0; i < n; i++) {
                        dup2(fds[i], 100 + i);
                }
                for (int i = 0; i < n; i++) {
                        dup2(100 + i, 3 + i);
                }
                snprintf(number, sizeof(number), "%d", getpid());
                setenv("LISTEN_PID", number, 1);
                snprintf(number, sizeof(number), "%d", n);
                setenv("LISTEN_FDS", number, 1);
                setenv("LISTEN_FDNAMES", names, 1);
                answer = inherited_take(ctx, &inherited, &error) < 0 ? error : describe(ctx, inherited);
                _exit(write(200, answer, strlen(answer)) < 0);
        }
        close(ends[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        length = read(ends[0], text, sizeof(text));
        close(ends[0]);
        assert_int_equal(status, 0);
        return talloc_strndup(ctx, text, length > 0 ? (size_t) length : 0);
}

static void expect(void *ctx, const int *fds, int n, const char *names, const char *expected) {
        char *found = inherit(ctx, fds, n, names);

        assert_string_equal(found, expected);
        talloc_free(found);
}

static int listening_socket(int type) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        /* An abstract address of the kernel's choice. */
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(sa_family_t)), 0);
        assert_int_equal(listen(fd, 1), 0);
        return fd;
}

static void test_listening_sockets(void **state) {
        int good = listening_socket(SOCK_STREAM), packets = listening_socket(SOCK_SEQPACKET);

        expect(*state, &good, 1, "peers", "listener");
        expect(*state, &good, 1, "unknown", "listener");
        expect(*state, &packets, 1, "control", " control");
        expect(*state, (int[]){ packets, good }, 2, "control:peers", "listener control");
        expect(*state, &good, 1, "memory",
               "Inherited descriptor 3 is called \"memory\", not \"peers\" or \"control\"; set FileDescriptorName= in "
               "the socket unit");
        expect(*state, &good, 1, "control",
               "Inherited descriptor 3 (\"control\") is not a listening AF_UNIX sequential-packet socket; use "
               "ListenSequentialPacket= with a path");
        expect(*state, (int[]){ packets, packets }, 2, "control:control",
               "Inherited more than one socket called \"control\"; keep one ListenSequentialPacket=");
        expect(*state, &packets, 1, "peers",
               "Inherited descriptor 3 (\"peers\") is not a listening AF_UNIX stream socket; use ListenStream= with a "
               "path");
        expect(*state, (int[]){ good, packets }, 2, "peers:peers",
               "Inherited more than one socket called \"peers\"; keep one ListenStream=");
        close(good);
        close(packets);
}

static void test_stored_descriptors(void **state) {
        int memory = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING), peer[2], bag[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peer), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bag), 0);
        expect(*state, (int[]){ peer[0], memory, bag[0], memory }, 4, "peer-3-9:memory:doorbells-3:ledger",
               " stored:peer-3-9 stored:memory stored:doorbells-3 stored:ledger");
        /* Names that are not ours, and descriptors that are not what their names say. */
        expect(*state, (int[]){ peer[0], peer[0], memory, bag[0], peer[1] }, 5,
               "peer-3:memory:doorbells-1:peer-1-1:x",
               " stranger:peer-3 stranger:memory stranger:doorbells-1 "
               "stranger:peer-1-1 stranger:x");
        close(memory);
        for (int i = 0; i < 2; i++) {
                close(peer[i]);
                close(bag[i]);
        }
}

static void test_a_bag_stays_full(void **state) {
        char note[BAG_NOTE_SIZE];
        int fds[3], copies[3], bag;

        for (int i = 0; i < 3; i++) {
                fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        }
        bag = bag_new(fds, 3, "a note");
        assert_true(bag >= 0);
        for (int look = 0; look < 2; look++) {
                assert_int_equal(bag_look(bag, copies, 3, note), 0);
                assert_string_equal(note, "a note");
                for (int i = 0; i < 3; i++) {
                        eventfd_t rings;

                        assert_int_equal(eventfd_write(copies[i], (eventfd_t) i + 1), 0);
                        assert_int_equal(eventfd_read(fds[i], &rings), 0);
                        assert_int_equal(rings, i + 1);
                        assert_int_equal(fcntl(copies[i], F_GETFD), FD_CLOEXEC);
                        close(copies[i]);
                }
        }
        assert_int_equal(bag_look(bag, copies, 2, note), -EBADMSG);
        for (int i = 0; i < 3; i++) {
                close(fds[i]);
        }
        close(bag);
}

static void test_what_is_no_bag(void **state) {
        char note[BAG_NOTE_SIZE];
        int pair[2], copies[1];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(bag_look(pair[0], copies, 1, note), -EAGAIN);
        assert_int_equal(send(pair[1], "x", 1, 0), 1);
        assert_int_equal(bag_look(pair[0], copies, 1, note), -EBADMSG);
        close(pair[0]);
        close(pair[1]);
}

/* What a bag of one descriptor is like that somebody else has made. */
static int forge(int fd, const char *text, size_t length) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
                                  .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS } };
        struct iovec iov = { .iov_base = (char *) text, .iov_len = length };
        const struct msghdr header = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        int pair[2];

        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(sendmsg(pair[1], &header, 0), length);
        close(pair[1]);
        return pair[0];
}

static void test_notes_that_do_not_end(void **state) {
        static const char nothing[BAG_NOTE_SIZE + 1]; /* longer than a note can be */
        char note[BAG_NOTE_SIZE];
        int fd = eventfd(0, EFD_CLOEXEC), copy;
        const struct {
                int bag;
                int result;
        } rows[] = {
                { forge(fd, "x", 2), 0 },
                { forge(fd, "x", 1), -EBADMSG },
                { forge(fd, nothing, BAG_NOTE_SIZE), 0 },
                { forge(fd, nothing, BAG_NOTE_SIZE + 1), -EBADMSG },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                assert_int_equal(bag_look(rows[i].bag, &copy, 1, note), rows[i].result);
                if (rows[i].result == 0) {
                        close(copy);
                }
                close(rows[i].bag);
        }
        close(fd);
}

/* One that is too long is cut. */
static void test_notes(void **state) {
        char note[BAG_NOTE_SIZE], text[BAG_NOTE_SIZE + 1];
        int fd = eventfd(0, EFD_CLOEXEC), copy, bag;

        memset(text, 'x', sizeof(text));
        text[BAG_NOTE_SIZE] = '\0';
        bag = bag_new(&fd, 1, text);
        assert_int_equal(bag_look(bag, &copy, 1, note), 0);
        assert_int_equal(strlen(note), BAG_NOTE_SIZE - 1);
        close(copy);
        close(bag);
        bag = bag_new(&fd, 1, NULL);
        assert_int_equal(bag_look(bag, &copy, 1, note), 0);
        assert_string_equal(note, "");
        close(copy);
        close(bag);
        close(fd);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_listening_sockets), TEST(test_stored_descriptors),    TEST(test_a_bag_stays_full),
                TEST(test_what_is_no_bag),    TEST(test_notes_that_do_not_end), TEST(test_notes),
        };

        return cmocka_run_group_tests_name("inherited", tests, NULL, NULL);
}
