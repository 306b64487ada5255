/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The systemd launcher against a systemd that fails on purpose: what the real one does is in tests/system. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "service/manager/launcher.h"
#include "service/manager/systemd.h"
#include "tests/lib/socket.h"
#include "tests/manager/fake-systemd.h"
#include "tests/unit/testing.h"

#define MANY 150U

typedef struct Scene {
        FakeSystemd *fake;
        Event *event;
        Launcher *launcher;
        char *heard; /* lines: "ring running 4242 STATUS" */
        unsigned n_done;
        bool failed;
        Failure failure;
} Scene;

static void on_changed(const char *name, const LauncherState *state, void *userdata) {
        Scene *scene = talloc_get_type_abort(userdata, Scene);

        scene->heard = talloc_asprintf_append(scene->heard, "%s %s %" PRIu32 " %s\n", name,
                                              domain_state_names[state->state], state->main_pid,
                                              state->status);
        assert_non_null(scene->heard);
}

static void on_done(const Failure *failure, void *userdata) {
        Scene *scene = talloc_get_type_abort(userdata, Scene);

        scene->n_done++;
        scene->failed = failure;
        if (failure) {
                scene->failure = *failure;
        }
}

static void wait_for(Scene *scene, const char *line) {
        while (!strstr(scene->heard, line)) {
                int r = sd_event_run(scene->event->loop, (uint64_t) WAIT_MSEC * 1000);

                if (r <= 0) {
                        fail_msg("\"%s\" did not come; heard:\n%s", line, scene->heard);
                }
        }
}

static void forget(Scene *scene) {
        *scene->heard = '\0';
}

static void attach(Scene *scene) {
        LauncherObserver observer = { .changed = on_changed, .userdata = scene };

        assert_int_equal(launcher_systemd_new(scene, scene->event, &scene->launcher), 0);
        assert_int_equal(scene->launcher->ops->attach(scene->launcher, &observer), 0);
}

/* Bus and systemd run; the launcher is not attached yet. NULL: the test was skipped. */
static Scene *scene_prepare(void *ctx) {
        Scene *scene = talloc_zero(ctx, Scene);

        assert_non_null(scene);
        scene->heard = talloc_strdup(scene, "");
        assert_int_equal(event_new(scene, &scene->event), 0);
        assert_int_equal(fake_systemd_new(scene, &scene->fake), 0);
        return scene;
}

static Scene *scene_new(void *ctx) {
        Scene *scene = scene_prepare(ctx);

        fake_bus_start(scene->fake);
        fake_systemd_start(scene->fake);
        attach(scene);
        return scene;
}

static void begin(Scene *scene, LauncherVerb verb, const char *name) {
        Failure failure;

        if (scene->launcher->ops->begin(scene->launcher, verb, name, "", on_done, scene, &failure) < 0) {
                fail_msg("%s", failure.text);
        }
}

static bool finish(Scene *scene) {
        while (scene->n_done == 0) {
                assert_true(sd_event_run(scene->event->loop, (uint64_t) WAIT_MSEC * 1000) > 0);
        }
        assert_int_equal(scene->n_done, 1);
        scene->n_done = 0;
        return !scene->failed;
}

/* Frees the launcher before the loop, as the manager does. */
static void scene_free(Scene *scene) {
        TALLOC_FREE(scene->launcher);
        talloc_free(scene);
}

