/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/peercred: what the kernel says of a process, and the machine behind a unit. */

#include "service/server/peercred.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "tests/unit/testing.h"

static void test_machine_of_a_scope(void **state) {
        static const struct {
                const char *unit;
                const char *machine;
        } table[] = {
                { "machine-qemu\\x2d1\\x2drouter.scope", "qemu-1-router" },
                { "machine-a.scope", "a" },
                { "machine-a\\x2.scope", "a\\x2" },
                { "machine-a\\xzz.scope", "a\\xzz" },
                { "machine-.scope", NULL },
                { "machine-a.service", NULL },
                { "session-1.scope", NULL },
                { "xmachine-a.scope", NULL },
                { "machine-", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                char *machine = machine_of_unit(*state, table[i].unit);

                if (table[i].machine) {
                        assert_non_null(machine);
                        assert_string_equal(machine, table[i].machine);
                } else {
                        assert_null(machine);
                }
                talloc_free(machine);
        }
}

static void test_cgroup_of_the_manager(void **state) {
        static const struct {
                const char *list;
                const char *cgroup;
        } table[] = {
                { "0::/system.slice/a.service\n", "/system.slice/a.service" },
                { "2:cpu,cpuacct:/x\n1:name=systemd:/a.scope\n0::/\n", "/a.scope" },
                { "0::/a.scope\n1:name=systemd:/a.scope\n", "/a.scope" },
                { "1:name=systemd:/\n", "/" },
                { "0::/a", "/a" },
                { "10::/a\n", NULL },
                { "1:name=elogind:/a\n", NULL },
                /* What a path has is no hierarchy. */
                { "3:pids:/a:name=systemd:/b\n0::/c\n", "/c" },
                { "nonsense\n", NULL },
                { "", NULL },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                char *list = talloc_strdup(*state, table[i].list);
                const char *cgroup = managers_cgroup(list);

                if (table[i].cgroup) {
                        assert_non_null(cgroup);
                        assert_string_equal(cgroup, table[i].cgroup);
                } else {
                        assert_null(cgroup);
                }
                talloc_free(list);
        }
}

static void test_unit_of_a_cgroup(void **state) {
        static const struct {
                const char *root;
                const char *cgroup;
                const char *unit;
        } table[] = {
                { "", "/system.slice/a.service", "a.service" },
                { "", "/system.slice/a.service/b/c.service", "a.service" },
                { "", "/init.scope", "init.scope" },
                { "", "/system.slice/system-x.slice/x@1.service", "x@1.service" },
                { "", "/machine.slice/machine-qemu\\x2d1\\x2dr.scope/libvirt/emulator",
                  "machine-qemu\\x2d1\\x2dr.scope" },
                { "", "/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
                  "user@1000.service" },
                { "", "/system.slice/_cpu.service", "cpu.service" },
                { "", "/system.slice/dev-hugepages.mount", "dev-hugepages.mount" },
                { "/a/payload", "/a/payload/system.slice/b.service", "b.service" },
                /* Slices have no processes; what is below something else is not the manager's. */
                { "", "/system.slice", NULL },
                { "", "/docker/0123/system.slice/a.service", NULL },
                { "", "/system.slice/.service", NULL },
                { "", "/", NULL },
                { "", "", NULL },
                { "/a/payload", "/a/payload", NULL },
                { "/a/payload", "/a/payload2.slice/b.service", NULL },
                { "/a/payload", "/b.service", NULL },
                { "/a/payload", "/x/payload/system.slice/b.service", NULL },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                char *unit = unit_of_cgroup(*state, table[i].root, table[i].cgroup);

                if (table[i].unit) {
                        assert_non_null(unit);
                        assert_string_equal(unit, table[i].unit);
                } else {
                        assert_null(unit);
                }
                talloc_free(unit);
        }
}

/* What is read is what libsystemd says of the same process. */
static void test_our_own_unit(void **state) {
        char *root = NULL, *unit = NULL;
        Credentials *credentials;
        int r, pair[2];

        assert_int_equal(peercred_units_root(*state, &root), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(peercred_read(*state, pair[0], root, &credentials), 0);
        r = sd_pid_get_unit(getpid(), &unit);
        if (r >= 0) {
                assert_non_null(credentials->unit);
                assert_string_equal(credentials->unit, unit);
        } else {
                assert_null(credentials->unit);
        }
        free(unit);
        talloc_free(credentials);
        talloc_free(root);
        close(pair[0]);
        close(pair[1]);
}

static void test_our_own_credentials(void **state) {
        Credentials *credentials = NULL;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(peercred_read(*state, pair[0], "", &credentials), 0);
        assert_int_equal(credentials->uid, geteuid());
        assert_int_equal(credentials->gid, getegid());
        assert_int_equal(credentials->pid, getpid());
        close(pair[0]);
        close(pair[1]);
        talloc_free(credentials);
}

/* In a child with these groups; root only. Returns how many of them were seen, 0xff for an error. */
static int groups_seen(void *ctx, size_t n) {
        gid_t groups[100];
        Credentials *credentials;
        int status, pair[2];
        pid_t child = fork();

        if (child == 0) {
                size_t seen = 0;

                for (size_t i = 0; i < n; i++) {
                        groups[i] = (gid_t) (70000 + i);
                }
                if (setgroups(n, groups) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
                    peercred_read(ctx, pair[0], "", &credentials) < 0 || credentials->n_groups != n) {
                        _exit(0xff);
                }
                while (seen < n && credentials->groups[seen] == 70000 + seen) {
                        seen++;
                }
                _exit((int) seen);
        }
        return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 0xff;
}

static void test_all_supplementary_groups(void **state) {
        if (geteuid() != 0) {
                print_message("only root may set groups\n");
                skip();
        }
        assert_int_equal(groups_seen(*state, 0), 0);
        assert_int_equal(groups_seen(*state, 3), 3);
        assert_int_equal(groups_seen(*state, 100), 100);
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* What pidfd_of_peer() makes of a kernel that answers SO_PEERPIDFD with this error: a pidfd (0), or a negative errno. In a
 * child, for a filter stays. */
static int pidfd_when_kernel_says(int error) {
        int status, pair[2];
        pid_t child = fork();

        if (child == 0) {
                scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
                int pidfd;

                if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || !filter ||
                    seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t) error), SCMP_SYS(getsockopt), 1,
                                     SCMP_A2(SCMP_CMP_EQ, SO_PEERPIDFD)) < 0 ||
                    seccomp_load(filter) < 0) {
                        _exit(0xff);
                }
                pidfd = pidfd_of_peer(pair[0], getpid());
                _exit(pidfd < 0 ? -pidfd : 0);
        }
        assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
        return -WEXITSTATUS(status);
}

