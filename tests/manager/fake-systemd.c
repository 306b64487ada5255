/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A systemd that does what a test says. The second half of the file runs in a process of its own. */

#include "tests/manager/fake-systemd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "service/base/error.h"
#include "tests/unit/testing.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define UNITS_PATH MANAGER_PATH "/unit"
#define MANAGER SYSTEMD ".Manager"
#define TEST_INTERFACE "org.ivshmem1.Test"

#define CONFIG                                                                                               \
        "<busconfig><type>session</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>"                  \
        "<policy context='default'><allow send_destination='*'/><allow receive_sender='*'/><allow own='*'/>" \
        "<allow user='*'/></policy></busconfig>\n"

struct FakeSystemd {
        Scratch *scratch;
        char *config;
        char *socket;
        pid_t bus;
        pid_t systemd;
};

static void serve(int ready) __attribute__((noreturn));

/* ---- Processes ---- */

static void end_process(pid_t *pid) {
        if (*pid > 0) {
                (void) kill(*pid, SIGKILL);
                (void) waitpid(*pid, NULL, 0);
                *pid = 0;
        }
}

static int fake_destructor(FakeSystemd *fake) {
        end_process(&fake->systemd);
        end_process(&fake->bus);
        return 0;
}

int fake_systemd_new(const void *ctx, FakeSystemd **ret) {
        FakeSystemd *fake;
        char *text, *address;

        if (access("/usr/bin/dbus-daemon", X_OK) < 0) {
                return errno_negative();
        }
        fake = talloc_zero(ctx, FakeSystemd);
        assert_non_null(fake);
        assert_int_equal(scratch_new(fake, &fake->scratch), 0);
        fake->socket = scratch_path(fake->scratch, "bus");
        text = talloc_asprintf(fake, CONFIG, fake->socket);
        assert_int_equal(scratch_write(fake->scratch, "bus.conf", text, &fake->config), 0);
        address = talloc_asprintf(fake, "unix:path=%s", fake->socket);
        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1), 0);
        talloc_set_destructor(fake, fake_destructor);
        *ret = fake;
        return 0;
}

/* Runs `body` in a child that says when it is ready, by a byte or by ending its output's first line. */
static pid_t run_until_ready(void (*body)(FakeSystemd *fake, int ready), FakeSystemd *fake) {
        int ends[2];
        pid_t pid;
        char byte;

        assert_int_equal(pipe(ends), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(ends[0]);
                body(fake, ends[1]);
                _exit(1);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        return pid;
}

static void exec_bus(FakeSystemd *fake, int ready) {
        char config[256], print[64];

        snprintf(config, sizeof(config), "--config-file=%s", fake->config);
        snprintf(print, sizeof(print), "--print-address=%d", ready);
        (void) execl("/usr/bin/dbus-daemon", "dbus-daemon", config, "--nofork", "--nopidfile", print, NULL);
}

static void run_systemd(FakeSystemd *fake, int ready) {
        serve(ready);
}

void fake_bus_start(FakeSystemd *fake) {
        fake->bus = run_until_ready(exec_bus, fake);
}

void fake_bus_stop(FakeSystemd *fake) {
        end_process(&fake->bus);
        (void) unlink(fake->socket);
}

void fake_systemd_start(FakeSystemd *fake) {
        fake->systemd = run_until_ready(run_systemd, fake);
}

void fake_systemd_stop(FakeSystemd *fake) {
        end_process(&fake->systemd);
}

/* ---- Orders ---- */

static void order(const char *member, sd_bus_message **ret, const char *types, ...) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *message = NULL;
        sd_bus *bus = NULL;
        va_list arguments;

        assert_true(sd_bus_open_system(&bus) >= 0);
        assert_true(sd_bus_message_new_method_call(bus, &message, SYSTEMD, "/test", TEST_INTERFACE,
                                                   member) >= 0);
        va_start(arguments, types);
        assert_true(sd_bus_message_appendv(message, types, arguments) >= 0);
        va_end(arguments);
        if (sd_bus_call(bus, message, 0, &error, ret) < 0) {
                fail_msg("%s: %s", member, error.message);
        }
        sd_bus_message_unref(message);
        sd_bus_flush_close_unref(bus);
}

void fake_plan(FakeSystemd *fake, const char *how) {
        order("Plan", NULL, "s", how);
}

void fake_set(FakeSystemd *fake, const char *unit, const char *active, const char *status,
              const char *result, uint32_t pid) {
        order("Set", NULL, "ssssub", unit, active, status, result, pid, 1);
}

