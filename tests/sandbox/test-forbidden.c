/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the server has no business with ends it: one child, one attempt, SIGSYS. */

#include <asm/ioctls.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/ivshmem-server-syscalls.h"
#include "service/server/syscall-filter.h"
#include "tests/sandbox/scene.h"

/* Calls that no row grants: the number alone is enough, whatever the arguments. */
static const char *const forbidden_names[] = {
        "accept",
        "acct",
        "add_key",
        "bind",
        "bpf",
        "capset",
        "chdir",
        "chmod",
        "chown",
        "chroot",
        "clone",
        "clone3",
        "connect",
        "creat",
        "delete_module",
        "dup",
        "dup2",
        "dup3",
        "execve",
        "execveat",
        "fanotify_init",
        "fchmod",
        "fchmodat",
        "fchown",
        "fchownat",
        "finit_module",
        "fork",
        "fsopen",
        "ftruncate",
        "getdents64",
        "init_module",
        "inotify_init1",
        "io_setup",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "kill",
        "landlock_create_ruleset",
        "link",
        "linkat",
        "listen",
        "mkdir",
        "mkdirat",
        "mknod",
        "mknodat",
        "modify_ldt",
        "mount",
        "move_mount",
        "name_to_handle_at",
        "open",
        "open_by_handle_at",
        "open_tree",
        "openat2",
        "perf_event_open",
        "personality",
        "pidfd_getfd",
        "pidfd_send_signal",
        "pivot_root",
        "pkey_mprotect",
        "process_madvise",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "quotactl",
        "reboot",
        "recvmmsg",
        "remap_file_pages",
        "rename",
        "renameat",
        "renameat2",
        "request_key",
        "rt_sigqueueinfo",
        "rt_tgsigqueueinfo",
        "sched_setscheduler",
        "seccomp",
        "setdomainname",
        "setfsuid",
        "setgid",
        "setgroups",
        "sethostname",
        "setns",
        "setpgid",
        "setregid",
        "setresgid",
        "setresuid",
        "setreuid",
        "setrlimit",
        "prlimit64",
        "setsid",
        "settimeofday",
        "setuid",
        "setxattr",
        "shmat",
        "shmget",
        "splice",
        "swapon",
        "symlink",
        "symlinkat",
        "syslog",
        "tee",
        "tkill",
        "truncate",
        "umask",
        "umount2",
        "unlink",
        "unshare",
        "userfaultfd",
        "utimensat",
        "vfork",
        "vmsplice",
        "wait4",
        "waitid",
};

