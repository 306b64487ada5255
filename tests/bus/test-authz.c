/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/authz, dbus/errors: the tables are whole, and mean what they should. */

#include "dbus/authz.h"

#include <string.h>

#include "dbus/bus-parts.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "tests/unit/testing.h"

static const Interface *const interfaces[] = { &manager_interface, &domain_interface };

static const Interface *find_interface(const char *name) {
        return strcmp(name, BUS_MANAGER_INTERFACE) == 0  ? &manager_interface
               : strcmp(name, BUS_DOMAIN_INTERFACE) == 0 ? &domain_interface
                                                         : NULL;
}

/* A method without a row nobody could call. */
static void test_each_method_has_a_row(void **state) {
        for (size_t i = 0; i < 2; i++) {
                for (size_t j = 0; j < interfaces[i]->n_methods; j++) {
                        const char *member = interfaces[i]->methods[j].member;

                        if (!authz_find(interfaces[i]->name, member)) {
                                fail_msg("%s.%s: no row", interfaces[i]->name, member);
                        }
                }
        }
}

static void test_each_row_is_a_method_and_the_only_one(void **state) {
        for (size_t i = 0; authz_row(i); i++) {
                const AuthzRow *row = authz_row(i);
                const Interface *interface = find_interface(row->interface);

                assert_non_null(interface);
                assert_non_null(method_find(interface, row->member));
                assert_ptr_equal(authz_find(row->interface, row->member), row);
        }
}

static void test_what_is_not_in_the_table_nobody_may(void **state) {
        const AuthzCase root = { .privileged = true, .own = true };

        assert_null(authz_find(BUS_MANAGER_INTERFACE, "Destroy"));
        assert_null(authz_find("org.example", "StartDomain"));
        assert_int_equal(authz_decide(NULL, &root), AUTHZ_DENY);
}

static void test_root_may_all(void **state) {
        const AuthzCase root = { .privileged = true };

        for (size_t i = 0; authz_row(i); i++) {
                assert_int_equal(authz_decide(authz_row(i), &root), AUTHZ_ALLOW);
        }
}

/* What anybody may do without being asked, by name: whatever is added here was meant to be. */
static void test_what_takes_no_question(void **state) {
        static const char *const free_for_all[] = { "Unsubscribe", "GetDefinition", "ListPeers" };
        const AuthzCase stranger = { .own = false };

        for (size_t i = 0; authz_row(i); i++) {
                const AuthzRow *row = authz_row(i);
                bool listed = false;

                for (size_t j = 0; j < sizeof(free_for_all) / sizeof(*free_for_all); j++) {
                        listed = listed || strcmp(free_for_all[j], row->member) == 0;
                }
                assert_int_equal(authz_decide(row, &stranger), listed ? AUTHZ_ALLOW : AUTHZ_ASK);
        }
}

static void test_own_and_others(void **state) {
        const AuthzRow *start = authz_find(BUS_MANAGER_INTERFACE, "StartDomain");
        const AuthzRow *get = authz_find(BUS_MANAGER_INTERFACE, "GetDomain");
        const AuthzCase own = { .own = true }, other = { .own = false };

        assert_string_equal(authz_action(start, &own), "org.ivshmem1.manage-own");
        assert_string_equal(authz_action(start, &other), "org.ivshmem1.manage");
        assert_int_equal(authz_decide(get, &own), AUTHZ_ALLOW);
        assert_int_equal(authz_decide(get, &other), AUTHZ_ASK);
        assert_string_equal(authz_action(get, &other), "org.ivshmem1.inspect");
}

static void test_without_polkit(void **state) {
        const AuthzCase own = { .own = true }, other = { .own = false };

        assert_true(authz_without_polkit(authz_find(BUS_MANAGER_INTERFACE, "StartDomain"), &own));
        assert_false(authz_without_polkit(authz_find(BUS_MANAGER_INTERFACE, "StartDomain"), &other));
        assert_false(authz_without_polkit(authz_find(BUS_MANAGER_INTERFACE, "CreateDomain"), &own));
        /* What an owner may, but for making domains: those are nobody's yet. */
        for (size_t i = 0; authz_row(i); i++) {
                const AuthzRow *row = authz_row(i);
                bool manages_own = row->own && strcmp(row->own, AUTHZ_MANAGE_OWN) == 0;

                assert_int_equal(authz_without_polkit(row, &own),
                                 manages_own && strcmp(row->member, "CreateDomain") != 0);
                assert_false(authz_without_polkit(row, &other));
        }
}

static void test_each_failure_has_an_error(void **state) {
        for (int kind = 0; kind < _FAILURE_KIND_MAX; kind++) {
                const char *name = bus_error_name((FailureKind) kind);

                assert_true(sd_bus_interface_name_is_valid(name));
                /* Only one kind is what nobody foresaw. */
                assert_int_equal(strcmp(name, SD_BUS_ERROR_FAILED) == 0, kind == FAILURE_SYSTEM);
                for (int other = 0; other < kind; other++) {
                        assert_string_not_equal(bus_error_name((FailureKind) other), name);
                }
        }
        assert_string_equal(bus_error_name(_FAILURE_KIND_MAX), SD_BUS_ERROR_FAILED);
        assert_string_equal(bus_error_name(_FAILURE_KIND_INVALID), SD_BUS_ERROR_FAILED);
        assert_string_equal(bus_error_name(FAILURE_NO_SUCH_DOMAIN), "org.ivshmem1.Error.NoSuchDomain");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_each_method_has_a_row),
                TEST(test_each_row_is_a_method_and_the_only_one),
                TEST(test_what_is_not_in_the_table_nobody_may),
                TEST(test_root_may_all),
                TEST(test_what_takes_no_question),
                TEST(test_own_and_others),
                TEST(test_without_polkit),
                TEST(test_each_failure_has_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
