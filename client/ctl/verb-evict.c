/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl evict: disconnects peers, and retires their VM IDs. */

#include <inttypes.h>
#include <talloc.h>

#include "client/ctl/call.h"
#include "client/ctl/limits.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

static ExitStatus evict(Ctl *ctl, const Target *target, uint32_t vm_id) {
        char *what = text_new(ctl, "evict VM ID %" PRIu32 " of domain %s", vm_id, ctl->options.arguments[0]);

        return call(ctl, target, "EvictPeer", what, NULL, "u", vm_id);
}

/* All numbers are looked at before anybody is disconnected. */
ExitStatus verb_evict(Ctl *ctl) {
        size_t n = ctl->options.n_arguments - 1;
        uint32_t *vm_ids = need(talloc_array(ctl, uint32_t, (unsigned) n));
        ExitStatus status = STATUS_OK;
        Target target;

        for (size_t i = 0; i < n && status == STATUS_OK; i++) {
                status = ctl_number(ctl, ctl->options.arguments[1 + i], "VM ID", VM_ID_MAX, &vm_ids[i]);
        }
        if (status == STATUS_OK) {
                status = call_find_domain(ctl, ctl->options.arguments[0], &target);
        }
        if (status != STATUS_OK) {
                return status;
        }
        for (size_t i = 0; i < n; i++) {
                status = ctl_worse(status, evict(ctl, &target, vm_ids[i]));
        }
        return status;
}