/* Calls whose arguments no case of their row grants. */
static const struct {
        const char *what;
        const char *name;
        long arguments[6];
} forbidden_arguments[] = {
        { "open for writing", "openat", { AT_FDCWD, (long) "/dev/null", O_WRONLY } },
        { "open for reading and writing", "openat", { AT_FDCWD, (long) "/dev/null", O_RDWR } },
        { "create a file", "openat", { AT_FDCWD, (long) "/tmp/x", O_RDONLY | O_CREAT, 0600 } },
        { "truncate by open", "openat", { AT_FDCWD, (long) "/dev/null", O_RDONLY | O_TRUNC } },
        { "nameless file", "openat", { AT_FDCWD, (long) "/tmp", O_TMPFILE | O_RDWR, 0600 } },
        { "write mode with garbage above",
          "openat",
          { AT_FDCWD, (long) "/dev/null", (long) (UINT64_C(1) << 32) | O_WRONLY } },
        { "AF_INET", "socket", { AF_INET, SOCK_DGRAM, 0 } },
        { "AF_INET6", "socket", { AF_INET6, SOCK_DGRAM, 0 } },
        { "AF_NETLINK", "socket", { AF_NETLINK, SOCK_DGRAM, 0 } },
        { "AF_PACKET", "socket", { AF_PACKET, SOCK_DGRAM, 0 } },
        { "AF_VSOCK", "socket", { AF_VSOCK, SOCK_DGRAM, 0 } },
        { "AF_ALG", "socket", { AF_ALG, SOCK_DGRAM, 0 } },
        { "AF_UNIX stream", "socket", { AF_UNIX, SOCK_STREAM, 0 } },
        { "AF_UNIX packets", "socket", { AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0 } },
        { "executable memory",
          "mmap",
          { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
        { "writable and executable memory",
          "mmap",
          { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
        { "make memory executable", "mprotect", { 0, 4096, PROT_READ | PROT_EXEC } },
        { "type into a terminal", "ioctl", { 0, TIOCSTI, (long) "x" } },
        { "set a terminal", "ioctl", { 0, TCSETS, 0 } },
        { "asynchronous input and output", "ioctl", { 0, FIOASYNC, 0 } },
        { "a pair of sockets of another family", "socketpair", { AF_INET, SOCK_STREAM, 0, 0 } },
        { "signals of a descriptor to others", "fcntl", { 0, F_SETOWN, 1 } },
        { "signal of a descriptor", "fcntl", { 0, F_SETSIG, SIGKILL } },
        { "flags of a descriptor", "fcntl", { 0, F_SETFL, O_ASYNC } },
        { "descriptor without close-on-exec", "fcntl", { 0, F_DUPFD, 3 } },
        { "make a file grow", "fallocate", { 0, 0, 0, 4096 } },
        { "collapse a range of a file", "fallocate", { 0, FALLOC_FL_COLLAPSE_RANGE, 0, 4096 } },
        { "leases", "fcntl", { 0, F_SETLEASE, F_RDLCK } },
        { "seals", "fcntl", { 0, F_ADD_SEALS, F_SEAL_WRITE } },
        { "where the code lies", "prctl", { PR_SET_MM, PR_SET_MM_START_CODE, 0 } },
        { "dumpable", "prctl", { PR_SET_DUMPABLE, 1 } },
        { "who may trace", "prctl", { PR_SET_PTRACER, -1 } },
        { "secure bits", "prctl", { PR_SET_SECUREBITS, 0 } },
        { "timer slack", "prctl", { PR_SET_TIMERSLACK, 1 } },
        { "packet filter", "setsockopt", { 0, SOL_SOCKET, SO_ATTACH_FILTER, 0, 0 } },
        { "packet filter, extended", "setsockopt", { 0, SOL_SOCKET, SO_ATTACH_BPF, 0, 0 } },
        { "buffer size at another level", "setsockopt", { 0, IPPROTO_TCP, SO_SNDBUF, 0, 0 } },
        { "options of another level", "getsockopt", { 0, IPPROTO_TCP, 1, 0, 0 } },
        { "futex with priorities", "futex", { 0, 6 /* FUTEX_LOCK_PI */ } },
        { "futex that moves waiters", "futex", { 0, 12 /* FUTEX_CMP_REQUEUE_PI */ } },
        { "signal another process", "tgkill", { 1, 1, 0 } },
        { "send to an address", "sendto", { 0, (long) "x", 1, 0, (long) "address", 16 } },
        { "remove a directory", "unlinkat", { AT_FDCWD, (long) "/tmp/x", AT_REMOVEDIR } },
};

/* The attempt of the row at hand; each child makes one. */
static struct {
        int number;
        const long *arguments;
} call;

static int try_call(Scene *scene) {
        static const long zeros[6];
        const long *a = call.arguments ? call.arguments : zeros;

        (void) syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
        return 0;
}

static bool granted_to_sanitizers(const char *name) {
        for (size_t i = 0; i < sanitizer_n_syscalls; i++) {
                if (strcmp(sanitizer_syscalls[i].name, name) == 0) {
                        return true;
                }
        }
        return false;
}

static void check_killed(Scene *scene, const char *what, const char *name, const long *arguments) {
        int status;

        call.number = seccomp_syscall_resolve_name(name);
        call.arguments = arguments;
        if (call.number < 0 || granted_to_sanitizers(name)) {
                print_message("# %s: not in this build\n", what);
                return;
        }
        status = attempt_in_child(scene, &enforced, try_call);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
                fail_msg("%s: not killed, wait status %#x", what, (unsigned) status);
        }
}

static void test_forbidden_calls(void **state) {
        Scene *scene = scene_make(*state);

        for (size_t i = 0; i < ELEMENTS(forbidden_names); i++) {
                check_killed(scene, forbidden_names[i], forbidden_names[i], NULL);
        }
        scene_clear(scene);
}

static void test_forbidden_arguments(void **state) {
        Scene *scene = scene_make(*state);

        for (size_t i = 0; i < ELEMENTS(forbidden_arguments); i++) {
                check_killed(scene, forbidden_arguments[i].what, forbidden_arguments[i].name,
                             forbidden_arguments[i].arguments);
        }
        scene_clear(scene);
}

#ifdef __x86_64__
static int try_x32(Scene *scene) {
        (void) syscall(0x40000000 | SYS_getpid);
        return 0;
}

static int try_i386(Scene *scene) {
        long result = 20; /* getpid, in the numbering of 32-bit programs; here it is writev */

        __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
        return result > 0 ? 0 : -ENOSYS;
}

static void test_other_architectures(void **state) {
        Scene *scene = scene_make(*state);
        int status = attempt_in_child(scene, &enforced, try_x32);

        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        status = attempt_in_child(scene, &unfiltered, try_i386);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
                status = attempt_in_child(scene, &enforced, try_i386);
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
        } else {
                print_message("# this kernel runs no 32-bit programs\n");
        }
        scene_clear(scene);
}
#endif

static void *wait_and_listen(void *userdata) {
        const int *go = userdata;
        char byte;

        if (read(*go, &byte, sizeof(byte)) == sizeof(byte)) {
                (void) syscall(SYS_listen, -1, 0);
        }
        return NULL;
}

/* The filter is loaded while there is another thread, which the stages before it would not have let pass. */
static int try_with_a_thread(Scene *scene) {
        const SyscallTable tables[] = {
                { .rules = ivshmem_server_syscalls, .n_rules = ivshmem_server_n_syscalls },
                { .rules = sanitizer_syscalls, .n_rules = sanitizer_n_syscalls },
        };
        pthread_t thread;
        int go[2];

        if (pipe(go) < 0 || pthread_create(&thread, NULL, wait_and_listen, &go[0]) != 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall_filter_load(tables, ELEMENTS(tables), /* log_only= */ false) < 0 ||
            write(go[1], "", 1) != 1) {
                return -ENOTRECOVERABLE;
        }
        (void) pthread_join(thread, NULL);
        return 0;
}

static void test_a_forgotten_thread_is_confined_and_ends_all(void **state) {
        Scene *scene = scene_make(*state);
        int status = attempt_in_plain_child(scene, try_with_a_thread);

        scene_clear(scene);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
                fail_msg("not killed, wait status %#x", (unsigned) status);
        }
}

static int try_abort(Scene *scene) {
        abort();
}

/* It says what failed before it aborts, which is for nobody to read here. */
static int try_failed_assertion(Scene *scene) {
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (quiet < 0 || dup2(quiet, STDERR_FILENO) < 0) {
                return -errno;
        }
        scene_enter(scene, &enforced);
        __assert_fail("sky is green", __FILE__, __LINE__, __func__);
}

static void test_abort_is_seen_as_such(void **state) {
        Scene *scene = scene_make(*state);
        int plain = attempt_in_child(scene, &enforced, try_abort);
        int assertion = attempt_in_plain_child(scene, try_failed_assertion);

        scene_clear(scene);
        assert_true(WIFSIGNALED(plain) && WTERMSIG(plain) == SIGABRT);
        assert_true(WIFSIGNALED(assertion) && WTERMSIG(assertion) == SIGABRT);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_forbidden_calls),
                TEST(test_forbidden_arguments),
#ifdef __x86_64__
                TEST(test_other_architectures),
#endif
                TEST(test_a_forgotten_thread_is_confined_and_ends_all),
                TEST(test_abort_is_seen_as_such),
        };

        return cmocka_run_group_tests_name("forbidden", tests, NULL, NULL);
}
