/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What takes time: checked and begun here, ended by launcher or server, told from the loop. */

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <talloc.h>
#include <time.h>

#include "service/base/fd.h"
#include "service/manager/manager-parts.h"
#include "service/manager/mirror.h"

/* Of all domains together. */
#define OPERATIONS_MAX 4096U

/* ---- Ending ---- */

static int operation_destructor(Operation *operation) {
        list_remove(&operation->link);
        fd_close_aside(operation->fd);
        return 0;
}

/* The receiver of the descriptor closes it. */
static void tell(Operation *operation, const Failure *failure) {
        OperationDone done = operation->done;
        int fd = operation->fd;

        operation->done = NULL;
        if (!done) {
                return;
        }
        operation->fd = -EBADF;
        done(failure, fd, operation->userdata);
}

/* One at a time: what the observer does then may be much. */
static int on_finished(sd_event_source *source, void *userdata) {
        Manager *manager = talloc_get_type_abort(userdata, Manager);
        Operation *operation;

        if (list_is_empty(&manager->finished)) {
                return 0;
        }
        operation = list_entry(manager->finished.next, Operation, link);
        list_remove(&operation->link);
        if (!list_is_empty(&manager->finished)) {
                (void) event_source_arm_once(manager->finish);
        }
        manager->n_operations--;
        tell(operation, operation->failed ? &operation->failure : NULL);
        talloc_free(operation);
        manager_weigh(manager);
        return 0;
}

static void finish_followers(const Operation *leader, const Failure *failure) {
        LIST_FOREACH(i, &leader->manager->operations) {
                Operation *operation = list_entry(i, Operation, link);

                if (operation->leader == leader) {
                        operation_finish(operation, failure, -EBADF);
                }
        }
}

void operation_finish(Operation *operation, const Failure *failure, int fd) {
        if (operation->domain && operation->domain->job == operation) {
                operation->domain->job = NULL;
        }
        operation->failed = failure;
        if (failure) {
                operation->failure = *failure;
        }
        operation->fd = fd;
        list_remove(&operation->link);
        list_append(&operation->manager->finished, &operation->link);
        (void) event_source_arm_once(operation->manager->finish);
        if (!operation->leader) {
                finish_followers(operation, failure);
        }
}

void operation_cancel(Operation *operation) {
        operation->done = NULL;
}

void operations_forget(Manager *manager, const Domain *domain) {
        LIST_FOREACH(i, &manager->operations) {
                Operation *operation = list_entry(i, Operation, link);

                if (operation->domain == domain) {
                        operation->domain = NULL;
                }
        }
        LIST_FOREACH(i, &manager->finished) {
                Operation *operation = list_entry(i, Operation, link);

                if (operation->domain == domain) {
                        operation->domain = NULL;
                }
        }
}

static void end_list(List *list, const Failure *failure) {
        while (!list_is_empty(list)) {
                Operation *operation = list_entry(list->next, Operation, link);

                list_remove(&operation->link);
                tell(operation, operation->failed ? &operation->failure : failure);
        }
}

void operations_end(Manager *manager) {
        Failure failure;

        (void) failure_set(&failure, FAILURE_SERVER_LOST, "The manager is ending; what was begun goes on");
        end_list(&manager->finished, NULL);
        end_list(&manager->operations, &failure);
}

int operations_init(Manager *manager) {
        return event_add_deferred(manager, manager->event, SD_EVENT_PRIORITY_NORMAL, on_finished, manager,
                                  &manager->finish);
}

/* ---- Start, stop, restart ---- */

static void on_job(const Failure *failure, void *userdata) {
        Operation *operation = talloc_get_type_abort(userdata, Operation);

        operation_finish(operation, failure, -EBADF);
}

static int begin_job(Operation *operation, LauncherVerb verb, Failure *ret_failure) {
        Domain *domain = operation->domain;
        const Launcher *launcher = domain->manager->launcher;
        int r = launcher->ops->begin((Launcher *) launcher, verb, domain->name, domain->path, on_job,
                                     operation, ret_failure);

        if (r == 0) {
                domain->job = operation;
        }
        return r;
}

/* What was wrong may be right by now without a change of the file: a user whom it names has been made, e.g. */
static int check_definition(Operation *operation, Failure *ret_failure) {
        const char *name = operation->domain->name;

        if (operation->domain->definition_error) {
                manager_refresh(operation->manager, name);
        }
        if (!operation->domain) {
                return failure_set(ret_failure, FAILURE_NO_SUCH_DOMAIN, "There is no domain \"%s\" any more",
                                   name);
        }
        if (!operation->domain->defined) {
                return failure_set(ret_failure, FAILURE_START_FAILED,
                                   "Domain \"%s\" has no definition any more; it cannot be started again",
                                   name);
        }
        if (operation->domain->definition_error) {
                return failure_set(ret_failure, FAILURE_START_FAILED, "%s",
                                   operation->domain->definition_error);
        }
        return 0;
}

static int check_no_job(const Domain *domain, Failure *ret_failure) {
        return !domain->job
                       ? 0
                       : failure_set(
                                 ret_failure, FAILURE_BUSY,
                                 "Domain \"%s\" is being started, stopped or changed already; wait for it",
                                 domain->name);
}

