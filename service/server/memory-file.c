/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The named file of Path=, and the nameless one of the reference flag -m. A new file gets its name last, when it is
 * complete and locked; an existing one is looked at before it is opened, for its directory may be anybody's
 * (/dev/shm). Nothing here truncates a file that was there before.
 */

#include <assert.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/core/text.h"
#include "service/server/memory-parts.h"

/* Beside 0: there is no such file. */
#define FILE_ABSENT 1

/* The id that PathUser= or PathGroup= give, or "leave it". */
static uint32_t rule_id(const AccessRule *rule) {
        assert(!rule->text || rule->id != PRINCIPAL_UNRESOLVED);
        return rule->text ? rule->id : (uint32_t) -1;
}

static int file_new(Memory *memory, const MemoryRequest *request) {
        const char *path = request->definition->path;
        const char *slash = strrchr(path, '/');
        MemoryFile *file = talloc_zero(memory, MemoryFile);

        if (!file) {
                return -ENOMEM;
        }
        memory->file = file;
        file->option = request->option ?: "Path=";
        file->path = talloc_strdup(file, path);
        file->keep = request->definition->keep == KEEP_ALWAYS;
        if (request->unlinked) {
                file->where = talloc_strdup(file, path);
                return file->where && file->path ? 0 : -ENOMEM;
        }
        if (!slash || slash[1] == '\0' || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0) {
                return memory_fail(memory, -EINVAL, "%s%s does not name a file", file->option, path);
        }
        file->where = slash == path ? talloc_strdup(file, "/")
                                    : talloc_strndup(file, path, (size_t) (slash - path));
        file->name = talloc_strdup(file, slash + 1);
        return file->path && file->where && file->name ? 0 : -ENOMEM;
}

