/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The form of a syscall allow-list: rows of data that a loader turns into a filter, a test checks and a person reads.
 * Nothing here calls anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SyscallCase SyscallCase;
typedef struct SyscallRule SyscallRule;
typedef struct SyscallTest SyscallTest;

/* Holds when (argument & mask) == value. A mask of 0 is no test. */
struct SyscallTest {
        unsigned argument; /* 0 .. 5 */
        uint64_t mask;
        uint64_t value;
        bool own_pid; /* the value is the process's own ID, put in when the filter is loaded */
};

#define SYSCALL_TESTS_MAX 2U

/* Holds when all its tests hold. */
struct SyscallCase {
        SyscallTest tests[SYSCALL_TESTS_MAX];
};

struct SyscallRule {
        const char *name;
        const SyscallCase *cases; /* the row holds when one of these does, or there is none */
        size_t n_cases;
        int refusal; /* the errno that the caller gets, where a call is expected but not granted; 0: granted */
        bool not_everywhere; /* an architecture may lack it, and is then served by a row that is `instead_of` it */
        const char *instead_of; /* granted only where this call does not exist; NULL: everywhere */
        const char *reason;     /* what breaks without it */
        const char *caller;     /* who calls it */
};

/* The kernel takes 32 bits of an int argument; what the upper half of the register holds is chance. */
#define SYSCALL_INT UINT64_C(0xffffffff)
#define INT_IS(index, number) \
        { .argument = (index), .mask = SYSCALL_INT, .value = (uint32_t) (number) }
#define BITS_ARE(index, bits, number) \
        { .argument = (index), .mask = (uint32_t) (bits), .value = (uint32_t) (number) }
#define BITS_UNSET(index, bits) BITS_ARE(index, bits, 0)
#define IS_NULL(index) \
        { .argument = (index), .mask = UINT64_MAX, .value = 0 }
#define OWN_PID(index) \
        { .argument = (index), .mask = SYSCALL_INT, .own_pid = true }

#define WHERE(table) .cases = (table), .n_cases = sizeof(table) / sizeof(*(table))
