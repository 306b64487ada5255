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

/* "enforce", "log", "off". */
extern const char *const seccomp_mode_names[_SECCOMP_MODE_MAX];

typedef struct Isolation Isolation;

struct Isolation {
        SeccompMode seccomp;
        const int *keep_fds; /* the descriptors that stay open beside those that isolation_enter() names */
        size_t n_keep_fds;
        /* Files and directories that may be read later (Landlock); missing ones are skipped. A rule for a file holds
         * for the file that is there now: one that is edited by being replaced needs its directory. */
        const char *const *read_paths;
        size_t n_read_paths;
        const int *remove_fds; /* directories in which own files are removed at the end (Landlock) */
        size_t n_remove_fds;
};

/*
 * The first thing that main() does: closes every inherited descriptor but 0, 1, 2 and the `keep` ones (those of
 * LISTEN_FDS), so that all others the process ever has are its own. Those of 0, 1 and 2 that are missing become
 * /dev/null. Negative errno.
 */
int isolation_close_inherited(const int *keep, size_t n_keep);

/*
 * Runs all stages: one thread, descriptors, core dumps, capabilities, no_new_privs, Landlock (where the kernel has it),
 * seccomp. Negative errno, with the name of the stage that failed in *ret_stage. After a failure the process must
 * end: it may be half confined. `ctx` is for temporaries.
 *
 * Beside keep_fds and 0, 1, 2 these descriptors stay open, for their numbers are known to libsystemd only: the event
 * loop's (epoll, timerfd, signalfd) and the datagram socket to the journal.
 */
int isolation_enter(void *ctx, const Isolation *isolation, const char **ret_stage);