/* What runs already is told from within attach(); what else there is to know of it follows. */
static void test_found(void **state) {
        Scene *scene = scene_prepare(*state);

        fake_bus_start(scene->fake);
        fake_systemd_start(scene->fake);
        fake_set(scene->fake, "ivshmem@old.service", "active", "3 of 16 peers", "success", 4711);
        fake_set(scene->fake, "ivshmem@bad.service", "failed", "no huge pages", "exit-code", 0);
        fake_set(scene->fake, "ivshmem@worse.service", "failed", "", "signal", 0);
        fake_set(scene->fake, "ivshmem@Strange.service", "active", "", "success", 1);
        fake_set(scene->fake, "other.service", "active", "", "success", 1);
        fake_set_job(scene->fake, "ivshmem@back.service", 3);
        fake_set(scene->fake, "ivshmem@back.service", "inactive", "", "success", 0);
        attach(scene);
        assert_non_null(strstr(scene->heard, "old running"));
        assert_non_null(strstr(scene->heard, "bad failed"));
        wait_for(scene, "old running 4711 3 of 16 peers");
        wait_for(scene, "bad failed 0 no huge pages");
        wait_for(scene, "worse failed 0 The server was killed by a signal");
        assert_null(strstr(scene->heard, "trange"));
        assert_null(strstr(scene->heard, "other"));
        assert_null(strstr(scene->heard, "back"));
        scene_free(scene);
}

/* More than a bus daemon lets anybody wait for at a time, all found and all stopped. */
static void test_many(void **state) {
        Scene *scene = scene_prepare(*state);
        char text[64];

        fake_bus_start(scene->fake);
        fake_systemd_start(scene->fake);
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(text, sizeof(text), "ivshmem@many-%u.service", i);
                fake_set(scene->fake, text, "active", "", "success", 1000 + i);
        }
        attach(scene);
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(text, sizeof(text), "many-%u running %u", i, 1000 + i);
                wait_for(scene, text);
        }
        for (unsigned i = 0; i < MANY; i++) {
                snprintf(text, sizeof(text), "many-%u", i);
                begin(scene, LAUNCHER_STOP, text);
        }
        while (scene->n_done < MANY) {
                assert_true(sd_event_run(scene->event->loop, (uint64_t) WAIT_MSEC * 1000) > 0);
                if (scene->failed) {
                        fail_msg("%s", scene->failure.text);
                }
        }
        scene_free(scene);
}

static void test_start_and_stop(void **state) {
        Scene *scene = scene_new(*state);

        begin(scene, LAUNCHER_START, "ring");
        assert_int_equal(scene->n_done, 0);
        assert_true(finish(scene));
        assert_non_null(strstr(scene->heard, "ring running 4242"));
        assert_string_equal(fake_calls(scene->fake), "StartUnit ivshmem@ring.service replace\n");
        begin(scene, LAUNCHER_RESTART, "ring");
        assert_true(finish(scene));
        assert_string_equal(fake_calls(scene->fake), "RestartUnit ivshmem@ring.service replace\n");
        begin(scene, LAUNCHER_STOP, "ring");
        assert_true(finish(scene));
        assert_non_null(strstr(scene->heard, "ring stopped 0"));
        assert_string_equal(fake_calls(scene->fake), "StopUnit ivshmem@ring.socket replace\n"
                                                     "StopUnit ivshmem-control@ring.socket replace\n"
                                                     "StopUnit ivshmem@ring.service replace\n");
        /* Units that are not loaded are stopped. */
        fake_plan(scene->fake, "no-unit");
        begin(scene, LAUNCHER_STOP, "ring");
        assert_true(finish(scene));
        scene_free(scene);
}

/* A domain that failed is stopped when somebody says so, and systemd forgets it. */
static void test_stop_failed(void **state) {
        Scene *scene = scene_new(*state);

        fake_set(scene->fake, "ivshmem@ring.service", "failed", "why", "exit-code", 0);
        wait_for(scene, "ring failed 0 why");
        fake_plan(scene->fake, "no-unit");
        begin(scene, LAUNCHER_STOP, "ring");
        assert_true(finish(scene));
        assert_non_null(strstr(scene->heard, "ring stopped 0"));
        assert_non_null(strstr(fake_calls(scene->fake), "ResetFailedUnit ivshmem@ring.service\n"));
        scene_free(scene);
}

