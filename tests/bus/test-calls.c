/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/call, connection, client: what calls do, whom they are answered, and what becomes of them when nobody waits. */

#include "dbus/call.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "dbus/errors.h"
#include "dbus/names.h"
#include "tests/bus/stage.h"
#include "tests/unit/testing.h"

#define RING BUS_DOMAIN_PATH "/ring"
#define STRANGER 12345

static Stage *begin(void **state, uint32_t owner) {
        Stage *stage;

        assert_int_equal(stage_new(*state, &stage), 0);
        assert_non_null(fake_domain_add(stage->manager, "ring", owner));
        return stage;
}

static void expect_error(Stage *stage, const char *path, const char *interface, const char *member,
                         const char *types, const char *argument, const char *name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(stage_call(stage, path, interface, member, NULL, &error, types, argument) < 0);
        assert_string_equal(error.name, name);
        assert_true(strlen(error.message) > 0);
        sd_bus_error_free(&error);
}

static void test_create(void **state) {
        Stage *stage = begin(state, 0);
        sd_bus_message *reply;
        const char *path;

        assert_int_equal(stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "CreateDomain", &reply, NULL,
                                    "sa{sv}b", "a-b_c", 0, true),
                         0);
        assert_true(sd_bus_message_read(reply, "o", &path) > 0);
        assert_string_equal(path, BUS_DOMAIN_PATH "/a_2db_5fc");
        assert_int_equal(manager_find(stage->manager, "a-b_c")->owner, geteuid());
        assert_true(manager_find(stage->manager, "a-b_c")->persistent);
        sd_bus_message_unref(reply);
        talloc_free(stage);
}

static void test_each_failure_reaches_the_caller(void **state) {
        Stage *stage = begin(state, 0);

        for (int kind = 0; kind < _FAILURE_KIND_MAX; kind++) {
                fake_fail(stage->manager, (FailureKind) kind);
                expect_error(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "StartDomain", "s", "ring",
                             bus_error_name((FailureKind) kind));
        }
        assert_int_equal(stage->bus->n_calls, 0);
        talloc_free(stage);
}

typedef struct Pending {
        sd_bus_message *reply;
        sd_bus_slot *slot;
} Pending;

static int on_reply(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        ((Pending *) userdata)->reply = sd_bus_message_ref(message);
        return 0;
}

static void call_pending(Stage *stage, const char *member, Pending *ret) {
        assert_true(sd_bus_call_method_async(stage->client, &ret->slot, NULL, RING, BUS_DOMAIN_INTERFACE,
                                             member, on_reply, ret, NULL) >= 0);
}

static bool has_operation(void *userdata) {
        return fake_operations(userdata) > 0;
}

static bool has_reply(void *userdata) {
        return ((Pending *) userdata)->reply;
}

static void test_a_start_does_not_keep_others_waiting(void **state) {
        Stage *stage = begin(state, 0);
        Pending pending = { 0 };

        call_pending(stage, "Start", &pending);
        assert_true(stage_until(stage, has_operation, stage->manager));
        assert_int_equal(list_entry(stage->manager->operations.next, Operation, link)->request.kind,
                         OPERATION_START);
        assert_int_equal(stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "ListDomains", NULL, NULL, NULL),
                         0);
        assert_null(pending.reply);
        assert_int_equal(stage->bus->n_calls, 1);
        fake_operation_end(stage->manager, NULL, -EBADF);
        assert_true(stage_until(stage, has_reply, &pending));
        assert_false(sd_bus_message_is_method_error(pending.reply, NULL));
        assert_int_equal(stage->bus->n_calls, 0);
        sd_bus_message_unref(pending.reply);
        sd_bus_slot_unref(pending.slot);
        talloc_free(stage);
}

/* A successor cannot answer what was asked of this one. */
static void test_what_is_under_way_is_answered_before_the_end(void **state) {
        Stage *stage = begin(state, 0);
        Pending pending = { 0 };

        call_pending(stage, "Start", &pending);
        assert_true(stage_until(stage, has_operation, stage->manager));
        assert_true(bus_release(stage->bus) >= 0);
        stage_settle(stage);
        assert_false(stage->released);
        fake_operation_end(stage->manager, NULL, -EBADF);
        assert_true(stage_until(stage, has_reply, &pending));
        assert_true(stage->released);
        sd_bus_message_unref(pending.reply);
        sd_bus_slot_unref(pending.slot);
        talloc_free(stage);
}

