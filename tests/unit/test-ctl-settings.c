/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/ctl/settings and definition-text: settings of command lines and of texts, what differs between two, and their
 * form on the bus. */

#include "client/ctl/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/ctl/definition-text.h"
#include "client/ctl/value.h"
#include "tests/unit/testing.h"

static void test_list_goes_on(void **state) {
        Settings *settings = settings_new(*state);

        settings_extend(settings, NULL, "User", "alice");
        settings_extend(settings, NULL, "User", "bob");
        settings_extend(settings, "fw", "User", "carol");
        assert_string_equal(settings_get(settings, NULL, "User"), "alice bob");
        assert_string_equal(settings_get(settings, "fw", "User"), "carol");
        settings_set(settings, NULL, "User", "");
        assert_string_equal(settings_get(settings, NULL, "User"), "");
        settings_extend(settings, NULL, "User", "dave");
        assert_string_equal(settings_get(settings, NULL, "User"), "dave");
        assert_null(settings_get(settings, "fw", "Group"));
        assert_int_equal(settings->n, 2);
        talloc_free(settings);
}

static void test_pairs(void **state) {
        static const char *const bad[] = { "", "=", "=1", "Size", "size=1", "Si ze=1", "1=1" };
        Settings *settings = settings_new(*state);

        assert_int_equal(settings_parse(settings, "Size=64M"), 0);
        assert_int_equal(settings_parse(settings, "Description=a=b, c"), 0);
        assert_string_equal(settings_get(settings, NULL, "Description"), "a=b, c");
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                assert_int_equal(settings_parse(settings, bad[i]), -EINVAL);
        }
        assert_int_equal(settings->n, 2);
        talloc_free(settings);
}

static void test_peers(void **state) {
        static const char *const bad[] = { "", "router", ":VMID=0", "router:", "router:VMID" };
        Settings *settings = settings_new(*state);

        assert_int_equal(settings_parse_peer(settings, "a:VMID=1,Label=x:c1,c2,User=u,User=v"), 0);
        assert_string_equal(settings_get(settings, "a", "Label"), "x:c1,c2");
        assert_string_equal(settings_get(settings, "a", "User"), "u v");
        assert_int_equal(settings_parse_peer(settings, "b:Label=c1,c2"), 0);
        assert_string_equal(settings_get(settings, "b", "Label"), "c1,c2");
        talloc_free(settings);
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                settings = settings_new(*state);
                assert_int_equal(settings_parse_peer(settings, bad[i]), -EINVAL);
                talloc_free(settings);
        }
}

static Settings *parse(void *ctx, const char *text) {
        Settings *settings = NULL;
        char *error = NULL;

        if (definition_text_parse(ctx, text, "file", &settings, &error) < 0) {
                fail_msg("%s", error);
        }
        return settings;
}

static void test_text(void **state) {
        Settings *settings = parse(*state,
                                   "# comment\n\n[Domain]\n Size = 64M \r\nDescription=a; b\n; no\n"
                                   "[Access]\nUser=alice\n\tbob\n  # between\n  carol\n[ Peer fw ]\nVMID=2");

        assert_string_equal(settings_get(settings, NULL, "Size"), "64M");
        assert_string_equal(settings_get(settings, NULL, "Description"), "a; b");
        assert_string_equal(settings_get(settings, NULL, "User"), "alice bob carol");
        assert_string_equal(settings_get(settings, "fw", "VMID"), "2");
        assert_int_equal(settings->n, 4);
        talloc_free_children(*state);
}