/* Its PID may be another's by now, whose unit would be taken for its own. */
static void test_a_peer_that_is_gone_is_not_looked_for_by_its_pid(void **state) {
        assert_int_equal(pidfd_when_kernel_says(ENOPROTOOPT), 0);
        assert_int_equal(pidfd_when_kernel_says(ESRCH), -ESRCH);
        assert_int_equal(pidfd_when_kernel_says(EINVAL), -EINVAL);
        assert_int_equal(pidfd_when_kernel_says(EMFILE), -EMFILE);
}

/* A peer whose unit cannot be asked for must not be taken for one that has none. */
static void test_want_of_descriptors_is_no_answer(void **state) {
        int status;
        pid_t child = fork();

        if (child == 0) {
                const struct rlimit limit = { .rlim_cur = 20, .rlim_max = 20 };
                Credentials *credentials;
                int pair[2], r = -EBADF;

                if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
                    setrlimit(RLIMIT_NOFILE, &limit) == 0) {
                        while (dup(0) >= 0) {
                        }
                        r = peercred_read(*state, pair[0], "", &credentials);
                }
                _exit(r < 0 ? -r : 0);
        }
        assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EMFILE);
}

/* A cgroup that looks like a unit's. False: not on this machine. */
static bool unit_make(void *ctx, char **ret_unit, char **ret_directory) {
        static const char *const roots[] = { "/sys/fs/cgroup/systemd", "/sys/fs/cgroup" };

        for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++) {
                char *procs = talloc_asprintf(ctx, "%s/cgroup.procs", roots[i]);
                bool is_root = access(procs, W_OK) == 0;

                talloc_free(procs);
                *ret_unit = talloc_asprintf(ctx, "ivshmem-test-%d.service", getpid());
                *ret_directory = talloc_asprintf(ctx, "%s/%s", roots[i], *ret_unit);
                if (is_root && mkdir(*ret_directory, 0755) == 0) {
                        return true;
                }
                talloc_free(*ret_unit);
                talloc_free(*ret_directory);
        }
        return false;
}

