/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that a domain shares: a sealed memfd, a sealed hugetlb memfd, or a named file (Path=). Allocated,
 * placed on its NUMA nodes and faulted in before the server confines itself, so that nothing that could be short
 * turns into a SIGBUS in somebody's VM later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/core/definition.h"

typedef struct Memory Memory;
typedef struct MemoryRequest MemoryRequest;

/* Called from the calling thread while memory is faulted in: bytes done of bytes wanted. May be NULL. */
typedef void (*MemoryProgress)(uint64_t done, uint64_t total, void *userdata);

struct MemoryRequest {
        const char *name; /* shows in /proc/PID/maps of each VM: "ivshmem:NAME" */
        const Definition *definition;
        bool unlinked; /* the file of Path= is a directory in which a nameless file is made (reference flag -m) */
        MemoryProgress progress;
        void *userdata;
};

/*
 * Makes the memory. On failure a negative errno, and *ret_error (a chunk of `ctx`) says what failed, on what, why
 * and what to do: too few huge pages with the pool's name, free and wanted; a file that is in use by another server
 * (it is locked), has another size, or cannot be made; a NUMA node that does not exist; too little room.
 * An existing file of the right size that no server holds is adopted, with its contents, and left in place at the
 * end. It is never truncated.
 */
int memory_new(void *ctx, const MemoryRequest *request, Memory **ret, char **ret_error);

/* The descriptor that peers are sent: read-write. */
int memory_fd(const Memory *memory);

uint64_t memory_size(const Memory *memory);

/* A new descriptor that can only ever be read and mapped read-only; the caller closes it. Not even through
 * /proc/self/fd can it be opened for writing again, but by root. Negative errno. */
int memory_open_readonly(const Memory *memory);

/* "64M in 2M pages", "8G in 4K pages", "64M at /dev/shm/ring": for STATUS= and logs. A chunk of the memory. */
const char *memory_describe(const Memory *memory);

/*
 * Zeroes the next stretch of at most `slice` bytes from `offset` on; memory that was allocated at start stays allocated
 * (WipeWhenIdle=). Returns 0 and sets *ret_next, which is memory_size() when all is done, or a negative errno. Works
 * in the sandbox.
 */
int memory_wipe(Memory *memory, uint64_t offset, uint64_t slice, uint64_t *ret_next);

/* Removes the named file when this server made it and Keep= does not say otherwise. Called once, at a clean stop;
 * freeing the memory removes nothing. Works in the sandbox (unlinkat() by a directory opened before). */
void memory_remove(Memory *memory);

/* For the sandbox: the directory descriptor that memory_remove() needs, or -EBADF. */
int memory_directory_fd(const Memory *memory);
