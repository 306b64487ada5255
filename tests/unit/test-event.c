/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/base/event: in which order the loop does what is due. */

#include "service/base/event.h"

#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/unit/testing.h"

#define TURNS 100U

/* Work that goes on, and somebody who writes into a pipe after the first turn of it. */
typedef struct Busy {
        Event *event;
        EventSource *turn;
        EventSource *input;
        int ends[2];
        unsigned n_turns;
        unsigned heard; /* after so many turns; 0: not at all */
} Busy;

static int on_turn(sd_event_source *source, uint64_t usec, void *userdata) {
        Busy *busy = userdata;

        if (++busy->n_turns == 1) {
                assert_int_equal(write(busy->ends[1], "", 1), 1);
        }
        return busy->n_turns == TURNS ? sd_event_exit(busy->event->loop, 0)
                                      : event_source_arm_turn(busy->turn);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Busy *busy = userdata;

        busy->heard = busy->n_turns;
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static void test_turns_let_others_in(void **state) {
        Busy *busy = talloc_zero(*state, Busy);

        assert_int_equal(pipe(busy->ends), 0);
        assert_int_equal(event_new(busy, &busy->event), 0);
        assert_int_equal(
                event_add_turn(busy, busy->event, SD_EVENT_PRIORITY_NORMAL, on_turn, busy, &busy->turn), 0);
        assert_int_equal(event_add_io(busy, busy->event, busy->ends[0], EPOLLIN, SD_EVENT_PRIORITY_NORMAL,
                                      on_input, busy, &busy->input),
                         0);
        assert_int_equal(event_source_arm_turn(busy->turn), 0);
        assert_int_equal(sd_event_loop(busy->event->loop), 0);
        assert_int_equal(busy->n_turns, TURNS);
        assert_in_range(busy->heard, 1, 2);
        TALLOC_FREE(busy->input);
        close(busy->ends[0]);
        close(busy->ends[1]);
        talloc_free(busy);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_turns_let_others_in),
        };

        return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
