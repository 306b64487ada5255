/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a confined ivshmem-server may ask of the kernel, and why. A row says what breaks without it and who calls it; one
 * that nothing calls any more is removed. There is no connect, no bind, no listen, no clone, no execve, nothing that
 * opens for writing, and no memory that can be executed.
 */

#include "policy/ivshmem-server-syscalls.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* openat(): the bits that make it more than reading. O_TMPFILE shares a bit with O_DIRECTORY, which is harmless. */
#define OPEN_WRITES (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

/* futex(): the operation without its two flags. */
#define FUTEX_OPERATION (~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME))

static const SyscallCase fcntl_cases[] = {
        { { INT_IS(1, F_DUPFD_CLOEXEC) } },
        { { INT_IS(1, F_GETFD) } },
        { { INT_IS(1, F_GETFL) } },
        { { INT_IS(1, F_SETFD) } },
};

/* Nothing with priority inheritance: no lock of ours has it. */
static const SyscallCase futex_cases[] = {
        { { BITS_ARE(1, FUTEX_OPERATION, FUTEX_WAIT) } },
        { { BITS_ARE(1, FUTEX_OPERATION, FUTEX_WAIT_BITSET) } },
        { { BITS_ARE(1, FUTEX_OPERATION, FUTEX_WAKE) } },
};

static const SyscallCase ioctl_cases[] = {
        { { INT_IS(1, SIOCOUTQ) } },
        { { INT_IS(1, TCGETS) } },
        { { INT_IS(1, TCGETS2) } },
};

/* A hole is punched, or filled; the file never grows. */
static const SyscallCase same_size[] = {
        { { INT_IS(1, FALLOC_FL_KEEP_SIZE) } },
        { { INT_IS(1, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE) } },
};

static const SyscallCase not_executable[] = { { { BITS_UNSET(2, PROT_EXEC) } } };
static const SyscallCase only_read[] = { { { BITS_UNSET(2, OPEN_WRITES) } } };
static const SyscallCase to_connected[] = { { { IS_NULL(4) } } };
static const SyscallCase socket_level[] = { { { INT_IS(1, SOL_SOCKET) } } };
static const SyscallCase to_itself[] = { { { OWN_PID(0) } } };
static const SyscallCase get_name[] = { { { INT_IS(0, PR_GET_NAME) } } };
static const SyscallCase no_directory[] = { { { BITS_UNSET(2, AT_REMOVEDIR) } } };

/* Not, above all, the packet filters that can be attached to a socket. */
static const SyscallCase socket_options[] = {
        { { INT_IS(1, SOL_SOCKET), INT_IS(2, SO_PASSRIGHTS) } },
        { { INT_IS(1, SOL_SOCKET), INT_IS(2, SO_SNDBUF) } },
        { { INT_IS(1, SOL_SOCKET), INT_IS(2, SO_SNDBUFFORCE) } },
};

static const SyscallCase unix_datagram[] = {
        { { INT_IS(0, AF_UNIX), BITS_ARE(1, ~(SOCK_CLOEXEC | SOCK_NONBLOCK), SOCK_DGRAM) } },
};

static const SyscallCase unix_only[] = { { { INT_IS(0, AF_UNIX) } } };

