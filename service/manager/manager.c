/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manager as a whole: what comes from files, launcher and servers is put together into domains, and told. It has no
 * state of its own: whoever starts after it finds the same. */

#include "service/manager/manager.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <talloc.h>
#include <unistd.h>

#include "config.h"
#include "service/base/log.h"
#include "service/manager/manager-parts.h"
#include "service/manager/mirror.h"

/* ---- Telling ---- */

void manager_tell(Domain *domain, DomainChanges changes) {
        const ManagerOps *observer = &domain->manager->observer;

        if (changes && observer->domain_changed) {
                observer->domain_changed(domain, changes, observer->userdata);
        }
}

bool manager_is_busy(const Manager *manager) {
        return manager->n_active > 0 || manager->n_operations > 0;
}

void manager_weigh(Manager *manager) {
        bool busy = manager_is_busy(manager);

        if (busy == manager->busy) {
                return;
        }
        manager->busy = busy;
        if (manager->observer.busy_changed) {
                manager->observer.busy_changed(busy, manager->observer.userdata);
        }
}

/* ---- Coming and going ---- */

static int on_reap(sd_event_source *source, void *userdata) {
        Manager *manager = talloc_get_type_abort(userdata, Manager);

        talloc_free_children(manager->trash);
        return 0;
}

void manager_discard(Manager *manager, void *chunk) {
        talloc_steal(manager->trash, chunk);
        (void) event_source_arm_once(manager->reap);
}

static Domain *manager_add(Manager *manager, const char *name) {
        Domain *domain = domain_new(manager, manager, manager->launcher, name);

        if (domain && registry_add(manager, &manager->registry, domain) < 0) {
                talloc_free(domain);
                domain = NULL;
        }
        return domain;
}

/* A domain without file and server is none. */
static void manager_drop(Domain *domain) {
        Manager *manager = domain->manager;

        if (manager->observer.domain_removed) {
                manager->observer.domain_removed(domain, manager->observer.userdata);
        }
        registry_remove(&manager->registry, domain);
        mirror_stop(domain, /* over= */ true);
        operations_forget(manager, domain);
        manager_discard(manager, domain);
}

static void tell_added(Domain *domain) {
        const ManagerOps *observer = &domain->manager->observer;

        if (observer->domain_added) {
                observer->domain_added(domain, observer->userdata);
        }
}

/* ---- Files ---- */

static void log_entry(const Domain *domain, DomainChanges changes) {
        if ((changes & DOMAIN_CHANGED_DEFINITION) && domain->definition_error) {
                log_plain(LOG_WARNING, "%s", domain->definition_error);
        }
}

static int refresh(Manager *manager, const char *name) {
        Domain *domain = registry_find(&manager->registry, name);
        StoreEntry *entry = NULL;
        DomainChanges changes = 0;
        bool new = !domain;
        int r = store_read(manager, manager->store, name, &entry);

        if (r == -ENOENT && (!domain || !domain_is_active(domain))) {
                if (domain) {
                        manager_drop(domain);
                }
                return 0;
        }
        if (r >= 0 && !domain) {
                domain = manager_add(manager, name);
                r = domain ? 0 : -ENOMEM;
        }
        if (r >= 0 || r == -ENOENT) {
                domain_take_entry(domain, entry, &changes);
                log_entry(domain, changes);
                if (new) {
                        tell_added(domain);
                } else {
                        manager_tell(domain, changes);
                }
                r = 0;
        }
        talloc_free(entry);
        return r;
}

void manager_refresh(Manager *manager, const char *name) {
        int r = refresh(manager, name);

        if (r < 0) {
                log_plain(LOG_ERR, "Cannot read the definition of domain \"%s\": %s", name, strerror(-r));
        }
}

/* Backwards, for those behind a removed one move up. */
static void refresh_all(Manager *manager) {
        for (size_t i = manager->registry.n; i > 0; i--) {
                manager_refresh(manager, manager->registry.domains[i - 1]->name);
        }
        (void) store_scan(manager->store);
}

static void on_file(const char *name, void *userdata) {
        Manager *manager = talloc_get_type_abort(userdata, Manager);

        if (name) {
                manager_refresh(manager, name);
        } else {
                refresh_all(manager);
        }
}

void manager_reload(Manager *manager) {
        if (limits_load(manager->limits) < 0) {
                log_plain(LOG_ERR, "Cannot read the limits again: no memory");
        }
        refresh_all(manager);
}

/* ---- Servers ---- */

/* Before it runs, connecting to it would wait, and after that start it again. Whoever is connected to one that is replaced
 * stays so. */
static void follow_server(Domain *domain) {
        if (domain->state != DOMAIN_RUNNING) {
                mirror_stop(domain, /* over= */ !domain_is_active(domain));
        } else if (domain->main_pid > 0 && !domain->mirror && mirror_start(domain) < 0) {
                log_plain(LOG_ERR, "Cannot follow the server of domain \"%s\": no memory", domain->name);
        }
}

