/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl evict: disconnects peers, and retires their VM IDs. */

#include <inttypes.h>

#include "client/ctl/call.h"
#include "client/ctl/limits.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

ExitStatus verb_evict(Ctl *ctl) {
        const char *name = ctl->options.arguments[0];
        Target target;
        ExitStatus status = call_find_domain(ctl, name, &target);

        if (status != STATUS_OK) {
                return status;
        }
        for (size_t i = 1; i < ctl->options.n_arguments; i++) {
                uint32_t vm_id;
                ExitStatus one = ctl_number(ctl, ctl->options.arguments[i], "VM ID", VM_ID_MAX, &vm_id);

                if (one == STATUS_OK) {
                        one = call(ctl, &target, "EvictPeer",
                                   text_new(ctl, "evict VM ID %" PRIu32 " of domain %s", vm_id, name), NULL,
                                   "u", vm_id);
                }
                status = ctl_worse(status, one);
        }
        return status;
}
