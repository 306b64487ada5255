/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TEST BUILDS ONLY: what the runtime of AddressSanitizer and its kin asks of the kernel beside the program. Compiled
 * where b_sanitize says so, never into a build that ships.
 */

#include "policy/ivshmem-server-syscalls.h"

#include <fcntl.h>

static const SyscallCase only_read[] = { { { INT_IS(1, O_RDONLY) } },
                                         { { INT_IS(1, O_RDONLY | O_CLOEXEC) } } };

const SyscallRule sanitizer_syscalls[] = {
        { .name = "open",
          WHERE(only_read),
          .not_everywhere = true,
          .reason = "/proc/self/maps in a report",
          .caller = "sanitizers" },
        { .name = "readlink",
          .not_everywhere = true,
          .reason = "/proc/self/exe in a report",
          .caller = "sanitizers" },
        { .name = "rt_sigaction", .reason = "handlers of deadly signals", .caller = "sanitizers" },
        { .name = "rt_sigreturn", .reason = "handlers of deadly signals", .caller = "sanitizers" },
        { .name = "sched_yield", .reason = "locks of the allocator", .caller = "sanitizers" },
        { .name = "sigaltstack", .reason = "handlers of deadly signals", .caller = "sanitizers" },
};
const size_t sanitizer_n_syscalls = sizeof(sanitizer_syscalls) / sizeof(*sanitizer_syscalls);

/* Asked by LeakSanitizer before it looks for leaks at exit. It would do so from a clone of the process, by ptrace,
 * which the sandbox is there to prevent; talloc's own checks cover this process. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void) {
        return 1;
}

/* A symbolizer is another program, or reads files that are out of reach; addresses in a report suffice for addr2line. */
const char *__asan_default_options(void);

const char *__asan_default_options(void) {
        return "symbolize=0";
}
