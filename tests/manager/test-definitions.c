/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions that the manager makes, changes and removes, and those that others write beside it. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/manager/managed.h"
#include "tests/unit/testing.h"

#define SIZE_1M                 \
        (const char *const[]) { \
                "Size=1M", NULL \
        }

static char *text_of(Managed *managed, const char *name) {
        char *path = talloc_asprintf(managed, "%s/%s.domain", managed->scratch->path, name);
        char *text = talloc_zero_size(managed, 4096);
        FILE *file = fopen(path, "re");

        assert_non_null(file);
        assert_true(fread(text, 1, 4095, file) > 0);
        fclose(file);
        return text;
}

static void test_create(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = managed_create(
                managed, "ring", (const char *const[]){ "Size=1M", "Vectors=4", "User=root 4711", NULL });
        char text[256];

        assert_string_equal(domain_name(domain), "ring");
        assert_int_equal(domain_state(domain), DOMAIN_STOPPED);
        assert_int_equal(domain_definition_state(domain), DEFINITION_CURRENT);
        assert_int_equal(domain_owner(domain), getuid());
        assert_int_equal(domain_definition(domain)->size, 1 << 20);
        assert_true(managed_heard(managed, "added ring"));
        assert_ptr_equal(manager_find(managed->manager, "ring"), domain);
        assert_int_equal(manager_count(managed->manager), 1);
        if (getuid() == 0) {
                assert_string_equal(text_of(managed, "ring"),
                                    "[Domain]\nSize=1M\nVectors=4\n\n[Access]\nUser=root 4711\n");
        }
        snprintf(text, sizeof(text), "%s/ring.sock", managed->scratch->path);
        assert_string_equal(domain_socket_path(domain), text);
        assert_string_equal(domain_unit(domain), "");
        managed_free(managed);
}

/* What is refused, of what kind, and a word that the reason has. */
static const struct {
        const char *name;
        Setting settings[3];
        bool transient;
        FailureKind kind;
        const char *word;
} refusals[] = {
        { "Ring", { { .key = "Size", .value = "1M" } }, false, FAILURE_INVALID_NAME, "a lower-case letter" },
        { "../ring", { { .key = "Size", .value = "1M" } }, false, FAILURE_INVALID_NAME, "../ring" },
        { "", { { .key = "Size", .value = "1M" } }, false, FAILURE_INVALID_NAME, "a lower-case letter" },
        { "there", { { .key = "Size", .value = "1M" } }, false, FAILURE_DOMAIN_EXISTS, "already" },
        { "ring", { { .key = NULL } }, false, FAILURE_INVALID_SETTING, "Size= is missing" },
        { "ring", { { .key = "Size", .value = "3M" } }, false, FAILURE_INVALID_SETTING, "write 2M or 4M" },
        { "ring", { { .key = "Sise", .value = "1M" } }, false, FAILURE_INVALID_SETTING, "is Size= meant" },
        { "ring", { { .key = "VMID", .value = "1" } }, false, FAILURE_INVALID_SETTING, "belongs to [Peer]" },
        { "ring",
          { { .key = "Size", .value = "1M" }, { .key = "Description", .value = "a\nOwner=0" } },
          false,
          FAILURE_INVALID_SETTING,
          "Description" },
        { "ring",
          { { .key = "Size", .value = "1M" }, { .key = "User", .value = "a\n[Peer" } },
          false,
          FAILURE_INVALID_SETTING,
          "User=a?[Peer" },
        { "ring",
          { { .key = "Size", .value = "1M" }, { .key = "User", .value = "nobody-knows-me" } },
          false,
          FAILURE_INVALID_SETTING,
          "no such user" },
        { "ring",
          { { .key = "Size", .value = "1M" }, { .section = "a b", .key = "VMID", .value = "0" } },
          false,
          FAILURE_INVALID_SETTING,
          "no name for a peer" },
        { "ring",
          { { .key = "Size", .value = "1M" }, { .section = "a", .key = "User", .value = "root" } },
          false,
          FAILURE_INVALID_SETTING,
          "has no VMID=" },
        { "ring", { { .key = "Size", .value = "1M" } }, true, FAILURE_NOT_SUPPORTED, "persistent" },
};

static void test_refusals(void **state) {
        Managed *managed = managed_new(*state);

        managed_create(managed, "there", SIZE_1M);
        for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
                Domain *domain = NULL;
                Failure failure = { 0 };
                size_t n = 0;

                while (n < 3 && refusals[i].settings[n].key) {
                        n++;
                }
                assert_int_equal(manager_create(managed->manager, refusals[i].name, getuid(),
                                                !refusals[i].transient, refusals[i].settings, n, &domain,
                                                &failure),
                                 -EREMOTEIO);
                assert_null(domain);
                if (failure.kind != refusals[i].kind || !strstr(failure.text, refusals[i].word)) {
                        fail_msg("row %zu: %s: %s", i, failure_kind_names[failure.kind], failure.text);
                }
        }
        assert_int_equal(manager_count(managed->manager), 1);
        managed_free(managed);
}

