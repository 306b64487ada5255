/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/notify: a service manager that does not listen must not hold anybody up. */

#include "service/server/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/testing.h"

typedef struct Fixture {
        int manager;
        Event *event;
        Notify *notify;
} Fixture;

/* A manager at an abstract address of the kernel's choice. */
static Fixture *fixture_new(void *ctx) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(address);
        Fixture *fixture = talloc_zero(ctx, Fixture);

        fixture->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fixture->manager, (struct sockaddr *) &address, sizeof(sa_family_t)), 0);
        assert_int_equal(getsockname(fixture->manager, (struct sockaddr *) &address, &length), 0);
        address.sun_path[0] = '@';
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(event_new(fixture, &fixture->event), 0);
        assert_int_equal(notify_new(fixture, &fixture->notify), 0);
        return fixture;
}

static void fixture_end(Fixture *fixture) {
        close(fixture->manager);
        talloc_free(fixture);
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
}

static const char *receive(Fixture *fixture, char text[static 64]) {
        ssize_t n = recv(fixture->manager, text, 63, 0);

        text[n > 0 ? n : 0] = '\0';
        return n < 0 ? "nothing" : text;
}

static void settle(Fixture *fixture) {
        while (sd_event_run(fixture->event->loop, 0) > 0) {
        }
}

static void test_told_at_once(void **state) {
        Fixture *fixture = fixture_new(*state);
        char text[64];

        notify_send(fixture->notify, "READY=1");
        notify_status(fixture->notify, "%d of %d peers", 1, 2);
        assert_string_equal(receive(fixture, text), "READY=1");
        assert_string_equal(receive(fixture, text), "STATUS=1 of 2 peers");
        fixture_end(fixture);
}

static void test_nothing_waits_and_nothing_is_lost(void **state) {
        Fixture *fixture = fixture_new(*state);
        size_t went = 0;
        char text[64];

        assert_int_equal(notify_attach(fixture->notify, fixture->event), 0);
        while (notify_send_fd(fixture->notify, "FDSTORE=1", 0) == 0) {
                went++;
        }
        notify_send(fixture->notify, "FDSTOREREMOVE=1");
        notify_status(fixture->notify, "old");
        notify_status(fixture->notify, "new");
        notify_send(fixture->notify, "STOPPING=1");
        /* Behind what waits nothing overtakes. */
        assert_int_equal(notify_send_fd(fixture->notify, "FDSTORE=1", 0), -EAGAIN);
        settle(fixture);
        while (went-- > 0) {
                assert_string_equal(receive(fixture, text), "FDSTORE=1");
        }
        settle(fixture);
        assert_string_equal(receive(fixture, text), "FDSTOREREMOVE=1");
        assert_string_equal(receive(fixture, text), "STATUS=new");
        assert_string_equal(receive(fixture, text), "STOPPING=1");
        assert_string_equal(receive(fixture, text), "nothing");
        fixture_end(fixture);
}

static void test_watchdog(void **state) {
        Fixture *fixture;
        char text[64], pid[16];

        snprintf(pid, sizeof(pid), "%d", getpid());
        setenv("WATCHDOG_PID", pid, 1);
        setenv("WATCHDOG_USEC", "2000", 1);
        fixture = fixture_new(*state);
        assert_int_equal(notify_attach(fixture->notify, fixture->event), 0);
        for (int i = 0; i < 2; i++) {
                while (strcmp(receive(fixture, text), "nothing") == 0) {
                        assert_true(sd_event_run(fixture->event->loop, 10000000) > 0);
                }
                assert_string_equal(text, "WATCHDOG=1");
        }
        fixture_end(fixture);
}

static void test_without_a_manager(void **state) {
        Notify *notify = (Notify *) *state;

        unsetenv("NOTIFY_SOCKET");
        assert_int_equal(notify_new(*state, &notify), 0);
        assert_null(notify);
        notify_send(notify, "READY=1");
        notify_status(notify, "idle");
        assert_int_equal(notify_attach(notify, NULL), 0);
        setenv("NOTIFY_SOCKET", "relative", 1);
        assert_int_equal(notify_new(*state, &notify), -EINVAL);
        setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
        assert_int_equal(notify_new(*state, &notify), -ENOENT);
        unsetenv("NOTIFY_SOCKET");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_told_at_once),
                TEST(test_nothing_waits_and_nothing_is_lost),
                TEST(test_watchdog),
                TEST(test_without_a_manager),
        };

        return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
