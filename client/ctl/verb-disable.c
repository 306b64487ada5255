/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl disable: systemd leaves a domain alone at boot. */

#include "client/ctl/jobs.h"
#include "client/ctl/unit-files.h"
#include "client/ctl/verbs.h"

ExitStatus verb_disable(Ctl *ctl) {
        ExitStatus status = unit_files_change(ctl, /* enable= */ false);

        return status == STATUS_OK && ctl->options.now
                       ? jobs_run(ctl, JOB_STOP, ctl->options.arguments, ctl->options.n_arguments)
                       : status;
}