void fake_set_quietly(FakeSystemd *fake, const char *unit, const char *active) {
        order("Set", NULL, "ssssub", unit, active, "", "success", 0U, 0);
}

void fake_crash(FakeSystemd *fake, const char *unit) {
        order("Crash", NULL, "s", unit);
}

void fake_set_job(FakeSystemd *fake, const char *unit, uint32_t job) {
        order("SetJob", NULL, "su", unit, job);
}

void fake_end_job(FakeSystemd *fake, const char *unit) {
        order("EndJob", NULL, "s", unit);
}

void fake_forget(FakeSystemd *fake, const char *unit) {
        order("Forget", NULL, "s", unit);
}

void fake_reload(FakeSystemd *fake) {
        order("Reload", NULL, "");
}

char *fake_calls(FakeSystemd *fake) {
        sd_bus_message *reply = NULL;
        const char *text;
        char *copy;

        order("Calls", &reply, "");
        assert_true(sd_bus_message_read_basic(reply, SD_BUS_TYPE_STRING, &text) >= 0);
        copy = talloc_strdup(fake, text);
        sd_bus_message_unref(reply);
        return copy;
}

/* ---- In the other process ---- */

#define UNITS_MAX 1024

typedef struct FakeUnit {
        char name[64];
        char active[32];
        char status[128];
        char result[32];
        uint32_t pid;
        uint32_t job;
        uint64_t since;
} FakeUnit;

static struct {
        FakeUnit units[UNITS_MAX];
        size_t n_units;
        char plan[32];
        char calls[4096];
        uint32_t job;
} world = { .plan = "done" };

/* A failed check ends the process, which the test notices. */
static void must(int r) {
        if (r < 0) {
                fprintf(stderr, "# fake systemd: %s\n", strerror(-r));
                _exit(1);
        }
}

static FakeUnit *unit_find(const char *name) {
        for (size_t i = 0; i < world.n_units; i++) {
                if (strcmp(world.units[i].name, name) == 0) {
                        return &world.units[i];
                }
        }
        return NULL;
}

static FakeUnit *unit_get(const char *name) {
        FakeUnit *unit = unit_find(name);

        if (!unit) {
                must(world.n_units < UNITS_MAX ? 0 : -ENOSPC);
                unit = &world.units[world.n_units++];
                *unit = (FakeUnit){ .active = "inactive", .result = "success" };
                snprintf(unit->name, sizeof(unit->name), "%s", name);
        }
        return unit;
}

static char *path_of(const char *name) {
        char *path = NULL;

        must(sd_bus_path_encode(UNITS_PATH, name, &path));
        return path;
}

/* As systemd does it: the service first, then the unit. */
static void tell(sd_bus *bus, const FakeUnit *unit) {
        char *path = path_of(unit->name);

        must(sd_bus_emit_properties_changed(bus, path, SYSTEMD ".Service", "MainPID", "StatusText", "Result",
                                            NULL));
        must(sd_bus_emit_properties_changed(bus, path, SYSTEMD ".Unit", "ActiveState",
                                            "ActiveEnterTimestamp", "StateChangeTimestamp", "Job", NULL));
        free(path);
}

static void set_state(FakeUnit *unit, const char *active) {
        snprintf(unit->active, sizeof(unit->active), "%s", active);
}

/* The unit is told of first, with the job that it has still, and afterwards without. */
static void remove_job(sd_bus *bus, FakeUnit *unit, uint32_t job, const char *path, const char *result) {
        unit->job = job;
        tell(bus, unit);
        must(sd_bus_emit_signal(bus, MANAGER_PATH, MANAGER, "JobRemoved", "uoss", job, path, unit->name,
                                result));
        unit->job = 0;
        tell(bus, unit);
}

static int on_set(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name, *active, *status, *result;
        uint32_t pid;
        FakeUnit *unit;
        int loud;

        must(sd_bus_message_read(message, "ssssub", &name, &active, &status, &result, &pid, &loud));
        unit = unit_get(name);
        snprintf(unit->active, sizeof(unit->active), "%s", active);
        snprintf(unit->status, sizeof(unit->status), "%s", status);
        snprintf(unit->result, sizeof(unit->result), "%s", result);
        unit->pid = pid;
        unit->since = 1000000;
        if (loud) {
                tell(sd_bus_message_get_bus(message), unit);
        }
        return sd_bus_reply_method_return(message, "");
}

