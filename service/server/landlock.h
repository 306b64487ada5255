/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Landlock: what of the file system, the network and other processes a confined process still sees. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct LandlockRules LandlockRules;

struct LandlockRules {
        const char *const
                *read_paths; /* readable, with all below; missing ones and those out of reach are skipped */
        size_t n_read_paths;
        const int *remove_fds; /* directories: files in them and below may be removed */
        size_t n_remove_fds;
        bool abstract_sockets; /* abstract AF_UNIX sockets of other processes may be sent to */
};

/* The version of the kernel's interface; 0 when it has no Landlock, or has it turned off. */
int landlock_abi(void);

/*
 * Takes everything that Landlock can take from the calling thread, but for the rules: files, TCP, signals to processes
 * outside. Descriptors that are open keep what they may. Needs no_new_privs. Returns 0 also where the kernel has no
 * Landlock; negative errno.
 */
int landlock_restrict(const LandlockRules *rules);
