/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that a domain shares: a sealed memfd, a sealed hugetlb memfd, or a named file (Path=). Allocated,
 * placed on its NUMA nodes and faulted in before the server confines itself, so that nothing that could be short
 * turns into a SIGBUS in somebody's VM later. The server itself never touches the memory through a mapping.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/fd.h"
#include "service/core/definition.h"

typedef struct Memory Memory;
typedef struct MemoryRequest MemoryRequest;

/* Called from the calling thread while memory is faulted in: bytes done of bytes wanted, the last time with both
 * equal. A negative errno ends that, and is what comes of it. May be NULL. */
typedef int (*MemoryProgress)(uint64_t done, uint64_t total, void *userdata);

/* A file that is the memory, opened: for peers, for those who may only read, and for its lock. The last is never sent to
 * anybody, so that nobody can drop the lock, which is held as long as one process has it, or a bag (bag.h). */
enum {
        MEMORY_FILE_SHARED,
        MEMORY_FILE_READONLY,
        MEMORY_FILE_LOCK,
        MEMORY_FILE_FDS,
};

struct MemoryRequest {
        const char *name; /* shows in /proc/PID/maps of each VM: "ivshmem:NAME" */
        const Definition *definition;
        const int
                *file; /* Path= was opened by somebody else: MEMORY_FILE_FDS descriptors; NULL: it was not */
        const char *option; /* what names the file for whoever reads an error; NULL: "Path=" */
        bool no_links;      /* no symbolic link on the way to Path=: its directories may be somebody's */
        bool only_new;      /* a file of Path= that is there already is not taken */
        bool unlinked; /* the file of Path= is a directory in which a nameless file is made (reference flag -m) */
        MemoryProgress progress;
        void *userdata;
};

/* What memory_wipe() can return beside 0 and a negative errno. */
typedef enum MemoryWipe {
        MEMORY_WIPE_SHORT =
                1, /* zeroed, but pages that were allocated at start are lost: see memory_wipe() */
} MemoryWipe;

/* How many descriptors memory_list_fds() writes at most. */
#define MEMORY_FDS_MAX 5U

/*
 * Makes the memory. On failure a negative errno, and *ret_error (a chunk of `ctx`; NULL when even that found no
 * memory) says what failed, on what, why and what to do: too few huge pages with the pool's name, free and wanted; a
 * file that is in use by another server (it is locked), has another size, or cannot be made; a NUMA node that does not
 * exist; too little room. Nothing stays allocated and no name is left behind.
 *
 * A file of Path= appears under its name only when it is complete and locked, with PathUser=, PathGroup= and
 * PathMode=. An existing file is adopted with its contents, and left in place at the end, when it is a regular file
 * with one name, has exactly the right size, belongs to root, to the server's user or to PathUser=, and no server
 * holds it; it is given owner, group and mode as well. It is never truncated. On disks its blocks are allocated at
 * once; on tmpfs only Prefault= keeps a file system that fills up from being a SIGBUS in a VM.
 *
 * With descriptors of a file in the request it is these that are checked, and nothing is opened, named or ever removed;
 * they stay the caller's.
 *
 * A server that is not root needs CAP_CHOWN and CAP_FOWNER for a PathUser= that is not its own, and in a directory like
 * /dev/shm it cannot remove that file at the end. PathGroup= with PathMode=0660 needs neither.
 */
int memory_new(void *ctx, const MemoryRequest *request, Memory **ret, char **ret_error);

/*
 * Takes over the anonymous memory of a predecessor, sealed and of the size and page size that the definition says: -EINVAL
 * with *ret_error otherwise, as above. The descriptor becomes the memory's own, also on failure. Nothing is allocated.
 */
int memory_restore(void *ctx, const MemoryRequest *request, Fd *fd, Memory **ret, char **ret_error);

/*
 * Takes over the file of a predecessor by its descriptors, which are in the request, and whose size is that of the
 * definition: -EINVAL with *ret_error otherwise, as above. With `ours` memory_remove() removes it at the end.
 */
int memory_restore_file(void *ctx, const MemoryRequest *request, bool ours, Memory **ret, char **ret_error);

/* Opens or makes the file of Path=, as memory_new() does, and gives it its name, but allocates nothing: what is left
 * to do needs no more privileges than to have its descriptors (memory_file_fds()). */
int memory_prepare(void *ctx, const MemoryRequest *request, Memory **ret, char **ret_error);

/* The path of a named file as the definition has it, and its descriptors, which stay the memory's. NULL: it is none. */
const char *memory_file(const Memory *memory, int ret[static MEMORY_FILE_FDS]);

/* The descriptor that peers are sent: read-write. */
int memory_fd(const Memory *memory);

uint64_t memory_size(const Memory *memory);

/* Whether an existing file was adopted, with something in it. */
bool memory_is_adopted(const Memory *memory);

/* A descriptor that can only ever be read and mapped read-only; it stays the memory's. Nobody to whom it is sent can open
 * it for writing again through /proc/self/fd, but root, the server's own user and, with Path=, those whom the file's mode
 * lets. All who have it share one file offset. */
int memory_readonly_fd(const Memory *memory);

/* "64M in 2M pages", "8G in 4K pages", "64M at /dev/shm/ring": for STATUS= and logs. A chunk of the memory. */
const char *memory_describe(const Memory *memory);

/*
 * Zeroes the next stretch of at most `slice` bytes (rounded down to 4096, but at least 4096) from `offset` on, which is
 * 0 or what the last call gave; memory that was allocated at start stays allocated (WipeWhenIdle=). Returns 0 and sets
 * *ret_next, which is memory_size() when all is done, or a negative errno. Works in the sandbox (mmap, munmap, read,
 * fallocate).
 *
 * MEMORY_WIPE_SHORT, with *ret_next set too: a peer had given pages back (no seal forbids it to punch holes) and they
 * cannot be had again, so a VM that touches this stretch may get SIGBUS. It reads as zeroes.
 */
int memory_wipe(Memory *memory, uint64_t offset, uint64_t slice, uint64_t *ret_next);

/* Removes the named file when this server made it, Keep= does not say otherwise, and the name is still this file's. To
 * be called at a clean stop; freeing the memory removes nothing. Negative errno when the file stays although it should
 * not. Works in the sandbox (newfstatat and unlinkat by a directory opened before). */
int memory_remove(Memory *memory);

/* Removes a name, if it still is that of this file. */
void memory_file_unlink(const char *path, int fd);

/* Opens a directory (O_PATH) if no part of its path is a symbolic link; -ELOOP if one is. */
int directory_open_without_links(const char *path);

/* For the sandbox: the directory in which memory_remove() will remove a file, or -EBADF when it will not. */
int memory_directory_fd(const Memory *memory);

/* For the sandbox: each descriptor that the memory needs from here on. Returns how many. */
size_t memory_list_fds(const Memory *memory, int ret[static MEMORY_FDS_MAX]);
