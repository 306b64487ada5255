/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory as an object, and its anonymous kinds. How a named file comes to be is in memory-file.c, how pages are
 * had in memory-reserve.c.
 */

#include "service/server/memory.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/core/text.h"
#include "service/server/memory-parts.h"

/* Linux 6.3; not in the headers of Debian 12. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* memfd_create(2): 249 bytes and the NUL. */
#define MEMFD_NAME_MAX 250U

#define MEMORY_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int memory_fail(Memory *memory, int result, const char *format, ...) {
        va_list ap;

        assert(result < 0);
        TALLOC_FREE(memory->error);
        errno = -result;
        va_start(ap, format);
        memory->error = talloc_vasprintf(memory, format, ap);
        va_end(ap);
        return result;
}

int memory_reopen(Memory *memory, int fd, int flags, Fd **ret) {
        char path[sizeof("/proc/self/fd/") + 11];
        int reopened;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        reopened = open(path, flags | O_CLOEXEC | O_NOCTTY);
        if (reopened < 0) {
                return errno_negative();
        }
        return fd_new(memory, reopened, ret);
}

int memory_map(const Memory *memory, uint64_t offset, uint64_t length, int flags, MemoryMap *ret) {
        int fd = fd_get(memory->fd);
        void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, (off_t) offset);

        if (address == MAP_FAILED) {
                return errno_negative();
        }
        *ret = (MemoryMap){ .address = address, .length = length };
        return 0;
}

void memory_unmap_at_scope_end(MemoryMap *map) {
        if (map->address != MAP_FAILED) {
                munmap(map->address, map->length);
        }
}

/* Above RLIMIT_FSIZE the kernel would answer ftruncate() with a signal. */
static int check_file_limit(Memory *memory, const char *size) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_FSIZE, &limit) < 0) {
                return memory_fail(memory, errno_negative(), "cannot read the limit of file sizes: %m");
        }
        if (memory->size > limit.rlim_cur) {
                return memory_fail(
                        memory, -EFBIG,
                        "Size=%s is above this process's limit of file sizes: raise LimitFSIZE= (ulimit -f)",
                        size);
        }
        return 0;
}

int memory_check_size(Memory *memory, const char *where) {
        char size[SIZE_TEXT_MAX], page_size[SIZE_TEXT_MAX];

        size_format(memory->size, size);
        size_format(memory->page_size, page_size);
        if (memory->size > INT64_MAX) {
                return memory_fail(memory, -EFBIG, "Size=%s is more than a file can have", size);
        }
        if (memory->size == 0 || memory->size % memory->page_size != 0) {
                return memory_fail(memory, -EINVAL, "Size=%s is not a multiple of %s, the page size of %s",
                                   size, page_size, where);
        }
        return check_file_limit(memory, size);
}

static unsigned int memfd_flags(HugePages huge_pages) {
        static const unsigned int flags[_HUGE_PAGES_MAX] = {
                [HUGE_PAGES_NONE] = 0,
                [HUGE_PAGES_2M] = MFD_HUGETLB | MFD_HUGE_2MB,
                [HUGE_PAGES_1G] = MFD_HUGETLB | MFD_HUGE_1GB,
        };

        return MFD_CLOEXEC | MFD_ALLOW_SEALING | flags[huge_pages];
}

/* Not executable where the kernel knows how. */
static int memfd_open(const char *name, HugePages huge_pages) {
        char text[MEMFD_NAME_MAX];
        int fd;

        snprintf(text, sizeof(text), "ivshmem:%s", name);
        fd = memfd_create(text, memfd_flags(huge_pages) | MFD_NOEXEC_SEAL);
        if (fd < 0 && errno == EINVAL) {
                fd = memfd_create(text, memfd_flags(huge_pages));
        }
        return errno_or(fd);
}

/*
 * The size is sealed, so that no peer can cut the memory off under the others. The mode is that of a private file: a
 * memfd is born 0777, and whoever held a read-only descriptor of it could open it for writing by /proc/self/fd.
 */
static int memfd_prepare(int fd, uint64_t size) {
        if (ftruncate(fd, (off_t) size) < 0 || fchmod(fd, 0600) < 0 ||
            fcntl(fd, F_ADD_SEALS, MEMORY_SEALS) < 0) {
                return errno_negative();
        }
        return 0;
}

