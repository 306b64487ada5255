/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/watch: a definition that comes and goes, and other files that do. */

#include "service/server/watch.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/lib/scratch.h"
#include "tests/unit/testing.h"

typedef struct Seen {
        unsigned int calls;
        bool exists;
} Seen;

typedef struct Stage {
        Scratch *scratch;
        char *path;
        Source source;
        Event *event;
        Watch *watch;
        Seen seen;
} Stage;

static void on_definition(bool exists, void *userdata) {
        Seen *seen = userdata;

        seen->calls++;
        seen->exists = exists;
}

static Stage *stage_new(void *ctx) {
        Stage *stage = talloc_zero(ctx, Stage);

        assert_int_equal(scratch_new(stage, &stage->scratch), 0);
        assert_int_equal(scratch_write(stage->scratch, "ring.domain", "", &stage->path), 0);
        stage->source = (Source){ .name = "ring", .path = stage->path };
        assert_int_equal(event_new(stage, &stage->event), 0);
        assert_int_equal(
                watch_new(stage, stage->event, &stage->source, on_definition, &stage->seen, &stage->watch),
                0);
        assert_true(watch_fd(stage->watch) >= 0);
        return stage;
}

/* Does what there is to do. The kernel has told it when the call that caused it returns. */
static void turn(Stage *stage) {
        while (sd_event_run(stage->event->loop, 0) > 0) {
        }
}

static void test_it_goes_and_comes(void **state) {
        Stage *stage = stage_new(*state);

        turn(stage);
        assert_int_equal(stage->seen.calls, 0);
        assert_int_equal(unlink(stage->path), 0);
        turn(stage);
        assert_int_equal(stage->seen.calls, 1);
        assert_false(stage->seen.exists);
        assert_false(definition_exists(&stage->source));
        assert_int_equal(scratch_write(stage->scratch, "ring.domain", "", &stage->path), 0);
        turn(stage);
        assert_int_equal(stage->seen.calls, 2);
        assert_true(stage->seen.exists);
        talloc_free(stage);
}

/* What editors do: a new file takes the old one's place. */
static void test_it_is_replaced(void **state) {
        Stage *stage = stage_new(*state);
        char *other, *aside = scratch_path(stage->scratch, "aside");

        assert_int_equal(scratch_write(stage->scratch, ".ring.domain.new", "", &other), 0);
        assert_int_equal(rename(other, stage->path), 0);
        turn(stage);
        assert_true(stage->seen.calls > 0 && stage->seen.exists);
        assert_int_equal(rename(stage->path, aside), 0);
        turn(stage);
        assert_false(stage->seen.exists);
        assert_int_equal(rename(aside, stage->path), 0);
        turn(stage);
        assert_true(stage->seen.exists);
        talloc_free(stage);
}

static void test_other_files_mean_nothing(void **state) {
        Stage *stage = stage_new(*state);
        char *other;

        for (int i = 0; i < 300; i++) {
                assert_int_equal(scratch_write(stage->scratch, "rin.domain", "", &other), 0);
                assert_int_equal(unlink(other), 0);
        }
        assert_int_equal(scratch_write(stage->scratch, "ring.domain~", "", &other), 0);
        turn(stage);
        assert_int_equal(stage->seen.calls, 0);
        talloc_free(stage);
}

/* A definition by its name can be in any of the directories: for one that is nowhere there is none. */
static void test_by_name(void **state) {
        const Source source = { .name = "no-such-domain" };
        Event *event;
        Watch *watch;

        assert_false(definition_exists(&source));
        assert_int_equal(event_new(*state, &event), 0);
        assert_int_equal(watch_new(*state, event, &source, on_definition, NULL, &watch), 0);
        talloc_free(watch);
        talloc_free(event);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_it_goes_and_comes),
                TEST(test_it_is_replaced),
                TEST(test_other_files_mean_nothing),
                TEST(test_by_name),
        };

        return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
