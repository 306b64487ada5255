/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking over from a predecessor, or beginning anew. */

#include "service/server/takeover.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/base/log.h"
#include "service/server/doorbells.h"
#include "service/server/messages.h"
#include "service/server/succession.h"

static MemoryRequest memory_request(const ServerParts *parts, MemoryProgress progress) {
        return (MemoryRequest){
                .name = parts->source.name,
                .definition = parts->definition,
                .unlinked = parts->unlinked,
                .progress = progress,
                .userdata = parts->notify,
        };
}

/* ---- Anew ---- */

static int begin(void *ctx, ServerParts *parts, uint32_t fd_store, MemoryProgress progress,
                 char **ret_error) {
        const MemoryRequest request = memory_request(parts, progress);
        int r = memory_new(ctx, &request, &parts->memory, ret_error);

        if (r >= 0) {
                r = doorbells_new(ctx, parts->definition->vectors, &parts->doorbells);
        }
        if (r >= 0 && fd_store > 0) {
                r = succession_new(ctx, parts->notify, fd_store, parts->definition, memory_fd(parts->memory),
                                   &parts->succession, ret_error);
        }
        return r;
}

/* ---- From a predecessor ---- */

typedef struct Change {
        const char *key;
        bool changed;
} Change;

/* Lets the running values stay, and names what was asked for in vain. Returns whether there was anything. */
static bool keep_running_values(Definition *definition, const LedgerShape *shape, bool anonymous,
                                bool apply) {
        const Change changes[] = {
                { "Size", definition->size != shape->memory_size },
                { "HugePages", (uint32_t) definition->huge_pages != shape->huge_pages },
                { "Vectors", definition->vectors != shape->vectors },
                { "MaxPeers", definition->max_peers != shape->max_peers },
                { "Topology", (uint32_t) definition->topology != shape->topology },
                { "Path", anonymous == (definition->path != NULL) },
        };
        bool any = false;

        for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
                any |= changes[i].changed;
                if (changes[i].changed && apply) {
                        log_record(
                                LOG_WARNING, MESSAGE_RELOAD_REFUSED, NULL, 0,
                                "%s= was changed, but peers are attached: it stays as it was until all have left "
                                "and the domain is started again",
                                changes[i].key);
                }
        }
        if (apply) {
                definition->size = shape->memory_size;
                definition->huge_pages = (HugePages) shape->huge_pages;
                definition->vectors = shape->vectors;
                definition->max_peers = shape->max_peers;
                definition->topology = (Topology) shape->topology;
                definition->path = anonymous ? NULL : definition->path;
        }
        return any;
}

static bool has_memory(const Inherited *inherited) {
        for (size_t i = 0; i < inherited->n_stored; i++) {
                if (inherited->stored[i].name.kind == FD_MEMORY && inherited->stored[i].fd) {
                        return true;
                }
        }
        return false;
}

static int restore_memory(void *ctx, ServerParts *parts, Inherited *inherited, MemoryProgress progress,
                          char **ret_error) {
        const MemoryRequest request = memory_request(parts, progress);
        Fd *fd = inherited_claim(inherited, ctx, &(FdName){ .kind = FD_MEMORY });

        return fd ? memory_restore(ctx, &request, fd, &parts->memory, ret_error)
                  : memory_new(ctx, &request, &parts->memory, ret_error);
}

/* Goes on with a running domain. */
static int go_on(void *ctx, ServerParts *parts, Inherited *inherited, MemoryProgress progress,
                 char **ret_error) {
        const LedgerImage *image = parts->inheritance->image;
        bool anonymous = has_memory(inherited);
        int r;

        if (!anonymous && !parts->definition->path) {
                *ret_error = talloc_asprintf(ctx, "The memory is not there");
                return -EINVAL;
        }
        (void) keep_running_values(parts->definition, &image->shape, anonymous, /* apply= */ true);
        r = restore_memory(ctx, parts, inherited, progress, ret_error);
        if (r >= 0) {
                r = doorbells_new(ctx, parts->definition->vectors, &parts->doorbells);
        }
        if (r >= 0) {
                r = succession_claim_doorbells(ctx, inherited, image, parts->doorbells, ret_error);
        }
        if (r >= 0) {
                succession_forget(parts->notify, inherited, /* claimed= */ false);
                inherited_drop(inherited);
        }
        return r;
}

/* Nobody is attached and the definition was changed: what is left of the old domain is of no use. */
static bool is_outdated(const ServerParts *parts, const Inherited *inherited) {
        const LedgerImage *image = parts->inheritance->image;

        return image->n_connections == 0 && parts->inheritance->n_newcomers == 0 &&
               keep_running_values(parts->definition, &image->shape, has_memory(inherited),
                                   /* apply= */ false);
}

static void forget(ServerParts *parts, Inherited *inherited) {
        succession_forget(parts->notify, inherited, /* claimed= */ true);
        inherited_drop(inherited);
        TALLOC_FREE(parts->succession);
        TALLOC_FREE(parts->memory);
        TALLOC_FREE(parts->doorbells);
        parts->inheritance = NULL;
}

int takeover(void *ctx, ServerParts *parts, Inherited *inherited, uint32_t fd_store, MemoryProgress progress,
             char **ret_error) {
        const Definition asked = *parts->definition;
        int r = 0;

        if (fd_store > 0) {
                r = succession_resume(ctx, parts->notify, fd_store, inherited, &parts->succession,
                                      &parts->inheritance, ret_error);
        }
        if (r >= 0 && parts->succession && !is_outdated(parts, inherited)) {
                r = go_on(ctx, parts, inherited, progress, ret_error);
                if (r >= 0) {
                        return 0;
                }
        }
        if (r < 0) {
                log_record(LOG_ERR, MESSAGE_NOT_RESUMED, NULL, 0,
                           "Cannot go on with the peers of the server before, which are disconnected: %s",
                           *ret_error ?: strerror(-r));
                TALLOC_FREE(*ret_error);
        }
        forget(parts, inherited);
        *parts->definition = asked;
        return begin(ctx, parts, fd_store, progress, ret_error);
}