/* Who owns a directory on the way could otherwise have the file made anywhere (openat2(2); the C library lacks it). */
int directory_open_without_links(const char *path) {
        const struct open_how how = {
                .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                .resolve = RESOLVE_NO_SYMLINKS,
        };

        return errno_or((int) syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
}

static int directory_open(Memory *memory, bool no_links) {
        MemoryFile *file = memory->file;
        int fd = no_links ? directory_open_without_links(file->where)
                          : errno_or(open(file->where, O_PATH | O_DIRECTORY | O_CLOEXEC));

        if (no_links && fd == -ELOOP) {
                return memory_fail(
                        memory, -ELOOP,
                        "there is a symbolic link in %s: write the directory's real path in Path=",
                        file->where);
        }
        if (fd < 0) {
                return memory_fail(memory, fd, "cannot open the directory %s: %m", file->where);
        }
        return fd_new(file, fd, &file->directory);
}

/* What kind of pages a file has: this one, or those in this directory. */
static int file_judge_pages(Memory *memory, const Definition *definition, int fd) {
        char wanted[SIZE_TEXT_MAX], found[SIZE_TEXT_MAX];
        const MemoryFile *file = memory->file;
        struct statfs fs;

        if (fstatfs(fd, &fs) < 0) {
                return memory_fail(memory, errno_negative(), "cannot look at the file system of %s: %m",
                                   file->where);
        }
        memory->store = fs.f_type == HUGETLBFS_MAGIC ? MEMORY_STORE_HUGE
                        : fs.f_type == TMPFS_MAGIC   ? MEMORY_STORE_SHMEM
                                                     : MEMORY_STORE_DISK;
        memory->page_size = memory->store == MEMORY_STORE_HUGE ? (uint64_t) fs.f_bsize
                                                               : huge_pages_size(HUGE_PAGES_NONE);
        if (definition->huge_pages == HUGE_PAGES_NONE ||
            huge_pages_size(definition->huge_pages) == memory->page_size) {
                return memory_check_size(memory, file->where);
        }
        size_format(huge_pages_size(definition->huge_pages), wanted);
        size_format(memory->page_size, found);
        return memory_fail(
                memory, -EINVAL,
                "HugePages=%s needs a Path= on a hugetlbfs mount with pagesize=%s; %s has pages of %s",
                wanted, wanted, file->where, found);
}

/* Refuses what does not fit before anything is made. A file system without a limit says that it has no blocks. */
static int directory_check_room(Memory *memory, uint64_t allocated) {
        uint64_t wanted = allocated < memory->size ? memory->size - allocated : 0;
        struct statvfs fs;

        if (fstatvfs(fd_get(memory->file->directory), &fs) < 0) {
                return memory_fail(memory, errno_negative(), "cannot look at the file system of %s: %m",
                                   memory->file->where);
        }
        if (fs.f_blocks == 0 || (wanted + fs.f_frsize - 1) / fs.f_frsize <= fs.f_bavail) {
                return 0;
        }
        return memory_fail(memory, -ENOSPC,
                           "%llu KiB more do not fit the file system of %s: it has %llu KiB free",
                           (unsigned long long) wanted / 1024U, memory->file->where,
                           (unsigned long long) fs.f_bavail * fs.f_frsize / 1024U);
}

/* Who holds the lock, by /proc/locks: " 12345" or "" when it does not say. */
static void lock_holder(const struct stat *st, char ret[static 16]) {
        FILE *stream = fopen("/proc/locks", "re");
        unsigned int major_number, minor_number;
        unsigned long long inode;
        char line[160];
        int pid;

        ret[0] = '\0';
        while (stream && fgets(line, sizeof(line), stream)) {
                if (sscanf(line, "%*s FLOCK %*s WRITE %d %x:%x:%llu", &pid, &major_number, &minor_number,
                           &inode) == 4 &&
                    makedev(major_number, minor_number) == st->st_dev && inode == st->st_ino) {
                        snprintf(ret, 16, " %d", pid);
                }
        }
        if (stream) {
                fclose(stream);
        }
}

/* Locks by a description of its own. */
static int file_lock(Memory *memory, int fd, const char *path) {
        char holder[16];
        struct stat st;
        int r;

        r = memory_reopen(memory, fd, O_RDWR, &memory->file->lock);
        if (r < 0) {
                return memory_fail(memory, r, "cannot open %s: %m", path);
        }
        if (flock(fd_get(memory->file->lock), LOCK_EX | LOCK_NB) < 0) {
                r = errno_negative();
                if (r != -EWOULDBLOCK || fstat(fd, &st) < 0) {
                        return memory_fail(memory, r, "cannot lock %s: %m", path);
                }
                lock_holder(&st, holder);
                return memory_fail(
                        memory, -EBUSY,
                        "%s is in use: process%s holds its lock; stop that server, or take another %s", path,
                        *holder ? holder : " (unknown)", memory->file->option);
        }
        return 0;
}

/* The descriptor for peers and the one for readers, while the server surely may open both. */
static int file_open_descriptors(Memory *memory, int fd, const char *path) {
        int r = memory_reopen(memory, fd, O_RDWR, &memory->fd);

        if (r >= 0) {
                r = memory_reopen(memory, fd, O_RDONLY, &memory->readonly);
        }
        return r < 0 ? memory_fail(memory, r, "cannot open %s: %m", path) : 0;
}

static int file_set_owner(Memory *memory, const Definition *definition, const char *path) {
        uint32_t uid = rule_id(&definition->path_user), gid = rule_id(&definition->path_group);
        int fd = fd_get(memory->fd);
        struct stat st;

        if (fstat(fd, &st) < 0) {
                return memory_fail(memory, errno_negative(), "cannot look at %s: %m", path);
        }
        if ((st.st_mode & 07777U) != definition->path_mode && fchmod(fd, definition->path_mode) < 0) {
                return memory_fail(memory, errno_negative(), "cannot give %s the mode of PathMode=%04o: %m",
                                   path, definition->path_mode);
        }
        if (((uid != (uint32_t) -1 && uid != st.st_uid) || (gid != (uint32_t) -1 && gid != st.st_gid)) &&
            fchown(fd, uid, gid) < 0) {
                return memory_fail(
                        memory, errno_negative(),
                        "cannot give %s the owner of PathUser= and the group of PathGroup=: %m (it takes "
                        "CAP_CHOWN)",
                        path);
        }
        return 0;
}

/* A disk's blocks cost next to nothing, and a full disk later would be a SIGBUS in somebody's VM. */
static int file_allocate(Memory *memory, const char *path) {
        if (memory->store != MEMORY_STORE_DISK) {
                return 0;
        }
        if (fallocate(fd_get(memory->fd), 0, 0, (off_t) memory->size) == 0) {
                memory->reserved = true;
                return 0;
        }
        if (errno == EOPNOTSUPP) {
                return 0;
        }
        return memory_fail(memory, errno_negative(), "cannot allocate %s: %m", path);
}

/* What may be adopted: see memory.h. An attacker who may write to the directory has none of these to offer. */
static int file_judge(Memory *memory, const Definition *definition, const char *path,
                      const struct stat *st) {
        if (!S_ISREG(st->st_mode)) {
                return memory_fail(memory, -EEXIST, "%s is %s: %s must name a regular file or nothing", path,
                                   S_ISLNK(st->st_mode)   ? "a symbolic link"
                                   : S_ISDIR(st->st_mode) ? "a directory"
                                                          : "no regular file",
                                   memory->file->option);
        }
        if (st->st_nlink != 1) {
                return memory_fail(memory, -EEXIST,
                                   "%s has %llu names: only a file with one name is adopted", path,
                                   (unsigned long long) st->st_nlink);
        }
        if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != rule_id(&definition->path_user)) {
                return memory_fail(
                        memory, -EPERM,
                        "%s belongs to uid %u, and not to root, the server's user or PathUser=: remove it, "
                        "or set PathUser=%u",
                        path, st->st_uid, st->st_uid);
        }
        return 0;
}

