/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making, changing and removing definitions. A running server is asked to take a change over before it counts; when it
 * refuses, the file is what it was. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <talloc.h>
#include <time.h>

#include "service/base/log.h"
#include "service/core/text.h"
#include "service/manager/file.h"
#include "service/manager/manager-parts.h"
#include "service/manager/mirror.h"

/* ---- Making ---- */

int manager_check_name(const char *name, Failure *ret_failure) {
        if (domain_name_is_valid(name)) {
                return 0;
        }
        return failure_set(ret_failure, FAILURE_INVALID_NAME,
                           "\"%.64s\" is not a domain's name: " DOMAIN_NAME_RULE, name);
}

static int check_new(const Manager *manager, const char *name, bool persistent, Failure *ret_failure) {
        int r = manager_check_name(name, ret_failure);

        if (r < 0) {
                return r;
        }
        if (registry_find(&manager->registry, name)) {
                return failure_set(ret_failure, FAILURE_DOMAIN_EXISTS, "There is a domain \"%s\" already",
                                   name);
        }
        if (!persistent && manager->single_directory) {
                return failure_set(
                        ret_failure, FAILURE_NOT_SUPPORTED,
                        "An embedded manager keeps all definitions in one directory, so that they are "
                        "persistent; ask for a persistent domain");
        }
        return 0;
}

/* The owner comes first, so that a setting of the caller's wins. */
static int build(void *ctx, uint32_t owner, const Setting *settings, size_t n_settings, Definition **ret,
                 char **ret_text, Failure *ret_failure) {
        Setting *all = talloc_array(ctx, Setting, n_settings + 1);
        char number[16];

        if (!all) {
                return failure_errno(ret_failure, -ENOMEM, "Cannot make a definition");
        }
        snprintf(number, sizeof(number), "%" PRIu32, owner);
        all[0] = (Setting){ .key = "Owner", .value = owner == 0 ? "root" : number };
        if (n_settings > 0) {
                memcpy(all + 1, settings, n_settings * sizeof(*settings));
        }
        return change_definition(ctx, NULL, &(Change){ .settings = all, .n_settings = n_settings + 1 }, ret,
                                 ret_text, ret_failure);
}

static int write_new(Manager *manager, const char *name, bool persistent, const char *text,
                     Failure *ret_failure) {
        Origin origin = persistent ? ORIGIN_PERSISTENT : ORIGIN_TRANSIENT;
        int r = store_write(manager->store, name, origin, /* replace= */ false, text);

        if (r == -EEXIST) {
                return failure_set(ret_failure, FAILURE_DOMAIN_EXISTS, "There is a domain \"%s\" already",
                                   name);
        }
        return r < 0 ? failure_errno(ret_failure, r, "Cannot write the definition") : 0;
}

static int create(Manager *manager, void *tmp, const char *name, uint32_t owner, bool persistent,
                  const Setting *settings, size_t n_settings, Failure *ret_failure) {
        Definition *definition;
        char *text;
        int r = check_new(manager, name, persistent, ret_failure);

        if (r == 0) {
                r = build(tmp, owner, settings, n_settings, &definition, &text, ret_failure);
        }
        if (r == 0) {
                r = tally_definition(manager, NULL, NULL, definition, ret_failure);
        }
        return r < 0 ? r : write_new(manager, name, persistent, text, ret_failure);
}

int manager_create(Manager *manager, const char *name, uint32_t owner, bool persistent,
                   const Setting *settings, size_t n_settings, Domain **ret, Failure *ret_failure) {
        void *tmp = talloc_new(manager);
        Domain *domain;
        int r = tmp ? create(manager, tmp, name, owner, persistent, settings, n_settings, ret_failure)
                    : failure_errno(ret_failure, -ENOMEM, "Cannot make a definition");

        talloc_free(tmp);
        if (r < 0) {
                return r;
        }
        manager_refresh(manager, name);
        domain = registry_find(&manager->registry, name);
        if (!domain) {
                return failure_set(ret_failure, FAILURE_SYSTEM,
                                   "The definition of \"%s\" was removed at once", name);
        }
        *ret = domain;
        return 0;
}

/* ---- Removing ---- */

