/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A build without sanitizers: their runtime adds nothing to the allow-list. */

#include "policy/ivshmem-server-syscalls.h"

const SyscallRule sanitizer_syscalls[] = { { .name = NULL } };
const size_t sanitizer_n_syscalls = 0;
