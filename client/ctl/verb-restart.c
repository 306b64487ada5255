/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl restart: restart the servers of domains anew. */

#include "client/ctl/jobs.h"
#include "client/ctl/verbs.h"

ExitStatus verb_restart(Ctl *ctl) {
        return jobs_run(ctl, JOB_RESTART, ctl->options.arguments, ctl->options.n_arguments);
}
