/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Faulting a mapping in, in slices, by the calling thread and helpers. Errors come back as numbers: a page that cannot
 * be had must not become a SIGBUS.
 */

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "service/base/error.h"
#include "service/server/memory-parts.h"

/* Linux 5.14; not in the headers of Debian 12. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* Small enough for several reports a second, large enough for the threads not to meet. */
#define FAULT_SLICE (UINT64_C(64) << 20)

/* More do not help: the kernel's own locks are in the way. */
#define FAULT_THREADS_MAX 8U

typedef struct FaultJob {
        char *address;
        uint64_t size;
        uint64_t slice;
        int fd;
        int advice;
        _Atomic uint64_t next;
        _Atomic uint64_t done;
        _Atomic int error; /* the first negative errno, 0 until then */
        const MemoryRequest *request;
} FaultJob;

static int fault_slice(const FaultJob *job, uint64_t offset, uint64_t length) {
        int r;

        do {
                r = madvise(job->address + offset, length, job->advice);
        } while (r < 0 && (errno == EINTR || errno == EAGAIN));
        if (r < 0 && errno == EINVAL) {
                /* A kernel without this advice: the pages are had, if not mapped. */
                r = fallocate(job->fd, FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) length);
        }
        return errno_or(r);
}

/* Takes slices until there are none or one failed. Only the calling thread reports. */
static void fault_work(FaultJob *job, MemoryProgress progress) {
        while (atomic_load(&job->error) == 0) {
                uint64_t offset = atomic_fetch_add(&job->next, job->slice);
                uint64_t length, done;
                int r;

                if (offset >= job->size) {
                        return;
                }
                length = job->size - offset < job->slice ? job->size - offset : job->slice;
                r = fault_slice(job, offset, length);
                done = r < 0 ? 0 : atomic_fetch_add(&job->done, length) + length;
                if (r >= 0 && progress && done < job->size) {
                        r = progress(done, job->size, job->request->userdata);
                }
                if (r < 0) {
                        atomic_store(&job->error, r);
                        return;
                }
        }
}

static void *fault_helper(void *userdata) {
        fault_work(userdata, NULL);
        return NULL;
}

/* One less than there are CPUs to run on, slices to do and threads of use. */
static size_t count_helpers(const FaultJob *job) {
        uint64_t n = FAULT_THREADS_MAX;
        cpu_set_t cpus;

        if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && (uint64_t) CPU_COUNT(&cpus) < n) {
                n = (uint64_t) CPU_COUNT(&cpus);
        }
        if (job->size / job->slice < n) {
                n = job->size / job->slice;
        }
        return n > 0 ? n - 1 : 0;
}

int memory_fault(Memory *memory, const MemoryRequest *request, char *address) {
        FaultJob job = {
                .address = address,
                .size = memory->size,
                .slice = memory->page_size > FAULT_SLICE ? memory->page_size : FAULT_SLICE,
                .fd = fd_get(memory->fd),
                /* A disk's file has its blocks already, and reading does not make all of it dirty. */
                .advice = memory->store == MEMORY_STORE_DISK ? MADV_POPULATE_READ : MADV_POPULATE_WRITE,
                .request = request,
        };
        pthread_t helpers[FAULT_THREADS_MAX];
        size_t n = 0, wanted = count_helpers(&job);

        /* Where no thread can be had, the calling one does it all. */
        while (n < wanted && pthread_create(&helpers[n], NULL, fault_helper, &job) == 0) {
                n++;
        }
        fault_work(&job, request->progress);
        for (size_t i = 0; i < n; i++) {
                pthread_join(helpers[i], NULL);
        }
        if (job.error == 0 && request->progress) {
                return request->progress(job.size, job.size, request->userdata);
        }
        return job.error;
}
