/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stages of isolation, in the order in which they run. Each says what it should do and what it must not. What stays
 * allowed is data: the caller's Isolation, and policy/ for system calls.
 */

#include "service/server/isolation.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <talloc.h>
#include <time.h>
#include <unistd.h>

#include "policy/ivshmem-server-syscalls.h"
#include "service/base/error.h"
#include "service/core/text.h"
#include "service/server/landlock.h"
#include "service/server/syscall-filter.h"

#define ELEMENTS(array) (sizeof(array) / sizeof(*(array)))

const char *const seccomp_mode_names[_SECCOMP_MODE_MAX] = {
        [SECCOMP_ENFORCE] = "enforce",
        [SECCOMP_LOG] = "log",
        [SECCOMP_OFF] = "off",
};

typedef struct Stage Stage;

struct Stage {
        const char *name;
        int (*run)(void *ctx, const Isolation *isolation);
};

static int compare_fds(const void *a, const void *b) {
        const int *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

/* A sorted copy, NULL when out of memory. */
static int *fds_sorted(void *ctx, const int *fds, size_t n) {
        int *sorted = talloc_array(ctx, int, n);

        if (sorted && n > 0) {
                memcpy(sorted, fds, n * sizeof(*fds));
                qsort(sorted, n, sizeof(*sorted), compare_fds);
        }
        return sorted;
}

/* Without these a socket could become number 2, and a log line a message to a VM. */
static int standard_fds_fill(void) {
        for (int fd = 0; fd <= STDERR_FILENO; fd++) {
                /* The lowest free number is given out, so this one is missing when open() returns it. */
                if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
                        return -EBADF;
                }
        }
        return 0;
}

int isolation_close_inherited(const int *keep, size_t n_keep) {
        int *sorted = fds_sorted(NULL, keep, n_keep);
        unsigned next = STDERR_FILENO + 1;
        int r = sorted ? 0 : -ENOMEM;

        for (size_t i = 0; i < n_keep && r == 0; i++) {
                if (sorted[i] < (int) next) {
                        continue;
                }
                if ((unsigned) sorted[i] > next) {
                        r = errno_or(close_range(next, (unsigned) sorted[i] - 1, 0));
                }
                next = (unsigned) sorted[i] + 1;
        }
        if (r == 0) {
                r = errno_or(close_range(next, UINT_MAX, 0));
        }
        talloc_free(sorted);
        return r < 0 ? r : standard_fds_fill();
}

/*
 * One thread.
 *
 * Should make sure that this is the only one, for capabilities and Landlock are a thread's and not the process's. A
 * thread that was joined counts until the kernel has buried it: that is waited for.
 * Mustn't end or confine another thread.
 */
static int stage_threads(void *ctx, const Isolation *isolation) {
        static const struct timespec pause = { .tv_nsec = 1000 * 1000 };
        struct stat st;

        for (int tries = 0; tries < 1000; tries++) {
                if (stat("/proc/self/task", &st) < 0) {
                        return errno_negative();
                }
                if (st.st_nlink <= 3) { /* ".", "..", one directory for each thread */
                        return 0;
                }
                nanosleep(&pause, NULL);
        }
        return -EBUSY;
}

/* The event loop keeps these to itself. */
static bool fd_is_event_loops(int directory, const char *name) {
        static const char *const kinds[] = {
                "anon_inode:[eventpoll]",
                "anon_inode:[signalfd]",
                "anon_inode:[timerfd]",
        };
        char target[64];
        ssize_t n = readlinkat(directory, name, target, sizeof(target) - 1);

        if (n < 0) {
                return false;
        }
        target[n] = '\0';
        for (size_t i = 0; i < ELEMENTS(kinds); i++) {
                if (strcmp(target, kinds[i]) == 0) {
                        return true;
                }
        }
        return false;
}

