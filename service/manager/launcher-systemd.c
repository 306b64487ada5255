/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The launcher on machines that systemd has booted. A job of ours is one or several jobs of systemd's: stopping a domain
 * is stopping its service and its sockets, for a socket that is left would start it again with the next peer.
 */

#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <talloc.h>

#include "service/base/log.h"
#include "service/manager/systemd.h"

#define SOCKET_DIRECTORY "/run/ivshmem"
#define CONTROL_DIRECTORY "/run/ivshmem-control"

typedef struct Job Job;
typedef struct Step Step;

/* One job of systemd's. */
struct Step {
        Job *job;
        char *unit;
        char *path;    /* of the job object; NULL: not known yet */
        bool optional; /* there need be no such unit */
        bool ended;
};

#define STEPS_MAX 4U

struct Job {
        List link;
        Systemd *systemd;
        LauncherVerb verb;
        char *name;
        Step *steps[STEPS_MAX];
        size_t n_steps;
        bool failed;
        Failure failure;
        LauncherDone done;
        void *userdata;
};

void systemd_tell(Systemd *systemd, const Unit *unit) {
        LauncherState state = unit_state(unit);

        if (unit_has_ended(unit) && unit->job != 0) {
                return;
        }
        systemd->observer.changed(unit->name, &state, systemd->observer.userdata);
}

/* ---- Jobs that end ---- */

static int job_destructor(Job *job) {
        list_remove(&job->link);
        return 0;
}

static void job_finish(Job *job) {
        LauncherDone done = job->done;
        void *userdata = job->userdata;
        Failure failure = job->failure;
        bool failed = job->failed;

        talloc_free(job);
        done(failed ? &failure : NULL, userdata);
}

static void step_end(Step *step) {
        Job *job = step->job;

        step->ended = true;
        for (size_t i = 0; i < job->n_steps; i++) {
                if (!job->steps[i]->ended) {
                        return;
                }
        }
        job_finish(job);
}

static const char *verb_in_words(LauncherVerb verb) {
        static const char *const words[_LAUNCHER_VERB_MAX] = {
                [LAUNCHER_START] = "started",
                [LAUNCHER_STOP] = "stopped",
                [LAUNCHER_RESTART] = "restarted",
        };

        return words[verb];
}

static void job_fail(Job *job, const char *why) {
        if (!job->failed) {
                job->failed = true;
                (void) failure_set(&job->failure,
                                   job->verb == LAUNCHER_STOP ? FAILURE_STOP_FAILED : FAILURE_START_FAILED,
                                   "Domain \"%s\" cannot be %s: %s", job->name, verb_in_words(job->verb),
                                   why);
        }
}

/* Why a job did not do what it was for, by its result (org.freedesktop.systemd1(5), JobRemoved). */
static const char *why_of_result(const Job *job, const char *result) {
        static const struct {
                const char *result;
                const char *why;
        } whys[] = {
                { "canceled", "somebody stopped or started it meanwhile" },
                { "timeout", "it took longer than systemd allows" },
                { "dependency", "its sockets cannot be made; systemctl status says why" },
                { "skipped", "systemd skipped it" },
                { "invalid", "systemd cannot do that with its unit" },
                { "assert", "an assertion of its unit does not hold" },
                { "unsupported", "systemd does not support its unit here" },
        };
        const Unit *unit = units_find(job->systemd->units, job->name);

        for (size_t i = 0; i < sizeof(whys) / sizeof(*whys); i++) {
                if (strcmp(whys[i].result, result) == 0) {
                        return whys[i].why;
                }
        }
        return unit ? unit_why(unit) : "systemd says that its unit failed";
}

static Step *step_find(const Systemd *systemd, const char *path) {
        LIST_FOREACH(i, &systemd->jobs) {
                const Job *job = list_entry(i, Job, link);

                for (size_t j = 0; j < job->n_steps; j++) {
                        Step *step = job->steps[j];

                        if (!step->ended && step->path && strcmp(step->path, path) == 0) {
                                return step;
                        }
                }
        }
        return NULL;
}

/* systemd merges equal jobs, so that several of ours can wait for the same one. */
void systemd_job_removed(Systemd *systemd, const char *path, const char *result) {
        Step *step;

        while ((step = step_find(systemd, path))) {
                if (strcmp(result, "done") != 0) {
                        job_fail(step->job, why_of_result(step->job, result));
                }
                step_end(step);
        }
}