static const struct {
        LauncherVerb verb;
        const char *plan;
        FailureKind kind;
        const char *why;
} failures[] = {
        { LAUNCHER_START, "failed", FAILURE_START_FAILED,
          "Domain \"ring\" cannot be started: ring.domain:3: no" },
        { LAUNCHER_START, "canceled", FAILURE_START_FAILED, "somebody stopped or started it meanwhile" },
        { LAUNCHER_START, "timeout", FAILURE_START_FAILED, "longer than systemd allows" },
        { LAUNCHER_START, "dependency", FAILURE_START_FAILED, "its sockets cannot be made" },
        { LAUNCHER_START, "no-unit", FAILURE_START_FAILED, "Unit is not loaded" },
        { LAUNCHER_START, "masked", FAILURE_START_FAILED,
          " is masked, so nothing starts it; 'systemctl unmask ivshmem@ring.service' mends that" },
        { LAUNCHER_START, "no-polkit", FAILURE_START_FAILED,
          "cannot be started: polkit, which systemd asks, went away before it answered; see 'systemctl status polkit'" },
        { LAUNCHER_STOP, "no-polkit", FAILURE_STOP_FAILED, "polkit, which systemd asks, went away" },
        { LAUNCHER_START, "broken", FAILURE_START_FAILED, "It is broken." },
        { LAUNCHER_START, "denied", FAILURE_START_FAILED, "is its polkit rule installed?" },
        { LAUNCHER_RESTART, "failed", FAILURE_START_FAILED,
          "Domain \"ring\" cannot be restarted: ring.domain:3: no" },
        { LAUNCHER_STOP, "timeout", FAILURE_STOP_FAILED,
          "Domain \"ring\" cannot be stopped: it took longer" },
        { LAUNCHER_STOP, "broken", FAILURE_STOP_FAILED, "It is broken." },
        { LAUNCHER_STOP, "denied", FAILURE_STOP_FAILED, "is its polkit rule installed?" },
};

static void test_failures(void **state) {
        Scene *scene = scene_new(*state);

        for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
                fake_set(scene->fake, "ivshmem@ring.service", "inactive", "ring.domain:3: no", "exit-code",
                         0);
                fake_plan(scene->fake, failures[i].plan);
                begin(scene, failures[i].verb, "ring");
                assert_false(finish(scene));
                if (scene->failure.kind != failures[i].kind ||
                    !strstr(scene->failure.text, failures[i].why)) {
                        fail_msg("row %zu: %s", i, scene->failure.text);
                }
        }
        scene_free(scene);
}

/* What others do to units. */
static void test_signals(void **state) {
        Scene *scene = scene_new(*state);

        fake_set(scene->fake, "ivshmem@ring.service", "activating", "Preparing memory: 7%", "success", 5);
        wait_for(scene, "ring starting 5 Preparing memory: 7%");
        fake_set(scene->fake, "ivshmem@ring.service", "active", "0 of 16 peers", "success", 5);
        wait_for(scene, "ring running 5 0 of 16 peers");
        fake_set(scene->fake, "ivshmem@ring.service", "reloading", "", "success", 5);
        wait_for(scene, "ring running 5 \n");
        fake_set(scene->fake, "ivshmem@ring.service", "deactivating", "", "success", 5);
        wait_for(scene, "ring stopping 5");
        fake_set(scene->fake, "ivshmem@ring.service", "failed", "", "watchdog", 0);
        wait_for(scene, "ring failed 0 The server did not answer its watchdog");
        fake_set(scene->fake, "other.service", "active", "", "success", 9);
        fake_forget(scene->fake, "other.service");
        fake_forget(scene->fake, "ivshmem@ring.service");
        wait_for(scene, "ring stopped 0");
        assert_null(strstr(scene->heard, "other"));
        scene_free(scene);
}

