/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting and stopping several domains side by side, with progress on a terminal. */
#pragma once

#include <stddef.h>

#include "client/ctl/ctl.h"

typedef enum JobKind {
        JOB_START,
        JOB_STOP,
        JOB_RESTART,
        _JOB_KIND_MAX,
} JobKind;

/* Waits for all of them. What goes wrong is said for each. */
ExitStatus jobs_run(Ctl *ctl, JobKind kind, const char *const *names, size_t n_names);
