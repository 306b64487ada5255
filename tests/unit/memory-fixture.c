/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers for the tests of service/server/memory. */

#include "tests/unit/memory-fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned int descriptors_before;

static unsigned int count_descriptors(void) {
        DIR *list = opendir("/proc/self/fd");
        unsigned int n = 0;

        assert_non_null(list);
        while (readdir(list)) {
                n++;
        }
        closedir(list);
        return n;
}

int memory_leak_check_setup(void **state) {
        descriptors_before = count_descriptors();
        return leak_check_setup(state);
}

int memory_leak_check_teardown(void **state) {
        int r = leak_check_teardown(state);
        unsigned int after = count_descriptors();

        if (after != descriptors_before) {
                fprintf(stderr, "# %u descriptors before the test, %u after it\n", descriptors_before,
                        after);
                return -1;
        }
        return r;
}

Definition memory_definition(uint64_t size) {
        return (Definition){
                .size = size,
                .path_mode = PATH_MODE_DEFAULT,
                .vectors = VECTORS_DEFAULT,
                .max_peers = MAX_PEERS_DEFAULT,
        };
}

MemoryRequest memory_request(const Definition *definition) {
        return (MemoryRequest){ .name = "test", .definition = definition };
}

Memory *memory_make(void *ctx, const Definition *definition) {
        MemoryRequest request = memory_request(definition);
        Memory *memory = NULL;
        char *error = NULL;
        int r = memory_new(ctx, &request, &memory, &error);

        if (r < 0) {
                fail_msg("memory_new: %d: %s", r, error ? error : "no reason given");
        }
        assert_non_null(memory);
        return memory;
}

void memory_refuse(void *ctx, const Definition *definition, int result, const char *error) {
        MemoryRequest request = memory_request(definition);
        Memory *memory = NULL;
        char *found = NULL;
        int r = memory_new(ctx, &request, &memory, &found);

        assert_null(memory);
        assert_non_null(found);
        assert_string_equal(found, error);
        assert_int_equal(r, result);
        assert_ptr_equal(talloc_parent(found), ctx);
        talloc_free(found);
}

/* One page of its kind, which is as little as can be mapped. */
static volatile uint8_t *map_page(const Memory *memory, uint64_t offset, uint64_t *ret_page_size) {
        struct stat st;
        void *address;

        assert_int_equal(fstat(memory_fd(memory), &st), 0);
        *ret_page_size = (uint64_t) st.st_blksize;
        address = mmap(NULL, *ret_page_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd(memory),
                       (off_t) (offset - offset % *ret_page_size));
        assert_ptr_not_equal(address, MAP_FAILED);
        return address;
}

void memory_poke(const Memory *memory, uint64_t offset, uint8_t value) {
        uint64_t page_size;
        volatile uint8_t *page = map_page(memory, offset, &page_size);

        page[offset % page_size] = value;
        assert_int_equal(munmap((void *) (uintptr_t) page, page_size), 0);
}

uint8_t memory_peek(const Memory *memory, uint64_t offset) {
        uint64_t page_size;
        volatile uint8_t *page = map_page(memory, offset, &page_size);
        uint8_t value = page[offset % page_size];

        assert_int_equal(munmap((void *) (uintptr_t) page, page_size), 0);
        return value;
}

uint64_t memory_blocks(const Memory *memory) {
        struct stat st;

        assert_int_equal(fstat(memory_fd(memory), &st), 0);
        return (uint64_t) st.st_blocks * 512;
}

int memory_wipe_all(Memory *memory, uint64_t slice) {
        uint64_t offset = 0;
        int result = 0;

        while (offset < memory_size(memory)) {
                uint64_t next = offset;
                int r = memory_wipe(memory, offset, slice, &next);

                if (r < 0) {
                        return r;
                }
                assert_true(next > offset);
                offset = next;
                result = r > 0 ? r : result;
        }
        return result;
}

bool is_on_a_disk(const char *directory) {
        struct statfs fs;

        if (statfs(directory, &fs) == 0 && fs.f_type != TMPFS_MAGIC) {
                return true;
        }
        fprintf(stderr, "# %s is on no disk\n", directory);
        return false;
}

/* Ends by SIGKILL, so that no leak checker looks at what the child has of its parent's. */
static _Noreturn void nobody(int (*function)(const void *userdata), const void *userdata, int answer) {
        uint8_t result = UINT8_MAX;

        if (setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
            setresuid(65534, 65534, 65534) == 0) {
                result = (uint8_t) function(userdata);
        }
        (void) !write(answer, &result, sizeof(result));
        (void) kill(getpid(), SIGKILL);
        _exit(0);
}

int run_as_nobody(int (*function)(const void *userdata), const void *userdata) {
        uint8_t result = UINT8_MAX;
        int answer[2];
        pid_t pid;

        assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                nobody(function, userdata, answer[1]);
        }
        assert_int_equal(close(answer[1]), 0);
        assert_int_equal(read(answer[0], &result, sizeof(result)), sizeof(result));
        assert_int_equal(close(answer[0]), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        return result;
}

/* ---- For Path= ---- */

char file_directory[] = "/dev/shm/ivshmem-memory-XXXXXX";
char file_path[64];

int directory_setup(void **state) {
        memcpy(file_directory + strlen(file_directory) - 6, "XXXXXX", 6);
        if (!mkdtemp(file_directory)) {
                return -1;
        }
        snprintf(file_path, sizeof(file_path), "%s/ring", file_directory);
        return memory_leak_check_setup(state);
}

int directory_teardown(void **state) {
        int r = memory_leak_check_teardown(state);

        if (rmdir(file_directory) < 0) {
                fprintf(stderr, "# %s is left: %m\n", file_directory);
                return -1;
        }
        return r;
}

Definition file_definition(void) {
        Definition definition = memory_definition(FILE_SIZE);

        definition.path = file_path;
        return definition;
}

void file_write(uint64_t size, mode_t mode, uid_t uid) {
        int fd = open(file_path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "old", 3, 0), 3);
        assert_int_equal(ftruncate(fd, (off_t) size), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        assert_int_equal(fchown(fd, uid, (gid_t) -1), 0);
        assert_int_equal(close(fd), 0);
}

struct stat file_stat(void) {
        struct stat st;

        assert_int_equal(lstat(file_path, &st), 0);
        return st;
}
