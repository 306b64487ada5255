/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl start: start domains, side by side, until they serve. */

#include "client/ctl/jobs.h"
#include "client/ctl/verbs.h"

ExitStatus verb_start(Ctl *ctl) {
        return jobs_run(ctl, JOB_START, ctl->options.arguments, ctl->options.n_arguments);
}
