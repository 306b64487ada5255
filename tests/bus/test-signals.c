/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/signals: who is told what, how often, and that those who do not listen cost nothing. */

#include "dbus/signals.h"

#include <errno.h>
#include <string.h>

#include "dbus/names.h"
#include "dbus/owners.h"
#include "tests/bus/stage.h"
#include "tests/unit/testing.h"

#define STRANGER 12345

typedef struct Heard {
        unsigned n; /* signals of ours */
        char *last; /* "member path" of all of them, a line each */
        sd_bus_message *message;
} Heard;

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Heard *heard = userdata;

        if (!sd_bus_message_is_signal(message, "org.freedesktop.DBus.Local", NULL) &&
            sd_bus_message_is_signal(message, NULL, NULL)) {
                heard->n++;
                heard->last = talloc_asprintf_append(heard->last, "%s %s\n",
                                                     sd_bus_message_get_member(message),
                                                     sd_bus_message_get_path(message));
                sd_bus_message_unref(heard->message);
                heard->message = sd_bus_message_ref(message);
        }
        return 0;
}

static Stage *begin(void **state, Heard *heard, bool subscribe) {
        Stage *stage;

        assert_int_equal(stage_new(*state, &stage), 0);
        *heard = (Heard){ .last = talloc_strdup(stage, "") };
        assert_true(sd_bus_add_filter(stage->client, NULL, on_signal, heard) >= 0);
        if (subscribe) {
                assert_int_equal(
                        stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "Subscribe", NULL, NULL, NULL),
                        0);
        }
        return stage;
}

/* What was sent by now has been heard when an answer that was sent later is there. */
static void hear(Stage *stage) {
        stage_settle(stage);
        assert_int_equal(stage_call(stage, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL),
                         0);
}

static void done(Stage *stage, Heard *heard) {
        sd_bus_message_unref(heard->message);
        talloc_free(stage);
}

static void change(Domain *domain, DomainChanges changes) {
        Manager *manager = domain->manager;

        manager->observer.domain_changed(domain, changes, manager->observer.userdata);
}

static void test_only_subscribers(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ false);
        Domain *domain = fake_domain_add(stage->manager, "ring", 0);

        change(domain, DOMAIN_CHANGED_STATE);
        hear(stage);
        assert_int_equal(heard.n, 0);
        assert_int_equal(stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "Subscribe", NULL, NULL, NULL),
                         0);
        change(domain, DOMAIN_CHANGED_STATE);
        hear(stage);
        assert_int_equal(heard.n, 1);
        assert_int_equal(stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "Unsubscribe", NULL, NULL, NULL),
                         0);
        change(domain, DOMAIN_CHANGED_STATE);
        hear(stage);
        assert_int_equal(heard.n, 1);
        done(stage, &heard);
}

static void test_domains_come_and_go(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ true);
        Domain *domain = fake_domain_add(stage->manager, "a-b", 0);

        change(domain, DOMAIN_CHANGED_STATE);
        fake_domain_drop(domain);
        hear(stage);
        assert_string_equal(heard.last, "InterfacesAdded /org/ivshmem1\n"
                                        "DomainAdded /org/ivshmem1\n"
                                        "InterfacesRemoved /org/ivshmem1\n"
                                        "DomainRemoved /org/ivshmem1\n");
        done(stage, &heard);
}

/* The names of the properties in a PropertiesChanged, a blank behind each. */
static char *changed_names(void *ctx, sd_bus_message *message) {
        char *names = talloc_strdup(ctx, "");
        const char *text;

        assert_true(sd_bus_message_read(message, "s", &text) > 0);
        assert_string_equal(text, BUS_DOMAIN_INTERFACE);
        assert_true(sd_bus_message_enter_container(message, 'a', "{sv}") > 0);
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                assert_true(sd_bus_message_read(message, "s", &text) > 0);
                names = talloc_asprintf_append(names, "%s ", text);
                assert_true(sd_bus_message_skip(message, "v") > 0);
                assert_true(sd_bus_message_exit_container(message) >= 0);
        }
        return names;
}

static void test_changes_of_a_turn_are_one_signal(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ true);
        Domain *ring = fake_domain_add(stage->manager, "ring", 0),
               *other = fake_domain_add(stage->manager, "other", 0);

        hear(stage);
        heard.n = 0;
        for (int i = 0; i < 1000; i++) {
                change(ring, DOMAIN_CHANGED_STATE);
                change(other, DOMAIN_CHANGED_COUNTERS);
                change(ring, DOMAIN_CHANGED_STATUS);
        }
        hear(stage);
        assert_int_equal(heard.n, 2);
        change(ring, DOMAIN_CHANGED_STATE);
        change(ring, DOMAIN_CHANGED_STATUS);
        hear(stage);
        assert_int_equal(heard.n, 3);
        assert_string_equal(changed_names(stage, heard.message),
                            "State StatusText Progress MainPID RunningSince ");
        done(stage, &heard);
}

/* More domains than the list has room for at first. */
static void test_many_domains(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ true);
        char name[16];

        for (int i = 0; i < 300; i++) {
                snprintf(name, sizeof(name), "d%d", i);
                assert_non_null(fake_domain_add(stage->manager, name, 0));
        }
        hear(stage);
        heard.n = 0;
        for (int round = 0; round < 3; round++) {
                LIST_FOREACH(i, &stage->manager->domains) {
                        change(list_entry(i, Domain, link), DOMAIN_CHANGED_STATE);
                }
        }
        hear(stage);
        assert_int_equal(heard.n, 300);
        done(stage, &heard);
}

