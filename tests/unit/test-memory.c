/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/memory: anonymous memory in 4K pages. Named files and huge pages have programs of their own. */

#include "service/server/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/memory-fixture.h"

static void test_anonymous(void **state) {
        Definition definition = memory_definition(64 * KIB);
        Memory *memory = memory_make(*state, &definition);
        char link[64], target[64];
        struct stat st;
        ssize_t n;

        assert_int_equal(memory_size(memory), 64 * KIB);
        assert_string_equal(memory_describe(memory), "64K in 4K pages");
        assert_int_equal(fstat(memory_fd(memory), &st), 0);
        assert_int_equal(st.st_size, 64 * KIB);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(fcntl(memory_fd(memory), F_GETFD), FD_CLOEXEC);
        snprintf(link, sizeof(link), "/proc/self/fd/%d", memory_fd(memory));
        n = readlink(link, target, sizeof(target) - 1);
        assert_true(n > 0);
        target[n] = '\0';
        assert_string_equal(target, "/memfd:ivshmem:test (deleted)");
        memory_poke(memory, 64 * KIB - 1, 7);
        assert_int_equal(memory_peek(memory, 64 * KIB - 1), 7);
        talloc_free(memory);
}

/* Whoever has the descriptor can do nothing to the size. */
static void test_sealed(void **state) {
        Definition definition = memory_definition(64 * KIB);
        Memory *memory = memory_make(*state, &definition);
        int fd = memory_fd(memory);
        int seals = fcntl(fd, F_GET_SEALS);

        assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                         F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        /* QEMU refuses memory that it cannot map for writing. */
        assert_int_equal(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE), 0);
        assert_int_equal(ftruncate(fd, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fd, 128 * KIB), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fallocate(fd, 0, 64 * KIB, 4096), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(errno, EPERM);
        talloc_free(memory);
}

static void test_long_name(void **state) {
        Definition definition = memory_definition(4 * KIB);
        MemoryRequest request = memory_request(&definition);
        char name[400];
        Memory *memory;
        char *error;

        memset(name, 'x', sizeof(name));
        name[sizeof(name) - 1] = '\0';
        request.name = name;
        assert_int_equal(memory_new(*state, &request, &memory, &error), 0);
        talloc_free(memory);
}

/* More than the 32 bits at which others stop, and more than this machine has. */
static void test_sparse_sizes(void **state) {
        static const uint64_t sizes[] = { 4 * GIB, 8 * GIB, 64 * GIB, 1024 * GIB };

        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                Definition definition = memory_definition(sizes[i]);
                Memory *memory = memory_make(*state, &definition);
                struct stat st;

                assert_int_equal(fstat(memory_fd(memory), &st), 0);
                assert_int_equal(st.st_size, sizes[i]);
                assert_int_equal(st.st_blocks, 0);
                memory_poke(memory, sizes[i] - 1, 9);
                assert_int_equal(memory_peek(memory, sizes[i] - 1), 9);
                assert_int_equal(memory_blocks(memory), 4 * KIB);
                assert_int_equal(memory_wipe_all(memory, 16 * GIB), 0);
                assert_int_equal(memory_blocks(memory), 0);
                talloc_free(memory);
        }
}

static void test_bad_sizes(void **state) {
        static const struct {
                uint64_t size;
                int result;
                const char *error;
        } table[] = {
                { 0, -EINVAL, "Size=0 is not a multiple of 4K, the page size of anonymous memory" },
                { 1, -EINVAL, "Size=1 is not a multiple of 4K, the page size of anonymous memory" },
                { 6 * KIB, -EINVAL, "Size=6K is not a multiple of 4K, the page size of anonymous memory" },
                { UINT64_C(1) << 63, -EFBIG, "Size=8388608T is more than a file can have" },
                { UINT64_MAX, -EFBIG, "Size=18446744073709551615 is more than a file can have" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                Definition definition = memory_definition(table[i].size);

                memory_refuse(*state, &definition, table[i].result, table[i].error);
        }
}

/* The kernel would send SIGXFSZ. */
static void test_file_size_limit(void **state) {
        Definition definition = memory_definition(2 * MIB);
        struct rlimit before, small;

        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        small = before;
        small.rlim_cur = 1 * MIB;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        memory_refuse(*state, &definition, -EFBIG,
                      "Size=2M is above this process's limit of file sizes: raise LimitFSIZE= (ulimit -f)");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

/* Which of the attempts to write did not fail as they should. */
static int try_to_write(const void *userdata) {
        int fd = *(const int *) userdata, status = 0;
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (open(path, O_RDWR) >= 0 || errno != EACCES) {
                status |= 1;
        }
        if (open(path, O_WRONLY) >= 0 || errno != EACCES) {
                status |= 2;
        }
        if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED || errno != EACCES) {
                status |= 4;
        }
        if (fchmod(fd, 0666) == 0 || errno != EPERM) {
                status |= 8;
        }
        if (ftruncate(fd, 0) == 0 || write(fd, "", 1) == 1) {
                status |= 16;
        }
        if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED) {
                status |= 32;
        }
        return status;
}

