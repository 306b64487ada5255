/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/tenant: what a user is charged, and when it is forgotten. */

#include "service/server/tenant.h"

#include "tests/unit/testing.h"

#define SECOND UINT64_C(1000000)

static Tenants *new_tenants(void *ctx) {
        Tenants *tenants = NULL;

        assert_int_equal(tenants_new(ctx, &tenants), 0);
        return tenants;
}

static Tenant *get(Tenants *tenants, uint32_t uid, uint32_t rate, uint64_t now) {
        Tenant *tenant = NULL;

        assert_int_equal(tenants_get(tenants, uid, rate, now, &tenant), 0);
        return tenant;
}

static void test_one_record_a_user(void **state) {
        Tenants *tenants = new_tenants(*state);
        Tenant *alice = get(tenants, 1000, 5, 0);

        assert_ptr_equal(get(tenants, 1000, 5, 0), alice);
        assert_ptr_not_equal(get(tenants, 1001, 5, 0), alice);
        talloc_free(tenants);
}

static void test_bursts_of_ten_seconds(void **state) {
        Tenants *tenants = new_tenants(*state);
        Tenant *alice = get(tenants, 1000, 5, 0);
        int n = 0;

        while (n < 100 && bucket_take(&alice->connects, 0)) {
                n++;
        }
        assert_int_equal(n, 50);
        /* A reload that changes the rate begins anew. */
        alice = get(tenants, 1000, 6, 0);
        assert_true(bucket_take(&alice->connects, 0));
        talloc_free(tenants);
}

static void test_idle_users_are_forgotten(void **state) {
        Tenants *tenants = new_tenants(*state);
        Tenant *busy = get(tenants, 0, 5, 0);
        size_t before;

        busy->n_peers = 1;
        for (uint32_t uid = 1; uid < 1000; uid++) {
                assert_true(bucket_take(&get(tenants, uid, 5, 0)->connects, 0));
        }
        before = talloc_total_blocks(tenants);
        /* Each of them has a token to get back for a fifth of a second. */
        get(tenants, 5000, 5, SECOND / 10);
        assert_int_equal(talloc_total_blocks(tenants), before + 1);
        get(tenants, 5001, 5, SECOND);
        assert_int_equal(talloc_total_blocks(tenants), 3); /* the table, the busy one, the new one */
        assert_ptr_equal(get(tenants, 0, 5, SECOND), busy);
        talloc_free(tenants);
}

static void test_log_records_are_bounded_and_counted(void **state) {
        Tenants *tenants = new_tenants(*state);
        Tenant *alice = get(tenants, 1000, 5, 0);
        uint32_t written = 0, suppressed;

        for (int i = 0; i < 1000; i++) {
                written += tenant_may_log(alice, 0, &suppressed);
        }
        assert_int_equal(written, 200);
        assert_true(tenant_may_log(alice, SECOND, &suppressed));
        assert_int_equal(suppressed, 800);
        assert_true(tenant_may_log(alice, SECOND, &suppressed));
        assert_int_equal(suppressed, 0);
        talloc_free(tenants);
}

static void test_told_refusals_are_bounded(void **state) {
        Tenants *tenants = new_tenants(*state);
        Tenant *alice = get(tenants, 1000, 5, 0);
        uint32_t told = 0, suppressed;

        for (int i = 0; i < 1000; i++) {
                told += tenant_may_tell(alice, 0);
        }
        assert_int_equal(told, 100);
        /* Log records, and other users, are counted for themselves. */
        assert_true(tenant_may_log(alice, 0, &suppressed));
        assert_true(tenant_may_tell(get(tenants, 1001, 5, 0), 0));
        assert_true(tenant_may_tell(alice, SECOND));
        talloc_free(tenants);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_one_record_a_user),         TEST(test_bursts_of_ten_seconds),
                TEST(test_idle_users_are_forgotten),  TEST(test_log_records_are_bounded_and_counted),
                TEST(test_told_refusals_are_bounded),
        };

        return cmocka_run_group_tests_name("tenant", tests, NULL, NULL);
}
