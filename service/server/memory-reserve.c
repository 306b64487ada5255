/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Having the pages before anybody uses them: huge pages always, others with Prefault=. Runs before the server confines
 * itself, for it starts threads.
 */

#include <sys/mman.h>

#include "service/base/error.h"
#include "service/core/text.h"
#include "service/server/memory-parts.h"

static void nodes_free_at_scope_end(struct bitmask **nodes) {
        if (*nodes) {
                numa_bitmask_free(*nodes);
        }
}

#define cleanup_nodes __attribute__((cleanup(nodes_free_at_scope_end)))

/*
 * A shared mapping of huge pages reserves all that the file does not have yet, or fails and takes none: what no later
 * step that takes them one by one could undo in a file that was there before.
 */
static int map_all(Memory *memory, MemoryMap *ret) {
        int r = memory_map(memory, 0, memory->size, /* flags= */ 0, ret);

        if (r == -ENOMEM && memory->store == MEMORY_STORE_HUGE) {
                return memory_pool_fail(memory, NULL, r);
        }
        if (r < 0) {
                char size[SIZE_TEXT_MAX];

                size_format(memory->size, size);
                return memory_fail(memory, r, "cannot map %s: %m", size);
        }
        return 0;
}

static int fault_fail(Memory *memory, const Definition *definition, const struct bitmask *nodes, int error) {
        char size[SIZE_TEXT_MAX];

        size_format(memory->size, size);
        if (error == -ECANCELED) {
                return memory_fail(memory, error, "it was stopped while it prepared memory");
        }
        if (error == -EHWPOISON) {
                return memory_fail(memory, error, "a page of the memory is broken: %m");
        }
        if (memory->store == MEMORY_STORE_HUGE) {
                return memory_pool_fail(memory, definition->numa_policy == NUMA_POLICY_BIND ? nodes : NULL,
                                        error);
        }
        /* EFAULT is where a touch would have been a SIGBUS: no page to be had. */
        return memory_fail(memory, error == -EFAULT ? -ENOSPC : error,
                           "Prefault=yes: cannot have all of %s: %m", size);
}

int memory_reserve(Memory *memory, const MemoryRequest *request) {
        const Definition *definition = request->definition;
        bool fault = memory->store == MEMORY_STORE_HUGE || definition->prefault;
        cleanup_unmap MemoryMap map = { .address = MAP_FAILED };
        cleanup_nodes struct bitmask *nodes = NULL;
        int r = 0;

        if (definition->numa_nodes) {
                r = memory_nodes_parse(memory, definition, &nodes);
        }
        if (r >= 0 && fault) {
                r = memory_ram_check(memory, definition->numa_policy == NUMA_POLICY_BIND ? nodes : NULL);
        }
        if (r < 0 || (!fault && !nodes)) {
                return r;
        }
        r = map_all(memory, &map);
        if (r >= 0 && nodes) {
                r = memory_nodes_apply(memory, definition, nodes, map.address);
        }
        if (r < 0 || !fault) {
                return r;
        }
        r = memory_fault(memory, request, map.address);
        if (r < 0) {
                return fault_fail(memory, definition, nodes, r);
        }
        memory->reserved = true;
        return 0;
}