static int anonymous_open(Memory *memory, const MemoryRequest *request) {
        HugePages huge_pages = request->definition->huge_pages;
        int fd, r;

        memory->store = huge_pages == HUGE_PAGES_NONE ? MEMORY_STORE_SHMEM : MEMORY_STORE_HUGE;
        memory->page_size = huge_pages_size(huge_pages);
        r = memory_check_size(memory, "anonymous memory");
        if (r >= 0 && memory->store == MEMORY_STORE_HUGE) {
                r = memory_pool_check(memory);
        }
        if (r < 0) {
                return r;
        }
        fd = memfd_open(request->name, huge_pages);
        if (fd < 0) {
                return memory_fail(memory, fd, "cannot create a memfd: %m");
        }
        r = fd_new(memory, fd, &memory->fd);
        if (r < 0) {
                return r;
        }
        r = memfd_prepare(fd, memory->size);
        if (r >= 0) {
                r = memory_reopen(memory, fd, O_RDONLY, &memory->readonly);
        }
        return r < 0 ? memory_fail(memory, r, "cannot prepare the memfd: %m") : 0;
}

/* What wiping in place needs once no file can be opened any more. */
static int zero_open(Memory *memory) {
        int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

        if (fd < 0) {
                return memory_fail(memory, errno_negative(), "cannot open /dev/zero: %m");
        }
        return fd_new(memory, fd, &memory->zero);
}

static char *describe_place(void *ctx, const MemoryFile *file) {
        if (!file) {
                return talloc_strdup(ctx, "");
        }
        if (!file->name) {
                return talloc_asprintf(ctx, " in %s", file->where);
        }
        return talloc_asprintf(ctx, " at %s/%s", strcmp(file->where, "/") == 0 ? "" : file->where,
                               file->name);
}

static int describe(Memory *memory, const Definition *definition) {
        char size[SIZE_TEXT_MAX], page_size[SIZE_TEXT_MAX];
        char *place = describe_place(memory, memory->file);
        bool pages = !memory->file || memory->store == MEMORY_STORE_HUGE;

        size_format(memory->size, size);
        size_format(memory->page_size, page_size);
        memory->description = talloc_asprintf(
                memory, "%s%s%s%s%s%s%s", size, pages ? " in " : "", pages ? page_size : "",
                pages ? " pages" : "", place ? place : "", definition->numa_nodes ? ", NUMA nodes " : "",
                definition->numa_nodes ? definition->numa_nodes : "");
        talloc_free(place);
        return memory->description ? 0 : -ENOMEM;
}

static int memory_build(Memory *memory, const MemoryRequest *request) {
        int r;

        memory->size = request->definition->size;
        r = request->file               ? memory_file_take(memory, request)
            : request->definition->path ? memory_file_open(memory, request)
                                        : anonymous_open(memory, request);
        if (r >= 0) {
                r = memory_reserve(memory, request);
        }
        if (r >= 0) {
                r = zero_open(memory);
        }
        if (r >= 0) {
                r = describe(memory, request->definition);
        }
        if (r >= 0 && memory->file) {
                r = memory_file_publish(memory);
        }
        return r;
}

/* The named file of Path= and nothing else. */
static int memory_build_file(Memory *memory, const MemoryRequest *request) {
        int r;

        memory->size = request->definition->size;
        r = memory_file_open(memory, request);
        return r < 0 ? r : memory_file_publish(memory);
}

/* What a memory was made for did not succeed: nothing is left of it. */
static int memory_give_up(void *ctx, Memory *memory, int r, char **ret_error) {
        *ret_error = talloc_move(ctx, &memory->error);
        if (memory->file) {
                memory->file->keep = false;
                (void) memory_remove(memory);
        }
        talloc_free(memory);
        return r;
}

static int memory_make(void *ctx, const MemoryRequest *request,
                       int (*build)(Memory *memory, const MemoryRequest *request), Memory **ret,
                       char **ret_error) {
        Memory *memory = talloc_zero(ctx, Memory);
        int r;

        if (!memory) {
                *ret_error = NULL;
                return -ENOMEM;
        }
        r = build(memory, request);
        if (r < 0) {
                return memory_give_up(ctx, memory, r, ret_error);
        }
        *ret = memory;
        return 0;
}

