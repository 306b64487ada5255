/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Syscall rules to a filter, by libseccomp. The rules themselves are policy/'s; nothing is decided here. */

#include "service/server/syscall-filter.h"

#include <errno.h>
#include <seccomp.h>
#include <unistd.h>

static void filter_release(scmp_filter_ctx *filter) {
        seccomp_release(*filter);
}

/* The call's number, or a negative one where the row means nothing: libseccomp has negative numbers for calls that only
 * other architectures have. */
static int rule_number(const SyscallRule *rule, int *ret_number) {
        int number = seccomp_syscall_resolve_name(rule->name);

        if (rule->instead_of && seccomp_syscall_resolve_name(rule->instead_of) >= 0) {
                number = __NR_SCMP_ERROR;
        } else if (number < 0 && !rule->not_everywhere) {
                return -ENOENT;
        }
        *ret_number = number;
        return 0;
}

static int filter_add_case(scmp_filter_ctx filter, uint32_t action, int number,
                           const SyscallCase *alternative) {
        struct scmp_arg_cmp comparisons[SYSCALL_TESTS_MAX];
        unsigned n = 0;

        for (size_t i = 0; i < SYSCALL_TESTS_MAX; i++) {
                const SyscallTest *test = &alternative->tests[i];

                if (test->mask != 0) {
                        comparisons[n++] = (struct scmp_arg_cmp){
                                .arg = test->argument,
                                .op = SCMP_CMP_MASKED_EQ,
                                .datum_a = test->mask,
                                .datum_b = test->own_pid ? (uint64_t) getpid() : test->value,
                        };
                }
        }
        return seccomp_rule_add_array(filter, action, number, n, comparisons);
}

static int filter_add_rule(scmp_filter_ctx filter, const SyscallRule *rule) {
        uint32_t action = rule->refusal ? SCMP_ACT_ERRNO((uint32_t) rule->refusal) : SCMP_ACT_ALLOW;
        int number;
        int r = rule_number(rule, &number);

        if (r < 0 || number < 0) {
                return r;
        }
        if (rule->n_cases == 0) {
                return seccomp_rule_add(filter, action, number, 0);
        }
        for (size_t i = 0; i < rule->n_cases && r == 0; i++) {
                r = filter_add_case(filter, action, number, &rule->cases[i]);
        }
        return r;
}

static int filter_set_attributes(scmp_filter_ctx filter, uint32_t default_action) {
        int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, default_action);

        /* Threads there should be none; one that was forgotten is confined as well. */
        if (r == 0) {
                r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
        }
        /* The kernel's own errno in place of -ECANCELED. */
        if (r == 0) {
                r = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
        }
        return r;
}

int syscall_filter_load(const SyscallTable *tables, size_t n_tables, bool log_only) {
        uint32_t default_action = log_only ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
        __attribute__((cleanup(filter_release))) scmp_filter_ctx filter = seccomp_init(default_action);
        int r;

        if (!filter) {
                return -ENOMEM;
        }
        r = filter_set_attributes(filter, default_action);
        for (size_t t = 0; t < n_tables && r == 0; t++) {
                for (size_t i = 0; i < tables[t].n_rules && r == 0; i++) {
                        r = filter_add_rule(filter, &tables[t].rules[i]);
                }
        }
        return r < 0 ? r : seccomp_load(filter);
}
