/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/definition: changing single settings, as programs do. */

#include <errno.h>
#include <string.h>

#include "service/core/definition.h"
#include "tests/unit/definitions.h"
#include "tests/unit/testing.h"

#define FULL                                                                                                    \
        "[Domain]\nDescription=x\nOwner=1000\nSize=1M\nPath=/dev/shm/x\nPathUser=root\nVectors=4\n\n[Access]\n" \
        "User=alice bob\nGroup=kvm\n\n[Peer router]\nVMID=0\nMachine=a-*\n"

/* What is set, and the text of the definition then. */
static const struct {
        const char *peer;
        const char *key;
        const char *value;
        const char *without; /* a line of FULL that is not there any more */
        const char *with;    /* one that is there now; NULL: none */
} changes[] = {
        { NULL, "Size", "2M", "Size=1M\n", "Size=2M\n" },
        { NULL, "Vectors", "", "Vectors=4\n", NULL },
        { NULL, "Description", "", "Description=x\n", NULL },
        { NULL, "Description", "y z", "Description=x\n", "Description=y z\n" },
        { NULL, "PathUser", "", "PathUser=root\n", NULL },
        { NULL, "Owner", "", "Owner=1000\n", NULL },
        { NULL, "Owner", "root", "Owner=1000\n", NULL },
        { NULL, "User", "carol", "User=alice bob\n", "User=carol\n" },
        { NULL, "User", "", "User=alice bob\n", NULL },
        { NULL, "Group", " a\tb ", "Group=kvm\n", "Group=a b\n" },
        { NULL, "ConnectRate", "7", NULL, "ConnectRate=7\n" },
        { "router", "Machine", "", "Machine=a-*\n", NULL },
        { "router", "Machine", "b", "Machine=a-*\n", "Machine=b\n" },
        { "router", "VMID", "3", "VMID=0\n", "VMID=3\n" },
        { "router", "Master", "yes", NULL, "Master=yes\n" },
        { "fw", "VMID", "1", NULL, "[Peer fw]\nVMID=1\n" },
};

static void test_changes(void **state) {
        for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
                Definition *definition = definition_of(*state, FULL);
                char *error = NULL, *text;

                if (definition_set(*state, definition, changes[i].peer, changes[i].key, changes[i].value,
                                   &error) < 0) {
                        fail_msg("row %zu: %s", i, error);
                }
                text = definition_print(*state, definition);
                if ((changes[i].without && strstr(text, changes[i].without)) ||
                    (changes[i].with && !strstr(text, changes[i].with))) {
                        fail_msg("row %zu: %s", i, text);
                }
                talloc_free(text);
                talloc_free(definition);
        }
}

static const struct {
        const char *peer;
        const char *key;
        const char *value;
        const char *word; /* of the error */
} refusals[] = {
        { NULL, "Size", "3M", "Size=3M is not a power of two" },
        { NULL, "Size", "1M\n", "Size=1M\n is no size" },
        { NULL, "Vectors", "65", "Vectors=65 is no number" },
        { NULL, "Sise", "1M", "is Size= meant?" },
        { NULL, "Usr", "a", "is User= meant?" },
        { NULL, "Nothing", "1M", "ivshmem.domain(5)" },
        { NULL, "VMID", "1", "belongs to [Peer]" },
        { "router", "Size", "1M", "belongs to [Domain]" },
        { "router", "VMID", "", "has no default" },
        { "router", "VMID", "65536", "VMID=65536 is no number" },
        { "a b", "VMID", "1", "no name for a peer" },
        { "a\n[Access", "VMID", "1", "no name for a peer" },
        { "", "VMID", "1", "no name for a peer" },
        { NULL, "Description", "a\nSize=1G", "Description=" },
        { NULL, "User", "a\nb", "User=a\nb" },
        { NULL, "User", "  ", "names nobody" },
        { NULL, "Path", "/a/../b", "leads upwards" },
};

static void test_refusals(void **state) {
        Definition *definition = definition_of(*state, FULL);
        char *before = definition_print(*state, definition);

        for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
                char *error = NULL;

                assert_int_equal(definition_set(*state, definition, refusals[i].peer, refusals[i].key,
                                                refusals[i].value, &error),
                                 -EINVAL);
                if (!strstr(error, refusals[i].word)) {
                        fail_msg("row %zu: %s", i, error);
                }
                talloc_free(error);
        }
        talloc_free(definition);
        talloc_free(before);
}

/* A section that was begun and not given a VM ID. */
static void test_peer_without_id(void **state) {
        Definition *definition = definition_of(*state, FULL);
        char *error = NULL;

        assert_int_equal(definition_set(*state, definition, "fw", "User", "root", &error), 0);
        assert_int_equal(definition_validate(*state, definition, &error), -EINVAL);
        assert_string_equal(error, "[Peer fw] has no VMID=; add it, as in VMID=0");
        talloc_free(error);
        assert_int_equal(definition_set(*state, definition, "fw", "VMID", "1", &error), 0);
        assert_int_equal(definition_validate(*state, definition, &error), 0);
        assert_true(definition_remove_peer(definition, "router"));
        assert_false(definition_remove_peer(definition, "router"));
        assert_int_equal(definition->n_reservations, 1);
        assert_string_equal(definition->reservations[0].name, "fw");
        definition_remove_peers(definition);
        assert_int_equal(definition->n_reservations, 0);
        talloc_free(definition);
}

static void test_copy(void **state) {
        Definition *definition = definition_of(*state, FULL), *copy = NULL;

        assert_int_equal(definition_copy(*state, definition, &copy), 0);
        assert_true(definition_equal(definition, copy));
        talloc_free(definition);
        assert_string_equal(copy->description, "x");
        talloc_free(copy);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_changes),
                TEST(test_refusals),
                TEST(test_peer_without_id),
                TEST(test_copy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