static void test_readonly(void **state) {
        Definition definition = memory_definition(64 * KIB);
        Memory *memory = memory_make(*state, &definition);
        int fd = memory_readonly_fd(memory);
        uint8_t value = 0;

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        memory_poke(memory, 10, 77);
        assert_int_equal(pread(fd, &value, 1, 10), 1);
        assert_int_equal(value, 77);
        if (geteuid() == 0) {
                assert_int_equal(run_as_nobody(try_to_write, &fd), 0);
        }
        talloc_free(memory);
}

typedef struct Reports {
        unsigned int n;
        uint64_t done;
        uint64_t total;
        bool backwards;
        pid_t thread;
} Reports;

static int report(uint64_t done, uint64_t total, void *userdata) {
        Reports *reports = userdata;

        reports->backwards = reports->backwards || done < reports->done || gettid() != reports->thread;
        reports->n++;
        reports->done = done;
        reports->total = total;
        return 0;
}

/* Whoever is told of the progress can end it, and nothing is left. */
static int give_up(uint64_t done, uint64_t total, void *userdata) {
        return -ECANCELED;
}

static void test_prefault_is_given_up(void **state) {
        Definition definition = memory_definition(256 * MIB);
        MemoryRequest request = memory_request(&definition);
        Memory *memory = NULL;
        char *error = NULL;

        definition.prefault = true;
        request.progress = give_up;
        assert_int_equal(memory_new(*state, &request, &memory, &error), -ECANCELED);
        assert_null(memory);
        assert_string_equal(error, "it was stopped while it prepared memory");
        talloc_free(error);
}

static unsigned n_threads_made;

/* In place of the C library's, which it calls: to count. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *userdata) {
        int (*create)(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);

        *(void **) &create = dlsym(RTLD_NEXT, "pthread_create");
        n_threads_made++;
        return create(thread, attributes, run, userdata);
}

/* One for each processor, as far as there are slices of 64M for it; the calling one is among them. */
static void test_prefault_by_several_threads(void **state) {
        Definition definition = memory_definition(256 * MIB);
        cpu_set_t cpus;
        int expected;

        assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
        expected = CPU_COUNT(&cpus) < 4 ? CPU_COUNT(&cpus) : 4;
        if (expected == 1) {
                print_message("with one processor there is one thread\n");
        }
        definition.prefault = true;
        n_threads_made = 0;
        talloc_free(memory_make(*state, &definition));
        assert_int_equal(n_threads_made + 1, expected);
}

static void test_prefault(void **state) {
        Definition definition = memory_definition(256 * MIB);
        MemoryRequest request = memory_request(&definition);
        Reports reports = { .thread = gettid() };
        Memory *memory = NULL;
        char *error = NULL;

        definition.prefault = true;
        request.progress = report;
        request.userdata = &reports;
        assert_int_equal(memory_new(*state, &request, &memory, &error), 0);
        assert_int_equal(memory_blocks(memory), 256 * MIB);
        assert_true(reports.n >= 1);
        assert_int_equal(reports.done, 256 * MIB);
        assert_int_equal(reports.total, 256 * MIB);
        assert_false(reports.backwards);
        talloc_free(memory);
}

/* Less than there is a slice, more than there are whole ones, and nobody who wants to know. */
static void test_prefault_odd_sizes(void **state) {
        static const uint64_t sizes[] = { 4 * KIB, 64 * MIB, 65 * MIB + 4 * KIB };

        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                Definition definition = memory_definition(sizes[i]);
                Memory *memory;

                definition.prefault = true;
                memory = memory_make(*state, &definition);
                assert_int_equal(memory_blocks(memory), sizes[i]);
                talloc_free(memory);
        }
}

