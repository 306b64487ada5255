/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tenants may have: read from files, checked when a domain is made, changed and started. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/manager/staged.h"
#include "tests/unit/testing.h"

#define CONF STAGED_ETC "/ivshmemd.conf"
#define SIZE_1M                               \
        (const char *const[]) {               \
                "Size=1M", "MaxPeers=2", NULL \
        }

/* Users that nobody is, and one that is. */
#define ALICE 70001U
#define BOB 70002U

static void configure(Staged *staged, const char *text) {
        staged_write(staged, CONF, text);
        manager_reload(staged->managed->manager);
}

static void check_usage(Staged *staged, uint32_t uid, const char *what, uint64_t used, uint64_t limit) {
        Usage usage[USAGES];

        manager_usage(staged->managed->manager, uid, usage);
        for (size_t i = 0; i < USAGES; i++) {
                if (strcmp(usage[i].what, what) == 0) {
                        assert_int_equal(usage[i].used, used);
                        assert_int_equal(usage[i].limit, limit);
                        return;
                }
        }
        fail_msg("no usage of %s", what);
}

static void test_domains(void **state) {
        Staged *staged = staged_new(*state);
        const char *why;

        configure(staged, "[Limits]\nDomains=2\n");
        assert_null(staged_create(staged, "a", ALICE, true, SIZE_1M));
        assert_null(staged_create(staged, "b", ALICE, false, SIZE_1M));
        check_usage(staged, ALICE, "Domains", 2, 2);
        why = staged_create(staged, "c", ALICE, true, SIZE_1M);
        assert_int_equal(staged->managed->failure.kind, FAILURE_LIMIT_EXCEEDED);
        assert_string_equal(
                why,
                "user 70001 may have 2 domains and has 2; this takes 1 more (Domains= in ivshmemd.conf)");
        assert_null(manager_find(staged->managed->manager, "c"));
        /* Others are others, and root has no limit. */
        assert_null(staged_create(staged, "c", BOB, true, SIZE_1M));
        assert_null(staged_create(staged, "d", 0, true, SIZE_1M));
        assert_null(staged_create(staged, "e", 0, true, SIZE_1M));
        assert_null(staged_create(staged, "f", 0, true, SIZE_1M));
        check_usage(staged, 0, "Domains", 3, UINT64_MAX);
        /* What is removed is free again. */
        assert_int_equal(manager_remove(staged->managed->manager,
                                        manager_find(staged->managed->manager, "a"),
                                        &staged->managed->failure),
                         0);
        assert_null(staged_create(staged, "g", ALICE, true, SIZE_1M));
        staged_free(staged);
}

/* Each resource by itself: how much is allowed, what fits still, what does not any more, and what is said then. */
static const struct {
        const char *conf;
        const char *first[4];
        const char *second[5];
        const char *why;
} resources[] = {
        { "[Limits]\nBytes=3M\n",
          { "Size=2M" },
          { "Size=2M" },
          "may have 3M of memory and has 2M; this takes 2M more (Bytes=" },
        { "[Limits]\nHugePageBytes=4M\n",
          { "Size=4M", "HugePages=2M" },
          { "Size=2M", "HugePages=2M" },
          "may have 4M of huge pages and has 4M; this takes 2M more (HugePageBytes=" },
        { "[Limits]\nPeers=20\n",
          { "Size=1M" },
          { "Size=1M" },
          "may have 20 peers and has 16; this takes 16 more (Peers=" },
        { "[Limits]\nVectors=128\n",
          { "Size=1M", "Vectors=4" },
          { "Size=1M", "Vectors=5" },
          "may have 128 doorbells and has 64; this takes 80 more (Vectors=" },
        { "[Global]\nBytes=3M\n",
          { "Size=2M" },
          { "Size=2M" },
          "All users together may have 3M of memory, and this takes 2M, which is more than is left (Bytes=" },
};

static void test_resources(void **state) {
        for (size_t i = 0; i < sizeof(resources) / sizeof(*resources); i++) {
                Staged *staged = staged_new(*state);
                const char *why;

                configure(staged, resources[i].conf);
                assert_null(staged_create(staged, "a", ALICE, true, resources[i].first));
                why = staged_create(staged, "b", ALICE, true, resources[i].second);
                if (!why || !strstr(why, resources[i].why)) {
                        fail_msg("row %zu: %s", i, why ?: "it was made");
                }
                staged_free(staged);
        }
}

/* [Global] is for root, too. */
static void test_global(void **state) {
        Staged *staged = staged_new(*state);

        configure(staged, "[Global]\nDomains=1\n");
        assert_null(staged_create(staged, "a", 0, true, SIZE_1M));
        assert_non_null(staged_create(staged, "b", 0, true, SIZE_1M));
        assert_int_equal(staged->managed->failure.kind, FAILURE_LIMIT_EXCEEDED);
        staged_free(staged);
}