static void test_text_errors(void **state) {
        static const struct {
                const char *text;
                const char *error;
        } table[] = {
                { "[Domain]\nnonsense", "file:2: 'nonsense' is neither KEY=VALUE nor [SECTION]" },
                { "[Domain]\n=1", "file:2: there is no key before '='; write KEY=VALUE" },
                { "\n\nSize=1M", "file:3: 'Size=1M' stands before the first section; begin with [Domain]" },
                { "[", "file:1: '[' does not end with ']'; write [SECTION] on a line of its own" },
                { "[]", "file:1: '[]' is no section; there are [Domain], [Access] and [Peer NAME]" },
                { "[Peers]",
                  "file:1: '[Peers]' is no section; there are [Domain], [Access] and [Peer NAME]" },
                { "[Peer]", "file:1: [Peer] lacks a name; write one, as in [Peer router]" },
                { "[Peer ]", "file:1: [Peer] lacks a name; write one, as in [Peer router]" },
                { "[Domain]\nA=1\nB=1\nA=1\n",
                  "file:4: A= was given on line 2 already; remove one, or join the lists" },
                { "[Domain]\n[Access]\n[Domain]\n",
                  "file:3: [Domain] began on line 1 already; join the two" },
                { "[Peer a]\nVMID=0\n[Peer b]\nVMID=1\n[ Peer  a ]\nUser=u\n",
                  "file:5: [Peer a] began on line 1 already; join the two" },
                { "[Domain]\nSize=1M\n[Peer a]\n", "file:3: [Peer a] has no VMID=; add it, as in VMID=0" },
                { "[Peer a]\n# VMID=1\n\n[Domain]\nSize=1M\n",
                  "file:1: [Peer a] has no VMID=; add it, as in VMID=0" },
                { "[Domain]\nVMID=1\n[Peer a]\nUser=u\n[Peer b]\nVMID=1\n",
                  "file:3: [Peer a] has no VMID=; add it, as in VMID=0" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                Settings *settings = NULL;
                char *error = NULL;

                assert_int_equal(definition_text_parse(*state, table[i].text, "file", &settings, &error),
                                 -EINVAL);
                assert_string_equal(error, table[i].error);
                assert_null(settings);
                talloc_free_children(*state);
        }
}

static void test_differences(void **state) {
        Settings *before = parse(
                *state, "[Domain]\nSize=1M\nVectors=2\n[Peer a]\nVMID=1\nUser=u\n[Peer b]\nVMID=2\n");
        Settings *after = parse(*state,
                                "[Domain]\nSize=2M\nKeep=always\n[Peer a]\nVMID=1\n[Peer c]\nVMID=2\n");
        Settings *changed = definition_text_compare(*state, before, after);

        assert_string_equal(settings_get(changed, NULL, "Size"), "2M");
        assert_string_equal(settings_get(changed, NULL, "Keep"), "always");
        assert_string_equal(settings_get(changed, NULL, "Vectors"), "");
        /* All sections, for one differs. */
        assert_true(changed->all_peers);
        assert_string_equal(settings_get(changed, "a", "VMID"), "1");
        assert_null(settings_get(changed, "a", "User"));
        assert_string_equal(settings_get(changed, "c", "VMID"), "2");
        assert_int_equal(changed->n, 5);
        changed = definition_text_compare(*state, before, before);
        assert_int_equal(changed->n, 0);
        assert_false(changed->all_peers);
        changed = definition_text_compare(*state, before, parse(*state, "[Domain]\nSize=1M\nVectors=2\n"));
        assert_int_equal(changed->n, 0);
        assert_true(changed->all_peers);
        talloc_free_children(*state);
}

/* As JSON what the bus would carry: the message is sealed and read back. */
static char *on_bus(void *ctx, const Settings *settings) {
        sd_bus_message *message;
        json_object *value;
        int ends[2];
        sd_bus *bus;
        char *text;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, ends[0], ends[0]) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        assert_true(sd_bus_message_new_signal(bus, &message, "/a", "a.b", "C") >= 0);
        assert_true(settings_append(settings, message) >= 0);
        assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
        assert_true(value_read(message, &value) > 0);
        text = talloc_strdup(ctx, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
        json_object_put(value);
        sd_bus_message_unref(message);
        sd_bus_close(bus);
        sd_bus_unref(bus);
        close(ends[1]);
        return text;
}

static void test_on_the_bus(void **state) {
        Settings *settings = settings_new(*state);

        assert_string_equal(on_bus(*state, settings), "{}");
        settings_set(settings, NULL, "Size", "1M");
        assert_string_equal(on_bus(*state, settings), "{\"Size\":\"1M\"}");
        settings->all_peers = true;
        assert_string_equal(on_bus(*state, settings), "{\"Size\":\"1M\",\"Peers\":[]}");
        settings_set(settings, "a", "VMID", "1");
        settings_set(settings, NULL, "User", "");
        settings_set(settings, "b", "VMID", "2");
        settings_set(settings, "a", "User", "u");
        assert_string_equal(
                on_bus(*state, settings),
                "{\"Size\":\"1M\",\"User\":\"\",\"Peers\":[[\"a\",{\"VMID\":\"1\",\"User\":\"u\"}],"
                "[\"b\",{\"VMID\":\"2\"}]]}");
        talloc_free_children(*state);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_list_goes_on), TEST(test_pairs),       TEST(test_peers),      TEST(test_text),
                TEST(test_text_errors),  TEST(test_differences), TEST(test_on_the_bus),
        };

        return cmocka_run_group_tests_name("ctl-settings", tests, NULL, NULL);
}
