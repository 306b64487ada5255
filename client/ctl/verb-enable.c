/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl enable: systemd listens for a domain's peers from boot on, and starts it for the first one. */

#include "client/ctl/jobs.h"
#include "client/ctl/unit-files.h"
#include "client/ctl/verbs.h"

ExitStatus verb_enable(Ctl *ctl) {
        ExitStatus status = unit_files_change(ctl, /* enable= */ true);

        return status == STATUS_OK && ctl->options.now
                       ? jobs_run(ctl, JOB_START, ctl->options.arguments, ctl->options.n_arguments)
                       : status;
}
