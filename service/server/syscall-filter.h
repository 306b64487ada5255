/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns a table of syscall rules into the process's filter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "policy/syscall-rule.h"

typedef struct SyscallTable SyscallTable;

struct SyscallTable {
        const SyscallRule *rules;
        size_t n_rules;
};

/*
 * Loads the union of the tables as a filter, for good: whatever no row grants kills the process, or with `log_only`
 * is let through and shows in the kernel's audit log. So do calls of another architecture's numbering (32-bit, x32).
 * Negative errno; -ENOENT for a row whose name this architecture must have and libseccomp does not know.
 */
int syscall_filter_load(const SyscallTable *tables, size_t n_tables, bool log_only);