/* A server that is replaced after its death is on its way, and neither failed nor stopped. */
static void test_replaced(void **state) {
        Scene *scene = scene_new(*state);

        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 5);
        wait_for(scene, "ring running 5");
        fake_crash(scene->fake, "ivshmem@ring.service");
        wait_for(scene, "ring starting 0");
        fake_set_job(scene->fake, "ivshmem@ring.service", 7);
        fake_set(scene->fake, "ivshmem@ring.service", "inactive", "", "success", 0);
        fake_set(scene->fake, "ivshmem@ring.service", "activating", "", "success", 0);
        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 6);
        wait_for(scene, "ring running 6");
        fake_end_job(scene->fake, "ivshmem@ring.service");
        assert_null(strstr(scene->heard, "ring failed"));
        assert_null(strstr(scene->heard, "ring stopped"));
        scene_free(scene);
}

/* Nor is one that somebody restarts, whatever the manager finds when it asks systemd meanwhile. */
static void test_restarted(void **state) {
        Scene *scene = scene_new(*state);

        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 5);
        wait_for(scene, "ring running 5");
        fake_set_job(scene->fake, "ivshmem@ring.service", 7);
        fake_set(scene->fake, "ivshmem@ring.service", "deactivating", "", "success", 5);
        wait_for(scene, "ring stopping 5");
        fake_set(scene->fake, "ivshmem@ring.service", "inactive", "", "success", 0);
        fake_set(scene->fake, "ivshmem@other.service", "active", "", "success", 9);
        fake_reload(scene->fake);
        wait_for(scene, "other running 9");
        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 6);
        wait_for(scene, "ring running 6");
        assert_null(strstr(scene->heard, "ring stopped"));
        /* A job that ends with the unit: that is the end. */
        fake_set_job(scene->fake, "ivshmem@ring.service", 8);
        fake_set(scene->fake, "ivshmem@ring.service", "inactive", "", "success", 0);
        fake_end_job(scene->fake, "ivshmem@ring.service");
        wait_for(scene, "ring stopped 0");
        scene_free(scene);
}

/* What happened while systemd reloaded is found afterwards. */
static void test_reload(void **state) {
        Scene *scene = scene_new(*state);

        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 5);
        fake_set(scene->fake, "ivshmem@kept.service", "active", "", "success", 7);
        fake_set(scene->fake, "ivshmem@gone.service", "active", "", "success", 6);
        wait_for(scene, "gone running 6");
        forget(scene);
        fake_set_quietly(scene->fake, "ivshmem@ring.service", "failed");
        fake_set_quietly(scene->fake, "ivshmem@new.service", "active");
        fake_reload(scene->fake);
        wait_for(scene, "ring failed");
        wait_for(scene, "new running");
        wait_for(scene, "kept running 7");
        assert_null(strstr(scene->heard, "stopped"));
        scene_free(scene);
}

/* Somebody sends a signal to the launcher alone, as if it were from whom it listens to. */
static void forge(Scene *scene, const char *path, const char *interface, const char *member,
                  const char *types, ...) {
        const Systemd *systemd = talloc_get_type_abort(scene->launcher->self, Systemd);
        sd_bus_message *message = NULL;
        const char *name = NULL;
        sd_bus *bus = NULL;
        va_list arguments;

        assert_true(sd_bus_get_unique_name(systemd->bus, &name) >= 0);
        assert_true(sd_bus_open_system(&bus) >= 0);
        assert_true(sd_bus_message_new_signal(bus, &message, path, interface, member) >= 0);
        assert_true(sd_bus_message_set_destination(message, name) >= 0);
        va_start(arguments, types);
        assert_true(sd_bus_message_appendv(message, types, arguments) >= 0);
        va_end(arguments);
        assert_true(sd_bus_send(bus, message, NULL) >= 0);
        sd_bus_message_unref(message);
        sd_bus_flush_close_unref(bus);
}