static void test_an_operation_fails(void **state) {
        Stage *stage = begin(state, 0);
        Failure failure;
        Pending pending = { 0 };

        call_pending(stage, "Stop", &pending);
        assert_true(stage_until(stage, has_operation, stage->manager));
        (void) failure_set(&failure, FAILURE_STOP_FAILED, "the bolt is stuck");
        fake_operation_end(stage->manager, &failure, -EBADF);
        assert_true(stage_until(stage, has_reply, &pending));
        assert_true(sd_bus_message_is_method_error(pending.reply, BUS_ERROR_STOP_FAILED));
        assert_string_equal(sd_bus_message_get_error(pending.reply)->message, "the bolt is stuck");
        sd_bus_message_unref(pending.reply);
        sd_bus_slot_unref(pending.slot);
        talloc_free(stage);
}

static void test_a_descriptor_arrives(void **state) {
        Stage *stage = begin(state, 0);
        sd_bus_message *call;
        Pending pending = { 0 };
        int fd;

        assert_true(sd_bus_message_new_method_call(stage->client, &call, NULL, RING, BUS_DOMAIN_INTERFACE,
                                                   "OpenMemory") >= 0);
        assert_true(sd_bus_message_append(call, "b", true) >= 0);
        assert_true(sd_bus_call_async(stage->client, &pending.slot, call, on_reply, &pending, 0) >= 0);
        sd_bus_message_unref(call);
        assert_true(stage_until(stage, has_operation, stage->manager));
        assert_true(list_entry(stage->manager->operations.next, Operation, link)->request.read_only);
        fake_operation_end(stage->manager, NULL, eventfd(0, EFD_CLOEXEC));
        assert_true(stage_until(stage, has_reply, &pending));
        assert_true(sd_bus_message_read(pending.reply, "h", &fd) > 0);
        assert_true(fd >= 0);
        sd_bus_message_unref(pending.reply);
        sd_bus_slot_unref(pending.slot);
        talloc_free(stage);
}

static void test_a_vm_id_is_reserved(void **state) {
        Stage *stage = begin(state, 0);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Pending pending = { 0 };
        sd_bus_message *call;

        assert_true(sd_bus_message_new_method_call(stage->client, &call, NULL, RING, BUS_DOMAIN_INTERFACE,
                                                   "ReservePeer") >= 0);
        assert_true(sd_bus_message_append(call, "sua{sv}", "fw", 3, 1, "User", "s", "alice") >= 0);
        assert_true(sd_bus_call_async(stage->client, &pending.slot, call, on_reply, &pending, 0) >= 0);
        sd_bus_message_unref(call);
        assert_true(stage_until(stage, has_operation, stage->manager));
        assert_string_equal(stage->manager->created, "fw:User=alice\nfw:VMID=3\n");
        fake_operation_end(stage->manager, NULL, -EBADF);
        assert_true(stage_until(stage, has_reply, &pending));
        sd_bus_message_unref(pending.reply);
        sd_bus_slot_unref(pending.slot);

        assert_true(stage_call(stage, RING, BUS_DOMAIN_INTERFACE, "ReservePeer", NULL, &error, "sua{sv}",
                               "fw", 3, 1, "VMID", "s", "4") < 0);
        assert_string_equal(error.name, BUS_ERROR_INVALID_SETTING);
        sd_bus_error_free(&error);
        talloc_free(stage);
}

static bool is_alone(void *userdata) {
        return ((Bus *) userdata)->n_private == 0;
}

/* What was begun goes on; whoever asked is not there any more to be told. */
static void test_a_caller_vanishes(void **state) {
        Stage *stage = begin(state, 0);
        Pending pending = { 0 };

        call_pending(stage, "Start", &pending);
        assert_true(stage_until(stage, has_operation, stage->manager));
        sd_bus_slot_unref(pending.slot);
        stage->client = sd_bus_flush_close_unref(stage->client);
        assert_true(stage_until(stage, is_alone, stage->bus));
        assert_int_equal(stage->bus->n_calls, 0);
        assert_int_equal(fake_operations(stage->manager), 1);
        assert_true(list_entry(stage->manager->operations.next, Operation, link)->cancelled);
        fake_operation_end(stage->manager, NULL, -EBADF);
        talloc_free(stage);
}

/* ---- Who sees what ---- */

static size_t count_listed(Stage *stage) {
        sd_bus_message *reply;
        size_t n = 0;

        assert_int_equal(
                stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "ListDomains", &reply, NULL, NULL), 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "(ssutuuo)") > 0);
        while (sd_bus_message_skip(reply, "(ssutuuo)") > 0) {
                n++;
        }
        sd_bus_message_unref(reply);
        return n;
}

