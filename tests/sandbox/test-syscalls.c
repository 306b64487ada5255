/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The allow-list as data: its form, and that what must never be in it is not. */

#include "policy/ivshmem-server-syscalls.h"

#include <seccomp.h>
#include <string.h>

#include "tests/unit/testing.h"

#define GRANTED_MAX 49U

static void check_rows(const SyscallRule *rules, size_t n_rules) {
        for (size_t i = 0; i < n_rules; i++) {
                assert_non_null(rules[i].name);
                assert_non_null(rules[i].reason);
                assert_non_null(rules[i].caller);
                assert_true(strlen(rules[i].reason) > 0);
                assert_true(strlen(rules[i].caller) > 0);
                if (i > 0 && strcmp(rules[i - 1].name, rules[i].name) >= 0) {
                        fail_msg("%s is out of order, or twice, after %s", rules[i].name, rules[i - 1].name);
                }
        }
}

static void test_rows(void **state) {
        check_rows(ivshmem_server_syscalls, ivshmem_server_n_syscalls);
        check_rows(sanitizer_syscalls, sanitizer_n_syscalls);
}

static const uint32_t architectures[] = { SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64 };

/* Negative numbers are libseccomp's stand-ins for calls that an architecture does not have. */
static bool call_exists(uint32_t architecture, const char *name) {
        return seccomp_syscall_resolve_name_arch(architecture, name) >= 0;
}

static void check_known(const SyscallRule *rules, size_t n_rules) {
        for (size_t i = 0; i < n_rules; i++) {
                if (!call_exists(SCMP_ARCH_X86_64, rules[i].name)) {
                        fail_msg("%s is not a system call of x86_64", rules[i].name);
                }
                if (!rules[i].not_everywhere && !call_exists(SCMP_ARCH_AARCH64, rules[i].name)) {
                        fail_msg("%s is not a system call of aarch64, and not marked so", rules[i].name);
                }
        }
}

static void test_names_are_known(void **state) {
        check_known(ivshmem_server_syscalls, ivshmem_server_n_syscalls);
        check_known(sanitizer_syscalls, sanitizer_n_syscalls);
}

static void test_few_are_granted(void **state) {
        for (size_t a = 0; a < sizeof(architectures) / sizeof(*architectures); a++) {
                unsigned granted = 0;

                for (size_t i = 0; i < ivshmem_server_n_syscalls; i++) {
                        const SyscallRule *rule = &ivshmem_server_syscalls[i];

                        if (!rule->refusal && call_exists(architectures[a], rule->name) &&
                            !(rule->instead_of && call_exists(architectures[a], rule->instead_of))) {
                                granted++;
                        }
                }
                print_message("# %u calls of %#x\n", granted, architectures[a]);
                assert_in_range(granted, 1, GRANTED_MAX);
        }
}

static const SyscallRule *rule_find(const char *name) {
        for (size_t i = 0; i < ivshmem_server_n_syscalls; i++) {
                if (strcmp(ivshmem_server_syscalls[i].name, name) == 0) {
                        return &ivshmem_server_syscalls[i];
                }
        }
        return NULL;
}

/* What an architecture lacks must have come under another name. */
static void test_substitutes(void **state) {
        for (size_t i = 0; i < ivshmem_server_n_syscalls; i++) {
                const SyscallRule *rule = &ivshmem_server_syscalls[i];
                bool substituted = false;

                if (rule->instead_of) {
                        assert_non_null(rule_find(rule->instead_of));
                        assert_true(rule_find(rule->instead_of)->not_everywhere);
                }
                for (size_t j = 0; rule->not_everywhere && j < ivshmem_server_n_syscalls; j++) {
                        const char *instead_of = ivshmem_server_syscalls[j].instead_of;

                        substituted = substituted || (instead_of && strcmp(instead_of, rule->name) == 0);
                }
                assert_int_equal(substituted, rule->not_everywhere);
        }
}

static void test_conditions(void **state) {
        for (size_t i = 0; i < ivshmem_server_n_syscalls; i++) {
                const SyscallRule *rule = &ivshmem_server_syscalls[i];

                assert_int_equal(rule->cases != NULL, rule->n_cases > 0);
                for (size_t c = 0; c < rule->n_cases; c++) {
                        /* A case without a test would grant everything. */
                        assert_true(rule->cases[c].tests[0].mask != 0);
                        for (size_t t = 0; t < SYSCALL_TESTS_MAX; t++) {
                                const SyscallTest *test = &rule->cases[c].tests[t];

                                assert_true(test->argument < 6);
                                assert_true((test->value & ~test->mask) == 0);
                        }
                }
        }
}

static void test_never_granted(void **state) {
        static const char *const names[] = {
                "bind",
                "chmod",
                "chown",
                "clone",
                "clone3",
                "connect",
                "execve",
                "fork",
                "kill",
                "link",
                "listen",
                "mkdir",
                "mount",
                "open",
                "openat2",
                "process_vm_readv",
                "process_vm_writev",
                "ptrace",
                "rename",
                "setuid",
                "symlink",
                "truncate",
                "unshare",
                "vfork",
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                if (rule_find(names[i])) {
                        fail_msg("%s is granted", names[i]);
                }
        }
}

static void test_never_without_condition(void **state) {
        static const char *const names[] = { "fcntl", "ioctl",      "mmap",   "mprotect", "openat",
                                             "prctl", "setsockopt", "socket", "tgkill" };

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                const SyscallRule *rule = rule_find(names[i]);

                if (rule && rule->n_cases == 0) {
                        fail_msg("%s is granted with any arguments", names[i]);
                }
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_rows),
                TEST(test_few_are_granted),
                TEST(test_substitutes),
                TEST(test_names_are_known),
                TEST(test_conditions),
                TEST(test_never_granted),
                TEST(test_never_without_condition),
        };

        return cmocka_run_group_tests_name("syscalls", tests, NULL, NULL);
}