static bool unit_enter(const char *directory) {
        char path[256];
        int procs;

        snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
        procs = open(path, O_WRONLY);
        return write(procs, "0", 1) == 1;
}

/* In a child: goes there, says so whether or not it could, and waits until the parent closes its end. */
static _Noreturn void live_there(const char *directory, const struct sockaddr_un *address, int end) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bool entered = unit_enter(directory);
        bool connected = connect(fd, (const struct sockaddr *) address, sizeof(sa_family_t) + 6) == 0;
        char byte;

        _exit(!entered || !connected || read(end, &byte, 1) != 0);
}

/* A child with this PID, or any for 0. Negative errno. */
static pid_t fork_as(pid_t pid) {
        struct clone_args args = {
                .exit_signal = SIGCHLD,
                .set_tid = pid > 0 ? (uint64_t) (uintptr_t) &pid : 0,
                .set_tid_size = pid > 0,
        };
        long child = syscall(SYS_clone3, &args, sizeof(args));

        return child < 0 ? -errno : (pid_t) child;
}

typedef struct Lodger {
        pid_t pid;
        int peer; /* its connection */
        int end;
} Lodger;

/* Negative errno: there cannot be one. */
static int lodger_start(Lodger *lodger, const char *directory, pid_t pid) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(address);
        int ends[2], listener = socket(AF_UNIX, SOCK_STREAM, 0);

        /* An abstract address of the kernel's choice, of six bytes. */
        if (pipe(ends) < 0 || bind(listener, (struct sockaddr *) &address, sizeof(sa_family_t)) < 0 ||
            getsockname(listener, (struct sockaddr *) &address, &length) < 0 || listen(listener, 1) < 0) {
                return -errno;
        }
        lodger->pid = fork_as(pid);
        if (lodger->pid == 0) {
                close(ends[1]);
                live_there(directory, &address, ends[0]);
        }
        lodger->peer = lodger->pid < 0 ? -1 : accept(listener, NULL, NULL);
        lodger->end = ends[1];
        close(ends[0]);
        close(listener);
        return lodger->pid < 0 ? lodger->pid : 0;
}

/* Its exit status. */
static int lodger_end(const Lodger *lodger) {
        int status;

        close(lodger->end);
        return waitpid(lodger->pid, &status, 0) == lodger->pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                                    : 0xff;
}

/* Asserts nothing, for there is something to be put away. */
static char *unit_of(void *ctx, int socket) {
        Credentials *credentials;

        if (peercred_read(ctx, socket, "", &credentials) < 0) {
                return talloc_strdup(ctx, "an error");
        }
        return talloc_steal(ctx, (char *) (uintptr_t) credentials->unit);
}

/* What a process is in counts while it lives: then its PID is given to another one, which is in that unit. */
static void test_the_unit_is_not_that_of_the_next_process_with_the_pid(void **state) {
        char *unit, *directory, *living = NULL, *gone = NULL, *next = NULL;
        int started, reused = -ECHILD, status = 0, last = 0;
        Lodger first, second;

        if (!unit_make(*state, &unit, &directory)) {
                print_message("no cgroup can be made here\n");
                skip();
        }
        started = lodger_start(&first, directory, 0);
        if (started == 0) {
                living = unit_of(*state, first.peer);
                status = lodger_end(&first);
                reused = lodger_start(&second, directory, first.pid);
        }
        if (reused == 0) {
                gone = unit_of(*state, first.peer);
                next = unit_of(*state, second.peer);
                last = lodger_end(&second);
        }
        assert_int_equal(rmdir(directory), 0);
        assert_true(started == 0 && status == 0 && last == 0);
        assert_non_null(living);
        assert_string_equal(living, unit);
        assert_null(gone);
        if (reused < 0) {
                print_message("no PID can be chosen here: %s\n", strerror(-reused));
        } else {
                assert_non_null(next);
                assert_string_equal(next, unit);
                close(second.peer);
        }
        close(first.peer);
        talloc_free_children(*state);
}