static size_t count_objects(Stage *stage) {
        sd_bus_message *reply;
        size_t n = 0;

        assert_int_equal(stage_call(stage, BUS_PATH, "org.freedesktop.DBus.ObjectManager",
                                    "GetManagedObjects", &reply, NULL, NULL),
                         0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") > 0);
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                const char *path;

                assert_true(sd_bus_message_read(reply, "o", &path) > 0);
                assert_true(sd_bus_message_skip(reply, "a{sa{sv}}") > 0);
                assert_true(sd_bus_message_exit_container(reply) >= 0);
                n += strncmp(path, BUS_DOMAIN_PATH "/", strlen(BUS_DOMAIN_PATH "/")) == 0;
        }
        sd_bus_message_unref(reply);
        return n;
}

static void test_root_sees_all(void **state) {
        Stage *stage = begin(state, STRANGER);

        assert_non_null(fake_domain_add(stage->manager, "other", 0));
        assert_int_equal(count_listed(stage), 2);
        assert_int_equal(count_objects(stage), 2);
        talloc_free(stage);
}

static void test_an_owner_sees_his_own(void **state) {
        Stage *stage = begin(state, STRANGER);

        assert_non_null(fake_domain_add(stage->manager, "other", 0));
        stage_demote(stage, STRANGER);
        assert_int_equal(count_listed(stage), 1);
        assert_int_equal(count_objects(stage), 1);
        assert_int_equal(stage_call(stage, RING, BUS_DOMAIN_INTERFACE, "GetDefinition", NULL, NULL, NULL),
                         0);
        talloc_free(stage);
}

/* Name and text of the error of a call, which the name of the domain is taken out of. */
static char *error_of(Stage *stage, const char *path, const char *interface, const char *member,
                      const char *name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *found, *text;

        assert_true(stage_call(stage, path, interface, member, NULL, &error, name ? "s" : NULL, name) < 0);
        text = talloc_asprintf(stage, "%s: %s", error.name, error.message);
        for (const char *each = "ring\0none\0"; *each; each += strlen(each) + 1) {
                while ((found = strstr(text, each))) {
                        memcpy(found, "NAME", 4);
                }
        }
        sd_bus_error_free(&error);
        return text;
}

static void test_hidden_is_as_missing(void **state) {
        static const char *const by_name[] = { "GetDomain", "StartDomain", "StopDomain", "RemoveDomain",
                                               "OpenDomain" };
        static const char *const by_path[] = { "Start", "Stop", "ListPeers", "GetDefinition" };
        Stage *stage = begin(state, 0);

        stage_demote(stage, STRANGER);
        assert_int_equal(count_listed(stage), 0);
        assert_int_equal(count_objects(stage), 0);
        for (size_t i = 0; i < sizeof(by_name) / sizeof(*by_name); i++) {
                char *hidden = error_of(stage, BUS_PATH, BUS_MANAGER_INTERFACE, by_name[i], "ring");
                char *missing = error_of(stage, BUS_PATH, BUS_MANAGER_INTERFACE, by_name[i], "none");

                assert_string_equal(hidden, missing);
                assert_non_null(strstr(hidden, BUS_ERROR_NO_SUCH_DOMAIN));
        }
        for (size_t i = 0; i < sizeof(by_path) / sizeof(*by_path); i++) {
                char *hidden = error_of(stage, RING, BUS_DOMAIN_INTERFACE, by_path[i], NULL);
                char *missing = error_of(stage, BUS_DOMAIN_PATH "/none", BUS_DOMAIN_INTERFACE, by_path[i],
                                         NULL);

                assert_string_equal(hidden, missing);
                assert_non_null(strstr(hidden, SD_BUS_ERROR_UNKNOWN_OBJECT));
        }
        assert_int_equal(fake_operations(stage->manager), 0);
        assert_non_null(manager_find(stage->manager, "ring"));
        talloc_free(stage);
}

static void test_without_polkit_owners_do_without(void **state) {
        Stage *stage = begin(state, STRANGER);
        Pending pending = { 0 };

        stage_demote(stage, STRANGER);
        call_pending(stage, "Start", &pending);
        assert_true(stage_until(stage, has_operation, stage->manager));
        fake_operation_end(stage->manager, NULL, -EBADF);
        assert_true(stage_until(stage, has_reply, &pending));
        assert_false(sd_bus_message_is_method_error(pending.reply, NULL));
        sd_bus_message_unref(pending.reply);
        sd_bus_slot_unref(pending.slot);
        expect_error(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "Reload", NULL, NULL,
                     SD_BUS_ERROR_ACCESS_DENIED);
        assert_int_equal(stage->manager->reloads, 0);
        assert_int_equal(
                stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "GetLimits", NULL, NULL, "u", STRANGER),
                0);
        assert_true(stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "GetLimits", NULL, NULL, "u", 0) < 0);
        assert_true(stage_call(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "CreateDomain", NULL, NULL, "sa{sv}b",
                               "mine", 0, false) < 0);
        assert_null(manager_find(stage->manager, "mine"));
        talloc_free(stage);
}

