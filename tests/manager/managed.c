/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A manager under test. What it does is the test's; here is what each test needs to look at it. */

#include "tests/manager/managed.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service/manager/launcher.h"
#include "tests/lib/server.h"
#include "tests/lib/socket.h"
#include "tests/unit/testing.h"

#define SETTINGS_MAX 16

static void hear(Managed *managed, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void hear(Managed *managed, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        managed->heard = talloc_vasprintf_append(managed->heard, format, arguments);
        va_end(arguments);
        assert_non_null(managed->heard);
        managed->heard = talloc_strdup_append(managed->heard, "\n");
        assert_non_null(managed->heard);
}

static void on_added(Domain *domain, void *userdata) {
        hear(userdata, "added %s", domain_name(domain));
}

static void on_removed(Domain *domain, void *userdata) {
        hear(userdata, "removed %s", domain_name(domain));
}

static void note_server(Managed *managed, pid_t pid) {
        size_t n = talloc_array_length(managed->servers);

        managed->servers = talloc_realloc(managed, managed->servers, pid_t, n + 1);
        assert_non_null(managed->servers);
        managed->servers[n] = pid;
}

/* Those that are children of ours still: no other process can have the number then. */
static int managed_destructor(Managed *managed) {
        for (size_t i = 0; i < talloc_array_length(managed->servers); i++) {
                siginfo_t info;

                if (waitid(P_PID, (id_t) managed->servers[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
                        (void) kill(managed->servers[i], SIGKILL);
                        (void) waitpid(managed->servers[i], NULL, 0);
                }
        }
        return 0;
}

static void on_changed(Domain *domain, DomainChanges changes, void *userdata) {
        if (domain_main_pid(domain) > 0) {
                note_server(userdata, (pid_t) domain_main_pid(domain));
        }
        if (changes & DOMAIN_CHANGED_STATE) {
                hear(userdata, "state %s %s", domain_name(domain), domain_state_names[domain_state(domain)]);
        }
        if (changes & DOMAIN_CHANGED_DEFINITION) {
                hear(userdata, "definition %s %s", domain_name(domain),
                     definition_state_names[domain_definition_state(domain)]);
        }
        if (changes & DOMAIN_CHANGED_STATUS) {
                hear(userdata, "status %s %s", domain_name(domain), domain_status(domain));
        }
        if (changes & DOMAIN_CHANGED_COUNTERS) {
                hear(userdata, "counters %s %" PRIu32, domain_name(domain),
                     domain_counters(domain)->n_peers);
        }
}

static void on_joined(Domain *domain, const ControlPeer *peer, void *userdata) {
        hear(userdata, "joined %s %" PRIu32, domain_name(domain), peer->vm_id);
}

static void on_left(Domain *domain, const ControlPeer *peer, const char *why, void *userdata) {
        assert_true(*why);
        hear(userdata, "left %s %" PRIu32, domain_name(domain), peer->vm_id);
}

static void on_refused(Domain *domain, const ControlPeer *peer, Refusal refusal, const char *reason,
                       void *userdata) {
        assert_true(*reason);
        hear(userdata, "refused %s %d", domain_name(domain), (int) refusal);
}

static void on_busy(bool busy, void *userdata) {
        hear(userdata, busy ? "busy" : "idle");
}

void managed_observe(Managed *managed) {
        ManagerOps ops = {
                .domain_added = on_added,
                .domain_removed = on_removed,
                .domain_changed = on_changed,
                .peer_joined = on_joined,
                .peer_left = on_left,
                .peer_refused = on_refused,
                .busy_changed = on_busy,
                .userdata = managed,
        };

        manager_observe(managed->manager, &ops);
}

void managed_begin(Managed *managed) {
        ManagerParts parts = { .event = managed->event, .directory = managed->scratch->path };
        Failure failure;

        if (launcher_embedded_new(managed, managed->event, managed->scratch->path, getenv(SERVER_VARIABLE),
                                  &parts.launcher, &failure) < 0) {
                fail_msg("%s", failure.text);
        }
        assert_int_equal(manager_new(managed, &parts, &managed->manager), 0);
        managed_observe(managed);
}

void managed_end(Managed *managed) {
        TALLOC_FREE(managed->manager);
}

Managed *managed_prepare(void *ctx) {
        Managed *managed = talloc_zero(ctx, Managed);

        assert_non_null(managed);
        managed->heard = talloc_strdup(managed, "");
        talloc_set_destructor(managed, managed_destructor);
        managed->fd = -EBADF;
        assert_int_equal(scratch_new(managed, &managed->scratch), 0);
        assert_int_equal(event_new(managed, &managed->event), 0);
        return managed;
}

Managed *managed_new(void *ctx) {
        Managed *managed = managed_prepare(ctx);

        managed_begin(managed);
        return managed;
}

/* ---- Waiting ---- */

static int64_t now_msec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void turn(Managed *managed, int64_t deadline, const char *what) {
        int64_t left = deadline - now_msec();
        int r = left > 0 ? sd_event_run(managed->event->loop, (uint64_t) left * 1000) : 0;

        assert_true(r >= 0);
        if (now_msec() >= deadline) {
                fail_msg("\"%s\" did not come; heard:\n%s", what, managed->heard);
        }
}

void managed_turn(Managed *managed) {
        turn(managed, now_msec() + WAIT_MSEC, "anything");
}

bool managed_heard(const Managed *managed, const char *line) {
        size_t length = strlen(line);

        for (const char *at = managed->heard; (at = strstr(at, line)); at++) {
                if ((at == managed->heard || at[-1] == '\n') && at[length] == '\n') {
                        return true;
                }
        }
        return false;
}

void managed_wait(Managed *managed, const char *line) {
        int64_t deadline = now_msec() + WAIT_MSEC;

        while (!managed_heard(managed, line)) {
                turn(managed, deadline, line);
        }
}

void managed_forget(Managed *managed) {
        *managed->heard = '\0';
}

/* ---- Doing ---- */

static void on_done(const Failure *failure, int fd, void *userdata) {
        Managed *managed = talloc_get_type_abort(userdata, Managed);

        managed->n_done++;
        managed->failed = failure;
        managed->fd = fd;
        if (failure) {
                managed->failure = *failure;
        }
}

bool managed_begin_operation(Managed *managed, const char *name, const Request *request) {
        Domain *domain = manager_find(managed->manager, name);
        size_t before = managed->n_done;

        assert_non_null(domain);
        managed->fd = -EBADF;
        managed->failed = manager_begin(managed->manager, domain, request, on_done, managed, NULL,
                                        &managed->failure) < 0;
        assert_int_equal(managed->n_done, before);
        return !managed->failed;
}

bool managed_do(Managed *managed, const char *name, const Request *request) {
        int64_t deadline = now_msec() + WAIT_MSEC;
        size_t before = managed->n_done;

        if (!managed_begin_operation(managed, name, request)) {
                return false;
        }
        while (managed->n_done == before) {
                turn(managed, deadline, "the end of an operation");
        }
        return !managed->failed;
}

bool managed_start(Managed *managed, const char *name) {
        return managed_do(managed, name, &(Request){ .kind = OPERATION_START });
}

bool managed_stop(Managed *managed, const char *name) {
        return managed_do(managed, name, &(Request){ .kind = OPERATION_STOP });
}

Domain *managed_create(Managed *managed, const char *name, const char *const *lines) {
        Setting settings[SETTINGS_MAX];
        char *texts[SETTINGS_MAX];
        Domain *domain = NULL;
        Failure failure;
        size_t n = 0;
        int r;

        for (; lines[n]; n++) {
                char *equals;

                assert_true(n < SETTINGS_MAX);
                texts[n] = talloc_strdup(managed, lines[n]);
                equals = strchr(texts[n], '=');
                *equals = '\0';
                settings[n] = (Setting){ .key = texts[n], .value = equals + 1 };
        }
        r = manager_create(managed->manager, name, getuid(), /* persistent= */ true, settings, n, &domain,
                           &failure);
        if (r < 0) {
                fail_msg("%s", failure.text);
        }
        for (size_t i = 0; i < n; i++) {
                talloc_free(texts[i]);
        }
        return domain;
}

static void collect(Domain *domain, void *userdata) {
        const char ***names = userdata;
        size_t n = talloc_array_length(*names);

        *names = talloc_realloc(NULL, *names, const char *, n + 1);
        (*names)[n] = talloc_strdup(*names, domain_name(domain));
}

void managed_free(Managed *managed) {
        const char **names = talloc_array(NULL, const char *, 0);

        if (!managed->manager) {
                managed_begin(managed);
        }
        manager_foreach(managed->manager, collect, &names);
        for (size_t i = 0; i < talloc_array_length(names); i++) {
                (void) managed_stop(managed, names[i]);
        }
        talloc_free(names);
        talloc_free(managed);
}