/* ---- Of a process that somebody names ---- */

static Credentials *named(void *ctx, uint32_t uid, int32_t pid) {
        const Credentials who = { .uid = uid, .gid = 4712, .pid = pid, .label = "somebody" };
        Credentials *credentials = NULL;
        char *root = NULL;

        assert_int_equal(peercred_units_root(ctx, &root), 0);
        assert_int_equal(peercred_of_process(ctx, &who, root, &credentials), 0);
        assert_int_equal(credentials->uid, uid);
        assert_int_equal(credentials->gid, 4712);
        assert_int_equal(credentials->pid, pid);
        assert_string_equal(credentials->label, "somebody");
        talloc_free(root);
        return credentials;
}

static bool has_group(const Credentials *credentials, gid_t group) {
        for (size_t i = 0; i < credentials->n_groups; i++) {
                if (credentials->groups[i] == group) {
                        return true;
                }
        }
        return false;
}

/* Valgrind does not know it, for one. */
static bool knows_pidfd_open(void) {
        int pidfd = (int) syscall(SYS_pidfd_open, getpid(), 0);

        close(pidfd);
        return pidfd >= 0;
}

/* What the kernel says of us by our pid is what it says by a socket. */
static void test_a_process_that_is_the_one(void **state) {
        int n = getgroups(0, NULL), pair[2];
        Credentials *credentials, *peer;
        char *root = NULL;
        gid_t *groups;

        if (!knows_pidfd_open()) {
                print_message("no pidfd_open() here\n");
                skip();
        }
        credentials = named(*state, geteuid(), getpid());
        groups = talloc_array(*state, gid_t, (size_t) n);
        assert_int_equal(getgroups(n, groups), n);
        assert_int_equal(credentials->n_groups, n);
        for (int i = 0; i < n; i++) {
                assert_true(has_group(credentials, groups[i]));
        }
        assert_int_equal(peercred_units_root(*state, &root), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(peercred_read(*state, pair[0], root, &peer), 0);
        assert_int_equal(credentials->unit == NULL, peer->unit == NULL);
        if (peer->unit) {
                assert_string_equal(credentials->unit, peer->unit);
        }
        close(pair[0]);
        close(pair[1]);
        talloc_free(peer);
        talloc_free(root);
        talloc_free(groups);
        talloc_free(credentials);
}

static void assert_nothing_is_known(Credentials *credentials) {
        assert_int_equal(credentials->n_groups, 0);
        assert_null(credentials->unit);
        assert_null(credentials->machine);
        talloc_free(credentials);
}

static void test_a_process_that_cannot_be_the_one(void **state) {
        int status;
        pid_t child = fork();

        if (child == 0) {
                execl("/bin/true", "true", NULL);
                _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        /* Another user's, one that is gone, none that we could see, none that can be. */
        assert_nothing_is_known(named(*state, geteuid() + 1, getpid()));
        assert_nothing_is_known(named(*state, geteuid(), child));
        assert_nothing_is_known(named(*state, geteuid(), 0));
        assert_nothing_is_known(named(*state, geteuid(), INT32_MAX));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_machine_of_a_scope),
                TEST(test_cgroup_of_the_manager),
                TEST(test_unit_of_a_cgroup),
                TEST(test_our_own_unit),
                TEST(test_our_own_credentials),
                TEST(test_all_supplementary_groups),
                TEST(test_a_process_that_is_the_one),
                TEST(test_a_process_that_cannot_be_the_one),
                TEST(test_a_peer_that_is_gone_is_not_looked_for_by_its_pid),
                TEST(test_want_of_descriptors_is_no_answer),
                TEST(test_the_unit_is_not_that_of_the_next_process_with_the_pid),
        };

        return cmocka_run_group_tests_name("peercred", tests, NULL, NULL);
}
