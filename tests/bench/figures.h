/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures, and the server that they are of: ours, or QEMU's example server where $IVSHMEM_REFERENCE_SERVER names one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/process.h"
#include "tests/lib/scratch.h"
#include "tests/lib/server.h"

typedef struct Subject Subject;

#define REFERENCE_VARIABLE "IVSHMEM_REFERENCE_SERVER"

typedef enum SubjectKind {
        SUBJECT_OURS,
        SUBJECT_REFERENCE,
        _SUBJECT_MAX,
} SubjectKind;

extern const char *const subject_names[_SUBJECT_MAX];

/* A running server of a domain of 1 MiB, started with the flags that both understand. */
struct Subject {
        SubjectKind kind;
        Scratch *scratch;
        char *socket;
        char *shm;
        ServerProcess *server;
        ProcessCpu before; /* when it was ready */
};

/* Whether there is such a program. */
bool subject_exists(SubjectKind kind);

int subject_start(const void *ctx, SubjectKind kind, uint32_t vectors, Subject **ret);

/* With an RLIMIT_NOFILE of its own; 0: this process's. */
int subject_start_limited(const void *ctx, SubjectKind kind, uint32_t vectors, uint32_t nofile,
                          Subject **ret);

/* What the server used since it was ready, or since the last call. All zero when the server is gone. */
ProcessCpu subject_cpu(Subject *subject);

/* How many descriptors a server takes for so many peers, and whether this machine allows it. Says so when not. */
bool descriptors_suffice(uint32_t peers, uint32_t vectors);

/* Sorts the samples. The smallest value that so many percent do not exceed; 0 when there are none. */
uint64_t percentile(uint64_t *samples, uint32_t n, unsigned percent);

/* The same in microseconds. */
double usec_percentile(uint64_t *samples, uint32_t n, unsigned percent);

/* Per cent of a processor's time spent in the program itself, or -1 when it was too short to tell. */
int user_share(const ProcessCpu *cpu);

/* Microseconds for each of n. */
double usec_each(uint64_t nsec, uint64_t n);

/* Ends a benchmark that cannot go on. */
void must(int r, const char *what);
