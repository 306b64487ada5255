/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the command line to READY=1 with memory that is there: 1 GiB faulted in beforehand, in pages of 4K and of 2M,
 * beside the time that one thread takes to have the same memory from the kernel. Huge pages are borrowed from the
 * machine for the time being.
 */

#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "tests/bench/figures.h"
#include "tests/bench/receive.h"
#include "tests/unit/huge-pool.h"

#define RUNS 5U
#define GIB (UINT64_C(1) << 30)
#define HUGE_KILOBYTES 2048U

typedef struct Setting {
        const char *name;
        const char *definition;
        uint64_t size;
        unsigned memfd_flags;
} Setting;

static const Setting small = { "1M", "[Domain]\nSize=1M\n", GIB >> 10, 0 };
static const Setting pages_4k = { "1G in 4K", "[Domain]\nSize=1G\nPrefault=yes\n", GIB, 0 };
static const Setting pages_2m = { "1G in 2M", "[Domain]\nSize=1G\nPrefault=yes\nHugePages=2M\n", GIB,
                                  MFD_HUGETLB | MFD_HUGE_2MB };

static uint64_t start_once(const Setting *setting) {
        Scratch *scratch;
        ServerProcess *server;
        char *path;
        uint64_t began, nsec;
        int r, status;

        must(scratch_new(NULL, &scratch), "making a directory");
        must(scratch_write(scratch, "bench.domain", setting->definition, &path), "writing a definition");
        const char *arguments[] = { "--definition", path, "-S", scratch_path(scratch, "socket"), NULL };
        const ServerOptions options = { .arguments = arguments };

        began = now_nsec();
        r = server_start(scratch, &options, &server);
        nsec = now_nsec() - began;
        if (r == SERVER_ENDED) {
                fprintf(stderr, "%s", server_log(server));
                r = -EPIPE;
        }
        must(r, "starting the server");
        must(server_stop(server, &status), "stopping the server");
        talloc_free(scratch);
        return nsec;
}

static uint64_t populate_once(const Setting *setting) {
        int fd = memfd_create("bench", MFD_CLOEXEC | setting->memfd_flags);
        uint64_t began = now_nsec(), nsec;
        void *memory;

        must(fd < 0 ? errno_negative() : errno_or(ftruncate(fd, (off_t) setting->size)), "making memory");
        memory = mmap(NULL, setting->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        must(memory == MAP_FAILED ? errno_negative() : 0, "mapping memory");
        nsec = now_nsec() - began;
        munmap(memory, setting->size);
        close(fd);
        return nsec;
}

static double median_msec(uint64_t (*once)(const Setting *), const Setting *setting) {
        uint64_t samples[RUNS];

        for (size_t i = 0; i < RUNS; i++) {
                samples[i] = once(setting);
        }
        return usec_percentile(samples, RUNS, 50) / 1000;
}

static void print_setting(const Setting *setting) {
        double start = median_msec(start_once, setting);
        double populate = median_msec(populate_once, setting);

        printf("%-10s  %9.1f  %9.1f\n", setting->name, start, populate);
        fflush(stdout);
}

int main(void) {
        HugePool pool = { 0 };

        printf("Start to READY=1, milliseconds, median of %u\n\n%-10s  %9s  %9s\n", RUNS, "memory", "start",
               "1 thread");
        print_setting(&small);
        print_setting(&pages_4k);
        if (huge_pool_take(&pool, HUGE_KILOBYTES, GIB / (HUGE_KILOBYTES * 1024))) {
                print_setting(&pages_2m);
        } else {
                printf("%-10s  left out: this machine has not so many huge pages\n", pages_2m.name);
        }
        huge_pool_release(&pool);
        return EXIT_SUCCESS;
}
