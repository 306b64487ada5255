/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/admission: credentials and definition in, seat or refusal out. */

#include "service/core/admission.h"

#include <string.h>

#include "tests/unit/testing.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static AccessRule access_rules[] = {
        { .kind = RULE_USER, .text = (char *) "alice", .id = 1000 },
        { .kind = RULE_USER, .text = (char *) "nobody-yet", .id = PRINCIPAL_UNRESOLVED },
        { .kind = RULE_GROUP, .text = (char *) "kvm", .id = 105 },
        { .kind = RULE_MACHINE, .text = (char *) "qemu-*-router" },
        { .kind = RULE_UNIT, .text = (char *) "vm@*.service" },
        { .kind = RULE_UNIT, .text = (char *) "machine-qemu\\x2d*-fw.scope" },
        { .kind = RULE_LABEL, .text = (char *) "system_u:*:svirt_t:*" },
};

static AccessRule router_rules[] = { { .kind = RULE_MACHINE, .text = (char *) "qemu-*-router" } };

static Reservation reservations[] = {
        { .name = (char *) "router",
          .vm_id = 0,
          .master = true,
          .match = { router_rules, COUNT(router_rules) } },
};

static Definition definition = {
        .owner = { .kind = RULE_USER, .text = (char *) "owner", .id = 500 },
        .access = { access_rules, COUNT(access_rules) },
        .vectors = 1,
        .max_peers = 3,
};

typedef struct Fixture {
        Definition definition;
        Seats *seats;
        AdmissionContext context;
} Fixture;

static Fixture *fixture_new(void *ctx) {
        Fixture *fixture = talloc_zero(ctx, Fixture);

        fixture->definition = definition;
        assert_int_equal(seats_new(fixture, definition.max_peers, 1, TOPOLOGY_MESH, &fixture->seats), 0);
        fixture->context = (AdmissionContext){ .definition = &fixture->definition, .seats = fixture->seats };
        return fixture;
}

static void expect(const Fixture *fixture, const Credentials *credentials, Refusal refusal,
                   const char *reason) {
        Admission admission = admission_decide(&fixture->context, credentials, "x");

        assert_int_equal(admission.refusal, refusal);
        assert_string_equal(admission.reason, reason);
}

static void test_rules(void **state) {
        static const uint32_t groups[] = { 4, 105 };
        static const struct {
                Credentials credentials;
                Refusal refusal;
                const char *reason;
        } table[] = {
                { { .uid = 0, .gid = 0 }, REFUSAL_NONE, "root" },
                { { .uid = 500, .gid = 500 }, REFUSAL_NONE, "owner" },
                { { .uid = 1000, .gid = 1 }, REFUSAL_NONE, "User=alice" },
                { { .uid = 1001, .gid = 105 }, REFUSAL_NONE, "Group=kvm" },
                { { .uid = 1001, .gid = 1, .groups = groups, .n_groups = 2 }, REFUSAL_NONE, "Group=kvm" },
                { { .uid = 1001, .gid = 1, .groups = groups, .n_groups = 1 },
                  REFUSAL_NOT_PERMITTED,
                  "no [Access] rule matches" },
                { { .uid = 1001, .gid = 1, .machine = "qemu-7-router" },
                  REFUSAL_NONE,
                  "Machine=qemu-*-router" },
                { { .uid = 1001, .gid = 1, .machine = "qemu-7-routers" },
                  REFUSAL_NOT_PERMITTED,
                  "no [Access] rule matches" },
                { { .uid = 1001, .gid = 1, .unit = "vm@7.service" }, REFUSAL_NONE, "Unit=vm@*.service" },
                { { .uid = 1001, .gid = 1, .unit = "machine-qemu\\x2d1-fw.scope" },
                  REFUSAL_NONE,
                  "Unit=machine-qemu\\x2d*-fw.scope" },
                { { .uid = 1001, .gid = 1, .label = "system_u:system_r:svirt_t:s0:c1,c2" },
                  REFUSAL_NONE,
                  "Label=system_u:*:svirt_t:*" },
                { { .uid = 1001, .gid = 1 }, REFUSAL_NOT_PERMITTED, "no [Access] rule matches" },
                /* A name that could not be resolved matches nobody, above all not the uid -1. */
                { { .uid = PRINCIPAL_UNRESOLVED, .gid = 1 },
                  REFUSAL_NOT_PERMITTED,
                  "no [Access] rule matches" },
        };
        Fixture *fixture = fixture_new(*state);

        for (size_t i = 0; i < COUNT(table); i++) {
                expect(fixture, &table[i].credentials, table[i].refusal, table[i].reason);
        }
        talloc_free(fixture);
}