static int file_check_size(Memory *memory, const char *path, const struct stat *st) {
        char found[SIZE_TEXT_MAX], wanted[SIZE_TEXT_MAX];

        if ((uint64_t) st->st_size == memory->size) {
                return 0;
        }
        size_format((uint64_t) st->st_size, found);
        size_format(memory->size, wanted);
        return memory_fail(
                memory, -EEXIST,
                "%s exists with %s bytes, and Size=%s: a file is never resized; remove it, or change Size=",
                path, found, wanted);
}

/* Looks first, by a descriptor that opens nothing, then opens exactly what was looked at. */
static int file_adopt(Memory *memory, const MemoryRequest *request) {
        const char *path = request->definition->path;
        const MemoryFile *file = memory->file;
        cleanup_close int probe = openat(fd_get(file->directory), file->name,
                                         O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        int r;

        if (probe < 0) {
                return errno == ENOENT ? FILE_ABSENT
                                       : memory_fail(memory, errno_negative(), "cannot open %s: %m", path);
        }
        if (request->only_new) {
                return memory_fail(
                        memory, -EEXIST,
                        "%s exists: a file is taken over for definitions only that nobody but root "
                        "can write; remove it, or take another Path=",
                        path);
        }
        if (fstat(probe, &st) < 0) {
                return memory_fail(memory, errno_negative(), "cannot look at %s: %m", path);
        }
        r = file_judge(memory, request->definition, path, &st);
        if (r >= 0) {
                r = file_lock(memory, probe, path);
        }
        if (r < 0) {
                return r;
        }
        /* Only now nobody else changes it: a server that let go of it a moment ago may have removed it. */
        if (fstat(probe, &st) < 0 || st.st_nlink != 1) {
                return memory_fail(memory, -EAGAIN, "%s was removed while it was opened: start again", path);
        }
        r = file_check_size(memory, path, &st);
        if (r >= 0) {
                r = directory_check_room(memory, (uint64_t) st.st_blocks * 512U);
        }
        if (r >= 0) {
                r = file_open_descriptors(memory, probe, path);
        }
        memory->file->named = true;
        memory->adopted = (uint64_t) st.st_blocks * 512U;
        if (memory->adopted > memory->size) {
                memory->adopted = memory->size; /* a disk's own blocks count too */
        }
        return r;
}

/* A nameless file for file systems without O_TMPFILE. */
static int nameless_create(int directory) {
        char name[40];
        uint64_t number;
        int fd;

        if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
                return errno_negative();
        }
        snprintf(name, sizeof(name), ".ivshmem-%016llx", (unsigned long long) number);
        fd = openat(directory, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0) {
                (void) unlinkat(directory, name, 0);
        }
        return errno_or(fd);
}