static int take_state(Manager *manager, const char *name, const LauncherState *state) {
        Domain *domain = registry_find(&manager->registry, name);
        bool new = !domain, was_active = domain &&domain_is_active(domain);
        DomainChanges changes = 0;
        int r;

        if (new && (state->state == DOMAIN_STOPPED || state->state == DOMAIN_FAILED)) {
                return 0;
        }
        domain = domain ?: manager_add(manager, name);
        r = domain ? domain_take_state(domain, state, &changes) : -ENOMEM;
        if (r < 0) {
                return r;
        }
        manager->n_active += domain_is_active(domain);
        manager->n_active -= was_active;
        if (new) {
                tell_added(domain);
        } else {
                manager_tell(domain, changes);
        }
        follow_server(domain);
        if (!domain->defined && !domain_is_active(domain)) {
                manager_drop(domain);
        }
        return 0;
}

static void on_state(const char *name, const LauncherState *state, void *userdata) {
        Manager *manager = talloc_get_type_abort(userdata, Manager);
        int r = take_state(manager, name, state);

        if (r < 0) {
                log_plain(LOG_ERR, "Cannot follow domain \"%s\": %s", name, strerror(-r));
        }
        manager_weigh(manager);
}

/* ---- Beginning and end ---- */

static int make_store(Manager *manager, const ManagerParts *parts) {
        const char *root = parts->root && strcmp(parts->root, "/") != 0 ? parts->root : "";
        StorePlace places[] = {
                { SYSCONFDIR "/ivshmem", ORIGIN_ADMINISTRATOR, .ours = false },
                { "/run/ivshmem", ORIGIN_TRANSIENT, .ours = true },
                { "/var/lib/ivshmem", ORIGIN_PERSISTENT, .ours = true },
                { LIBDIR "/ivshmem", ORIGIN_VENDOR, .ours = false },
        };
        size_t n = sizeof(places) / sizeof(*places);
        const char *configs[] = { NULL, NULL, NULL, NULL };
        void *tmp = talloc_new(manager);
        int r;

        if (parts->directory) {
                places[0] = (StorePlace){ parts->directory, ORIGIN_PERSISTENT, .ours = true };
                n = 1;
        }
        for (size_t i = 0; tmp && i < n && !parts->directory; i++) {
                places[i].path = talloc_asprintf(tmp, "%s%s", root, places[i].path);
        }
        configs[0] = places[0].path;
        if (!parts->directory) {
                configs[1] = places[1].path;
                configs[2] = places[3].path;
        }
        r = tmp ? store_new(manager, parts->event, places, n, on_file, manager, &manager->store) : -ENOMEM;
        if (r >= 0) {
                r = limits_new(manager, configs, /* unlimited= */ parts->directory, &manager->limits);
        }
        talloc_free(tmp);
        return r;
}

static int manager_init(Manager *manager, const ManagerParts *parts) {
        LauncherObserver observer = { .changed = on_state, .userdata = manager };
        int r = make_store(manager, parts);

        manager->trash = talloc_new(manager);
        if (r >= 0 && !manager->trash) {
                r = -ENOMEM;
        }
        if (r >= 0) {
                r = event_add_deferred(manager, parts->event, SD_EVENT_PRIORITY_IMPORTANT, on_reap, manager,
                                       &manager->reap);
        }
        if (r >= 0) {
                r = operations_init(manager);
        }
        if (r < 0) {
                return r;
        }
        (void) store_scan(manager->store);
        return manager->launcher->ops->attach(manager->launcher, &observer);
}

/* Whoever waits for something hears of the end. Then all goes with the tree; nobody is told of the domains. */
static int manager_destructor(Manager *manager) {
        manager->observer = (ManagerOps){ 0 };
        operations_end(manager);
        return 0;
}

int manager_new(void *ctx, const ManagerParts *parts, Manager **ret) {
        Manager *manager = talloc_zero(ctx, Manager);
        int r;

        if (!manager) {
                return -ENOMEM;
        }
        list_init(&manager->operations);
        list_init(&manager->finished);
        talloc_set_destructor(manager, manager_destructor);
        manager->event = parts->event;
        manager->single_directory = parts->directory;
        manager->launcher = talloc_steal(manager, parts->launcher);
        r = manager_init(manager, parts);
        if (r < 0) {
                talloc_free(manager);
                return r;
        }
        manager->busy = manager_is_busy(manager);
        *ret = manager;
        return 0;
}

void manager_observe(Manager *manager, const ManagerOps *ops) {
        manager->observer = *ops;
}

/* ---- Looking ---- */

Domain *manager_find(const Manager *manager, const char *name) {
        return registry_find(&manager->registry, name);
}

void manager_foreach(const Manager *manager, void (*callback)(Domain *domain, void *userdata),
                     void *userdata) {
        for (size_t i = 0; i < manager->registry.n; i++) {
                callback(manager->registry.domains[i], userdata);
        }
}

size_t manager_count(const Manager *manager) {
        return manager->registry.n;
}

const char *manager_launcher_name(const Manager *manager) {
        return manager->launcher->ops->name;
}
