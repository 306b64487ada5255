/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * On which NUMA nodes pages are taken. Only mappings are given a policy, never the process, so that nothing needs to be
 * undone.
 */

#include <numa.h>
#include <numaif.h>
#include <string.h>
#include <talloc.h>

#include "service/base/error.h"
#include "service/server/memory-parts.h"

/* Linux 5.15; not in the headers of Debian 12's libnuma. */
#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif

/* libnuma would print; the reasons are ours to give (numa(3): an application may define this). */
void numa_warn(int num, char *fmt, ...) {
}

char *memory_nodes_print(void *ctx, const struct bitmask *nodes) {
        char *text = talloc_strdup(ctx, "");

        for (unsigned int i = 0; text && i < nodes->size; i++) {
                if (numa_bitmask_isbitset(nodes, i)) {
                        text = talloc_asprintf_append(text, "%s%u", *text ? "," : "", i);
                }
        }
        return text;
}

static int nodes_check(Memory *memory, const char *text, const struct bitmask *nodes) {
        struct bitmask *allowed = numa_get_mems_allowed();
        char *list = memory_nodes_print(memory, allowed);
        int r = 0;

        for (unsigned int i = 0; r >= 0 && i < nodes->size; i++) {
                if (numa_bitmask_isbitset(nodes, i) && !numa_bitmask_isbitset(allowed, i)) {
                        r = memory_fail(
                                memory, -ENODEV,
                                "NUMANodes=%s: this machine has no node %u that may be used here; it has %s",
                                text, i, list);
                }
        }
        talloc_free(list);
        numa_bitmask_free(allowed);
        return r;
}

static int nodes_unknown(Memory *memory, const char *text) {
        struct bitmask *allowed = numa_get_mems_allowed();
        char *list = memory_nodes_print(memory, allowed);
        int r = memory_fail(memory, -ENODEV,
                            "NUMANodes=%s names nodes that this machine cannot have; it has %s", text, list);

        talloc_free(list);
        numa_bitmask_free(allowed);
        return r;
}

int memory_nodes_parse(Memory *memory, const Definition *definition, struct bitmask **ret) {
        struct bitmask *nodes;
        int r;

        if (numa_available() < 0) {
                return memory_fail(memory, -ENOSYS, "NUMANodes=%s: this kernel has no NUMA policies",
                                   definition->numa_nodes);
        }
        if (memory->store == MEMORY_STORE_DISK) {
                return memory_fail(
                        memory, -EINVAL,
                        "NUMANodes=%s cannot be kept for a file in %s, which is neither tmpfs nor hugetlbfs",
                        definition->numa_nodes, memory->file->where);
        }
        nodes = numa_parse_nodestring_all(definition->numa_nodes);
        if (!nodes || numa_bitmask_weight(nodes) == 0) {
                if (nodes) {
                        numa_bitmask_free(nodes);
                }
                return nodes_unknown(memory, definition->numa_nodes);
        }
        r = nodes_check(memory, definition->numa_nodes, nodes);
        if (r < 0) {
                numa_bitmask_free(nodes);
                return r;
        }
        *ret = nodes;
        return 0;
}

static int policy_mode(NumaPolicy policy, const struct bitmask *nodes) {
        static const int modes[_NUMA_POLICY_MAX] = {
                [NUMA_POLICY_BIND] = MPOL_BIND,
                [NUMA_POLICY_PREFERRED] = MPOL_PREFERRED,
                [NUMA_POLICY_INTERLEAVE] = MPOL_INTERLEAVE,
        };

        if (policy == NUMA_POLICY_PREFERRED && numa_bitmask_weight(nodes) > 1) {
                return MPOL_PREFERRED_MANY;
        }
        return modes[policy];
}

int memory_nodes_apply(Memory *memory, const Definition *definition, const struct bitmask *nodes,
                       void *address) {
        /* The kernel wants the number of bits and one. */
        if (mbind(address, memory->size, policy_mode(definition->numa_policy, nodes), nodes->maskp,
                  nodes->size + 1, 0) < 0) {
                return memory_fail(memory, errno_negative(),
                                   "cannot place the memory on the NUMA nodes %s: %m",
                                   definition->numa_nodes);
        }
        return 0;
}
