/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The launcher without systemd: it makes the sockets, starts servers as its own children, and hears of them through their
 * pidfds and sd_notify(3). A server belongs to its domain and not to this process: it goes on when the manager ends,
 * and the next one recognises it by its control socket, whose listener the kernel names.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/log.h"
#include "service/manager/embedded.h"

/* Between SIGTERM and SIGKILL. */
#define STOP_USEC 10000000U

/* ---- Telling ---- */

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void child_tell(const Child *child) {
        const Embedded *embedded = child->embedded;
        LauncherState state = {
                .state = child->state,
                .status = child->status ?: "",
                .main_pid = (uint32_t) child->pid,
                .since = child->since,
                .loaded = child->loaded,
        };

        embedded->observer.changed(child->name, &state, embedded->observer.userdata);
}

static void child_set_status(Child *child, const char *text) {
        char *status = talloc_strdup(child, text);

        if (status) {
                talloc_free(child->status);
                child->status = status;
        }
}

/* ---- Jobs ---- */

static void job_end(Child *child, const Failure *failure) {
        LauncherDone done = child->done;

        child->done = NULL;
        if (done) {
                done(failure, child->userdata);
        }
}

static void start_failed(Child *child, const char *how, const char *why) {
        Failure failure;

        (void) failure_set(&failure, FAILURE_START_FAILED, "Domain \"%s\" %s: %s", child->name, how, why);
        job_end(child, &failure);
}

/* ---- The end of a server ---- */

/* "was killed by signal 9", after what it said itself. */
static char *end_in_words(const Child *child, const siginfo_t *info) {
        const char *said = child->status ?: "";

        if (info->si_code == CLD_EXITED && info->si_status == 0) {
                return talloc_strdup(child, "The server has ended");
        }
        if (info->si_code == CLD_EXITED) {
                return *said && child->state == DOMAIN_STARTING
                               ? talloc_strdup(child, said)
                               : talloc_asprintf(child, "The server failed with exit status %d",
                                                 info->si_status);
        }
        if (info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED) {
                return talloc_asprintf(child, "The server was killed by signal %d (%s)", info->si_status,
                                       strsignal(info->si_status));
        }
        return talloc_strdup(child, "The server has ended; how, only the manager before this one could see");
}

static bool ended_well(const Child *child, const siginfo_t *info) {
        return child->stopping || (info->si_code == CLD_EXITED && info->si_status == 0) || info->si_pid == 0;
}

static void tell_jobs(Child *child, bool well) {
        if (child->stopping) {
                job_end(child, NULL);
        } else if (well) {
                start_failed(child, "ended before it served", child->status ?: "");
        } else {
                start_failed(child, "cannot be started", child->status ?: "");
        }
}

/* What is left of it is a name, and why it failed. */
static void child_ended(Child *child, const siginfo_t *info) {
        bool well = ended_well(child, info);
        char *words = end_in_words(child, info);

        TALLOC_FREE(child->watch);
        TALLOC_FREE(child->process);
        TALLOC_FREE(child->timer);
        sockets_remove(child);
        child->pid = 0;
        child->since = child->loaded = 0;
        if (!well) {
                log_plain(LOG_ERR, "Domain \"%s\": %s", child->name, words ?: "the server has ended");
        }
        talloc_free(child->status);
        child->status = child->stopping ? NULL : words;
        child->state = well ? DOMAIN_STOPPED : DOMAIN_FAILED;
        child_tell(child);
        tell_jobs(child, well);
        child->stopping = false;
}

/* Of one that another manager started nothing can be learnt but that it is gone. */
static int on_child(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Child *child = talloc_get_type_abort(userdata, Child);
        siginfo_t info = { 0 };
        int r = errno_or(waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG));

        if (r < 0 && r != -ECHILD) {
                return r;
        }
        child_ended(child, &info);
        return 0;
}

/* ---- What a server says (sd_notify(3)) ---- */

static void take_line(Child *child, const char *line) {
        if (strcmp(line, "READY=1") == 0 && child->state == DOMAIN_STARTING) {
                child->state = DOMAIN_RUNNING;
                child->since = now_usec();
        } else if (strcmp(line, "STOPPING=1") == 0) {
                child->state = DOMAIN_STOPPING;
        } else if (strcmp(line, "RELOADING=1") == 0) {
                child->loaded = now_usec();
        } else if (strncmp(line, "STATUS=", strlen("STATUS=")) == 0) {
                child_set_status(child, line + strlen("STATUS="));
        }
}

