/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the memory share: the object, and what one part does for another. Only memory*.c include this.
 * Each function that can fail leaves the reason in the memory by memory_fail().
 */
#pragma once

#include <numa.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "service/base/fd.h"
#include "service/server/memory.h"

typedef struct MemoryFile MemoryFile;
typedef struct MemoryMap MemoryMap;

typedef enum MemoryStore {
        MEMORY_STORE_SHMEM, /* memfd, tmpfs */
        MEMORY_STORE_HUGE,  /* hugetlb memfd, hugetlbfs */
        MEMORY_STORE_DISK,  /* anything else: pages are a cache of it */
} MemoryStore;

struct MemoryFile {
        Fd *directory;
        Fd *lock; /* a description of its own, never sent to a peer, so that no peer can drop the lock */
        const char *option; /* by which it was named */
        const char *path;   /* as the definition has it */
        const char *where;  /* the directory, as text */
        const char *name;   /* in the directory; NULL: nameless */
        dev_t device;
        ino_t inode;
        bool created; /* by this server, not adopted */
        bool named;   /* the name stands in the directory */
        bool keep;    /* Keep=always */
};

struct Memory {
        uint64_t size;
        uint64_t page_size;
        MemoryStore store;
        bool reserved;    /* allocated to the last page at start, and to stay so */
        uint64_t adopted; /* bytes that an existing file had allocated before */
        Fd *fd;
        Fd *readonly;
        Fd *zero;         /* /dev/zero: how memory is wiped in place */
        MemoryFile *file; /* NULL: anonymous */
        char *description;
        char *error; /* why memory_new() is about to fail */
};

/* Keeps the reason and returns `result`, a negative errno, which is what %m in the format stands for. */
int memory_fail(Memory *memory, int result, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Checks size against page size and limits; `where` names what has these pages. */
int memory_check_size(Memory *memory, const char *where);

/* Opens the memory's file again by /proc, as a description of its own. Negative errno, no reason left. */
int memory_reopen(Memory *memory, int fd, int flags, Fd **ret);

/* Sets memory->store, page_size, fd, readonly and file. */
int memory_file_open(Memory *memory, const MemoryRequest *request);

/* The same by the descriptors that the request has. */
int memory_file_take(Memory *memory, const MemoryRequest *request);

/* The file is to be removed at the end, if its directory is within reach. */
void memory_file_own(Memory *memory);

/* Gives the file the label of PathLabel=. */
int memory_label(Memory *memory, const Definition *definition);

/* The extended attribute in which the kernel keeps the labels of files; NULL when it has none. `sysfs` is where its
 * interfaces are: "/sys/fs". */
const char *memory_label_attribute(const char *sysfs);

/* Gives the file behind a descriptor a label in this attribute. Negative errno, no reason left. */
int memory_label_set(int fd, const char *attribute, const char *label);

/* Gives a file its name, now that nothing can fail any more. */
int memory_file_publish(Memory *memory);

/* Bytes that the file already has allocated. */
uint64_t memory_allocated(const Memory *memory);

/* Allocates, places and faults in, as the definition says. */
int memory_reserve(Memory *memory, const MemoryRequest *request);

/* "0,1,4". A chunk of `ctx`, NULL when out of memory. */
char *memory_nodes_print(void *ctx, const struct bitmask *nodes);

/* Parses NUMANodes= and checks that each node is there. The caller frees *ret by numa_bitmask_free(). */
int memory_nodes_parse(Memory *memory, const Definition *definition, struct bitmask **ret);

/* Sets the policy for all pages of a mapping; for shmem it stays with the file. */
int memory_nodes_apply(Memory *memory, const Definition *definition, const struct bitmask *nodes,
                       void *address);

/* Faults the whole mapping in by threads. */
int memory_fault(Memory *memory, const MemoryRequest *request, char *address);

/* Is there a pool of pages of this size? */
int memory_pool_check(Memory *memory);

/* Fails with what the pool had and what is wanted; `nodes` NULL: any node. `cause` is the errno to return when the
 * pool is not short. */
int memory_pool_fail(Memory *memory, const struct bitmask *nodes, int cause);

/* Refuses what would only wake the OOM killer: more than the machine, or the nodes, have. `nodes` NULL: any node. */
int memory_ram_check(Memory *memory, const struct bitmask *nodes);

/* A mapping that ends with its scope. */
struct MemoryMap {
        void *address; /* MAP_FAILED: none */
        size_t length;
};

/* Maps read-write and shared, with `flags` of mmap() beside. Negative errno, no reason left. */
int memory_map(const Memory *memory, uint64_t offset, uint64_t length, int flags, MemoryMap *ret);

void memory_unmap_at_scope_end(MemoryMap *map);

#define cleanup_unmap __attribute__((cleanup(memory_unmap_at_scope_end)))
