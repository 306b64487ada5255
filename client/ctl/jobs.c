/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A job is a method call whose answer comes when the domain serves, or has stopped. */

#include "client/ctl/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/agent.h"
#include "client/ctl/call.h"
#include "client/ctl/connection.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/progress.h"
#include "client/ctl/terminal.h"
#include "client/ctl/value.h"
#include "dbus/names.h"

static const struct {
        const char *word;
        const char *member; /* of the domain */
        bool prepares;      /* memory, which can take long */
} kinds[_JOB_KIND_MAX] = {
        [JOB_START] = { "start", "Start", true },
        [JOB_STOP] = { "stop", "Stop", false },
        [JOB_RESTART] = { "restart", "Restart", true },
};

typedef struct Jobs {
        Ctl *ctl;
        JobKind kind;
        size_t n_pending;
        ExitStatus status;
        Progress progress;
} Jobs;

typedef struct Job {
        Jobs *jobs;
        const char *name;
        Target target;
} Job;

/* Where the rest can be read; NULL where there is no such place. The error that is asked about comes before what goes
 * wrong here. */
static char *journal_hint(const Job *job) {
        const Connection *connection = job->jobs->ctl->connection;
        char *unit = NULL, *hint = NULL;

        if (sd_bus_get_property_string(connection->bus, connection->destination, job->target.path,
                                       job->target.interface, "Unit", NULL, &unit) >= 0 &&
            *unit) {
                hint = text_new(job->jobs, "; see 'journalctl -u %s'", human_safe(job->jobs, unit));
        }
        free(unit);
        return hint;
}

static void fail(Job *job, const sd_bus_error *error) {
        Jobs *jobs = job->jobs;
        cleanup_error sd_bus_error shown = SD_BUS_ERROR_NULL;
        bool start_failed = sd_bus_error_has_name(error, BUS_ERROR_START_FAILED);
        bool is_clear = error->message && strstr(error->message, "'systemctl "); /* nothing was begun */
        char *hint = start_failed && !is_clear ? journal_hint(job) : NULL;
        char *what = text_new(jobs, "%s domain %s", kinds[jobs->kind].word, job->name);

        sd_bus_error_setf(&shown, error->name, "%s%s", error->message ?: error->name, hint ?: "");
        progress_clear(&jobs->progress);
        jobs->status = ctl_worse(jobs->status,
                                 call_failed(jobs->ctl, what, &shown, -sd_bus_error_get_errno(error)));
}

static int on_done(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Job *job = userdata;

        job->jobs->n_pending--;
        progress_clear(&job->jobs->progress);
        if (sd_bus_message_is_method_error(reply, NULL)) {
                fail(job, sd_bus_message_get_error(reply));
        }
        return 0;
}

/* A signal that cannot be read is one that shows no progress. */
static int on_properties(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        cleanup_value json_object *properties = NULL;
        Jobs *jobs = userdata;
        char *name = call_domain_of(jobs, sd_bus_message_get_path(message) ?: "");
        const char *interface;

        if (name && call_is_from_manager(jobs->ctl, message) &&
            sd_bus_message_read(message, "s", &interface) > 0 &&
            value_read_properties(message, &properties) > 0 &&
            json_object_object_get(properties, "Progress")) {
                uint64_t percent = value_number(properties, "Progress");

                if (percent < 100) {
                        progress_draw(&jobs->progress, name, percent);
                } else {
                        progress_clear(&jobs->progress);
                }
        }
        talloc_free(name);
        return 0;
}

static ExitStatus show_progress(Jobs *jobs) {
        Ctl *ctl = jobs->ctl;
        ExitStatus status;

        jobs->progress.on = kinds[jobs->kind].prepares && terminal_is_error() && !ctl->options.quiet;
        if (!jobs->progress.on) {
                return STATUS_OK;
        }
        status = call_match(ctl, "org.freedesktop.DBus.Properties", "PropertiesChanged", on_properties,
                            jobs);
        return status == STATUS_OK ? call_subscribe(ctl) : status;
}

static ExitStatus begin(Jobs *jobs, const char *name) {
        cleanup_message sd_bus_message *message = NULL;
        Job *job = need(talloc_zero(jobs, Job));
        ExitStatus status = call_find_domain(jobs->ctl, name, &job->target);
        int r;

        job->jobs = jobs;
        job->name = name;
        if (status != STATUS_OK) {
                return status;
        }
        status = call_new(jobs->ctl, &job->target, kinds[jobs->kind].member, &message);
        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_call_async(jobs->ctl->connection->bus, NULL, message, on_done, job, UINT64_MAX);
        if (r < 0) {
                return call_failed(jobs->ctl, text_new(jobs, "%s domain %s", kinds[jobs->kind].word, name),
                                   NULL, r);
        }
        jobs->n_pending++;
        return STATUS_OK;
}

static ExitStatus wait_all(Jobs *jobs) {
        sd_bus *bus = jobs->ctl->connection->bus;

        while (jobs->n_pending > 0) {
                int r = sd_bus_process(bus, NULL);

                r = r == 0 ? sd_bus_wait(bus, UINT64_MAX) : r;
                if (r < 0 && jobs->n_pending > 0) {
                        progress_clear(&jobs->progress);
                        return call_failed(jobs->ctl, text_new(jobs, "%s", kinds[jobs->kind].word), NULL, r);
                }
        }
        return jobs->status;
}

ExitStatus jobs_run(Ctl *ctl, JobKind kind, const char *const *names, size_t n_names) {
        Jobs *jobs = need(talloc_zero(ctl, Jobs));
        ExitStatus status;

        jobs->ctl = ctl;
        jobs->kind = kind;
        status = show_progress(jobs);
        if (status != STATUS_OK) {
                return status;
        }
        agent_open(ctl);
        for (size_t i = 0; i < n_names; i++) {
                jobs->status = ctl_worse(jobs->status, begin(jobs, names[i]));
        }
        return wait_all(jobs);
}