/* Whoever is not a child of ours is not listened to. */
void embedded_take_notice(Embedded *embedded, pid_t pid, char *text) {
        Child *child = NULL;
        DomainState before;
        char *line;

        for (size_t i = 0; i < embedded->n_children && !child; i++) {
                child = embedded->children[i]->pid == pid && pid > 0 ? embedded->children[i] : NULL;
        }
        if (!child) {
                return;
        }
        before = child->state;
        while ((line = strsep(&text, "\n"))) {
                take_line(child, line);
        }
        child_tell(child);
        if (before == DOMAIN_STARTING && child->state == DOMAIN_RUNNING && !child->stopping) {
                job_end(child, NULL);
        }
}

/* ---- Children ---- */

static Child *child_find(const Embedded *embedded, const char *name) {
        for (size_t i = 0; i < embedded->n_children; i++) {
                if (strcmp(embedded->children[i]->name, name) == 0) {
                        return embedded->children[i];
                }
        }
        return NULL;
}

static int child_destructor(Child *child) {
        TALLOC_FREE(child->watch);
        return 0;
}

/* Stopped is what domains are that nothing is known of. */
static void forget_stopped(Embedded *embedded) {
        size_t n = 0;

        for (size_t i = 0; i < embedded->n_children; i++) {
                Child *child = embedded->children[i];

                if (child->pid == 0 && child->state == DOMAIN_STOPPED && !child->done) {
                        talloc_free(child);
                } else {
                        embedded->children[n++] = child;
                }
        }
        embedded->n_children = n;
}

static Child *child_new(Embedded *embedded, const char *name) {
        Child **children, *child;

        forget_stopped(embedded);
        children = talloc_realloc(embedded, embedded->children, Child *, embedded->n_children + 1);
        if (!children) {
                return NULL;
        }
        embedded->children = children;
        child = talloc_zero(embedded, Child);
        if (!child) {
                return NULL;
        }
        child->embedded = embedded;
        child->name = talloc_strdup(child, name);
        if (!child->name) {
                talloc_free(child);
                return NULL;
        }
        talloc_set_destructor(child, child_destructor);
        children[embedded->n_children++] = child;
        return child;
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Child *child = talloc_get_type_abort(userdata, Child);

        log_plain(LOG_WARNING, "Domain \"%s\" does not stop; killing its server", child->name);
        (void) child_signal(child, SIGKILL);
        return 0;
}

/* `pidfd` becomes the child's. */
static int child_watch(Child *child, pid_t pid, int pidfd) {
        Embedded *embedded = child->embedded;
        int r = fd_new(child, pidfd, &child->process);

        if (r >= 0) {
                r = event_add_io(child, embedded->event, pidfd, EPOLLIN, SD_EVENT_PRIORITY_NORMAL, on_child,
                                 child, &child->watch);
        }
        if (r >= 0) {
                r = event_add_timer(child, embedded->event, SD_EVENT_PRIORITY_NORMAL, on_stop_timeout, child,
                                    &child->timer);
        }
        if (r < 0) {
                TALLOC_FREE(child->watch);
                TALLOC_FREE(child->process);
                return r;
        }
        child->pid = pid;
        return 0;
}

/* ---- Starting ---- */

static int child_start(Child *child, const char *definition, Failure *ret_failure) {
        pid_t pid;
        int pidfd = -EBADF, r = child_spawn(child, definition, &pid, &pidfd, ret_failure);

        if (r < 0) {
                return r;
        }
        child->loaded = now_usec();
        r = child_watch(child, pid, pidfd);
        if (r < 0) {
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                sockets_remove(child);
                return failure_errno(ret_failure, r, "Cannot watch the server");
        }
        child->state = DOMAIN_STARTING;
        TALLOC_FREE(child->status);
        child_tell(child);
        return 0;
}

static int begin_start(Child *child, const char *definition, Failure *ret_failure) {
        if (child->pid > 0) {
                return failure_set(ret_failure, FAILURE_BUSY, "Domain \"%s\" is %s already", child->name,
                                   domain_state_names[child->state]);
        }
        return child_start(child, definition, ret_failure);
}

static int on_stopped_already(sd_event_source *source, void *userdata) {
        Child *child = talloc_get_type_abort(userdata, Child);

        job_end(child, NULL);
        return 0;
}