static void test_forged(void **state) {
        Scene *scene = scene_new(*state);

        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 5);
        wait_for(scene, "ring running 5");
        fake_plan(scene->fake, "hold");
        begin(scene, LAUNCHER_START, "other");
        while (!*fake_calls(scene->fake)) {
                assert_true(sd_event_run(scene->event->loop, 10000) >= 0);
        }
        forge(scene, SYSTEMD_UNIT_PATH "/ivshmem_40ring_2eservice", "org.freedesktop.DBus.Properties",
              "PropertiesChanged", "sa{sv}as", SYSTEMD_UNIT, 1, "ActiveState", "s", "deactivating", 0);
        forge(scene, SYSTEMD_PATH, SYSTEMD_MANAGER, "UnitRemoved", "so", "ivshmem@ring.service", "/");
        forge(scene, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", "uoss", 1, SYSTEMD_PATH "/job/1",
              "ivshmem@other.service", "done");
        /* Whoever is systemd now by the word of anybody would be believed then. */
        forge(scene, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss",
              SYSTEMD_NAME, "", ":1.4711");
        fake_set(scene->fake, "ivshmem@ring.service", "active", "it is", "success", 5);
        wait_for(scene, "ring running 5 it is");
        assert_null(strstr(scene->heard, "ring stop"));
        assert_int_equal(scene->n_done, 0);
        scene_free(scene);
}

/* systemd is executed anew, and knows other units. */
static void test_new_systemd(void **state) {
        Scene *scene = scene_new(*state);

        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 5);
        wait_for(scene, "ring running 5");
        fake_systemd_stop(scene->fake);
        fake_systemd_start(scene->fake);
        wait_for(scene, "ring stopped 0");
        fake_set(scene->fake, "ivshmem@other.service", "active", "", "success", 6);
        wait_for(scene, "other running 6");
        scene_free(scene);
}

/* Whoever waits for a job hears that the connection was lost; and it comes back by itself. */
static void test_new_bus(void **state) {
        Scene *scene = scene_new(*state);
        Failure failure;

        fake_plan(scene->fake, "hold");
        begin(scene, LAUNCHER_START, "ring");
        while (!*fake_calls(scene->fake)) {
                assert_true(sd_event_run(scene->event->loop, 10000) >= 0);
        }
        fake_systemd_stop(scene->fake);
        fake_bus_stop(scene->fake);
        assert_false(finish(scene));
        assert_int_equal(scene->failure.kind, FAILURE_SERVER_LOST);
        assert_int_equal(scene->launcher->ops->begin(scene->launcher, LAUNCHER_START, "ring", "", on_done,
                                                     scene, &failure),
                         -EREMOTEIO);
        assert_non_null(strstr(failure.text, "no connection to systemd"));
        fake_bus_start(scene->fake);
        fake_systemd_start(scene->fake);
        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 5);
        wait_for(scene, "ring running 5");
        begin(scene, LAUNCHER_STOP, "ring");
        assert_true(finish(scene));
        scene_free(scene);
}

/* Without a bus it comes up, and follows systemd when there is one. */
static void test_no_bus(void **state) {
        Scene *scene = scene_prepare(*state);

        attach(scene);
        fake_bus_start(scene->fake);
        fake_systemd_start(scene->fake);
        fake_set(scene->fake, "ivshmem@ring.service", "active", "", "success", 5);
        wait_for(scene, "ring running 5");
        scene_free(scene);
}

/* A launcher that ends leaves jobs to systemd. */
static void test_end(void **state) {
        Scene *scene = scene_new(*state);

        fake_plan(scene->fake, "hold");
        begin(scene, LAUNCHER_START, "ring");
        begin(scene, LAUNCHER_STOP, "ring");
        assert_true(sd_event_run(scene->event->loop, 1000000) >= 0);
        TALLOC_FREE(scene->launcher);
        assert_int_equal(scene->n_done, 0);
        scene_free(scene);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_found),    TEST(test_many),    TEST(test_start_and_stop), TEST(test_stop_failed),
                TEST(test_failures), TEST(test_signals), TEST(test_replaced),       TEST(test_restarted),
                TEST(test_reload),   TEST(test_forged),  TEST(test_new_systemd),    TEST(test_new_bus),
                TEST(test_no_bus),   TEST(test_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
