/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/peercred: what the kernel says of a process, and the machine behind a unit. */

#include "service/server/peercred.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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
        };

        return cmocka_run_group_tests_name("peercred", tests, NULL, NULL);
}