void systemd_fail_jobs(Systemd *systemd) {
        LIST_FOREACH(i, &systemd->jobs) {
                Job *job = list_entry(i, Job, link);

                job->failed = true;
                (void) failure_set(
                        &job->failure, FAILURE_SERVER_LOST,
                        "The connection to systemd was lost; what was asked of domain \"%s\" may go on",
                        job->name);
                job_finish(job);
        }
}

/* ---- Jobs that begin ---- */

/* "Unit ivshmem@ring.socket is masked.": of the unit, or of one that it needs. How that ends systemd does not say. */
static void step_masked(Step *step, const char *said) {
        static const char before[] = "Unit ";
        const char *end = strstr(said, " is masked");
        char *why = NULL;

        if (end && strncmp(said, before, strlen(before)) == 0) {
                const char *unit = said + strlen(before);
                int length = (int) (end - unit);

                why = talloc_asprintf(
                        step, "%.*s is masked, so nothing starts it; 'systemctl unmask %.*s' mends that",
                        length, unit, length, unit);
        }
        job_fail(step->job, why ?: said);
}

/* The manager is nobody in particular, and may only what a rule says. */
static void step_refused(Step *step, const sd_bus_error *error) {
        static const char *const denials[] = {
                SD_BUS_ERROR_ACCESS_DENIED,
                SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                SD_BUS_ERROR_AUTH_FAILED,
        };
        const char *said = error->message ?: error->name;
        char *why;

        if (step->optional && sd_bus_error_has_name(error, "org.freedesktop.systemd1.NoSuchUnit")) {
                return;
        }
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY)) {
                /* systemd passes on what the bus says of polkit. */
                job_fail(
                        step->job,
                        "polkit, which systemd asks, went away before it answered; see 'systemctl status polkit'");
                return;
        }
        if (sd_bus_error_has_name(error, "org.freedesktop.systemd1.UnitMasked")) {
                step_masked(step, said);
                return;
        }
        for (size_t i = 0; i < sizeof(denials) / sizeof(*denials); i++) {
                if (sd_bus_error_has_name(error, denials[i])) {
                        why = talloc_asprintf(
                                step,
                                "systemd does not let the manager do it (%s); is its polkit rule "
                                "installed?",
                                said);
                        job_fail(step->job, why ?: said);
                        return;
                }
        }
        job_fail(step->job, said);
}

static int on_begun(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Step *step = talloc_get_type_abort(userdata, Step);
        const char *path;

        if (sd_bus_message_is_method_error(message, NULL)) {
                step_refused(step, sd_bus_message_get_error(message));
                step_end(step);
                return 0;
        }
        if (sd_bus_message_read_basic(message, SD_BUS_TYPE_OBJECT_PATH, &path) >= 0) {
                step->path = talloc_strdup(step, path);
        }
        if (!step->path) {
                job_fail(step->job, "systemd's answer cannot be kept");
                step_end(step);
        }
        return 0;
}

static Step *step_new(Job *job, const char *template, const char *suffix, bool optional) {
        Step *step = talloc_zero(job, Step);

        if (!step) {
                return NULL;
        }
        step->job = job;
        step->optional = optional;
        step->unit = talloc_asprintf(step, "%s@%s%s", template, job->name, suffix);
        if (!step->unit) {
                talloc_free(step);
                return NULL;
        }
        job->steps[job->n_steps++] = step;
        return step;
}

static int job_add(Job *job, const char *method, const char *template, const char *suffix, bool optional) {
        Step *step = step_new(job, template, suffix, optional);

        return step ? systemd_call(job->systemd, step, on_begun, step, method, "ss", step->unit, "replace")
                    : -ENOMEM;
}

/* systemd tells of it later than it answers. */
static int on_reset(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Step *step = talloc_get_type_abort(userdata, Step);
        Unit *unit = units_find(step->job->systemd->units, step->job->name);

        if (!sd_bus_message_is_method_error(message, NULL)) {
                if (unit && unit_forget_failure(unit) >= 0) {
                        systemd_tell(step->job->systemd, unit);
                }
        } else {
                step_refused(step, sd_bus_message_get_error(message));
        }
        step_end(step);
        return 0;
}

/* One that failed is stopped when somebody says so, and systemd need not remember it. */
static int job_add_reset(Job *job) {
        const Unit *unit = units_find(job->systemd->units, job->name);
        Step *step;

        if (!unit || unit_state(unit).state != DOMAIN_FAILED) {
                return 0;
        }
        step = step_new(job, "ivshmem", ".service", /* optional= */ true);
        return step ? systemd_call(job->systemd, step, on_reset, step, "ResetFailedUnit", "s", step->unit)
                    : -ENOMEM;
}