/* ---- Bounds ---- */

static void test_calls_that_wait_are_bounded(void **state) {
        Stage *stage = begin(state, 0);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        for (size_t i = 0; i < CALLS_PER_USER_MAX; i++) {
                assert_true(sd_bus_call_method_async(stage->client, NULL, NULL, RING, BUS_DOMAIN_INTERFACE,
                                                     "Ring", on_reply, NULL, "uu", 1, 0) >= 0);
        }
        assert_true(stage_call(stage, RING, BUS_DOMAIN_INTERFACE, "Ring", NULL, &error, "uu", 1, 0) < 0);
        assert_string_equal(error.name, BUS_ERROR_BUSY);
        sd_bus_error_free(&error);
        assert_int_equal(fake_operations(stage->manager), CALLS_PER_USER_MAX);
        assert_int_equal(stage->bus->n_calls, CALLS_PER_USER_MAX);
        /* What is answered at once is not kept from anybody. */
        assert_int_equal(count_listed(stage), 1);
        stage->client = sd_bus_flush_close_unref(stage->client);
        assert_true(stage_until(stage, is_alone, stage->bus));
        assert_int_equal(stage->bus->n_calls, 0);
        while (fake_operations(stage->manager) > 0) {
                fake_operation_end(stage->manager, NULL, -EBADF);
        }
        talloc_free(stage);
}

static void test_idle_is_when_nobody_is_there(void **state) {
        Stage *stage = begin(state, 0);

        assert_false(stage->idle);
        stage->client = sd_bus_flush_close_unref(stage->client);
        assert_true(stage_until(stage, is_alone, stage->bus));
        stage_settle(stage);
        assert_true(stage->idle);
        talloc_free(stage);
}

static void test_grants_end(void **state) {
        Stage *stage = begin(state, 0);
        Client *client = stage_side(stage);
        char name[16];

        stage_demote(stage, STRANGER);
        assert_int_equal(client_grant(client, "ring"), 0);
        assert_int_equal(count_listed(stage), 1);
        fake_domain_drop(manager_find(stage->manager, "ring"));
        assert_non_null(fake_domain_add(stage->manager, "ring", 0));
        assert_int_equal(count_listed(stage), 0);
        for (size_t i = 0; i <= CLIENT_GRANTS_MAX; i++) {
                snprintf(name, sizeof(name), "d%zu", i);
                assert_int_equal(client_grant(client, name), 0);
        }
        assert_int_equal(client->n_granted, CLIENT_GRANTS_MAX);
        client_revoke(client, NULL);
        assert_false(client_is_remembered(client));
        talloc_free(stage);
}

static void test_nonsense(void **state) {
        Stage *stage = begin(state, 0);

        expect_error(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "StartDomain", NULL, NULL,
                     SD_BUS_ERROR_INVALID_ARGS);
        expect_error(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "Explode", NULL, NULL,
                     SD_BUS_ERROR_UNKNOWN_METHOD);
        expect_error(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "StartDomain", "s", "",
                     BUS_ERROR_NO_SUCH_DOMAIN);
        expect_error(stage, BUS_PATH, BUS_MANAGER_INTERFACE, "StartDomain", "s", "../../etc/passwd",
                     BUS_ERROR_NO_SUCH_DOMAIN);
        expect_error(stage, BUS_DOMAIN_PATH, BUS_DOMAIN_INTERFACE, "Start", NULL, NULL,
                     SD_BUS_ERROR_UNKNOWN_METHOD);
        expect_error(stage, BUS_DOMAIN_PATH "/ring/x", BUS_DOMAIN_INTERFACE, "Start", NULL, NULL,
                     SD_BUS_ERROR_UNKNOWN_OBJECT);
        expect_error(stage, "/org", BUS_MANAGER_INTERFACE, "ListDomains", NULL, NULL,
                     SD_BUS_ERROR_UNKNOWN_OBJECT);
        talloc_free(stage);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_create),
                TEST(test_each_failure_reaches_the_caller),
                TEST(test_a_start_does_not_keep_others_waiting),
                TEST(test_what_is_under_way_is_answered_before_the_end),
                TEST(test_an_operation_fails),
                TEST(test_a_descriptor_arrives),
                TEST(test_a_vm_id_is_reserved),
                TEST(test_a_caller_vanishes),
                TEST(test_root_sees_all),
                TEST(test_an_owner_sees_his_own),
                TEST(test_hidden_is_as_missing),
                TEST(test_without_polkit_owners_do_without),
                TEST(test_calls_that_wait_are_bounded),
                TEST(test_idle_is_when_nobody_is_there),
                TEST(test_grants_end),
                TEST(test_nonsense),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
