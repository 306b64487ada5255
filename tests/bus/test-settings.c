/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/settings: what of a caller's a{sv} reaches the manager, and what is refused with which words. */

#include "dbus/settings.h"

#include <string.h>

#include "dbus/names.h"
#include "tests/bus/stage.h"
#include "tests/unit/testing.h"

static sd_bus_message *create_call(Stage *stage) {
        sd_bus_message *call;

        assert_int_equal(sd_bus_message_new_method_call(stage->client, &call, NULL, BUS_PATH,
                                                        BUS_MANAGER_INTERFACE, "CreateDomain"),
                         0);
        assert_true(sd_bus_message_append(call, "s", "ring") >= 0);
        assert_true(sd_bus_message_open_container(call, 'a', "{sv}") >= 0);
        return call;
}

static int create_send(Stage *stage, sd_bus_message *call, sd_bus_error *error) {
        assert_true(sd_bus_message_close_container(call) >= 0);
        assert_true(sd_bus_message_append(call, "b", false) >= 0);
        return stage_send(stage, call, NULL, error);
}

static void test_natural_types(void **state) {
        sd_bus_message *call;
        Stage *stage;

        assert_int_equal(stage_new(*state, &stage), 0);
        call = create_call(stage);
        assert_true(sd_bus_message_append(call, "{sv}{sv}{sv}{sv}{sv}{sv}", "Size", "t", UINT64_C(67108864),
                                          "Vectors", "u", 4, "Prefault", "b", 1, "PathMode", "u", 0640,
                                          "User", "as", 2, "alice", "libvirt-qemu", "Description", "s",
                                          "x ; # y") >= 0);
        assert_int_equal(create_send(stage, call, NULL), 0);
        assert_string_equal(stage->manager->created, "Size=67108864\n"
                                                     "Vectors=4\n"
                                                     "Prefault=yes\n"
                                                     "PathMode=0640\n"
                                                     "User=alice libvirt-qemu\n"
                                                     "Description=x ; # y\n");
        talloc_free(stage);
}

static void test_text_as_in_the_file(void **state) {
        sd_bus_message *call;
        Stage *stage;

        assert_int_equal(stage_new(*state, &stage), 0);
        call = create_call(stage);
        assert_true(sd_bus_message_append(call, "{sv}{sv}{sv}", "Size", "s", "64M", "PathMode", "s", "0600",
                                          "Machine", "s", "a* b") >= 0);
        assert_int_equal(create_send(stage, call, NULL), 0);
        assert_string_equal(stage->manager->created, "Size=64M\nPathMode=0600\nMachine=a* b\n");
        talloc_free(stage);
}

static void test_sections(void **state) {
        sd_bus_message *call;
        Stage *stage;

        assert_int_equal(stage_new(*state, &stage), 0);
        call = create_call(stage);
        assert_true(sd_bus_message_append(call, "{sv}{sv}{sv}", "User", "s", "root", "Peers", "a(sa{sv})", 2,
                                          "router", 2, "VMID", "u", 0, "Master", "b", 1, "fw", 1, "User",
                                          "as", 1, "bob", "Group", "s", "kvm") >= 0);
        assert_int_equal(create_send(stage, call, NULL), 0);
        assert_string_equal(stage->manager->created, "User=root\n"
                                                     "router:VMID=0\n"
                                                     "router:Master=yes\n"
                                                     "fw:User=bob\n"
                                                     "Group=kvm\n");
        talloc_free(stage);
}

/* Appends one {sv} that shall be refused, and says what the error must have. */
static void expect_refusal(void *ctx, int (*append)(sd_bus_message *call), const char *words) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *call;
        Stage *stage;

        assert_int_equal(stage_new(ctx, &stage), 0);
        call = create_call(stage);
        assert_true(append(call) >= 0);
        assert_true(create_send(stage, call, &error) < 0);
        assert_string_equal(error.name, "org.ivshmem1.Error.InvalidSetting");
        if (!strstr(error.message, words)) {
                fail_msg("\"%s\" does not say \"%s\"", error.message, words);
        }
        assert_null(stage->manager->created);
        assert_int_equal(stage->bus->n_calls, 0);
        sd_bus_error_free(&error);
        talloc_free(stage);
}

static int append_boolean_size(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Size", "b", 1);
}

static int append_signed_number(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Vectors", "i", -1);
}

static int append_list_of_numbers(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "User", "au", 2, 1, 2);
}

static int append_text_as_list(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Description", "as", 1, "x");
}

static int append_peers_as_text(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Peers", "s", "router");
}

static int append_peer_without_settings(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Peers", "a(sa{sv})", 1, "router", 0);
}