const SyscallRule ivshmem_server_syscalls[] = {
        {
                .name = "accept4",
                .reason = "a VM that joins, a manager that connects",
                .caller = "the handlers of the listening sockets",
        },
        {
                .name = "brk",
                .reason = "memory that grows and shrinks with the number of peers",
                .caller = "malloc",
        },
        {
                .name = "clock_gettime",
                .reason = "time, where the vDSO cannot tell it",
                .caller = "sd-event, rate limits",
        },
        {
                .name = "close",
                .reason = "a peer that leaves",
                .caller = "descriptor boxes, libsystemd",
        },
        {
                .name = "epoll_ctl",
                .reason = "event sources come and go with peers",
                .caller = "sd-event",
        },
        {
                .name = "epoll_pwait",
                .instead_of = "epoll_wait",
                .reason = "waiting for events",
                .caller = "sd-event",
        },
        {
                .name = "epoll_wait",
                .not_everywhere = true,
                .reason = "waiting for events",
                .caller = "sd-event",
        },
        {
                .name = "eventfd2",
                .reason = "the doorbells of a seat that opens",
                .caller = "doorbells",
        },
        {
                .name = "exit_group",
                .reason = "the end",
                .caller = "libc",
        },
        {
                .name = "fallocate",
                WHERE(same_size),
                .reason = "WipeWhenIdle= punches holes, and fills them again",
                .caller = "memory_wipe()",
        },
        {
                .name = "fcntl",
                WHERE(fcntl_cases),
                .reason = "checks of descriptors, copies of them",
                .caller = "sd-event, stdio, the spare descriptor of arrivals",
        },
        {
                .name = "fstat",
                .reason = "buffer sizes of streams, files that are not what they were",
                .caller = "stdio; newfstatat() does it in some versions of libc",
        },
        {
                .name = "futex",
                WHERE(futex_cases),
                .reason = "one-time initialisation ends with a wake-up",
                .caller = "libc, libsystemd",
        },
        {
                .name = "getpid",
                .reason = "libsystemd asks whether it was forked; abort()",
                .caller = "libsystemd, libc",
        },
        {
                .name = "getrandom",
                .reason = "keys of hash tables",
                .caller = "libsystemd, malloc",
        },
        {
                .name = "getsockopt",
                WHERE(socket_level),
                .reason = "who a peer is (SO_PEERCRED, SO_PEERGROUPS, SO_PEERSEC, SO_PEERPIDFD), SO_ERROR",
                .caller = "admission",
        },
        {
                .name = "gettid",
                .reason = "each turn of the event loop asks; abort()",
                .caller = "sd-event, libc",
        },
        {
                .name = "ioctl",
                WHERE(ioctl_cases),
                .reason = "unread messages of a peer (SIOCOUTQ); whether a stream is a terminal (TCGETS)",
                .caller = "feeding; stdio, libsystemd reading /proc/PID/cgroup",
        },
        {
                .name = "lseek",
                .reason = "a stream is put where its reader stopped",
                .caller = "stdio",
        },
        {
                .name = "madvise",
                .reason = "memory that is given back",
                .caller = "free()",
        },
        {
                .name = "memfd_create",
                .refusal = EPERM,
                .reason = "a record that the journal cannot take now is lost, and not the server with it",
                .caller = "sd_journal_sendv() after ENOBUFS or EMSGSIZE",
        },
        {
                .name = "mmap",
                WHERE(not_executable),
                .reason = "large chunks of memory; the shared memory while it is wiped",
                .caller = "malloc, memory_wipe()",
        },
        {
                .name = "mprotect",
                WHERE(not_executable),
                .reason = "a second heap, when the first one cannot grow",
                .caller = "malloc",
        },
        {
                .name = "mremap",
                .reason = "large chunks that grow",
                .caller = "realloc()",
        },
        {
                .name = "munmap",
                .reason = "large chunks that are freed",
                .caller = "free(), memory_wipe()",
        },
        {
                .name = "newfstatat",
                .reason = "buffer sizes of streams, files that are not what they were",
                .caller = "stdio, removal of own files",
        },
        {
                .name = "openat",
                WHERE(only_read),
                .reason = "/proc/PID/cgroup and status of a peer; definition, users and groups at a reload",
                .caller = "admission, peercred_of_process(), reload",
        },
        {
                .name = "pidfd_open",
                .reason = "a peer's process, where the kernel has no SO_PEERPIDFD or the manager names it",
                .caller = "admission",
        },
        {
                .name = "poll",
                .not_everywhere = true,
                .reason =
                        "whether somebody waits to be accepted; whether the process that connected still lives; whether "
                        "a doorbell can be rung without waiting",
                .caller = "on_listener(), admission, doorbells_ring()",
        },
        {
                .name = "ppoll",
                .instead_of = "poll",
                .reason =
                        "whether somebody waits to be accepted; whether the process that connected still lives; whether "
                        "a doorbell can be rung without waiting",
                .caller = "on_listener(), admission, doorbells_ring()",
        },
        {
                .name = "prctl",
                WHERE(get_name),
                .reason = "asked, and its success asserted, before memfd_create()",
                .caller = "sd_journal_sendv() after ENOBUFS or EMSGSIZE",
        },
        {
                .name = "preadv2",
                .reason = "doorbells are drained for the next occupant",
                .caller = "doorbells",
        },
        {
                .name = "read",
                .reason = "timers, signals, files; /dev/zero into the memory",
                .caller = "sd-event, stdio, memory_wipe()",
        },
        {
                .name = "readlinkat",
                .reason = "which machine a unit is: /run/systemd/machines/unit:NAME",
                .caller = "sd_pid_get_machine_name()",
        },
        {
                .name = "recvfrom",
                .reason = "a peer that hung up, or that writes though it must not; requests of the manager",
                .caller = "the handlers of peers and of the control link",
        },
        {
                .name = "rt_sigprocmask",
                .reason = "signal sources; abort()",
                .caller = "sd-event, libc",
        },
        {
                .name = "sendmmsg",
                .reason = "messages to peers",
                .caller = "feeding",
        },
        {
                .name = "sendmsg",
                .reason = "messages to the service manager, the journal and the control link",
                .caller = "notify, sd_journal_sendv(), the control link",
        },
        {
                .name = "sendto",
                WHERE(to_connected),
                .reason = "a version that refuses",
                .caller = "arrivals",
        },
        {
                .name = "setsockopt",
                WHERE(socket_options),
                .reason =
                        "send buffers of peers and of libsystemd's own sockets; no descriptors of newcomers",
                .caller = "feeding, sd_journal_sendv(), arrivals",
        },
        {
                .name = "shutdown",
                .reason = "a peer that leaves: systemd's fd store may hold its connection too",
                .caller = "peers",
        },
        {
                .name = "signalfd4",
                .reason = "at the end the signals are let go of one by one",
                .caller = "sd-event",
        },
        {
                .name = "socket",
                WHERE(unix_datagram),
                .reason =
                        "the service manager's and the journal's sockets; without connect() it reaches no other kind",
                .caller = "sd_journal_sendv()",
        },
        {
                .name = "socketpair",
                WHERE(unix_only),
                .reason =
                        "the bag with the doorbells of a seat, for systemd's fd store; a peer's connection made for a "
                        "local process",
                .caller = "bag_new(), arrivals_open()",
        },
        {
                .name = "statfs",
                .reason = "which hierarchy of control groups the system has",
                .caller = "sd_pid_get_machine_name(), once",
        },
        {
                .name = "tgkill",
                WHERE(to_itself),
                .reason = "a failed assertion shows as SIGABRT and not as a forbidden call",
                .caller = "abort()",
        },
        {
                .name = "timerfd_settime",
                .reason = "timers: watchdog, rate limits",
                .caller = "sd-event",
        },
        {
                .name = "unlinkat",
                WHERE(no_directory),
                .reason = "own socket, pidfile and shared memory name at a clean stop",
                .caller = "removal of own files",
        },
        {
                .name = "write",
                .reason = "log lines, doorbells that the manager rings",
                .caller = "logging, stdio, doorbells_ring()",
        },
        {
                .name = "writev",
                .reason = "the text of a failed assertion",
                .caller = "libc, libsystemd",
        },
};

const size_t ivshmem_server_n_syscalls = sizeof(ivshmem_server_syscalls) / sizeof(*ivshmem_server_syscalls);