/* The server dies, and is to be started again. */
static int on_crash(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name;
        FakeUnit *unit;

        must(sd_bus_message_read(message, "s", &name));
        unit = unit_get(name);
        unit->pid = 0;
        snprintf(unit->result, sizeof(unit->result), "signal");
        set_state(unit, "failed");
        tell(sd_bus_message_get_bus(message), unit);
        set_state(unit, "activating");
        tell(sd_bus_message_get_bus(message), unit);
        return sd_bus_reply_method_return(message, "");
}

static int on_set_job(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name;
        uint32_t job;

        must(sd_bus_message_read(message, "su", &name, &job));
        unit_get(name)->job = job;
        return sd_bus_reply_method_return(message, "");
}

static int on_end_job(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name;

        must(sd_bus_message_read(message, "s", &name));
        remove_job(sd_bus_message_get_bus(message), unit_get(name), unit_get(name)->job,
                   MANAGER_PATH "/job/0", "done");
        return sd_bus_reply_method_return(message, "");
}

static int on_forget(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        FakeUnit *unit;
        const char *name;
        char *path;

        must(sd_bus_message_read(message, "s", &name));
        unit = unit_find(name);
        must(unit ? 0 : -ENOENT);
        *unit = world.units[--world.n_units];
        path = path_of(name);
        must(sd_bus_emit_signal(sd_bus_message_get_bus(message), MANAGER_PATH, MANAGER, "UnitRemoved", "so",
                                name, path));
        free(path);
        return sd_bus_reply_method_return(message, "");
}

static int on_reload(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        sd_bus *bus = sd_bus_message_get_bus(message);

        must(sd_bus_emit_signal(bus, MANAGER_PATH, MANAGER, "Reloading", "b", 1));
        for (size_t i = 0; i < world.n_units; i++) {
                char *path = path_of(world.units[i].name);

                must(sd_bus_emit_signal(bus, MANAGER_PATH, MANAGER, "UnitRemoved", "so", world.units[i].name,
                                        path));
                free(path);
        }
        must(sd_bus_emit_signal(bus, MANAGER_PATH, MANAGER, "Reloading", "b", 0));
        return sd_bus_reply_method_return(message, "");
}

static int on_plan(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *how;

        must(sd_bus_message_read(message, "s", &how));
        snprintf(world.plan, sizeof(world.plan), "%s", how);
        return sd_bus_reply_method_return(message, "");
}

static int on_calls(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        int r = sd_bus_reply_method_return(message, "s", world.calls);

        world.calls[0] = '\0';
        return r;
}

static int append_unit(sd_bus_message *reply, const FakeUnit *unit) {
        char *path = path_of(unit->name);
        int r = sd_bus_message_append(reply, "(ssssssouso)", unit->name, "", "loaded", unit->active, "", "",
                                      path, unit->job, "", "/");

        free(path);
        return r;
}

static int on_list(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        must(sd_bus_message_new_method_return(message, &reply));
        must(sd_bus_message_open_container(reply, 'a', "(ssssssouso)"));
        for (size_t i = 0; i < world.n_units; i++) {
                must(append_unit(reply, &world.units[i]));
        }
        must(sd_bus_message_close_container(reply));
        r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static int on_subscribe(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(message, "");
}

static int refuse(const char *name, sd_bus_error *error) {
        if (strcmp(world.plan, "denied") == 0) {
                return sd_bus_error_set(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                        "Interactive authentication required.");
        }
        if (strcmp(world.plan, "no-unit") == 0) {
                return sd_bus_error_set(error, SYSTEMD ".NoSuchUnit", "Unit is not loaded.");
        }
        if (strcmp(world.plan, "no-polkit") == 0) {
                return sd_bus_error_set(error, SD_BUS_ERROR_NO_REPLY,
                                        "Message recipient disconnected from message bus without replying");
        }
        if (strcmp(world.plan, "masked") == 0) {
                return sd_bus_error_setf(error, SYSTEMD ".UnitMasked", "Unit %s is masked.", name);
        }
        return strcmp(world.plan, "broken") == 0
                       ? sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "It is broken.")
                       : 0;
}

static void finish_job(sd_bus *bus, const char *path, const char *name, bool start) {
        FakeUnit *unit = unit_get(name);
        bool done = strcmp(world.plan, "done") == 0;

        set_state(unit, !done ? "failed" : start ? "active" : "inactive");
        unit->pid = done && start ? 4242 : 0;
        unit->since = done && start ? 2000000 : 0;
        remove_job(bus, unit, world.job, path, world.plan);
}

