/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel says of a process: descriptors, memory, processor time. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

typedef struct ProcessCpu ProcessCpu;

struct ProcessCpu {
        uint64_t total_nsec;  /* exact when it sleeps */
        uint64_t user_nsec;   /* in clock ticks */
        uint64_t system_nsec; /* in clock ticks */
        uint64_t switches;    /* voluntary context switches: how often it went to sleep */
};

int process_count_fds(pid_t pid, uint32_t *ret);

/* Bytes of memory that are not pages of a file: heap, stack, data that was written (smaps_rollup, Anonymous). Pages of
 * programs and libraries are not among them, dirty ones neither: those of a program that was built a moment ago are, and
 * count as private once no other process runs it. */
int process_private_bytes(pid_t pid, uint64_t *ret);

/* The kernel adds up what a process uses when it goes to sleep, or at a clock tick: of one that runs, the total can be
 * too little by milliseconds. */
int process_cpu(pid_t pid, ProcessCpu *ret);

/* Waits until the process sleeps. -ETIMEDOUT after WAIT_MSEC. */
int process_wait_asleep(pid_t pid);

/* Raises this process's own soft limit of descriptors to the hard one; *ret (may be NULL) is what it may have then. */
int process_raise_nofile(uint64_t *ret);

/* The number behind "KEY" in a file of "KEY: NUMBER" lines, such as /proc/PID/status. -ENOENT: no such key. */
int keyed_number(const char *path, const char *key, uint64_t *ret);
