/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/memory: Path= on tmpfs and on a disk. Each test has a directory of its own; what is mounted is mounted
 * in a namespace of this program's, so that nothing stays behind. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/server/memory.h"
#include "tests/unit/memory-fixture.h"

#define NOBODY 65534U

static char error[400];

static void test_made_and_removed(void **state) {
        Definition definition = file_definition();
        Memory *memory = memory_make(*state, &definition);
        int fds[MEMORY_FDS_MAX];
        struct stat st = file_stat();

        assert_true(S_ISREG(st.st_mode));
        assert_int_equal(st.st_size, FILE_SIZE);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_uid, geteuid());
        assert_int_equal(st.st_blocks, 0);
        snprintf(error, sizeof(error), "64K at %s", file_path);
        assert_string_equal(memory_describe(memory), error);
        assert_int_equal(memory_list_fds(memory, fds), 5);
        assert_true(memory_directory_fd(memory) >= 0);
        memory_poke(memory, 5, 5);
        assert_int_equal(memory_remove(memory), 0);
        assert_int_equal(access(file_path, F_OK), -1);
        /* Peers still have it, and a second call finds nothing to do. */
        assert_int_equal(memory_peek(memory, 5), 5);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

static void test_owner_group_mode(void **state) {
        Definition definition = file_definition();
        Memory *memory;
        struct stat st;

        definition.path_user = (AccessRule){ .kind = RULE_USER, .text = (char *) "65534", .id = NOBODY };
        definition.path_group = (AccessRule){ .kind = RULE_GROUP, .text = (char *) "65534", .id = NOBODY };
        definition.path_mode = 0664;
        memory = memory_make(*state, &definition);
        st = file_stat();
        assert_int_equal(st.st_uid, NOBODY);
        assert_int_equal(st.st_gid, NOBODY);
        assert_int_equal(st.st_mode & 07777, 0664);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

/* Freeing is what a server does that is restarted. */
static void test_freed_but_not_removed(void **state) {
        Definition definition = file_definition();
        Memory *memory = memory_make(*state, &definition);

        memory_poke(memory, 100, 42);
        talloc_free(memory);
        memory = memory_make(*state, &definition);
        assert_int_equal(memory_peek(memory, 100), 42);
        /* It was there before this server, so it is left in place. */
        assert_int_equal(memory_directory_fd(memory), -EBADF);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
        assert_int_equal(unlink(file_path), 0);
}

static void test_kept(void **state) {
        Definition definition = file_definition();
        Memory *memory;

        definition.keep = KEEP_ALWAYS;
        memory = memory_make(*state, &definition);
        assert_int_equal(memory_directory_fd(memory), -EBADF);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
        assert_int_equal(unlink(file_path), 0);
}

/* Somebody removed the file and made another one of that name: that one is not ours. */
static void test_name_taken_by_another_file(void **state) {
        Definition definition = file_definition();
        Memory *memory = memory_make(*state, &definition);

        assert_int_equal(unlink(file_path), 0);
        file_write(1, 0600, 0);
        assert_int_equal(memory_remove(memory), 0);
        assert_int_equal(file_stat().st_size, 1);
        assert_int_equal(unlink(file_path), 0);
        talloc_free(memory);
}

static void test_adopted(void **state) {
        Definition definition = file_definition();
        Memory *memory;

        file_write(FILE_SIZE, 0666, 0);
        memory = memory_make(*state, &definition);
        assert_int_equal(memory_peek(memory, 0), 'o');
        assert_int_equal(file_stat().st_mode & 07777, 0600);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
        assert_int_equal(file_stat().st_size, FILE_SIZE);
        assert_int_equal(unlink(file_path), 0);
}

/* As libvirt leaves it, whose QEMU made the file. */
static void test_adopted_from_path_user(void **state) {
        Definition definition = file_definition();
        Memory *memory;

        definition.path_user = (AccessRule){ .kind = RULE_USER, .text = (char *) "65534", .id = NOBODY };
        file_write(FILE_SIZE, 0600, NOBODY);
        memory = memory_make(*state, &definition);
        assert_int_equal(memory_peek(memory, 0), 'o');
        assert_int_equal(file_stat().st_uid, NOBODY);
        talloc_free(memory);
        assert_int_equal(unlink(file_path), 0);
}

/* The reason begins with the path. */
static void refuse(void **state, int result, const char *reason) {
        Definition definition = file_definition();

        snprintf(error, sizeof(error), "%s%s", file_path, reason);
        memory_refuse(*state, &definition, result, error);
}

static void test_other_size(void **state) {
        file_write(4 * KIB, 0600, 0);
        refuse(state, -EEXIST,
               " exists with 4K bytes, and Size=64K: a file is never resized; remove it, or change Size=");
        assert_int_equal(file_stat().st_size, 4 * KIB);
        assert_int_equal(unlink(file_path), 0);
        file_write(128 * KIB, 0600, 0);
        refuse(state, -EEXIST,
               " exists with 128K bytes, and Size=64K: a file is never resized; remove it, or change Size=");
        assert_int_equal(file_stat().st_size, 128 * KIB);
        assert_int_equal(unlink(file_path), 0);
}

static void test_symbolic_link(void **state) {
        char target[80];
        int fd;

        snprintf(target, sizeof(target), "%s-target", file_path);
        assert_int_equal(symlink(target, file_path), 0);
        refuse(state, -EEXIST, " is a symbolic link: Path= must name a regular file or nothing");
        assert_int_equal(access(target, F_OK), -1);
        fd = open(target, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
        assert_int_equal(close(fd), 0);
        refuse(state, -EEXIST, " is a symbolic link: Path= must name a regular file or nothing");
        assert_int_equal(unlink(target), 0);
        assert_int_equal(unlink(file_path), 0);
}

static void test_no_regular_file(void **state) {
        assert_int_equal(mkdir(file_path, 0700), 0);
        refuse(state, -EEXIST, " is a directory: Path= must name a regular file or nothing");
        assert_int_equal(rmdir(file_path), 0);
        assert_int_equal(mkfifo(file_path, 0600), 0);
        refuse(state, -EEXIST, " is no regular file: Path= must name a regular file or nothing");
        assert_int_equal(unlink(file_path), 0);
}

/* Made by who wants us to share another file of root's. */
static void test_hard_link(void **state) {
        char other[80];

        snprintf(other, sizeof(other), "%s-other", file_path);
        file_write(FILE_SIZE, 0600, 0);
        assert_int_equal(link(file_path, other), 0);
        refuse(state, -EEXIST, " has 2 names: only a file with one name is adopted");
        assert_int_equal(unlink(other), 0);
        assert_int_equal(unlink(file_path), 0);
}

static void test_file_of_another_user(void **state) {
        file_write(FILE_SIZE, 0666, NOBODY);
        refuse(state, -EPERM,
               " belongs to uid 65534, and not to root, the server's user or PathUser=: remove it, or set "
               "PathUser=65534");
        assert_int_equal(file_stat().st_uid, NOBODY);
        assert_int_equal(unlink(file_path), 0);
}

static void test_second_server(void **state) {
        Definition definition = file_definition();
        Memory *memory = memory_make(*state, &definition);

        memory_poke(memory, 1, 1);
        snprintf(error, sizeof(error),
                 "%s is in use: process %d holds its lock; stop that server, or take another Path=",
                 file_path, getpid());
        memory_refuse(*state, &definition, -EBUSY, error);
        /* The size too, but the lock is what matters. */
        definition.size *= 2;
        memory_refuse(*state, &definition, -EBUSY, error);
        assert_int_equal(file_stat().st_size, FILE_SIZE);
        assert_int_equal(memory_peek(memory, 1), 1);
        /* A peer has no say in the lock. */
        assert_int_equal(flock(memory_fd(memory), LOCK_UN), 0);
        assert_int_equal(flock(memory_fd(memory), LOCK_SH | LOCK_NB), -1);
        memory_refuse(*state, &definition, -EBUSY, error);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

static void test_bad_paths(void **state) {
        static const struct {
                const char *path;
                int result;
                const char *error;
        } table[] = {
                { "/dev/shm/", -EINVAL, "Path=/dev/shm/ does not name a file" },
                { "/dev/shm/..", -EINVAL, "Path=/dev/shm/.. does not name a file" },
                { "ring", -EINVAL, "Path=ring does not name a file" },
                { "/", -EINVAL, "Path=/ does not name a file" },
                { "/nonexistent/ring", -ENOENT,
                  "cannot open the directory /nonexistent: No such file or directory" },
                { "/etc/passwd/ring", -ENOTDIR, "cannot open the directory /etc/passwd: Not a directory" },
                { "/proc/ring", -ENOENT, "cannot create a file in /proc: No such file or directory" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                Definition definition = file_definition();

                definition.path = (char *) (uintptr_t) table[i].path;
                memory_refuse(*state, &definition, table[i].result, table[i].error);
        }
}

static void test_huge_pages_elsewhere(void **state) {
        Definition definition = file_definition();

        definition.size = 4 * MIB;
        definition.huge_pages = HUGE_PAGES_2M;
        snprintf(error, sizeof(error),
                 "HugePages=2M needs a Path= on a hugetlbfs mount with pagesize=2M; %s has pages of 4K",
                 file_directory);
        memory_refuse(*state, &definition, -EINVAL, error);
}

static void test_size_not_of_pages(void **state) {
        Definition definition = file_definition();

        definition.size = 100;
        snprintf(error, sizeof(error), "Size=100 is not a multiple of 4K, the page size of %s",
                 file_directory);
        memory_refuse(*state, &definition, -EINVAL, error);
}

/* -m DIRECTORY: a file that nobody else can find. */
static void test_nameless(void **state) {
        Definition definition = file_definition();
        MemoryRequest request = memory_request(&definition);
        char link_path[64];
        Memory *memory;
        char *reason;

        definition.path = file_directory;
        request.unlinked = true;
        assert_int_equal(memory_new(*state, &request, &memory, &reason), 0);
        snprintf(error, sizeof(error), "64K in %s", file_directory);
        assert_string_equal(memory_describe(memory), error);
        memory_poke(memory, 1, 1);
        assert_int_equal(memory_directory_fd(memory), -EBADF);
        snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", memory_fd(memory));
        assert_int_equal(linkat(AT_FDCWD, link_path, AT_FDCWD, file_path, AT_SYMLINK_FOLLOW), -1);
        assert_int_equal(rmdir(file_directory), 0);
        assert_int_equal(mkdir(file_directory, 0700), 0);
        talloc_free(memory);
}

static int open_for_writing(const void *userdata) {
        char link_path[64];

        snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", *(const int *) userdata);
        return open(link_path, O_RDWR) >= 0 ? 1 : errno == EACCES ? 0 : 2;
}

static void test_readonly(void **state) {
        Definition definition = file_definition();
        Memory *memory;
        int fd;

        definition.path_mode = 0644;
        memory = memory_make(*state, &definition);
        fd = memory_readonly_fd(memory);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(run_as_nobody(open_for_writing, &fd), 0);
        assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        assert_int_equal(errno, EACCES);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

static void test_wipe(void **state) {
        for (int prefault = 0; prefault < 2; prefault++) {
                Definition definition = file_definition();
                Memory *memory;

                definition.prefault = prefault;
                memory = memory_make(*state, &definition);
                memory_poke(memory, 0, 1);
                memory_poke(memory, FILE_SIZE - 1, 1);
                assert_int_equal(memory_wipe_all(memory, 16 * KIB), 0);
                assert_int_equal(memory_blocks(memory), prefault ? FILE_SIZE : 0);
                assert_int_equal(memory_peek(memory, 0), 0);
                assert_int_equal(memory_peek(memory, FILE_SIZE - 1), 0);
                assert_int_equal(memory_remove(memory), 0);
                talloc_free(memory);
        }
}

/* A named file is not sealed. Wiping what a peer cut off must not be a SIGBUS, nor give the file a size again. */
static void test_wipe_after_a_peer_truncated(void **state) {
        Definition definition = file_definition();
        Memory *memory;

        definition.prefault = true;
        memory = memory_make(*state, &definition);
        memory_poke(memory, 0, 1);
        assert_int_equal(ftruncate(memory_fd(memory), 4 * KIB), 0);
        assert_true(memory_wipe_all(memory, 16 * KIB) >= 0);
        assert_int_equal(file_stat().st_size, 4 * KIB);
        assert_int_equal(memory_peek(memory, 0), 0);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

/* What is on a disk is allocated at once, and is so again after a wipe. */
static void test_disk(void **state) {
        char disk[] = "/var/tmp/ivshmem-memory-XXXXXX";
        Definition definition = file_definition();
        struct stat before, after;
        char ring[64], nodes[] = "0";
        Memory *memory;

        if (!is_on_a_disk("/var/tmp")) {
                skip();
        }
        assert_non_null(mkdtemp(disk));
        snprintf(ring, sizeof(ring), "%s/ring", disk);
        definition.path = ring;
        definition.size = 1 * MIB;
        definition.prefault = true;
        memory = memory_make(*state, &definition);
        assert_int_equal(stat(ring, &before), 0);
        memory_poke(memory, 1 * MIB - 1, 1);
        assert_int_equal(memory_wipe_all(memory, 256 * KIB), 0);
        assert_int_equal(stat(ring, &after), 0);
        assert_int_equal(memory_peek(memory, 1 * MIB - 1), 0);
        if (before.st_blocks > 0) {
                assert_true(before.st_blocks >= 2048);
                assert_true(after.st_blocks >= 2048);
        }
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);

        definition.numa_nodes = nodes;
        snprintf(error, sizeof(error),
                 "NUMANodes=0 cannot be kept for a file in %s, which is neither tmpfs nor hugetlbfs", disk);
        memory_refuse(*state, &definition, -EINVAL, error);
        assert_int_equal(rmdir(disk), 0);
}

/* On ramfs, which is no tmpfs and knows neither holes nor blocks. */
static void test_file_system_without_holes(void **state) {
        Definition definition = file_definition();
        Memory *memory;

        assert_int_equal(mount("ramfs", file_directory, "ramfs", 0, NULL), 0);
        memory = memory_make(*state, &definition);
        memory_poke(memory, 0, 1);
        assert_int_equal(memory_wipe_all(memory, FILE_SIZE), 0);
        assert_int_equal(memory_peek(memory, 0), 0);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
        assert_int_equal(umount2(file_directory, MNT_DETACH), 0);
}

static void test_too_little_room(void **state) {
        Definition definition = file_definition();
        Memory *memory;

        assert_int_equal(mount("tmpfs", file_directory, "tmpfs", 0, "size=1M"), 0);
        definition.size = 2 * MIB;
        snprintf(error, sizeof(error),
                 "2048 KiB more do not fit the file system of %s: it has 1024 KiB free", file_directory);
        memory_refuse(*state, &definition, -ENOSPC, error);
        /* What is there already needs no room. */
        definition.size = 1 * MIB;
        definition.prefault = true;
        memory = memory_make(*state, &definition);
        assert_int_equal(memory_blocks(memory), 1 * MIB);
        talloc_free(memory);
        memory = memory_make(*state, &definition);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
        assert_int_equal(umount2(file_directory, MNT_DETACH), 0);
}

/* The room that was there when it was asked for may be gone a moment later. */
typedef struct Eater {
        int fd;
        bool ate;
} Eater;

static int eat_room(uint64_t done, uint64_t total, void *userdata) {
        Eater *eater = userdata;

        if (!eater->ate) {
                eater->ate = true;
                (void) !fallocate(eater->fd, 0, 0, (off_t) (200 * MIB));
        }
        return 0;
}

static void test_room_taken_while_faulting(void **state) {
        Definition definition = file_definition();
        MemoryRequest request = memory_request(&definition);
        Eater eater;
        Memory *memory;
        char *reason;
        DIR *listing;
        int n = 0;

        assert_int_equal(mount("tmpfs", file_directory, "tmpfs", 0, "size=520M"), 0);
        eater = (Eater){ .fd = open(file_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) };
        definition.size = 512 * MIB;
        definition.prefault = true;
        request.progress = eat_room;
        request.userdata = &eater;
        assert_int_equal(memory_new(*state, &request, &memory, &reason), -ENOSPC);
        assert_string_equal(reason, "Prefault=yes: cannot have all of 512M: No space left on device");
        talloc_free(reason);
        listing = opendir(file_directory);
        assert_non_null(listing);
        while (readdir(listing)) {
                n++;
        }
        closedir(listing);
        assert_int_equal(n, 2);
        assert_int_equal(close(eater.fd), 0);
        assert_int_equal(umount2(file_directory, MNT_DETACH), 0);
}

/* The server runs as somebody who may not. 0: as expected. */
static int make_for_another(const void *userdata) {
        Definition definition = *(const Definition *) userdata;
        MemoryRequest request = memory_request(&definition);
        Memory *memory;
        char *reason = NULL;
        void *ctx = talloc_new(NULL);
        int r = memory_new(ctx, &request, &memory, &reason);
        bool wrong = r != -EPERM || strcmp(reason, error) != 0;

        if (wrong) {
                fprintf(stderr, "# %d: %s\n", r, reason ? reason : "");
        }
        talloc_free(ctx);
        return wrong;
}

static void test_owner_without_the_right(void **state) {
        Definition definition = file_definition();

        definition.path_user = (AccessRule){ .kind = RULE_USER, .text = (char *) "0", .id = 0 };
        assert_int_equal(chmod(file_directory, 0777), 0);
        snprintf(
                error, sizeof(error),
                "cannot give %s the owner of PathUser= and the group of PathGroup=: Operation not permitted "
                "(it takes CAP_CHOWN)",
                file_path);
        assert_int_equal(run_as_nobody(make_for_another, &definition), 0);
        assert_int_equal(access(file_path, F_OK), -1);
}

static int private_mounts(void **state) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0) {
                fprintf(stderr, "# no mount namespace: %m\n");
                return -1;
        }
        return 0;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                FILE_TEST(test_made_and_removed),
                FILE_TEST(test_owner_group_mode),
                FILE_TEST(test_freed_but_not_removed),
                FILE_TEST(test_kept),
                FILE_TEST(test_name_taken_by_another_file),
                FILE_TEST(test_adopted),
                FILE_TEST(test_adopted_from_path_user),
                FILE_TEST(test_other_size),
                FILE_TEST(test_symbolic_link),
                FILE_TEST(test_no_regular_file),
                FILE_TEST(test_hard_link),
                FILE_TEST(test_file_of_another_user),
                FILE_TEST(test_second_server),
                FILE_TEST(test_bad_paths),
                FILE_TEST(test_huge_pages_elsewhere),
                FILE_TEST(test_size_not_of_pages),
                FILE_TEST(test_nameless),
                FILE_TEST(test_readonly),
                FILE_TEST(test_wipe),
                FILE_TEST(test_wipe_after_a_peer_truncated),
                FILE_TEST(test_disk),
                FILE_TEST(test_file_system_without_holes),
                FILE_TEST(test_too_little_room),
                FILE_TEST(test_room_taken_while_faulting),
                FILE_TEST(test_owner_without_the_right),
        };

        if (geteuid() != 0) {
                printf("1..0 # SKIP needs root: files of several owners, mounts\n");
                return 77;
        }
        return cmocka_run_group_tests_name("memory-file", tests, private_mounts, NULL);
}