static void test_without_rules_only_root_and_owner(void **state) {
        Fixture *fixture = fixture_new(*state);

        fixture->definition.access = (RuleSet){ 0 };
        expect(fixture, &(Credentials){ .uid = 0 }, REFUSAL_NONE, "root");
        expect(fixture, &(Credentials){ .uid = 500 }, REFUSAL_NONE, "owner");
        expect(fixture, &(Credentials){ .uid = 1000 }, REFUSAL_NOT_PERMITTED, "no [Access] rule matches");
        fixture->context.anyone = true;
        expect(fixture, &(Credentials){ .uid = 1000 }, REFUSAL_NONE, "anyone");
        talloc_free(fixture);
}

static void test_stopping_comes_first(void **state) {
        Fixture *fixture = fixture_new(*state);

        fixture->context.stopping = true;
        expect(fixture, &(Credentials){ .uid = 7 }, REFUSAL_STOPPING, "the domain is stopping");
        talloc_free(fixture);
}

static void test_limits(void **state) {
        Credentials alice = { .uid = 1000 };
        Fixture *fixture = fixture_new(*state);

        fixture->definition.peers_per_user = 2;
        fixture->definition.connect_rate = 5;
        fixture->context.peers_of_user = 1;
        expect(fixture, &alice, REFUSAL_NONE, "User=alice");
        fixture->context.peers_of_user = 2;
        expect(fixture, &alice, REFUSAL_TOO_MANY, "user 1000 has 2 peers, PeersPerUser=2");
        fixture->definition.peers_per_user = 1;
        fixture->context.peers_of_user = 1;
        expect(fixture, &alice, REFUSAL_TOO_MANY, "user 1000 has 1 peer, PeersPerUser=1");
        fixture->context.rate_exceeded = true;
        expect(fixture, &alice, REFUSAL_TOO_MANY, "user 1000 connects more often than ConnectRate=5");
        /* Who is not permitted learns nothing of limits. */
        expect(fixture, &(Credentials){ .uid = 7 }, REFUSAL_NOT_PERMITTED, "no [Access] rule matches");
        talloc_free(fixture);
}

static void test_reservation(void **state) {
        Credentials router = { .uid = 1000, .machine = "qemu-1-router" }, other = { .uid = 1000 };
        Fixture *fixture = fixture_new(*state);
        Admission admission;

        fixture->definition.reservations = reservations;
        fixture->definition.n_reservations = COUNT(reservations);
        assert_int_equal(seats_reserve(fixture->seats, 0, true), 0);

        admission = admission_decide(&fixture->context, &other, "other");
        assert_int_equal(admission.vm_id, 1);
        assert_int_equal(seats_take(fixture->seats, 1, "other"), 0);
        admission = admission_decide(&fixture->context, &router, "router");
        assert_int_equal(admission.refusal, REFUSAL_NONE);
        assert_int_equal(admission.vm_id, 0);
        assert_int_equal(seats_take(fixture->seats, 0, "router"), 0);
        expect(fixture, &router, REFUSAL_SEAT_TAKEN, "[Peer router]: VM ID 0 is taken");
        seats_retire(fixture->seats, 0);
        expect(fixture, &router, REFUSAL_SEAT_TAKEN, "[Peer router]: VM ID 0 is retired");
        talloc_free(fixture);
}

static void test_full(void **state) {
        Fixture *fixture = fixture_new(*state);

        for (uint32_t id = 0; id < 3; id++) {
                assert_int_equal(seats_take(fixture->seats, id, "x"), 0);
        }
        expect(fixture, &(Credentials){ .uid = 0 }, REFUSAL_NO_FREE_SEAT, "all of MaxPeers=3 are taken");
        talloc_free(fixture);
}

static void test_identity(void **state) {
        static const struct {
                Credentials credentials;
                const char *identity;
                const char *description;
        } table[] = {
                { { .uid = 7, .pid = 8, .unit = "a.scope", .machine = "m" },
                  "machine:m",
                  "uid 7, pid 8, unit a.scope, machine m" },
                { { .uid = 7, .pid = 8, .unit = "a.scope" }, "unit:a.scope", "uid 7, pid 8, unit a.scope" },
                { { .uid = 7, .pid = 8 }, "uid:7", "uid 7, pid 8" },
        };

        for (size_t i = 0; i < COUNT(table); i++) {
                char *identity = credentials_identity(*state, &table[i].credentials);
                char *description = credentials_describe(*state, &table[i].credentials);

                assert_string_equal(identity, table[i].identity);
                assert_string_equal(description, table[i].description);
                talloc_free(identity);
                talloc_free(description);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_rules),    TEST(test_without_rules_only_root_and_owner),
                TEST(test_limits),   TEST(test_stopping_comes_first),
                TEST(test_full),     TEST(test_reservation),
                TEST(test_identity),
        };

        return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