static void test_only_what_may_be_seen(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ true);
        Domain *domain;

        stage_demote(stage, STRANGER);
        domain = fake_domain_add(stage->manager, "ring", 0);
        change(domain, DOMAIN_CHANGED_STATE);
        stage->manager->observer.peer_joined(domain, &domain->peer, stage->manager->observer.userdata);
        fake_domain_drop(domain);
        hear(stage);
        assert_int_equal(heard.n, 0);
        domain = fake_domain_add(stage->manager, "ring", STRANGER);
        hear(stage);
        assert_int_equal(heard.n, 2);
        done(stage, &heard);
}

static void test_a_domain_that_changes_hands(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ true);
        Domain *domain = fake_domain_add(stage->manager, "ring", 0),
               *other = fake_domain_add(stage->manager, "other", 0);

        stage_demote(stage, STRANGER);
        hear(stage);
        heard.last[0] = '\0';
        change(other, DOMAIN_CHANGED_DEFINITION);
        domain->owner = STRANGER;
        change(domain, DOMAIN_CHANGED_DEFINITION | DOMAIN_CHANGED_STATE);
        hear(stage);
        assert_string_equal(heard.last, "InterfacesAdded /org/ivshmem1\n"
                                        "DomainAdded /org/ivshmem1\n"
                                        "PropertiesChanged /org/ivshmem1/domain/ring\n");
        heard.last[0] = '\0';
        domain->owner = 0;
        change(domain, DOMAIN_CHANGED_DEFINITION);
        hear(stage);
        assert_string_equal(heard.last, "InterfacesRemoved /org/ivshmem1\n"
                                        "DomainRemoved /org/ivshmem1\n");
        /* Root saw it all the time. */
        stage_side(stage)->privileged = true;
        heard.last[0] = '\0';
        domain->owner = STRANGER;
        change(domain, DOMAIN_CHANGED_DEFINITION);
        hear(stage);
        assert_string_equal(heard.last, "PropertiesChanged /org/ivshmem1/domain/ring\n");
        done(stage, &heard);
}

static void test_owners(void **state) {
        Owners owners = { 0 };
        uint64_t domains[100]; /* whose addresses are as good as any */

        for (size_t i = 0; i < 100; i++) {
                size_t each = i * 37 % 100;

                assert_int_equal(
                        owners_put(*state, &owners, (const Domain *) &domains[each], (uint32_t) each), 0);
        }
        assert_int_equal(owners_put(*state, &owners, (const Domain *) &domains[7], 700), 0);
        owners_remove(&owners, (const Domain *) &domains[0]);
        owners_remove(&owners, (const Domain *) &domains[0]);
        owners_remove(&owners, (const Domain *) &domains[99]);
        assert_int_equal(owners.n, 98);
        for (size_t i = 1; i < 99; i++) {
                assert_int_equal(owners_get(&owners, (const Domain *) &domains[i], 4711), i == 7 ? 700 : i);
        }
        assert_int_equal(owners_get(&owners, (const Domain *) &domains[99], 4711), 4711);
        talloc_free(owners.owners);
}

static void test_peers(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ true);
        Domain *domain = fake_domain_add(stage->manager, "ring", 0);
        const ManagerOps *observer = &stage->manager->observer;
        uint32_t code, uid;
        const char *reason;

        hear(stage);
        heard.last[0] = '\0';
        domain->peer = (ControlPeer){ .vm_id = 7, .uid = 1000, .identity = "uid:1000" };
        observer->peer_joined(domain, &domain->peer, observer->userdata);
        observer->peer_left(domain, &domain->peer, "hung up", observer->userdata);
        observer->peer_refused(domain, &domain->peer, REFUSAL_NOT_PERMITTED, "no rule", observer->userdata);
        hear(stage);
        assert_string_equal(heard.last, "PeerJoined /org/ivshmem1/domain/ring\n"
                                        "PeerLeft /org/ivshmem1/domain/ring\n"
                                        "PeerRefused /org/ivshmem1/domain/ring\n");
        assert_true(sd_bus_message_read(heard.message, "uus", &code, &uid, &reason) > 0);
        assert_int_equal(code, 403);
        assert_int_equal(uid, 1000);
        assert_string_equal(reason, "no rule");
        done(stage, &heard);
}

static bool is_alone(void *userdata) {
        return ((Bus *) userdata)->n_private == 0;
}

/* What it does not read is in our memory, up to a bound. Its end of the socket is not in the loop any more. */
static void test_a_subscriber_that_does_not_read_is_dropped(void **state) {
        Heard heard;
        Stage *stage = begin(state, &heard, /* subscribe= */ true);
        Domain *domain = fake_domain_add(stage->manager, "ring", 0);
        const ManagerOps *observer = &stage->manager->observer;
        size_t sent = 0;

        hear(stage);
        assert_true(sd_bus_detach_event(stage->client) >= 0);
        while (!list_entry(stage->bus->connections.next, Connection, link)->gone && sent < 1000000) {
                observer->peer_joined(domain, &domain->peer, observer->userdata);
                sent++;
        }
        assert_true(sent < 1000000);
        assert_true(stage_until(stage, is_alone, stage->bus));
        done(stage, &heard);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_only_subscribers),
                TEST(test_domains_come_and_go),
                TEST(test_changes_of_a_turn_are_one_signal),
                TEST(test_many_domains),
                TEST(test_only_what_may_be_seen),
                TEST(test_a_domain_that_changes_hands),
                TEST(test_owners),
                TEST(test_peers),
                TEST(test_a_subscriber_that_does_not_read_is_dropped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
