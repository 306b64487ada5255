/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain as the manager sees it: three mirrors - of its file, of its unit, of its server - and what follows from them
 * together. It asks nobody and decides nothing. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "service/manager/domain-parts.h"

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

/* How the server begins its status while it prepares memory (service/server/start.c). */
#define PROGRESS_FORMAT "Preparing memory: %3u%%"

Domain *domain_new(void *ctx, Manager *manager, const Launcher *launcher, const char *name) {
        Domain *domain = talloc_zero(ctx, Domain);

        if (!domain) {
                return NULL;
        }
        domain->manager = manager;
        domain->name = talloc_strdup(domain, name);
        domain->socket_path = launcher->ops->socket_path(domain, launcher, name);
        domain->control_path = launcher->ops->control_path(domain, launcher, name);
        domain->unit = launcher->ops->unit(domain, launcher, name);
        domain->path = talloc_strdup(domain, "");
        domain->status = talloc_strdup(domain, "");
        domain->origin = ORIGIN_TRANSIENT;
        if (!domain->name || !domain->socket_path || !domain->control_path || !domain->unit ||
            !domain->path || !domain->status) {
                talloc_free(domain);
                return NULL;
        }
        return domain;
}

/* ---- Looking ---- */

const char *domain_name(const Domain *domain) {
        return domain->name;
}

DomainState domain_state(const Domain *domain) {
        return domain->state;
}

const char *domain_status(const Domain *domain) {
        return domain->status;
}

uint32_t domain_progress(const Domain *domain) {
        unsigned percent;

        if (domain->state != DOMAIN_STARTING || sscanf(domain->status, PROGRESS_FORMAT, &percent) != 1) {
                return domain->state == DOMAIN_STARTING ? 0 : 100;
        }
        return percent < 100 ? percent : 100;
}

uint32_t domain_main_pid(const Domain *domain) {
        return domain->main_pid;
}

uint64_t domain_since(const Domain *domain) {
        return domain->since;
}

uint32_t domain_owner(const Domain *domain) {
        return domain->owner;
}

Origin domain_origin(const Domain *domain) {
        return domain->origin;
}

const char *domain_path(const Domain *domain) {
        return domain->path;
}

/* Whether the server has something else than the file: by what it says of itself, or because the file is newer. */
static bool is_outdated(const Domain *domain) {
        const ControlDomain *served = &domain->counters;
        const Definition *definition = domain->definition;

        if (served->memory_size > 0 &&
            (served->memory_size != definition->size ||
             served->huge_pages != (uint32_t) definition->huge_pages ||
             served->vectors != definition->vectors || served->max_peers != definition->max_peers ||
             served->topology != (uint32_t) definition->topology)) {
                return true;
        }
        return domain->loaded > 0 && domain->modified > domain->loaded;
}

DefinitionState domain_definition_state(const Domain *domain) {
        if (!domain->defined) {
                return DEFINITION_REMOVED;
        }
        if (domain->definition_error) {
                return DEFINITION_INVALID;
        }
        return domain->state == DOMAIN_RUNNING && is_outdated(domain) ? DEFINITION_CHANGED
                                                                      : DEFINITION_CURRENT;
}

const char *domain_definition_error(const Domain *domain) {
        return domain->definition_error ?: "";
}

const Definition *domain_definition(const Domain *domain) {
        return domain->definition;
}

const char *domain_socket_path(const Domain *domain) {
        return domain->socket_path;
}

const char *domain_unit(const Domain *domain) {
        return domain->unit;
}

const ControlDomain *domain_counters(const Domain *domain) {
        return &domain->counters;
}

const ControlPeer *const *domain_peers(const Domain *domain, size_t *ret_n) {
        *ret_n = domain->peers.n;
        return (const ControlPeer *const *) domain->peers.peers;
}

bool domain_is_active(const Domain *domain) {
        return domain->state != DOMAIN_STOPPED && domain->state != DOMAIN_FAILED;
}

/* ---- Taking over ---- */

static bool text_equal(const char *a, const char *b) {
        return strcmp(a ?: "", b ?: "") == 0;
}

static bool entry_is_known(const Domain *domain, const StoreEntry *entry) {
        return domain->defined && domain->origin == entry->origin && domain->owner == entry->owner &&
               text_equal(domain->path, entry->path) && text_equal(domain->definition_error, entry->error) &&
               (!entry->definition ||
                (domain->definition && definition_equal(domain->definition, entry->definition)));
}

/* The file's own path and text go over to the domain. A bad file leaves the definition that was good. */
static void entry_steal(Domain *domain, StoreEntry *entry) {
        talloc_free(domain->path);
        domain->path = talloc_steal(domain, entry->path);
        talloc_free(domain->definition_error);
        domain->definition_error = talloc_steal(domain, entry->error);
        if (entry->definition) {
                talloc_free(domain->definition);
                domain->definition = talloc_steal(domain, entry->definition);
        }
        *entry = (StoreEntry){ .origin = entry->origin, .modified = entry->modified };
}

int domain_take_entry(Domain *domain, StoreEntry *entry, DomainChanges *ret) {
        DefinitionState before = domain_definition_state(domain);

        if (!entry) {
                *ret = domain->defined ? DOMAIN_CHANGED_DEFINITION : 0;
                domain->defined = false;
                TALLOC_FREE(domain->definition_error);
                return 0;
        }
        *ret = entry_is_known(domain, entry) ? 0 : DOMAIN_CHANGED_DEFINITION;
        domain->modified = entry->modified;
        domain->origin = entry->origin;
        domain->owner = entry->owner;
        domain->defined = true;
        if (*ret) {
                entry_steal(domain, entry);
        }
        if (domain_definition_state(domain) != before) {
                *ret = DOMAIN_CHANGED_DEFINITION;
        }
        return 0;
}

static int set_status(Domain *domain, const char *text, DomainChanges *ret) {
        char *status;

        if (text_equal(domain->status, text)) {
                return 0;
        }
        status = talloc_strdup(domain, text);
        if (!status) {
                return -ENOMEM;
        }
        text_make_plain(status);
        talloc_free(domain->status);
        domain->status = status;
        *ret |= DOMAIN_CHANGED_STATUS;
        return 0;
}

int domain_take_status(Domain *domain, const char *text, DomainChanges *ret) {
        return domain->status_is_told ? set_status(domain, text, ret) : 0;
}

int domain_take_state(Domain *domain, const LauncherState *state, DomainChanges *ret) {
        DefinitionState before = domain_definition_state(domain);
        bool is_told = state->state == DOMAIN_RUNNING && !*state->status;
        DomainChanges changes = 0;

        /* What it has told already stays. */
        if (!is_told || !domain->status_is_told) {
                int r = set_status(domain, state->status, &changes);

                if (r < 0) {
                        return r;
                }
        }
        domain->status_is_told = is_told;
        if (domain->state != state->state || domain->main_pid != state->main_pid ||
            domain->since != state->since) {
                /* The progress depends on the state. */
                changes |= DOMAIN_CHANGED_STATE | DOMAIN_CHANGED_STATUS;
        }
        domain->state = state->state;
        domain->main_pid = state->main_pid;
        domain->since = state->since;
        if (!domain_is_active(domain)) {
                domain->loaded = 0;
        } else if (state->loaded > domain->loaded) {
                domain->loaded = state->loaded;
        }
        if (domain_definition_state(domain) != before) {
                changes |= DOMAIN_CHANGED_DEFINITION;
        }
        *ret = changes;
        return 0;
}