/* Without O_TMPFILE (NFS, FAT) a named file has its name from the beginning. */
static int file_create_fd(MemoryFile *file) {
        int directory = fd_get(file->directory);
        /* O_EXCL: not even who has the descriptor can give it a name. */
        int fd = openat(directory, ".", O_TMPFILE | (file->name ? 0 : O_EXCL) | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) {
                return errno_or(fd);
        }
        if (!file->name) {
                return nameless_create(directory);
        }
        fd = openat(directory, file->name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
        file->named = fd >= 0;
        return errno_or(fd);
}

/* What tells our file from another one that took its name. */
static int file_remember(Memory *memory, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0) {
                return memory_fail(memory, errno_negative(), "cannot look at the new file: %m");
        }
        memory->file->device = st.st_dev;
        memory->file->inode = st.st_ino;
        return 0;
}

static int file_create(Memory *memory, const char *path) {
        cleanup_close int fd = -EBADF;
        int r;

        r = directory_check_room(memory, /* allocated= */ 0);
        if (r < 0) {
                return r;
        }
        memory->file->created = true;
        fd = file_create_fd(memory->file);
        if (fd < 0) {
                return memory_fail(memory, fd, "cannot create a file in %s: %m", memory->file->where);
        }
        r = file_remember(memory, fd);
        if (r >= 0) {
                r = file_open_descriptors(memory, fd, path);
        }
        if (r >= 0) {
                r = file_lock(memory, fd, path);
        }
        if (r >= 0 && ftruncate(fd, (off_t) memory->size) < 0) {
                r = memory_fail(memory, errno_negative(), "cannot give %s its size: %m", path);
        }
        return r;
}

int memory_file_open(Memory *memory, const MemoryRequest *request) {
        const Definition *definition = request->definition;
        int r = file_new(memory, request);

        if (r >= 0) {
                r = directory_open(memory, request->no_links);
        }
        if (r >= 0) {
                r = file_judge_pages(memory, definition, fd_get(memory->file->directory));
        }
        if (r >= 0) {
                r = memory->file->name ? file_adopt(memory, request) : FILE_ABSENT;
        }
        if (r == FILE_ABSENT) {
                r = file_create(memory, definition->path);
        }
        if (r >= 0) {
                r = file_set_owner(memory, definition, definition->path);
        }
        if (r >= 0) {
                r = memory_label(memory, definition);
        }
        if (r >= 0) {
                r = file_allocate(memory, definition->path);
        }
        return r;
}

/* ---- A file that somebody else has opened ---- */

static int file_copy(Memory *memory, int fd, Fd **ret) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        return copy < 0 ? errno_negative() : fd_new(memory, copy, ret);
}

