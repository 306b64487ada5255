/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The system calls of a confined ivshmem-server. Whatever is not here ends the process. */
#pragma once

#include <sys/socket.h>

#include "policy/syscall-rule.h"

/* Linux 6.16; headers may be older. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* Alphabetical, each name once. */
extern const SyscallRule ivshmem_server_syscalls[];
extern const size_t ivshmem_server_n_syscalls;

/* What the sanitizers' runtime adds. Empty in every build that ships. */
extern const SyscallRule sanitizer_syscalls[];
extern const size_t sanitizer_n_syscalls;