/* Who starts what is being started waits for the same. */
static int begin_start(Operation *operation, const Request *request, Failure *ret_failure) {
        Domain *domain = operation->domain;
        int r;

        if (domain->job && domain->job->kind == OPERATION_START) {
                operation->leader = domain->job;
                return 0;
        }
        r = check_no_job(domain, ret_failure);
        if (r == 0 && domain->state == DOMAIN_RUNNING) {
                operation_finish(operation, NULL, -EBADF);
                return 0;
        }
        if (r == 0) {
                r = check_definition(operation, ret_failure);
        }
        if (r == 0) {
                r = tally_start(domain->manager, domain, ret_failure);
        }
        return r < 0 ? r : begin_job(operation, LAUNCHER_START, ret_failure);
}

/* A start can be stopped. */
static int begin_stop(Operation *operation, const Request *request, Failure *ret_failure) {
        const Domain *domain = operation->domain;
        int r = domain->job && domain->job->kind == OPERATION_STOP ? check_no_job(domain, ret_failure) : 0;

        return r < 0 ? r : begin_job(operation, LAUNCHER_STOP, ret_failure);
}

static int begin_restart(Operation *operation, const Request *request, Failure *ret_failure) {
        const Domain *domain = operation->domain;
        int r = check_no_job(domain, ret_failure);

        if (r == 0) {
                r = check_definition(operation, ret_failure);
        }
        if (r == 0) {
                r = tally_start(domain->manager, domain, ret_failure);
        }
        return r < 0 ? r : begin_job(operation, LAUNCHER_RESTART, ret_failure);
}

/* ---- What the server is asked ---- */

/* Whether it is what was asked for, so that nobody gets from us what a server likes to give. */
static bool is_answer(const Operation *operation, int fd) {
        const Definition *definition = operation->domain ? operation->domain->definition : NULL;
        int domain = 0;
        socklen_t size = sizeof(domain);

        switch (operation->kind) {
        case OPERATION_OPEN:
                return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) >= 0 &&
                       domain == AF_UNIX;
        case OPERATION_MEMORY:
                return fd >= 0 && (fcntl(fd, F_GET_SEALS) >= 0 || (definition && definition->path));
        default:
                return fd < 0;
        }
}

static void on_reply(const Failure *failure, int fd, void *userdata) {
        Operation *operation = talloc_get_type_abort(userdata, Operation);
        Failure lie;

        if (!failure && !is_answer(operation, fd)) {
                fd_close_aside(fd);
                (void) failure_set(&lie, FAILURE_SERVER_LOST,
                                   "The domain's server gave an answer that makes no sense");
                operation_finish(operation, &lie, -EBADF);
                return;
        }
        operation_finish(operation, failure, fd);
}

static int begin_request(Operation *operation, const Request *request, Failure *ret_failure) {
        static const ControlKind kinds[_OPERATION_KIND_MAX] = {
                [OPERATION_EVICT] = CONTROL_EVICT,
                [OPERATION_RING] = CONTROL_RING,
                [OPERATION_OPEN] = CONTROL_OPEN,
                [OPERATION_MEMORY] = CONTROL_MEMORY,
        };
        ControlRecord *record = talloc_zero(operation, ControlRecord);
        int r;

        if (!record) {
                return failure_errno(ret_failure, -ENOMEM, "Cannot ask the server");
        }
        record->kind = kinds[request->kind];
        record->vm_id = request->vm_id;
        record->vector = request->vector;
        record->read_only = request->read_only;
        if (request->peer) {
                record->peer = *request->peer;
        }
        r = mirror_request(operation->domain, record, on_reply, operation, ret_failure);
        talloc_free(record);
        return r;
}

/* ---- Beginning ---- */

static int operation_new(Manager *manager, Domain *domain, const Request *request, OperationDone done,
                         void *userdata, Operation **ret, Failure *ret_failure) {
        Operation *operation;

        if (manager->n_operations >= OPERATIONS_MAX) {
                return failure_set(ret_failure, FAILURE_BUSY,
                                   "Too many operations are under way; try again later");
        }
        operation = talloc_zero(manager, Operation);
        if (!operation) {
                return failure_errno(ret_failure, -ENOMEM, "Cannot begin");
        }
        operation->manager = manager;
        operation->domain = domain;
        operation->kind = request->kind;
        operation->done = done;
        operation->userdata = userdata;
        operation->fd = -EBADF;
        list_append(&manager->operations, &operation->link);
        talloc_set_destructor(operation, operation_destructor);
        *ret = operation;
        return 0;
}

int manager_begin(Manager *manager, Domain *domain, const Request *request, OperationDone done,
                  void *userdata, Operation **ret, Failure *ret_failure) {
        static int (*const beginners[_OPERATION_KIND_MAX])(Operation *, const Request *, Failure *) = {
                [OPERATION_START] = begin_start,      [OPERATION_STOP] = begin_stop,
                [OPERATION_RESTART] = begin_restart,  [OPERATION_SET] = operation_edit,
                [OPERATION_RESERVE] = operation_edit, [OPERATION_RELEASE] = operation_edit,
                [OPERATION_EVICT] = begin_request,    [OPERATION_RING] = begin_request,
                [OPERATION_OPEN] = begin_request,     [OPERATION_MEMORY] = begin_request,
        };
        Operation *operation = NULL;
        int r = operation_new(manager, domain, request, done, userdata, &operation, ret_failure);

        if (r < 0) {
                return r;
        }
        r = beginners[request->kind](operation, request, ret_failure);
        if (r < 0) {
                talloc_free(operation);
                return r;
        }
        manager->n_operations++;
        manager_weigh(manager);
        if (ret) {
                *ret = operation;
        }
        return 0;
}