/* Nobody must be killed to find out. */
static void test_prefault_more_than_there_is(void **state) {
        static const char *const nodes[] = { NULL, "0" };
        static const char *const errors[] = {
                "Prefault=yes: Size=1024T needs 1073741824 MiB more memory, and this machine can give ",
                "Prefault=yes: Size=1024T needs 1073741824 MiB more memory, and NUMANodes=0 can give ",
        };

        for (size_t i = 0; i < 2; i++) {
                Definition definition = memory_definition(1024 * 1024 * GIB);
                MemoryRequest request = memory_request(&definition);
                unsigned long long available;
                Memory *memory = NULL;
                char *error = NULL;

                definition.prefault = true;
                definition.numa_nodes = (char *) (uintptr_t) nodes[i];
                assert_int_equal(memory_new(*state, &request, &memory, &error), -ENOMEM);
                assert_memory_equal(error, errors[i], strlen(errors[i]));
                assert_int_equal(sscanf(error + strlen(errors[i]), "%llu MiB", &available), 1);
                assert_in_range(available, 1, 1024 * 1024 * 1024);
                talloc_free(error);
        }
}

static void test_wipe_sparse(void **state) {
        Definition definition = memory_definition(1 * MIB);
        Memory *memory = memory_make(*state, &definition);
        uint64_t next = 0;

        memory_poke(memory, 0, 1);
        memory_poke(memory, 512 * KIB, 2);
        memory_poke(memory, 1 * MIB - 1, 3);
        assert_int_equal(memory_wipe(memory, 0, 512 * KIB, &next), 0);
        assert_int_equal(next, 512 * KIB);
        assert_int_equal(memory_peek(memory, 0), 0);
        assert_int_equal(memory_peek(memory, 512 * KIB), 2);
        assert_int_equal(memory_wipe(memory, next, UINT64_MAX, &next), 0);
        assert_int_equal(next, 1 * MIB);
        assert_int_equal(memory_blocks(memory), 4 * KIB); /* the first page, which was looked at */
        assert_int_equal(memory_wipe(memory, next, 1, &next), 0);
        assert_int_equal(next, 1 * MIB);
        assert_int_equal(memory_peek(memory, 512 * KIB), 0);
        assert_int_equal(memory_peek(memory, 1 * MIB - 1), 0);
        talloc_free(memory);
}

/* How many pages of a mapping are there (proc(5), pagemap). */
static size_t pages_present(const char *address, size_t n) {
        int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        size_t present = 0;

        assert_true(fd >= 0);
        for (size_t i = 0; i < n; i++) {
                uint64_t entry;

                assert_int_equal(
                        pread(fd, &entry, sizeof(entry), (off_t) ((uintptr_t) address / 4096 + i) * 8), 8);
                present += entry >> 63;
        }
        close(fd);
        return present;
}

/* A page that was given back and had again, which another process could have had in between, would be gone from the mapping
 * of a peer. */
static void test_wipe_keeps_the_pages(void **state) {
        Definition definition = memory_definition(4 * MIB);
        Memory *memory;
        char *address;

        definition.prefault = true;
        memory = memory_make(*state, &definition);
        address = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd(memory), 0);
        assert_ptr_not_equal(address, MAP_FAILED);
        memset(address, 0xff, 4 * MIB);
        assert_int_equal(pages_present(address, 1024), 1024);
        assert_int_equal(memory_wipe_all(memory, 1 * MIB), 0);
        assert_int_equal(pages_present(address, 1024), 1024);
        assert_int_equal(address[0] | address[4 * MIB - 1], 0);
        munmap(address, 4 * MIB);
        talloc_free(memory);
}

static void test_wipe_prefaulted(void **state) {
        Definition definition = memory_definition(4 * MIB);
        Memory *memory;
        uint64_t next;

        definition.prefault = true;
        memory = memory_make(*state, &definition);
        for (uint64_t offset = 0; offset < 4 * MIB; offset += 4095) {
                memory_poke(memory, offset, 0xff);
        }
        /* A slice below the least there is; its neighbour stays. */
        assert_int_equal(memory_wipe(memory, 4096, 1, &next), 0);
        assert_int_equal(next, 8192);
        assert_int_equal(memory_peek(memory, 4095), 0xff);
        assert_int_equal(memory_peek(memory, 8190), 0);
        assert_int_equal(memory_peek(memory, 12285), 0xff);
        assert_int_equal(memory_wipe_all(memory, 1 * MIB + 5), 0);
        for (uint64_t offset = 0; offset < 4 * MIB; offset += 4095) {
                assert_int_equal(memory_peek(memory, offset), 0);
        }
        assert_int_equal(memory_blocks(memory), 4 * MIB);
        talloc_free(memory);
}