static int check_ours(const Domain *domain, const char *verb, Failure *ret_failure) {
        if (!domain->defined) {
                return failure_set(ret_failure, FAILURE_NOT_OURS, "Domain \"%s\" has no definition any more",
                                   domain->name);
        }
        if (!store_is_ours(domain->manager->store, domain->origin)) {
                return failure_set(
                        ret_failure, FAILURE_NOT_OURS, "%s belongs to %s; %s the file itself", domain->path,
                        domain->origin == ORIGIN_ADMINISTRATOR ? "the administrator" : "a package", verb);
        }
        return 0;
}

static void on_sockets_stopped(const Failure *failure, void *userdata) {
        if (failure) {
                log_plain(LOG_WARNING, "%s", failure->text);
        }
}

int manager_remove(Manager *manager, Domain *domain, Failure *ret_failure) {
        const char *name = domain->name;
        Failure ignored;
        int r = check_ours(domain, "remove", ret_failure);

        if (r < 0) {
                return r;
        }
        if (domain_is_active(domain)) {
                return failure_set(ret_failure, FAILURE_DOMAIN_RUNNING, "Domain \"%s\" is %s; stop it first",
                                   name, domain_state_names[domain->state]);
        }
        if (domain->job) {
                return failure_set(ret_failure, FAILURE_BUSY,
                                   "Domain \"%s\" is being started or stopped; wait for it", name);
        }
        r = store_remove(manager->store, name, domain->origin);
        if (r < 0 && r != -ENOENT) {
                return failure_errno(ret_failure, r, "Cannot remove the definition");
        }
        /* Its sockets may still wait for peers. */
        (void) manager->launcher->ops->begin(manager->launcher, LAUNCHER_STOP, name, domain->path,
                                             on_sockets_stopped, NULL, &ignored);
        manager_refresh(manager, name);
        return 0;
}

/* ---- Changing ---- */

static int check_request(const Domain *domain, const Request *request, Failure *ret_failure) {
        int r = check_ours(domain, "edit", ret_failure);

        if (r < 0) {
                return r;
        }
        if (domain->definition_error) {
                return failure_set(ret_failure, FAILURE_INVALID_SETTING, "Mend the definition first: %s",
                                   domain->definition_error);
        }
        if (domain->job || domain->state == DOMAIN_STARTING || domain->state == DOMAIN_STOPPING) {
                return failure_set(ret_failure, FAILURE_BUSY,
                                   "Domain \"%s\" is being started, stopped or changed; wait for it",
                                   domain->name);
        }
        return 0;
}

static bool has_peer(const Definition *definition, const char *name) {
        for (size_t i = 0; i < definition->n_reservations; i++) {
                if (strcmp(definition->reservations[i].name, name) == 0) {
                        return true;
                }
        }
        return false;
}

static int change(void *ctx, const Domain *domain, const Request *request, Definition **ret, char **ret_text,
                  Failure *ret_failure) {
        bool set = request->kind == OPERATION_SET, release = request->kind == OPERATION_RELEASE;
        const Change wanted = {
                .drop_peer = set ? NULL : request->section,
                .drop_peers = set && request->all_peers,
                .settings = release ? NULL : request->settings,
                .n_settings = release ? 0 : request->n_settings,
        };

        if (release && !has_peer(domain->definition, request->section)) {
                return failure_set(ret_failure, FAILURE_NO_SUCH_PEER, "Domain \"%s\" has no [Peer %s]",
                                   domain->name, request->section);
        }
        return change_definition(ctx, domain->definition, &wanted, ret, ret_text, ret_failure);
}

static int check_fixed(void *tmp, const Domain *domain, const Definition *definition, Failure *ret_failure) {
        const char **keys;
        char *list;

        if (!domain_is_active(domain)) {
                return 0;
        }
        keys = definition_fixed_changes(tmp, domain->definition, definition);
        list = keys ? talloc_strdup(tmp, keys[0] ?: "") : NULL;
        for (size_t i = 1; keys && keys[0] && keys[i] && list; i++) {
                list = talloc_asprintf_append_buffer(list, ", %s", keys[i]);
        }
        if (!list) {
                return failure_errno(ret_failure, -ENOMEM, "Cannot compare the definitions");
        }
        return !keys[0] ? 0
                        : failure_set(ret_failure, FAILURE_FIXED_SETTING,
                                      "Domain \"%s\" runs, and cannot change %s; stop it first",
                                      domain->name, list);
}