/* Definitions that somebody else wrote count for their owner, broken ones as domains of root. */
static void test_files_count(void **state) {
        Staged *staged = staged_new(*state);

        staged_write(staged, STAGED_ETC "/hand.domain", "[Domain]\nOwner=70001\nSize=1M\n");
        staged_write(staged, STAGED_ETC "/broken.domain", "[Domain]\nOwner=70001\n");
        configure(staged, "[Limits]\nDomains=1\n");
        check_usage(staged, ALICE, "Domains", 1, 1);
        check_usage(staged, ALICE, "Bytes", 1 << 20, UINT64_C(4) << 30);
        check_usage(staged, 0, "Domains", 1, UINT64_MAX);
        assert_non_null(staged_create(staged, "a", ALICE, true, SIZE_1M));
        staged_free(staged);
}

/* A domain's user comes and goes with the domain. Whoever names such a one cannot so make domains that are not his. */
static void test_who_names_somebody_that_is_gone(void **state) {
        static const char text[] = "[Domain]\nOwner=70001\nSize=1M\n[Access]\nUser=ivs-no-such-domain\n";
        Staged *staged = staged_new(*state);

        configure(staged, "[Limits]\nDomains=1\n");
        staged_write(staged, STAGED_RUN "/lost.domain", text);
        managed_wait(staged->managed, "added lost");
        assert_string_not_equal(domain_definition_error(manager_find(staged->managed->manager, "lost")), "");
        check_usage(staged, ALICE, "Domains", 1, 1);
        staged_restart(staged);
        assert_int_equal(domain_owner(manager_find(staged->managed->manager, "lost")), ALICE);
        check_usage(staged, ALICE, "Bytes", 1 << 20, UINT64_C(4) << 30);
        assert_non_null(staged_create(staged, "a", ALICE, true, SIZE_1M));
        staged_free(staged);
}

static bool set(Staged *staged, const char *name, const char *key, const char *value) {
        Setting setting = { .key = key, .value = value };

        return managed_do(staged->managed, name,
                          &(Request){ .kind = OPERATION_SET, .settings = &setting, .n_settings = 1 });
}

/* More is refused, less is not, also where it is too much still. */
static void test_set(void **state) {
        Staged *staged = staged_new(*state);

        configure(staged, "[Limits]\nBytes=4M\nPeers=8\n");
        assert_null(staged_create(staged, "a", ALICE, true,
                                  (const char *const[]){ "Size=4M", "MaxPeers=4", NULL }));
        assert_false(set(staged, "a", "Size", "8M"));
        assert_int_equal(staged->managed->failure.kind, FAILURE_LIMIT_EXCEEDED);
        assert_true(set(staged, "a", "MaxPeers", "8"));
        configure(staged, "[Limits]\nBytes=1M\nPeers=2\n");
        assert_true(set(staged, "a", "Size", "2M"));
        assert_true(set(staged, "a", "Description", "still too much"));
        assert_false(set(staged, "a", "Size", "4M"));
        /* A new owner has to have room for all of it. */
        configure(staged, "[Limits]\nBytes=4M\nPeers=16\n[User 70002]\nDomains=0\n");
        assert_false(set(staged, "a", "Owner", "70002"));
        assert_non_null(strstr(staged->managed->failure.text, "user 70002 may have 0 domains"));
        staged_free(staged);
}

/* At a start those count that run. */
static void test_start(void **state) {
        Staged *staged = staged_new(*state);
        Request start = { .kind = OPERATION_START };

        configure(staged, "[Limits]\nDomains=3\n");
        assert_null(staged_create(staged, "a", ALICE, true, SIZE_1M));
        assert_null(staged_create(staged, "b", ALICE, true, SIZE_1M));
        configure(staged, "[Limits]\nDomains=1\n");
        assert_true(managed_begin_operation(staged->managed, "a", &start));
        staged_tell(staged, "a", DOMAIN_RUNNING, "");
        staged_end(staged, NULL);
        managed_wait(staged->managed, "state a running");
        assert_false(managed_begin_operation(staged->managed, "b", &start));
        assert_int_equal(staged->managed->failure.kind, FAILURE_LIMIT_EXCEEDED);
        assert_non_null(
                strstr(staged->managed->failure.text, "may have 1 domain and runs 1; this takes 1 more"));
        staged_tell(staged, "a", DOMAIN_FAILED, "");
        assert_true(managed_begin_operation(staged->managed, "b", &start));
        staged_end(staged, NULL);
        staged_free(staged);
}