static int job_begin(Job *job) {
        int r;

        switch (job->verb) {
        case LAUNCHER_START:
                return job_add(job, "StartUnit", "ivshmem", ".service", /* optional= */ false);
        case LAUNCHER_RESTART:
                return job_add(job, "RestartUnit", "ivshmem", ".service", /* optional= */ false);
        default:
                r = job_add(job, "StopUnit", "ivshmem", ".socket", /* optional= */ true);
                if (r >= 0) {
                        r = job_add(job, "StopUnit", "ivshmem-control", ".socket", /* optional= */ true);
                }
                if (r >= 0) {
                        r = job_add(job, "StopUnit", "ivshmem", ".service", /* optional= */ true);
                }
                return r < 0 ? r : job_add_reset(job);
        }
}

static Job *job_new(Systemd *systemd, LauncherVerb verb, const char *name) {
        Job *job = talloc_zero(systemd, Job);

        if (!job) {
                return NULL;
        }
        job->systemd = systemd;
        job->verb = verb;
        list_append(&systemd->jobs, &job->link);
        talloc_set_destructor(job, job_destructor);
        job->name = talloc_strdup(job, name);
        if (!job->name) {
                TALLOC_FREE(job);
        }
        return job;
}

static int systemd_begin(Launcher *launcher, LauncherVerb verb, const char *name, const char *definition,
                         LauncherDone done, void *userdata, Failure *ret_failure) {
        Systemd *systemd = talloc_get_type_abort(launcher->self, Systemd);
        Job *job = job_new(systemd, verb, name);
        int r = job ? job_begin(job) : -ENOMEM;

        if (r < 0) {
                talloc_free(job);
                return r == -ENOTCONN ? failure_set(ret_failure, FAILURE_SYSTEM,
                                                    "There is no connection to systemd now; try again")
                                      : failure_errno(ret_failure, r, "Cannot ask systemd");
        }
        job->done = done;
        job->userdata = userdata;
        return 0;
}

/* ---- Beginning and end ---- */

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);
        int r;

        systemd_disconnect(systemd);
        systemd_fail_jobs(systemd);
        r = systemd_connect(systemd, /* wait= */ false);
        if (r < 0) {
                log_plain(LOG_DEBUG, "Cannot connect to systemd: %s", strerror(-r));
        }
        return 0;
}

/* Without a connection it comes up all the same, and shows all as stopped until there is one. */
static int systemd_attach(Launcher *launcher, const LauncherObserver *observer) {
        Systemd *systemd = talloc_get_type_abort(launcher->self, Systemd);
        int r;

        systemd->observer = *observer;
        r = systemd_connect(systemd, /* wait= */ true);
        if (r < 0) {
                log_plain(LOG_ERR, "Cannot connect to systemd: %s; trying again", strerror(-r));
        }
        return 0;
}

static char *systemd_socket_path(void *ctx, const Launcher *launcher, const char *name) {
        return talloc_asprintf(ctx, SOCKET_DIRECTORY "/%s.sock", name);
}

static char *systemd_control_path(void *ctx, const Launcher *launcher, const char *name) {
        return talloc_asprintf(ctx, CONTROL_DIRECTORY "/%s", name);
}

static char *systemd_unit(void *ctx, const Launcher *launcher, const char *name) {
        return talloc_asprintf(ctx, UNIT_PREFIX "%s" UNIT_SUFFIX, name);
}

static const LauncherOps systemd_ops = {
        .name = "systemd",
        .attach = systemd_attach,
        .begin = systemd_begin,
        .socket_path = systemd_socket_path,
        .control_path = systemd_control_path,
        .unit = systemd_unit,
};

static int systemd_destructor(Systemd *systemd) {
        systemd_disconnect(systemd);
        return 0;
}

int launcher_systemd_new(void *ctx, Event *event, Launcher **ret) {
        Launcher *launcher = talloc_zero(ctx, Launcher);
        Systemd *systemd = launcher ? talloc_zero(launcher, Systemd) : NULL;
        int r;

        if (!systemd) {
                talloc_free(launcher);
                return -ENOMEM;
        }
        launcher->ops = &systemd_ops;
        launcher->self = systemd;
        systemd->event = event;
        list_init(&systemd->jobs);
        list_init(&systemd->waiting);
        talloc_set_destructor(systemd, systemd_destructor);
        r = units_new(systemd, &systemd->units);
        if (r >= 0) {
                r = event_add_timer(systemd, event, SD_EVENT_PRIORITY_NORMAL, on_retry, systemd,
                                    &systemd->retry);
        }
        if (r < 0) {
                talloc_free(launcher);
                return r;
        }
        *ret = launcher;
        return 0;
}
