/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake manager: a list of domains, a list of operations, and obedience. */

#include "tests/bus/fake-manager.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/core/text.h"

const char *const domain_state_names[_DOMAIN_STATE_MAX] = {
        [DOMAIN_STOPPED] = "stopped",   [DOMAIN_STARTING] = "starting", [DOMAIN_RUNNING] = "running",
        [DOMAIN_STOPPING] = "stopping", [DOMAIN_FAILED] = "failed",
};
const char *const origin_names[_ORIGIN_MAX] = {
        [ORIGIN_ADMINISTRATOR] = "administrator",
        [ORIGIN_TRANSIENT] = "transient",
        [ORIGIN_PERSISTENT] = "persistent",
        [ORIGIN_VENDOR] = "vendor",
};
const char *const definition_state_names[_DEFINITION_STATE_MAX] = {
        [DEFINITION_CURRENT] = "current",
        [DEFINITION_CHANGED] = "changed",
        [DEFINITION_REMOVED] = "removed",
        [DEFINITION_INVALID] = "invalid",
};

/* ---- What a test does ---- */

int fake_manager_new(void *ctx, Event *event, Manager **ret) {
        Manager *manager = talloc_zero(ctx, Manager);

        if (!manager) {
                return -ENOMEM;
        }
        manager->event = event;
        manager->failure.kind = _FAILURE_KIND_MAX;
        list_init(&manager->domains);
        list_init(&manager->operations);
        *ret = manager;
        return 0;
}

static int domain_destructor(Domain *domain) {
        list_remove(&domain->link);
        return 0;
}

/* The link before which a name belongs. */
static List *place_of(Manager *manager, const char *name) {
        LIST_FOREACH(i, &manager->domains) {
                if (strcmp(list_entry(i, Domain, link)->name, name) > 0) {
                        return i;
                }
        }
        return &manager->domains;
}

Domain *fake_domain_add(Manager *manager, const char *name, uint32_t owner) {
        Domain *domain = talloc_zero(manager, Domain);

        domain->manager = manager;
        domain->name = talloc_strdup(domain, name);
        domain->owner = owner;
        if (definition_new(domain, &domain->definition) < 0) {
                return NULL;
        }
        domain->definition->size = 1U << 20;
        list_insert(place_of(manager, name), &domain->link);
        talloc_set_destructor(domain, domain_destructor);
        if (manager->observer.domain_added) {
                manager->observer.domain_added(domain, manager->observer.userdata);
        }
        return domain;
}

void fake_domain_drop(Domain *domain) {
        Manager *manager = domain->manager;

        if (manager->observer.domain_removed) {
                manager->observer.domain_removed(domain, manager->observer.userdata);
        }
        talloc_free(domain);
}

void fake_operation_end(Manager *manager, const Failure *failure, int fd) {
        Operation *operation = list_entry(manager->operations.next, Operation, link);

        list_remove(&operation->link);
        if (!operation->cancelled) {
                operation->done(failure, fd, operation->userdata);
        }
        talloc_free(operation);
}

size_t fake_operations(const Manager *manager) {
        size_t n = 0;

        LIST_FOREACH(i, &manager->operations) {
                n++;
        }
        return n;
}

void fake_fail(Manager *manager, FailureKind kind) {
        manager->failure.kind = kind;
}

/* ---- The manager ---- */

static int obey(Manager *manager, Failure *ret) {
        FailureKind kind = manager->failure.kind;

        manager->failure.kind = _FAILURE_KIND_MAX;
        return kind == _FAILURE_KIND_MAX ? 0 : failure_set(ret, kind, "as the test wants it");
}

static void write_down(Manager *manager, const Setting *settings, size_t n) {
        TALLOC_FREE(manager->created);
        manager->created = talloc_strdup(manager, "");
        for (size_t i = 0; i < n; i++) {
                manager->created = talloc_asprintf_append(
                        manager->created, "%s%s%s=%s\n", settings[i].section ? settings[i].section : "",
                        settings[i].section ? ":" : "", settings[i].key, settings[i].value);
        }
}

void manager_observe(Manager *manager, const ManagerOps *ops) {
        manager->observer = *ops;
}