static int on_job(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(message), *name, *mode;
        size_t length = strlen(world.calls);
        char path[64];
        int r;

        must(sd_bus_message_read(message, "ss", &name, &mode));
        snprintf(world.calls + length, sizeof(world.calls) - length, "%s %s %s\n", member, name, mode);
        r = refuse(name, error);
        if (r < 0) {
                return r;
        }
        snprintf(path, sizeof(path), MANAGER_PATH "/job/%u", ++world.job);
        must(sd_bus_reply_method_return(message, "o", path));
        if (strcmp(world.plan, "hold") != 0) {
                finish_job(sd_bus_message_get_bus(message), path, name, strcmp(member, "StopUnit") != 0);
        }
        return 1;
}

static int on_reset(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        size_t length = strlen(world.calls);
        const char *name;

        must(sd_bus_message_read(message, "s", &name));
        snprintf(world.calls + length, sizeof(world.calls) - length, "ResetFailedUnit %s\n", name);
        snprintf(unit_get(name)->active, sizeof(unit_get(name)->active), "inactive");
        must(sd_bus_reply_method_return(message, ""));
        tell(sd_bus_message_get_bus(message), unit_get(name));
        return 1;
}

static int find_unit(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                     sd_bus_error *error) {
        char *name = NULL;
        FakeUnit *unit;

        if (sd_bus_path_decode(path, UNITS_PATH, &name) <= 0) {
                return 0;
        }
        unit = unit_find(name);
        free(name);
        *ret = unit;
        return unit != NULL;
}

static int get_job(sd_bus *bus, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "(uo)", *(uint32_t *) userdata, "/");
}

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", (const char *) userdata);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable unit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ActiveState", "s", get_string, offsetof(FakeUnit, active), CHANGES),
        SD_BUS_PROPERTY("ActiveEnterTimestamp", "t", NULL, offsetof(FakeUnit, since), CHANGES),
        SD_BUS_PROPERTY("StateChangeTimestamp", "t", NULL, offsetof(FakeUnit, since), CHANGES),
        SD_BUS_PROPERTY("Job", "(uo)", get_job, offsetof(FakeUnit, job), CHANGES),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("MainPID", "u", NULL, offsetof(FakeUnit, pid), CHANGES),
        SD_BUS_PROPERTY("StatusText", "s", get_string, offsetof(FakeUnit, status), CHANGES),
        SD_BUS_PROPERTY("Result", "s", get_string, offsetof(FakeUnit, result), CHANGES),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Subscribe", "", "", on_subscribe, 0),
        SD_BUS_METHOD("ListUnitsByPatterns", "asas", "a(ssssssouso)", on_list, 0),
        SD_BUS_METHOD("StartUnit", "ss", "o", on_job, 0),
        SD_BUS_METHOD("StopUnit", "ss", "o", on_job, 0),
        SD_BUS_METHOD("ResetFailedUnit", "s", "", on_reset, 0),
        SD_BUS_METHOD("RestartUnit", "ss", "o", on_job, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable test_vtable[] = {
        SD_BUS_VTABLE_START(SD_BUS_VTABLE_UNPRIVILEGED),  SD_BUS_METHOD("Plan", "s", "", on_plan, 0),
        SD_BUS_METHOD("Set", "ssssub", "", on_set, 0),    SD_BUS_METHOD("Crash", "s", "", on_crash, 0),
        SD_BUS_METHOD("SetJob", "su", "", on_set_job, 0), SD_BUS_METHOD("EndJob", "s", "", on_end_job, 0),
        SD_BUS_METHOD("Forget", "s", "", on_forget, 0),   SD_BUS_METHOD("Reload", "", "", on_reload, 0),
        SD_BUS_METHOD("Calls", "", "s", on_calls, 0),     SD_BUS_VTABLE_END,
};

static void serve(int ready) {
        sd_bus *bus = NULL;

        must(sd_bus_open_system(&bus));
        must(sd_bus_add_object_vtable(bus, NULL, MANAGER_PATH, MANAGER, manager_vtable, NULL));
        must(sd_bus_add_object_vtable(bus, NULL, "/test", TEST_INTERFACE, test_vtable, NULL));
        must(sd_bus_add_fallback_vtable(bus, NULL, UNITS_PATH, SYSTEMD ".Unit", unit_vtable, find_unit,
                                        NULL));
        must(sd_bus_add_fallback_vtable(bus, NULL, UNITS_PATH, SYSTEMD ".Service", service_vtable, find_unit,
                                        NULL));
        must(sd_bus_request_name(bus, SYSTEMD, 0));
        must(write(ready, "x", 1) == 1 ? 0 : -EIO);
        for (;;) {
                int r = sd_bus_process(bus, NULL);

                must(r);
                if (r == 0) {
                        must(sd_bus_wait(bus, UINT64_MAX));
                }
        }
}
