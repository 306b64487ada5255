/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manager's end of a control link by itself: when it connects, and how long it waits. */

#include <errno.h>
#include <unistd.h>

#include "service/manager/link.h"
#include "tests/manager/staged.h"
#include "tests/unit/testing.h"

/* A server that takes questions and says nothing. What ended is not connected to: that would start it again. */
static bool is_alive(void *userdata) {
        return ++*(unsigned *) userdata > 1;
}

static void on_begun(void *userdata) {
}

static int on_record(const ControlRecord *record, void *userdata) {
        return 0;
}

static void on_silence(const Failure *failure, int fd, void *userdata) {
        assert_non_null(failure);
        assert_int_equal(failure->kind, FAILURE_SERVER_LOST);
        assert_int_equal(fd, -EBADF);
        ++*(unsigned *) userdata;
}

static void test_silence(void **state) {
        Staged *staged = staged_new(*state);
        unsigned n = 0, asked = 0;
        LinkParts parts = {
                .event = staged->managed->event,
                .reply_usec = 1000,
                .path = scratch_path(staged->managed->scratch, "silent.control"),
                .name = "silent",
                .alive = is_alive,
                .begun = on_begun,
                .record = on_record,
                .userdata = &asked,
        };
        int listener = staged_listen(parts.path), server;
        Failure failure;
        Link *link;

        assert_int_equal(link_new(staged, &parts, &link), 0);
        server = staged_accept(staged, listener);
        assert_int_equal(asked, 2);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(link_request(link, &(ControlRecord){ .kind = CONTROL_RELOAD }, on_silence,
                                              &n, &failure),
                                 0);
        }
        while (n < 2) {
                staged_turn(staged);
        }
        /* It begins anew. */
        close(server);
        server = staged_accept(staged, listener);
        link_close(link);
        talloc_free(link);
        close(server);
        close(listener);
        staged_free(staged);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_silence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