Domain *manager_find(const Manager *manager, const char *name) {
        LIST_FOREACH(i, &manager->domains) {
                if (strcmp(list_entry(i, Domain, link)->name, name) == 0) {
                        return list_entry(i, Domain, link);
                }
        }
        return NULL;
}

void manager_foreach(const Manager *manager, void (*callback)(Domain *domain, void *userdata),
                     void *userdata) {
        LIST_FOREACH(i, &manager->domains) {
                callback(list_entry(i, Domain, link), userdata);
        }
}

size_t manager_count(const Manager *manager) {
        size_t n = 0;

        LIST_FOREACH(i, &manager->domains) {
                n++;
        }
        return n;
}

bool manager_is_busy(const Manager *manager) {
        return fake_operations(manager) > 0;
}

const char *manager_launcher_name(const Manager *manager) {
        return "fake";
}

void manager_usage(const Manager *manager, uint32_t uid, Usage ret[static USAGES]) {
        static const char *const what[USAGES] = { "Domains", "Bytes", "HugePageBytes", "Peers", "Vectors" };

        for (size_t i = 0; i < USAGES; i++) {
                ret[i] = (Usage){ .what = what[i], .used = uid, .limit = UINT64_MAX };
        }
}

int manager_check_name(const char *name, Failure *ret_failure) {
        return domain_name_is_valid(name)
                       ? 0
                       : failure_set(ret_failure, FAILURE_INVALID_NAME, "\"%.64s\"", name);
}

int manager_create(Manager *manager, const char *name, uint32_t owner, bool persistent,
                   const Setting *settings, size_t n_settings, Domain **ret, Failure *ret_failure) {
        int r = obey(manager, ret_failure);

        if (r < 0) {
                return r;
        }
        write_down(manager, settings, n_settings);
        *ret = fake_domain_add(manager, name, owner);
        (*ret)->persistent = persistent;
        return 0;
}

int manager_remove(Manager *manager, Domain *domain, Failure *ret_failure) {
        int r = obey(manager, ret_failure);

        if (r >= 0) {
                fake_domain_drop(domain);
        }
        return r;
}

void manager_reload(Manager *manager) {
        manager->reloads++;
}

int manager_begin(Manager *manager, Domain *domain, const Request *request, OperationDone done,
                  void *userdata, Operation **ret, Failure *ret_failure) {
        Operation *operation;
        int r = obey(manager, ret_failure);

        if (r < 0) {
                return r;
        }
        operation = talloc_zero(manager, Operation);
        operation->manager = manager;
        operation->request = *request;
        operation->done = done;
        operation->userdata = userdata;
        list_append(&manager->operations, &operation->link);
        write_down(manager, request->settings, request->n_settings);
        *ret = operation;
        return 0;
}

void operation_cancel(Operation *operation) {
        operation->cancelled = true;
}

/* ---- Domains ---- */

const char *domain_name(const Domain *domain) {
        return domain->name;
}

DomainState domain_state(const Domain *domain) {
        return domain->state;
}

const char *domain_status(const Domain *domain) {
        return "as the test wants it";
}

uint32_t domain_progress(const Domain *domain) {
        return 100;
}

uint32_t domain_main_pid(const Domain *domain) {
        return 4711;
}

uint64_t domain_since(const Domain *domain) {
        return 0;
}

uint32_t domain_owner(const Domain *domain) {
        return domain->owner;
}

Origin domain_origin(const Domain *domain) {
        return domain->persistent ? ORIGIN_PERSISTENT : ORIGIN_TRANSIENT;
}

const char *domain_path(const Domain *domain) {
        return "/nowhere";
}

DefinitionState domain_definition_state(const Domain *domain) {
        return domain->definition ? DEFINITION_CURRENT : DEFINITION_INVALID;
}

const char *domain_definition_error(const Domain *domain) {
        return domain->definition ? "" : "/nowhere:1: wrong";
}

const Definition *domain_definition(const Domain *domain) {
        return domain->definition;
}

const char *domain_socket_path(const Domain *domain) {
        return "/nowhere.sock";
}

const char *domain_unit(const Domain *domain) {
        return "";
}

const ControlDomain *domain_counters(const Domain *domain) {
        return &domain->counters;
}

const ControlPeer *const *domain_peers(const Domain *domain, size_t *ret_n) {
        *ret_n = domain->n_peers;
        return domain->peers;
}