/* Those too of which the launcher has not said yet that they start: nobody starts two at a time who may have one. */
static void test_start_together(void **state) {
        Staged *staged = staged_new(*state);
        Request start = { .kind = OPERATION_START }, restart = { .kind = OPERATION_RESTART };
        Failure refusal;

        configure(staged, "[Limits]\nDomains=3\n");
        assert_null(staged_create(staged, "a", ALICE, true, SIZE_1M));
        assert_null(staged_create(staged, "b", ALICE, true, SIZE_1M));
        configure(staged, "[Limits]\nDomains=1\n");
        assert_true(managed_begin_operation(staged->managed, "a", &start));
        assert_false(managed_begin_operation(staged->managed, "b", &start));
        assert_int_equal(staged->managed->failure.kind, FAILURE_LIMIT_EXCEEDED);
        /* It takes nothing any more when it could not be started. */
        (void) failure_set(&refusal, FAILURE_START_FAILED, "not now");
        staged_end(staged, &refusal);
        assert_true(managed_begin_operation(staged->managed, "b", &start));
        staged_end(staged, NULL);
        /* A restart is a start of one that does not run, and takes no more of one that does. */
        assert_true(managed_begin_operation(staged->managed, "a", &restart));
        assert_false(managed_begin_operation(staged->managed, "b", &start));
        staged_tell(staged, "a", DOMAIN_RUNNING, "");
        staged_end(staged, NULL);
        managed_wait(staged->managed, "state a running");
        assert_true(managed_begin_operation(staged->managed, "a", &restart));
        staged_end(staged, NULL);
        staged_free(staged);
}

/* The first ivshmemd.conf, and then drop-ins by name, of which those in /etc hide others. */
static void test_configuration(void **state) {
        Staged *staged = staged_new(*state);
        Scratch *scratch = staged->managed->scratch;

        assert_int_equal(scratch_mkdir(scratch, STAGED_ETC "/ivshmemd.conf.d"), 0);
        assert_int_equal(scratch_mkdir(scratch, STAGED_USR "/ivshmemd.conf.d"), 0);
        staged_write(staged, STAGED_USR "/ivshmemd.conf", "[Limits]\nDomains=1\nPeers=1\n");
        manager_reload(staged->managed->manager);
        check_usage(staged, ALICE, "Domains", 0, 1);
        configure(staged, "[Limits]\nDomains=2\n");
        check_usage(staged, ALICE, "Domains", 0, 2);
        check_usage(staged, ALICE, "Peers", 0, 256);
        staged_write(staged, STAGED_USR "/ivshmemd.conf.d/20-b.conf", "[Limits]\nDomains=3\nVectors=3\n");
        staged_write(staged, STAGED_USR "/ivshmemd.conf.d/10-a.conf", "[Limits]\nDomains=4\nPeers=4\n");
        staged_write(staged, STAGED_USR "/ivshmemd.conf.d/30-c", "[Limits]\nDomains=5\n");
        manager_reload(staged->managed->manager);
        check_usage(staged, ALICE, "Domains", 0, 3);
        check_usage(staged, ALICE, "Vectors", 0, 3);
        check_usage(staged, ALICE, "Peers", 0, 4);
        staged_write(staged, STAGED_ETC "/ivshmemd.conf.d/20-b.conf", "[Limits]\nVectors=6\n");
        manager_reload(staged->managed->manager);
        check_usage(staged, ALICE, "Domains", 0, 4);
        check_usage(staged, ALICE, "Vectors", 0, 6);
        staged_free(staged);
}

/* One bad file is left out at the start; later all stays as it was. */
static void test_bad_configuration(void **state) {
        Staged *staged = staged_new(*state);
        Scratch *scratch = staged->managed->scratch;

        assert_int_equal(scratch_mkdir(scratch, STAGED_ETC "/ivshmemd.conf.d"), 0);
        configure(staged, "[Limits]\nDomains=2\n");
        staged_write(staged, STAGED_ETC "/ivshmemd.conf.d/bad.conf", "[Limits]\nDomains=many\n");
        configure(staged, "[Limits]\nDomains=3\n");
        check_usage(staged, ALICE, "Domains", 0, 2);
        staged_restart(staged);
        check_usage(staged, ALICE, "Domains", 0, 3);
        staged_free(staged);
}

/* Users and groups by name: root, which each system has, and its group. */
static void test_names(void **state) {
        Staged *staged = staged_new(*state);

        configure(staged,
                  "[User root]\nDomains=1\n[Group root]\nPeers=7\n[User nobody-knows-me]\nDomains=9\n");
        check_usage(staged, 0, "Domains", 0, 1);
        check_usage(staged, 0, "Peers", 0, 7);
        check_usage(staged, ALICE, "Peers", 0, 256);
        assert_null(staged_create(staged, "a", 0, true, SIZE_1M));
        assert_string_equal(
                staged_create(staged, "b", 0, true, SIZE_1M),
                "root may have 1 domain and has 1; this takes 1 more (Domains= in ivshmemd.conf)");
        staged_free(staged);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_domains),
                TEST(test_resources),
                TEST(test_global),
                TEST(test_files_count),
                TEST(test_who_names_somebody_that_is_gone),
                TEST(test_set),
                TEST(test_start),
                TEST(test_start_together),
                TEST(test_configuration),
                TEST(test_bad_configuration),
                TEST(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