static void bring_back(Operation *operation) {
        Domain *domain = operation->domain;
        int r;

        if (!domain || !operation->before) {
                return;
        }
        r = store_write(operation->manager->store, domain->name, domain->origin, /* replace= */ true,
                        operation->before);
        if (r < 0) {
                log_plain(LOG_ERR, "Cannot bring the definition of domain \"%s\" back: %s", domain->name,
                          strerror(-r));
        }
        manager_refresh(operation->manager, domain->name);
}

/* By now the server has read the file. */
static void note_loaded(Domain *domain) {
        struct timespec now;
        DefinitionState before = domain_definition_state(domain);

        clock_gettime(CLOCK_REALTIME, &now);
        domain->loaded = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        if (domain_definition_state(domain) != before) {
                manager_tell(domain, DOMAIN_CHANGED_DEFINITION);
        }
}

/* A server that was lost reads the new file when it is started again. */
static void on_reloaded(const Failure *failure, int fd, void *userdata) {
        Operation *operation = talloc_get_type_abort(userdata, Operation);

        if (failure && failure->kind != FAILURE_SERVER_LOST) {
                bring_back(operation);
        } else if (!failure && operation->domain) {
                note_loaded(operation->domain);
        }
        operation_finish(operation, failure, -EBADF);
}

/* The text of the file as somebody wrote it. */
static int keep_before(Operation *operation, Failure *ret_failure) {
        size_t length;
        int r = file_read(operation, operation->domain->path, DEFINITION_TEXT_MAX, &operation->before,
                          &length, NULL);

        if (r < 0) {
                return failure_errno(ret_failure, r, "Cannot read the definition");
        }
        operation->before[length < DEFINITION_TEXT_MAX ? length : DEFINITION_TEXT_MAX] = '\0';
        return 0;
}

static int reload(Operation *operation, Failure *ret_failure) {
        Domain *domain = operation->domain;
        ControlRecord *record;
        int r;

        if (!domain_is_active(domain)) {
                operation_finish(operation, NULL, -EBADF);
                return 0;
        }
        record = talloc_zero(operation, ControlRecord);
        if (!record) {
                r = failure_errno(ret_failure, -ENOMEM, "Cannot ask the server");
        } else {
                record->kind = CONTROL_RELOAD;
                r = mirror_request(domain, record, on_reloaded, operation, ret_failure);
        }
        talloc_free(record);
        if (r < 0) {
                bring_back(operation);
        } else {
                /* Another change meanwhile would be lost when this one is taken back. */
                domain->job = operation;
        }
        return r;
}

static int write_and_reload(Operation *operation, const char *text, Failure *ret_failure) {
        Domain *domain = operation->domain;
        int r = keep_before(operation, ret_failure);

        if (r < 0) {
                return r;
        }
        r = store_write(operation->manager->store, domain->name, domain->origin, /* replace= */ true, text);
        if (r < 0) {
                return failure_errno(ret_failure, r, "Cannot write the definition");
        }
        manager_refresh(operation->manager, domain->name);
        return reload(operation, ret_failure);
}

int operation_edit(Operation *operation, const Request *request, Failure *ret_failure) {
        Domain *domain = operation->domain;
        void *tmp = talloc_new(operation);
        Definition *definition;
        char *text;
        int r = tmp ? check_request(domain, request, ret_failure)
                    : failure_errno(ret_failure, -ENOMEM, "Cannot change the definition");

        if (r == 0) {
                r = change(tmp, domain, request, &definition, &text, ret_failure);
        }
        if (r == 0) {
                r = check_fixed(tmp, domain, definition, ret_failure);
        }
        if (r == 0) {
                r = tally_definition(operation->manager, domain, domain->definition, definition,
                                     ret_failure);
        }
        if (r == 0) {
                r = write_and_reload(operation, text, ret_failure);
        }
        talloc_free(tmp);
        return r;
}
