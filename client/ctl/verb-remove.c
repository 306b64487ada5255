/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl remove: removes definitions that were made with create. */

#include "client/ctl/call.h"
#include "client/ctl/jobs.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

static ExitStatus remove_domain(Ctl *ctl, const char *name) {
        ExitStatus status = ctl->options.now ? jobs_run(ctl, JOB_STOP, &name, 1) : STATUS_OK;

        if (status != STATUS_OK) {
                return status;
        }
        return call(ctl, &manager_target, "RemoveDomain", text_new(ctl, "remove domain %s", name), NULL, "s",
                    name);
}

ExitStatus verb_remove(Ctl *ctl) {
        ExitStatus status = STATUS_OK;

        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                status = ctl_worse(status, remove_domain(ctl, ctl->options.arguments[i]));
        }
        return status;
}