static bool is_opened_for(int fd, int access, const struct stat *file) {
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        return flags >= 0 && (flags & O_ACCMODE) == access && fstat(fd, &st) >= 0 &&
               st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

static int file_check_taken(Memory *memory, const MemoryRequest *request, struct stat *ret_st) {
        const int *fds = request->file;
        const char *path = request->definition->path;

        if (fstat(fds[MEMORY_FILE_SHARED], ret_st) < 0 || !S_ISREG(ret_st->st_mode) ||
            !is_opened_for(fds[MEMORY_FILE_SHARED], O_RDWR, ret_st) ||
            !is_opened_for(fds[MEMORY_FILE_READONLY], O_RDONLY, ret_st) ||
            !is_opened_for(fds[MEMORY_FILE_LOCK], O_RDWR, ret_st)) {
                return memory_fail(memory, -EINVAL, "what was handed over is not the file %s", path);
        }
        if (flock(fds[MEMORY_FILE_LOCK], LOCK_EX | LOCK_NB) < 0) {
                return memory_fail(memory, errno_negative(), "the lock of %s is not to be had: %m", path);
        }
        return file_check_size(memory, path, ret_st);
}

static int file_take_descriptors(Memory *memory, const int *fds) {
        int r = file_copy(memory, fds[MEMORY_FILE_SHARED], &memory->fd);

        if (r >= 0) {
                r = file_copy(memory, fds[MEMORY_FILE_READONLY], &memory->readonly);
        }
        if (r >= 0) {
                r = file_copy(memory, fds[MEMORY_FILE_LOCK], &memory->file->lock);
        }
        return r < 0 ? memory_fail(memory, r, "cannot keep what was handed over: %m") : 0;
}

int memory_file_take(Memory *memory, const MemoryRequest *request) {
        struct stat st;
        int r = file_new(memory, request);

        if (r >= 0) {
                r = file_check_taken(memory, request, &st);
        }
        if (r >= 0) {
                r = file_judge_pages(memory, request->definition, request->file[MEMORY_FILE_SHARED]);
        }
        if (r >= 0) {
                r = file_take_descriptors(memory, request->file);
        }
        if (r < 0) {
                return r;
        }
        memory->file->named = true;
        memory->file->device = st.st_dev;
        memory->file->inode = st.st_ino;
        memory->adopted = (uint64_t) st.st_blocks * 512U;
        if (memory->adopted > memory->size) {
                memory->adopted = memory->size;
        }
        return file_allocate(memory, request->definition->path);
}

void memory_file_own(Memory *memory) {
        memory->file->created = directory_open(memory, /* no_links= */ false) >= 0;
}

const char *memory_file(const Memory *memory, int ret[static MEMORY_FILE_FDS]) {
        if (!memory->file || !memory->file->name) {
                return NULL;
        }
        ret[MEMORY_FILE_SHARED] = fd_get(memory->fd);
        ret[MEMORY_FILE_READONLY] = fd_get(memory->readonly);
        ret[MEMORY_FILE_LOCK] = fd_get(memory->file->lock);
        return memory->file->path;
}

/* ---- Its name ---- */

int memory_file_publish(Memory *memory) {
        MemoryFile *file = memory->file;
        char path[sizeof("/proc/self/fd/") + 11];

        if (!file->name || file->named) {
                return 0;
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd_get(memory->fd));
        if (linkat(AT_FDCWD, path, fd_get(file->directory), file->name, AT_SYMLINK_FOLLOW) < 0) {
                return memory_fail(memory, errno_negative(), "cannot name the file %s/%s: %m", file->where,
                                   file->name);
        }
        file->named = true;
        return 0;
}

void memory_file_unlink(const char *path, int fd) {
        struct stat named, opened;

        /* Who can put another file there in between can remove it as well: the directory is theirs. */
        if (lstat(path, &named) >= 0 && fstat(fd, &opened) >= 0 && named.st_dev == opened.st_dev &&
            named.st_ino == opened.st_ino) {
                (void) unlink(path);
        }
}

int memory_directory_fd(const Memory *memory) {
        const MemoryFile *file = memory->file;

        return file && file->created && file->named && !file->keep ? fd_get(file->directory) : -EBADF;
}

int memory_remove(Memory *memory) {
        int directory = memory_directory_fd(memory);
        struct stat st;

        if (directory < 0) {
                return 0;
        }
        if (fstatat(directory, memory->file->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                return errno == ENOENT ? 0 : errno_negative();
        }
        if (st.st_dev != memory->file->device || st.st_ino != memory->file->inode) {
                return 0;
        }
        return errno_or(unlinkat(directory, memory->file->name, 0));
}