static int append_peer_twice(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Peers", "a(sa{sv})", 3, "router", 1, "VMID", "u", 0,
                                     "fw", 1, "VMID", "u", 2, "router", 1, "VMID", "u", 1);
}

static int append_peers_twice(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}{sv}", "Peers", "a(sa{sv})", 0, "Peers", "a(sa{sv})", 0);
}

static int append_too_many_peers(sd_bus_message *call) {
        char name[16];
        int r = sd_bus_message_open_container(call, 'e', "sv");

        r = r < 0 ? r : sd_bus_message_append(call, "s", "Peers");
        r = r < 0 ? r : sd_bus_message_open_container(call, 'v', "a(sa{sv})");
        r = r < 0 ? r : sd_bus_message_open_container(call, 'a', "(sa{sv})");
        for (unsigned i = 0; r >= 0 && i <= DEFINITION_RULES_MAX; i++) {
                snprintf(name, sizeof(name), "p%u", i);
                r = sd_bus_message_append(call, "(sa{sv})", name, 1, "VMID", "u", i);
        }
        for (int level = 0; level < 3 && r >= 0; level++) {
                r = sd_bus_message_close_container(call);
        }
        return r;
}

static int append_nested_variant(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Size", "v", "s", "64M");
}

static int append_descriptor(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Path", "h", 0);
}

static int append_twice(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}{sv}", "Size", "s", "64M", "Size", "s", "32M");
}

static int append_newline(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Description", "s", "x\nOwner=root");
}

static int append_c1_control(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "Description", "s", "x\xc2\x85y");
}

static int append_blank_in_entry(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "User", "as", 1, "alice root");
}

static int append_empty_entry(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "User", "as", 1, "");
}

static int append_empty_key(sd_bus_message *call) {
        return sd_bus_message_append(call, "{sv}", "", "s", "x");
}

static char long_text[SETTINGS_BYTES_MAX + 1];

static int append_long_key(sd_bus_message *call) {
        memset(long_text, 'k', 1000);
        long_text[1000] = '\0';
        return sd_bus_message_append(call, "{sv}", long_text, "s", "x");
}

static int append_long_value(sd_bus_message *call) {
        memset(long_text, 'v', SETTINGS_BYTES_MAX);
        return sd_bus_message_append(call, "{sv}", "Description", "s", long_text);
}

static int append_too_many(sd_bus_message *call) {
        char key[16];
        int r = 0;

        for (int i = 0; r >= 0 && i <= (int) SETTINGS_SECTION_MAX; i++) {
                snprintf(key, sizeof(key), "Key%d", i);
                r = sd_bus_message_append(call, "{sv}", key, "s", "x");
        }
        return r;
}

static void test_refusals(void **state) {
        expect_refusal(*state, append_boolean_size,
                       "\"Size\" has a value of type \"b\"; it takes a number (t or u)");
        expect_refusal(*state, append_signed_number, "\"Vectors\" has a value of type \"i\"");
        expect_refusal(*state, append_list_of_numbers,
                       "\"User\" has a value of type \"au\"; it takes a list of strings");
        expect_refusal(*state, append_text_as_list,
                       "\"Description\" has a value of type \"as\"; it takes a string (s)");
        expect_refusal(*state, append_peers_as_text, "\"Peers\" has a value of type \"s\"");
        expect_refusal(*state, append_peer_without_settings,
                       "\"Peers\": [Peer router] has no VMID=; add it, as in VMID=0");
        expect_refusal(*state, append_peer_twice, "\"Peers\": [Peer router] is there twice; join the two");
        expect_refusal(*state, append_peers_twice, "\"Peers\" is set twice");
        expect_refusal(*state, append_too_many_peers,
                       "\"Peers\": there are more than 1024 [Peer] sections; merge some");
        expect_refusal(*state, append_nested_variant, "\"Size\" has a value of type \"v\"");
        expect_refusal(*state, append_descriptor, "\"Path\" has a value of type \"h\"");
        expect_refusal(*state, append_twice, "\"Size\" is set twice");
        expect_refusal(*state, append_newline, "\"Description\": a value is one line");
        expect_refusal(*state, append_c1_control, "\"Description\": a value is one line");
        expect_refusal(*state, append_blank_in_entry,
                       "\"User\": an entry of the list is empty or has a blank");
        expect_refusal(*state, append_empty_entry, "\"User\": an entry of the list is empty or has a blank");
        expect_refusal(*state, append_empty_key, "\"\" is no setting");
        expect_refusal(*state, append_long_key, "kkk\" is no setting");
        expect_refusal(*state, append_long_value, "\"Description\": the settings together are longer");
        expect_refusal(*state, append_too_many, "\"Key64\" is one setting too many");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_natural_types),
                TEST(test_text_as_in_the_file),
                TEST(test_sections),
                TEST(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
