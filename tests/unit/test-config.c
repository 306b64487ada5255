/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/config: what ivshmemd.conf says, and whom it speaks of. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "service/core/config.h"
#include "tests/unit/testing.h"

static Config *with(void *ctx, const char *text) {
        Config *config = NULL;
        char *error = NULL;

        assert_int_equal(config_new(ctx, &config), 0);
        if (config_parse(ctx, config, "f", text, strlen(text), &error) < 0) {
                fail_msg("%s", error);
        }
        return config;
}

static uint64_t limit(const Config *config, Resource resource, uint32_t uid, uint32_t group,
                      uint32_t other) {
        uint32_t groups[] = { group, other };
        Quota quota;

        config_limits(config, uid, groups, 2, &quota);
        return quota.values[resource];
}

static void test_defaults(void **state) {
        Config *config = with(*state, "");

        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1000, 1, 2), 16);
        assert_int_equal(limit(config, RESOURCE_BYTES, 1000, 1, 2), UINT64_C(4) << 30);
        assert_int_equal(limit(config, RESOURCE_HUGE_PAGE_BYTES, 1000, 1, 2), UINT64_C(1) << 30);
        assert_int_equal(limit(config, RESOURCE_PEERS, 1000, 1, 2), 256);
        assert_int_equal(limit(config, RESOURCE_VECTORS, 1000, 1, 2), 2048);
        assert_true(limit(config, RESOURCE_DOMAINS, 0, 0, 0) == QUOTA_UNLIMITED);
        assert_int_equal(config->global.values[RESOURCE_DOMAINS], 4096);
        assert_true(config->global.values[RESOURCE_BYTES] == QUOTA_UNLIMITED);
        talloc_free(config);
}

/* A user's own section counts before those of its groups, the largest of these before [Limits]; each resource for itself. */
static void test_precedence(void **state) {
        Config *config = with(
                *state, "[Limits]\nDomains=1\nPeers=10\n[Group 100]\nDomains=5\nPeers = 20\n"
                        "[Group 200]\nDomains=7\n[User 1000]\nDomains=3\nBytes=1T\n[User 0]\nPeers=2\n");

        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1000, 100, 200), 3);
        assert_int_equal(limit(config, RESOURCE_PEERS, 1000, 100, 200), 20);
        assert_int_equal(limit(config, RESOURCE_BYTES, 1000, 100, 200), UINT64_C(1) << 40);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1001, 100, 200), 7);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1001, 200, 100), 7);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1001, 100, 300), 5);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1001, 300, 300), 1);
        assert_int_equal(limit(config, RESOURCE_PEERS, 1001, 200, 300), 10);
        assert_int_equal(limit(config, RESOURCE_PEERS, 0, 300, 300), 2);
        assert_true(limit(config, RESOURCE_DOMAINS, 0, 300, 300) == QUOTA_UNLIMITED);
        talloc_free(config);
}

static void test_group_unlimited(void **state) {
        Config *config = with(*state, "[Group 100]\nDomains=unlimited\n[Group 200]\nDomains=7\n");

        assert_true(limit(config, RESOURCE_DOMAINS, 1001, 100, 200) == QUOTA_UNLIMITED);
        talloc_free(config);
}

/* Later files say more, and not less. */
static void test_several(void **state) {
        const char *more =
                "# more\n; and more\n\n[Limits]\r\nPeers=11\n[User 1000]\nDomains=9\n[Global]\nBytes=1G\n";
        Config *config = with(*state, "[Limits]\nDomains=1\nPeers=10\n[User 1000]\nDomains=3\nVectors=4\n");
        char *error = NULL;

        assert_int_equal(config_parse(*state, config, "g", more, strlen(more), &error), 0);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1000, 1, 1), 9);
        assert_int_equal(limit(config, RESOURCE_VECTORS, 1000, 1, 1), 4);
        assert_int_equal(limit(config, RESOURCE_PEERS, 1000, 1, 1), 11);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1001, 1, 1), 1);
        assert_int_equal(config->global.values[RESOURCE_BYTES], 1 << 30);
        assert_int_equal(config->n_tenants, 1);
        talloc_free(config);
}

/* A name that nobody has resolved is nobody's. */
static void test_unresolved(void **state) {
        Config *config = with(*state, "[User alice]\nDomains=3\n");

        assert_int_equal(config->n_tenants, 1);
        assert_int_equal(config->tenants[0].who.kind, RULE_USER);
        assert_string_equal(config->tenants[0].who.text, "alice");
        assert_int_equal(config->tenants[0].who.id, PRINCIPAL_UNRESOLVED);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, PRINCIPAL_UNRESOLVED, 1, 1), 16);
        config->tenants[0].who.id = 1000;
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1000, 1, 1), 3);
        talloc_free(config);
}

