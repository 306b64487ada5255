/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walls that the server builds around itself once it has all it needs, in order, each a named stage. A server
 * that is taken over afterwards holds one domain's memory, and no way out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum SeccompMode {
        SECCOMP_ENFORCE, /* a call that is not allowed kills the process */
        SECCOMP_LOG,     /* it is let through and shows in the kernel's audit log: for diagnosis */
        SECCOMP_OFF,
        _SECCOMP_MODE_MAX,
        _SECCOMP_MODE_INVALID = -22,
} SeccompMode;

extern const char *const seccomp_mode_names[_SECCOMP_MODE_MAX];

typedef struct Isolation Isolation;

struct Isolation {
        SeccompMode seccomp;
        const int *keep_fds; /* the descriptors that stay open beside 0, 1 and 2 */
        size_t n_keep_fds;
        const char *const *
                read_paths; /* files and directories that may be read later (Landlock); missing ones are skipped */
        size_t n_read_paths;
        const int *remove_fds; /* directories in which own files are removed at the end (Landlock) */
        size_t n_remove_fds;
};

/*
 * Runs all stages: descriptors, capabilities, no_new_privs, Landlock (where the kernel has it), seccomp. Negative
 * errno, with the name of the stage that failed in *ret_stage. After a failure the process must end: it may be half
 * confined.
 */
int isolation_enter(void *ctx, const Isolation *isolation, const char **ret_stage);