static void test_remove(void **state) {
        Managed *managed = managed_new(*state);
        Domain *domain = managed_create(managed, "ring", SIZE_1M);
        Failure failure;

        assert_int_equal(manager_remove(managed->manager, domain, &failure), 0);
        assert_true(managed_heard(managed, "removed ring"));
        assert_null(manager_find(managed->manager, "ring"));
        assert_int_equal(access(scratch_path(managed->scratch, "ring.domain"), F_OK), -1);
        managed_create(managed, "ring", SIZE_1M);
        managed_free(managed);
}

/* Files that others write, bend, replace and remove. */
static void test_by_hand(void **state) {
        Managed *managed = managed_new(*state);
        char *path;
        Domain *domain;

        assert_int_equal(scratch_write(managed->scratch, "hand.domain", "[Domain]\nSize=1M\n", &path), 0);
        managed_wait(managed, "added hand");
        managed_forget(managed);
        assert_int_equal(scratch_write(managed->scratch, "hand.domain", "[Domain]\nSize=3M\n", &path), 0);
        managed_wait(managed, "definition hand invalid");
        domain = manager_find(managed->manager, "hand");
        assert_non_null(
                strstr(domain_definition_error(domain), "hand.domain:2: Size=3M is not a power of two"));
        assert_int_equal(domain_definition(domain)->size, 1 << 20);
        assert_false(managed_start(managed, "hand"));
        assert_int_equal(managed->failure.kind, FAILURE_START_FAILED);
        assert_non_null(strstr(managed->failure.text, "hand.domain:2:"));
        assert_int_equal(scratch_write(managed->scratch, "other", "[Domain]\nSize=2M\n", &path), 0);
        assert_int_equal(rename(path, scratch_path(managed->scratch, "hand.domain")), 0);
        managed_wait(managed, "definition hand current");
        assert_int_equal(domain_definition(domain)->size, 2 << 20);
        assert_int_equal(unlink(scratch_path(managed->scratch, "hand.domain")), 0);
        managed_wait(managed, "removed hand");
        managed_free(managed);
}

static void test_set_stopped(void **state) {
        Managed *managed = managed_new(*state);
        Setting settings[] = { { .key = "Size", .value = "2M" }, { .key = "Vectors", .value = "" } };
        Domain *domain = managed_create(managed, "ring",
                                        (const char *const[]){ "Size=1M", "Vectors=4", NULL });

        assert_true(managed_do(managed, "ring",
                               &(Request){ .kind = OPERATION_SET, .settings = settings, .n_settings = 2 }));
        assert_int_equal(domain_definition(domain)->size, 2 << 20);
        assert_int_equal(domain_definition(domain)->vectors, 1);
        settings[0].value = "5";
        assert_false(managed_do(managed, "ring",
                                &(Request){ .kind = OPERATION_SET, .settings = settings, .n_settings = 2 }));
        assert_int_equal(managed->failure.kind, FAILURE_INVALID_SETTING);
        assert_int_equal(domain_definition(domain)->size, 2 << 20);
        managed_free(managed);
}

static void test_reserve_stopped(void **state) {
        Managed *managed = managed_new(*state);
        Setting settings[] = { { "router", "VMID", "3" }, { "router", "User", "root" } };
        Request reserve = {
                .kind = OPERATION_RESERVE, .section = "router", .settings = settings, .n_settings = 2
        };
        Request release = { .kind = OPERATION_RELEASE, .section = "router" };
        Domain *domain = managed_create(managed, "ring", SIZE_1M);

        assert_true(managed_do(managed, "ring", &reserve));
        assert_int_equal(domain_definition(domain)->n_reservations, 1);
        assert_int_equal(domain_definition(domain)->reservations[0].vm_id, 3);
        /* The whole section is replaced. */
        settings[1] = (Setting){ "router", "Group", "root" };
        assert_true(managed_do(managed, "ring", &reserve));
        assert_int_equal(domain_definition(domain)->reservations[0].match.n_rules, 1);
        assert_int_equal(domain_definition(domain)->reservations[0].match.rules[0].kind, RULE_GROUP);
        assert_true(managed_do(managed, "ring", &release));
        assert_int_equal(domain_definition(domain)->n_reservations, 0);
        assert_false(managed_do(managed, "ring", &release));
        assert_int_equal(managed->failure.kind, FAILURE_NO_SUCH_PEER);
        managed_free(managed);
}

/* A manager that was killed has left everything in files. */
static void test_new_manager(void **state) {
        Managed *managed = managed_new(*state);

        managed_create(managed, "b", SIZE_1M);
        managed_create(managed, "a", SIZE_1M);
        managed_end(managed);
        managed_begin(managed);
        assert_int_equal(manager_count(managed->manager), 2);
        assert_non_null(manager_find(managed->manager, "a"));
        assert_non_null(manager_find(managed->manager, "b"));
        managed_free(managed);
}

/* One directory has one manager. */
static void test_second_manager(void **state) {
        Managed *managed = managed_new(*state);
        Launcher *launcher = NULL;
        Failure failure;

        assert_int_equal(launcher_embedded_new(*state, managed->event, managed->scratch->path, NULL,
                                               &launcher, &failure),
                         -EREMOTEIO);
        assert_non_null(strstr(failure.text, "Another manager has the directory"));
        managed_free(managed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_create),      TEST(test_refusals),       TEST(test_remove),
                TEST(test_by_hand),     TEST(test_set_stopped),    TEST(test_reserve_stopped),
                TEST(test_new_manager), TEST(test_second_manager),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