static bool fd_is_unix_datagram(int fd) {
        int domain, type;
        socklen_t length = sizeof(int);

        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

static bool fd_is_held(int fd, const int *keep, size_t n_keep, int directory, const char *name) {
        return bsearch(&fd, keep, n_keep, sizeof(*keep), compare_fds) ||
               fd_is_event_loops(directory, name) || fd_is_unix_datagram(fd);
}

/*
 * Descriptors.
 *
 * Should close all that no part of the server holds: what libraries left open, above all the name service, whose
 * sockets lead to other processes.
 * Mustn't close what libsystemd holds without saying so: the number would be given to a peer's socket, and the
 * next journal record be sent there.
 */
static int stage_descriptors(void *ctx, const Isolation *isolation) {
        int *keep = fds_sorted(ctx, isolation->keep_fds, isolation->n_keep_fds);
        DIR *directory;
        struct dirent *entry;

        if (!keep) {
                return -ENOMEM;
        }
        directory = opendir("/proc/self/fd");
        if (!directory) {
                return errno_negative();
        }
        while ((entry = readdir(directory))) {
                uint32_t number;

                if (number_parse(entry->d_name, INT_MAX, &number) == 0 && number > STDERR_FILENO &&
                    (int) number != dirfd(directory) &&
                    !fd_is_held((int) number, keep, isolation->n_keep_fds, dirfd(directory),
                                entry->d_name)) {
                        close((int) number);
                }
        }
        closedir(directory);
        return 0;
}

/*
 * Core dumps.
 *
 * Should keep the memory of VMs out of core files, and other processes of the same user from tracing this one.
 * Mustn't take /proc/self/fd from the process itself (it does not: the kernel asks only other processes), nor is a
 * peer's /proc/PID/cgroup affected: that is the peer's own file, and readable by all.
 */
static int stage_core_dumps(void *ctx, const Isolation *isolation) {
        static const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

        if (setrlimit(RLIMIT_CORE, &none) < 0) {
                return errno_negative();
        }
        return errno_or(prctl(PR_SET_DUMPABLE, 0));
}

/* Needs CAP_SETPCAP. Who has not got it has no capability that this could be about, as exec() is not to come. */
static int bounding_set_drop(void) {
        for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
                if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
                        return errno == EPERM ? 0 : errno_negative();
                }
        }
        return 0;
}

/* capset() needs no privilege to give something up; but service managers forbid it to those who have nothing. */
static int sets_clear(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
        static const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

        if (syscall(SYS_capget, &header, sets) < 0) {
                return errno_negative();
        }
        return memcmp(sets, none, sizeof(none)) == 0 ? 0
                                                     : errno_or((int) syscall(SYS_capset, &header, none));
}

/*
 * Capabilities.
 *
 * Should leave none, in no set, whether the server was started by root or by a user.
 * Mustn't change the user: one that was root stays the owner of its files and removes them at the end as such, but is
 * not let through where the owner would not be.
 */
static int stage_capabilities(void *ctx, const Isolation *isolation) {
        int r = bounding_set_drop();

        if (r < 0) {
                return r;
        }
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
                return errno_negative();
        }
        return sets_clear();
}

/*
 * no_new_privs.
 *
 * Should make set-user-ID programs harmless, should one ever be executed; what follows needs it.
 */
static int stage_no_new_privs(void *ctx, const Isolation *isolation) {
        return errno_or(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* $NOTIFY_SOCKET may be abstract (sd_notify(3)); scoping would cut the server off from its manager. */
static bool notify_socket_is_abstract(void) {
        const char *socket_name = getenv("NOTIFY_SOCKET");

        return socket_name && socket_name[0] == '@';
}

/*
 * Landlock, where the kernel has it.
 *
 * Should leave reading of what a reload and the identification of a peer read, and removal where own files are. Nothing
 * is written, made or executed, no TCP, no signal to anybody else.
 * Mustn't touch descriptors that are open, nor the way to the journal and the service manager.
 */
static int stage_landlock(void *ctx, const Isolation *isolation) {
        const LandlockRules rules = {
                .read_paths = isolation->read_paths,
                .n_read_paths = isolation->n_read_paths,
                .remove_fds = isolation->remove_fds,
                .n_remove_fds = isolation->n_remove_fds,
                .abstract_sockets = notify_socket_is_abstract(),
        };

        return landlock_restrict(&rules);
}

/*
 * seccomp, the last one, for it forbids all of the above.
 *
 * Should kill the process at any call that policy/ does not grant.
 * Mustn't be bent for diagnosis without it being asked for: --seccomp=log, --seccomp=off.
 */
static int stage_seccomp(void *ctx, const Isolation *isolation) {
        const SyscallTable tables[] = {
                { .rules = ivshmem_server_syscalls, .n_rules = ivshmem_server_n_syscalls },
                { .rules = sanitizer_syscalls, .n_rules = sanitizer_n_syscalls },
        };

        if (isolation->seccomp == SECCOMP_OFF) {
                return 0;
        }
        return syscall_filter_load(tables, ELEMENTS(tables), isolation->seccomp == SECCOMP_LOG);
}

static const Stage stages[] = {
        { "threads", stage_threads },           { "descriptors", stage_descriptors },
        { "core dumps", stage_core_dumps },     { "capabilities", stage_capabilities },
        { "no_new_privs", stage_no_new_privs }, { "landlock", stage_landlock },
        { "seccomp", stage_seccomp },
};

int isolation_enter(void *ctx, const Isolation *isolation, const char **ret_stage) {
        void *temporary = talloc_new(ctx);
        int r = 0;

        for (size_t i = 0; i < ELEMENTS(stages) && r == 0; i++) {
                r = temporary ? stages[i].run(temporary, isolation) : -ENOMEM;
                if (r < 0) {
                        *ret_stage = stages[i].name;
                }
        }
        talloc_free(temporary);
        return r;
}
