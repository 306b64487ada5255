/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Zeroing the memory while the server is confined. The server must never touch a mapping itself: a peer can punch holes
 * into any kind of memory and truncate a named file, and then the touch would be a SIGBUS here.
 */

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/server/memory-parts.h"

/* What offsets and lengths of wiped stretches are multiples of. */
#define WIPE_UNIT 4096U

uint64_t memory_allocated(const Memory *memory) {
        struct stat st;

        return fstat(fd_get(memory->fd), &st) < 0 ? 0 : (uint64_t) st.st_blocks * 512U;
}

/*
 * The pages stay where they are, so there is no moment in which somebody else could take them from the pool. The kernel
 * does the writing, because it answers a page that cannot be had with EFAULT instead of a signal.
 */
static int wipe_in_place(const Memory *memory, uint64_t offset, uint64_t length) {
        uint64_t start = offset - offset % memory->page_size;
        uint64_t end = offset + length + memory->page_size - 1;
        cleanup_unmap MemoryMap map = { .address = MAP_FAILED };
        int r;

        /* Populating halves the time that 4K pages take; what it cannot populate it leaves out. */
        r = memory_map(memory, start, end - end % memory->page_size - start, MAP_POPULATE, &map);
        if (r < 0) {
                return r;
        }
        for (uint64_t done = 0; done < length;) {
                ssize_t n = read(fd_get(memory->zero), (char *) map.address + (offset - start) + done,
                                 length - done);

                if (n < 0 && errno == EINTR) {
                        continue;
                }
                if (n <= 0) {
                        return n < 0 ? errno_negative() : -EIO;
                }
                done += (uint64_t) n;
        }
        return 0;
}

static int wipe_by_hole(const Memory *memory, uint64_t offset, uint64_t length) {
        return errno_or(fallocate(fd_get(memory->fd), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  (off_t) offset, (off_t) length));
}

/* For reserved memory: a hole, and new pages for it where there are some. */
static int wipe_by_exchange(const Memory *memory, uint64_t offset, uint64_t length) {
        int r = wipe_by_hole(memory, offset, length);

        if (r < 0) {
                return r;
        }
        r = fallocate(fd_get(memory->fd), FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) length);
        return r < 0 ? MEMORY_WIPE_SHORT : 0;
}

/* Pages of memory stay; a disk's blocks are faster exchanged than written. */
static int wipe_stretch(const Memory *memory, uint64_t offset, uint64_t length) {
        int r;

        if (memory->reserved && memory->store != MEMORY_STORE_DISK &&
            wipe_in_place(memory, offset, length) == 0) {
                return 0;
        }
        r = memory->reserved ? wipe_by_exchange(memory, offset, length)
                             : wipe_by_hole(memory, offset, length);
        /* Some file systems know no holes (FAT, NFS, ramfs). */
        return r == -EOPNOTSUPP ? wipe_in_place(memory, offset, length) : r;
}

int memory_wipe(Memory *memory, uint64_t offset, uint64_t slice, uint64_t *ret_next) {
        uint64_t length = slice < WIPE_UNIT ? WIPE_UNIT : slice - slice % WIPE_UNIT;
        int r;

        assert(offset % WIPE_UNIT == 0 && offset <= memory->size);
        if (length > memory->size - offset) {
                length = memory->size - offset;
        }
        r = length > 0 ? wipe_stretch(memory, offset, length) : 0;
        if (r >= 0) {
                *ret_next = offset + length;
        }
        return r;
}
