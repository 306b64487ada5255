/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl release: gives up reservations of VM IDs. */

#include "client/ctl/call.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

ExitStatus verb_release(Ctl *ctl) {
        const char *name = ctl->options.arguments[0];
        Target target;
        ExitStatus status = call_find_domain(ctl, name, &target);

        if (status != STATUS_OK) {
                return status;
        }
        for (size_t i = 1; i < ctl->options.n_arguments; i++) {
                const char *peer = ctl->options.arguments[i];

                status = ctl_worse(status, call(ctl, &target, "ReleasePeer",
                                                text_new(ctl, "release %s of domain %s", peer, name), NULL,
                                                "s", peer));
        }
        return status;
}