int memory_new(void *ctx, const MemoryRequest *request, Memory **ret, char **ret_error) {
        return memory_make(ctx, request, memory_build, ret, ret_error);
}

int memory_prepare(void *ctx, const MemoryRequest *request, Memory **ret, char **ret_error) {
        return memory_make(ctx, request, memory_build_file, ret, ret_error);
}

static int check_inherited(Memory *memory, const Definition *definition, int fd) {
        struct statfs fs;
        struct stat st;

        if ((fcntl(fd, F_GET_SEALS) & MEMORY_SEALS) != MEMORY_SEALS || fstat(fd, &st) < 0 ||
            fstatfs(fd, &fs) < 0) {
                return memory_fail(memory, -EINVAL, "the memory that was kept is not sealed memory");
        }
        if ((uint64_t) st.st_size != memory->size ||
            (definition->huge_pages != HUGE_PAGES_NONE && (uint64_t) fs.f_bsize != memory->page_size)) {
                return memory_fail(memory, -EINVAL,
                                   "the memory that was kept has another size or other pages");
        }
        return 0;
}

static int memory_take_over(Memory *memory, const MemoryRequest *request, Fd *fd) {
        const Definition *definition = request->definition;
        int r;

        memory->fd = talloc_steal(memory, fd);
        memory->size = definition->size;
        memory->store = definition->huge_pages == HUGE_PAGES_NONE ? MEMORY_STORE_SHMEM : MEMORY_STORE_HUGE;
        memory->page_size = huge_pages_size(definition->huge_pages);
        memory->reserved = definition->prefault || memory->store == MEMORY_STORE_HUGE;
        r = check_inherited(memory, definition, fd_get(fd));
        if (r >= 0) {
                r = memory_reopen(memory, fd_get(fd), O_RDONLY, &memory->readonly);
        }
        if (r >= 0) {
                r = zero_open(memory);
        }
        return r < 0 ? r : describe(memory, definition);
}

/* As a predecessor left it: everything is allocated that was to be. */
static int memory_build_restored(Memory *memory, const MemoryRequest *request) {
        int r;

        memory->size = request->definition->size;
        r = memory_file_take(memory, request);
        if (r < 0) {
                return r;
        }
        memory->reserved |= request->definition->prefault || memory->store == MEMORY_STORE_HUGE;
        r = zero_open(memory);
        return r < 0 ? r : describe(memory, request->definition);
}

int memory_restore_file(void *ctx, const MemoryRequest *request, bool ours, Memory **ret, char **ret_error) {
        int r = memory_make(ctx, request, memory_build_restored, ret, ret_error);

        if (r >= 0 && ours) {
                memory_file_own(*ret);
        }
        return r;
}

int memory_restore(void *ctx, const MemoryRequest *request, Fd *fd, Memory **ret, char **ret_error) {
        Memory *memory = talloc_zero(ctx, Memory);
        int r;

        if (!memory) {
                talloc_free(fd);
                *ret_error = NULL;
                return -ENOMEM;
        }
        r = memory_take_over(memory, request, fd);
        if (r < 0) {
                *ret_error = talloc_move(ctx, &memory->error);
                talloc_free(memory);
                return r;
        }
        *ret = memory;
        return 0;
}

int memory_fd(const Memory *memory) {
        return fd_get(memory->fd);
}

uint64_t memory_size(const Memory *memory) {
        return memory->size;
}

bool memory_is_adopted(const Memory *memory) {
        return memory->file && !memory->file->created && memory->adopted > 0;
}

int memory_readonly_fd(const Memory *memory) {
        return fd_get(memory->readonly);
}

const char *memory_describe(const Memory *memory) {
        return memory->description;
}

size_t memory_list_fds(const Memory *memory, int ret[static MEMORY_FDS_MAX]) {
        const int fds[MEMORY_FDS_MAX] = {
                fd_get(memory->fd),          fd_get(memory->readonly),
                fd_get(memory->zero),        memory->file ? fd_get(memory->file->lock) : -EBADF,
                memory_directory_fd(memory),
        };
        size_t n = 0;

        for (size_t i = 0; i < MEMORY_FDS_MAX; i++) {
                if (fds[i] >= 0) {
                        ret[n++] = fds[i];
                }
        }
        return n;
}