/* One that failed is stopped when somebody says so. */
static int begin_stopped(Child *child, Failure *ret_failure) {
        int r = child->deferred ? 0
                                : event_add_deferred(child, child->embedded->event, SD_EVENT_PRIORITY_NORMAL,
                                                     on_stopped_already, child, &child->deferred);

        if (r < 0) {
                return failure_errno(ret_failure, r, "Cannot stop");
        }
        child->state = DOMAIN_STOPPED;
        TALLOC_FREE(child->status);
        child_tell(child);
        (void) event_source_arm_once(child->deferred);
        return 0;
}

static int begin_stop(Child *child, Failure *ret_failure) {
        int r;

        if (child->pid == 0) {
                return begin_stopped(child, ret_failure);
        }
        r = child_signal(child, SIGTERM);
        if (r < 0 && r != -ESRCH) {
                return failure_errno(ret_failure, r, "Cannot stop the server");
        }
        if (child->done) {
                start_failed(child, "cannot be started", "it was stopped meanwhile");
        }
        child->stopping = true;
        child->state = DOMAIN_STOPPING;
        child_tell(child);
        return event_source_arm_timer(child->timer, STOP_USEC);
}

static int embedded_begin(Launcher *launcher, LauncherVerb verb, const char *name, const char *definition,
                          LauncherDone done, void *userdata, Failure *ret_failure) {
        Embedded *embedded = talloc_get_type_abort(launcher->self, Embedded);
        Child *child;
        int r;

        if (verb == LAUNCHER_RESTART) {
                return failure_set(
                        ret_failure, FAILURE_NOT_SUPPORTED,
                        "Without systemd a restart would disconnect all peers of \"%s\"; stop it and start "
                        "it where that may be",
                        name);
        }
        child = child_find(embedded, name) ?: child_new(embedded, name);
        if (!child) {
                return failure_errno(ret_failure, -ENOMEM, "Cannot begin");
        }
        r = verb == LAUNCHER_START ? begin_start(child, definition, ret_failure)
                                   : begin_stop(child, ret_failure);
        if (r >= 0) {
                child->done = done;
                child->userdata = userdata;
        }
        return r < 0 ? r : 0;
}

/* ---- Finding what runs ---- */

void embedded_adopt(Embedded *embedded, const char *name, pid_t pid, int pidfd) {
        Child *child = child_find(embedded, name) ?: child_new(embedded, name);

        if (!child || child_watch(child, pid, pidfd) < 0) {
                log_plain(LOG_ERR, "Cannot follow the server of domain \"%s\", which runs: no memory", name);
                return;
        }
        child->state = DOMAIN_RUNNING;
        child->since = process_start(pid);
        child->loaded = 0;
        child_tell(child);
}

static int embedded_attach(Launcher *launcher, const LauncherObserver *observer) {
        Embedded *embedded = talloc_get_type_abort(launcher->self, Embedded);

        embedded->observer = *observer;
        return embedded_find(embedded);
}

/* ---- Names ---- */

static char *embedded_socket_path(void *ctx, const Launcher *launcher, const char *name) {
        const Embedded *embedded = talloc_get_type_abort(launcher->self, Embedded);

        return talloc_asprintf(ctx, "%s/%s" SOCKET_SUFFIX, embedded->directory, name);
}

static char *embedded_control_path(void *ctx, const Launcher *launcher, const char *name) {
        const Embedded *embedded = talloc_get_type_abort(launcher->self, Embedded);

        return talloc_asprintf(ctx, "%s/%s" CONTROL_SUFFIX, embedded->directory, name);
}

static char *embedded_unit(void *ctx, const Launcher *launcher, const char *name) {
        return talloc_strdup(ctx, "");
}

static const LauncherOps embedded_ops = {
        .name = "embedded",
        .attach = embedded_attach,
        .begin = embedded_begin,
        .socket_path = embedded_socket_path,
        .control_path = embedded_control_path,
        .unit = embedded_unit,
};

int launcher_embedded_new(void *ctx, Event *event, const char *directory, const char *program,
                          Launcher **ret, Failure *ret_failure) {
        Launcher *launcher = talloc_zero(ctx, Launcher);
        Embedded *embedded = launcher ? talloc_zero(launcher, Embedded) : NULL;
        int r;

        if (!embedded) {
                talloc_free(launcher);
                return failure_errno(ret_failure, -ENOMEM, "Cannot begin");
        }
        launcher->ops = &embedded_ops;
        launcher->self = embedded;
        embedded->event = event;
        r = embedded_init(embedded, directory, program, ret_failure);
        if (r < 0) {
                talloc_free(launcher);
                return r;
        }
        *ret = launcher;
        return 0;
}
