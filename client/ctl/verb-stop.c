/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl stop: stop domains, which disconnects their peers. */

#include "client/ctl/jobs.h"
#include "client/ctl/verbs.h"

ExitStatus verb_stop(Ctl *ctl) {
        return jobs_run(ctl, JOB_STOP, ctl->options.arguments, ctl->options.n_arguments);
}