static const struct {
        const char *text;
        const char *error;
} errors[] = {
        { "Domains=1\n", "f:1: Domains= stands before the first section" },
        { "[Limits]\nDomain=1\n", "f:2: Domain= is no limit" },
        { "[Limits]\nDomains=1\nDomains=2\n", "f:3: Domains= was given on line 2" },
        { "[Limits]\nDomains=\n", "f:2: Domains= is no number" },
        { "[Limits]\nDomains=-1\n", "f:2: Domains=-1 is no number" },
        { "[Limits]\nDomains=4294967296\n", "f:2: Domains=4294967296 is no number" },
        { "[Limits]\nDomains=4 ; four\n", "f:2: Domains=4 ; four is no number" },
        { "[Limits]\nDomains=1K\n", "f:2: Domains=1K is no number" },
        { "[Limits]\nBytes=1X\n", "f:2: Bytes=1X is no size" },
        { "[Limits]\nBytes=18446744073709551614\n", "f:2: Bytes=18446744073709551614 is no size" },
        { "[Limits]\nBytes=99999999999999999999\n", "f:2: Bytes=99999999999999999999 is no size" },
        { "[Limits]\n Domains=1\n", "f:2: the line is indented" },
        { "[Limits]\nDomains\n", "f:2: 'Domains' is neither" },
        { "[Limits\n", "f:1: '[Limits' does not end with ']'" },
        { "[Limits] x\n", "f:1: '[Limits] x' does not end" },
        { "[Limits]\n[Limits]\n", "f:2: [Limits] began on line 1" },
        { "[User a]\n[User a]\n", "f:2: [User a] began on line 1" },
        { "[Limit]\n", "f:1: [Limit] is no section" },
        { "[]\n", "f:1: [] is no section" },
        { "[Limits all]\n", "f:1: [Limits] has no name" },
        { "[User]\n", "f:1: [User] lacks a name, as in [User alice]" },
        { "[Group ]\n", "f:1: [Group] lacks a name, as in [Group kvm]" },
        { "[User a b]\n", "f:1: [User] names nobody" },
        { "[User a/b]\n", "f:1: [User] names nobody" },
        { "[Limits]\nDomains=\x01\n", "f:2: byte 0x01 in column 9 is not text" },
        { "[Limits]\nDomains=\xff\n", "f:2: byte 0xff in column 9 is not text" },
};

static void test_errors(void **state) {
        for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
                Config *config = with(*state, "[Limits]\nDomains=77\n");
                char *error = NULL;

                assert_int_equal(
                        config_parse(*state, config, "f", errors[i].text, strlen(errors[i].text), &error),
                        -EINVAL);
                if (strncmp(error, errors[i].error, strlen(errors[i].error)) != 0) {
                        fail_msg("row %zu: %s", i, error);
                }
                assert_int_equal(limit(config, RESOURCE_DOMAINS, 1000, 1, 1), 77);
                talloc_free(error);
                talloc_free(config);
        }
}

/* A file of which a part is good counts for nothing. */
static void test_whole_or_nothing(void **state) {
        Config *config = with(*state, "");
        const char *text = "[Limits]\nDomains=1\n[User 1000]\nPeers=1\n[Nonsense]\n";
        char *error = NULL;

        assert_int_equal(config_parse(*state, config, "f", text, strlen(text), &error), -EINVAL);
        assert_int_equal(limit(config, RESOURCE_DOMAINS, 1000, 1, 1), 16);
        assert_int_equal(config->n_tenants, 0);
        talloc_free(error);
        talloc_free(config);
}

static void test_bounds(void **state) {
        Config *config = with(*state, "");
        char *text = talloc_strdup(*state, ""), *error = NULL;

        for (unsigned i = 0; i <= CONFIG_TENANTS_MAX; i++) {
                text = talloc_asprintf_append_buffer(text, "[User %u]\n", i);
        }
        assert_int_equal(config_parse(*state, config, "f", text, strlen(text), &error), -EINVAL);
        assert_non_null(strstr(error, "f:1025: more than 1024 sections"));
        talloc_free(error);
        talloc_free(text);
        text = talloc_zero_size(*state, CONFIG_TEXT_MAX + 1);
        memset(text, '\n', CONFIG_TEXT_MAX + 1);
        assert_int_equal(config_parse(*state, config, "f", text, CONFIG_TEXT_MAX + 1, &error), -EINVAL);
        assert_non_null(strstr(error, "f:1: the file has"));
        talloc_free(error);
        assert_int_equal(config_parse(*state, config, "f", text, CONFIG_TEXT_MAX, &error), 0);
        memset(text, 'x', 300);
        assert_int_equal(config_parse(*state, config, "f", text, 300, &error), -EINVAL);
        assert_non_null(strstr(error, "f:1: the line has 300 bytes"));
        talloc_free(error);
        talloc_free(text);
        talloc_free(config);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_defaults),         TEST(test_precedence), TEST(test_group_unlimited),
                TEST(test_several),          TEST(test_unresolved), TEST(test_errors),
                TEST(test_whole_or_nothing), TEST(test_bounds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