/* No seal keeps a peer from giving pages back. The server must wipe all the same, and have them again. */
static void test_wipe_after_a_peer_punched(void **state) {
        Definition definition = memory_definition(4 * MIB);
        Memory *memory;

        definition.prefault = true;
        memory = memory_make(*state, &definition);
        memory_poke(memory, 0, 1);
        assert_int_equal(
                fallocate(memory_fd(memory), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 * MIB, 1 * MIB),
                0);
        assert_int_equal(memory_blocks(memory), 3 * MIB);
        assert_int_equal(memory_wipe_all(memory, 1 * MIB), 0);
        assert_int_equal(memory_blocks(memory), 4 * MIB);
        assert_int_equal(memory_peek(memory, 0), 0);
        talloc_free(memory);
}

/* The policy belongs to the memory, so that a page that a VM touches first is taken from there too. */
static void test_numa(void **state) {
        static const struct {
                NumaPolicy policy;
                const char *shown;
        } table[] = {
                { NUMA_POLICY_BIND, "bind:0" },
                { NUMA_POLICY_PREFERRED, "prefer:0" },
                { NUMA_POLICY_INTERLEAVE, "interleave:0" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                Definition definition = memory_definition(1 * MIB);
                char line[512];
                bool found = false;
                Memory *memory;
                FILE *maps;
                void *map;

                definition.numa_nodes = (char *) "0";
                definition.numa_policy = table[i].policy;
                memory = memory_make(*state, &definition);
                assert_string_equal(memory_describe(memory), "1M in 4K pages, NUMA nodes 0");
                assert_int_equal(memory_blocks(memory), 0);
                map = mmap(NULL, 1 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd(memory), 0);
                assert_ptr_not_equal(map, MAP_FAILED);
                maps = fopen("/proc/self/numa_maps", "re");
                assert_non_null(maps);
                while (fgets(line, sizeof(line), maps)) {
                        found = found ||
                                (strstr(line, "memfd:ivshmem:test") && strstr(line, table[i].shown));
                }
                fclose(maps);
                assert_true(found);
                munmap(map, 1 * MIB);
                talloc_free(memory);
        }
}

static void test_numa_unknown_nodes(void **state) {
        static const struct {
                const char *nodes;
                const char *error;
        } table[] = {
                { "1023", "NUMANodes=1023 names nodes that this machine cannot have; it has 0" },
                { "0,1023", "NUMANodes=0,1023 names nodes that this machine cannot have; it has 0" },
                { "x", "NUMANodes=x names nodes that this machine cannot have; it has 0" },
                { "", "NUMANodes= names nodes that this machine cannot have; it has 0" },
        };

        if (access("/sys/devices/system/node/node1", F_OK) == 0) {
                print_message("the texts are those of a machine with one node\n");
                skip();
        }
        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                Definition definition = memory_definition(1 * MIB);

                definition.numa_nodes = (char *) (uintptr_t) table[i].nodes;
                memory_refuse(*state, &definition, -ENODEV, table[i].error);
        }
}

static void test_descriptors(void **state) {
        Definition definition = memory_definition(1 * MIB);
        Memory *memory = memory_make(*state, &definition);
        int fds[MEMORY_FDS_MAX];

        assert_int_equal(memory_list_fds(memory, fds), 3);
        assert_int_equal(fds[0], memory_fd(memory));
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
        }
        assert_int_equal(memory_directory_fd(memory), -EBADF);
        assert_int_equal(memory_remove(memory), 0);
        talloc_free(memory);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                MEMORY_TEST(test_anonymous),
                MEMORY_TEST(test_sealed),
                MEMORY_TEST(test_long_name),
                MEMORY_TEST(test_sparse_sizes),
                MEMORY_TEST(test_bad_sizes),
                MEMORY_TEST(test_file_size_limit),
                MEMORY_TEST(test_readonly),
                MEMORY_TEST(test_prefault),
                MEMORY_TEST(test_prefault_is_given_up),
                MEMORY_TEST(test_prefault_by_several_threads),
                MEMORY_TEST(test_prefault_odd_sizes),
                MEMORY_TEST(test_prefault_more_than_there_is),
                MEMORY_TEST(test_wipe_sparse),
                MEMORY_TEST(test_wipe_keeps_the_pages),
                MEMORY_TEST(test_wipe_prefaulted),
                MEMORY_TEST(test_wipe_after_a_peer_punched),
                MEMORY_TEST(test_numa),
                MEMORY_TEST(test_numa_unknown_nodes),
                MEMORY_TEST(test_descriptors),
        };

        return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
