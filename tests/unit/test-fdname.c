/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/fdname: names that are written, and all others refused. */

#include "service/core/fdname.h"

#include <string.h>

#include "service/core/limits.h"
#include "tests/unit/testing.h"

static void test_round_trip(void **state) {
        static const struct {
                FdName name;
                const char *text;
        } table[] = {
                { { .kind = FD_PEERS }, "peers" },
                { { .kind = FD_CONTROL }, "control" },
                { { .kind = FD_MEMORY }, "memory" },
                { { .kind = FD_LEDGER }, "ledger" },
                { { .kind = FD_DEFINITION }, "definition" },
                { { .kind = FD_FILE }, "file" },
                { { .kind = FD_FILE_ERROR }, "file-error" },
                { { .kind = FD_DOORBELLS, .vm_id = 65535 }, "doorbells-65535" },
                { { .kind = FD_PEER, .vm_id = 0, .serial = UINT64_MAX }, "peer-0-18446744073709551615" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                char text[FDNAME_SIZE];
                FdName name;

                fdname_format(&table[i].name, text);
                assert_string_equal(text, table[i].text);
                assert_true(fdname_parse(text, &name));
                assert_int_equal(name.kind, table[i].name.kind);
                assert_int_equal(name.vm_id, table[i].name.vm_id);
                assert_int_equal(name.serial, table[i].name.serial);
        }
}

static void test_all_others_are_refused(void **state) {
        static const char *const table[] = {
                "",
                "peer",
                "peers-0",
                "peer-1",
                "peer-1-",
                "peer-1-0",
                "peer-01-1",
                "peer-1-01",
                "peer--1-1",
                "peer-1-1x",
                "peer-65536-1",
                "peer-1-18446744073709551616",
                "doorbells",
                "doorbells-",
                "doorbells-65536",
                "doorbells-1-1",
                "doorbells- 1",
                "doorbells-+1",
                "memory ",
                "Ledger",
                "definition-1",
                "definitions",
                "control-0",
                "controls",
                "unknown",
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                FdName name = { .vm_id = 7 };

                assert_false(fdname_parse(table[i], &name));
                assert_int_equal(name.vm_id, 7);
        }
}

/* Else a server with that many would never be followed by another one. */
static void test_the_names_of_a_full_store_fit_into_one_variable(void **state) {
        static const char once[] = "LISTEN_FDNAMES=peers:control:memory:ledger:definition:file:file-error";
        size_t size = sizeof(once);

        for (uint32_t i = 0; i < FD_STORE_MAX / 2; i++) {
                char text[FDNAME_SIZE];

                fdname_format(&(FdName){ .kind = FD_DOORBELLS, .vm_id = VM_IDS_MAX - 1 - i }, text);
                size += strlen(text) + 1;
                fdname_format(
                        &(FdName){ .kind = FD_PEER, .vm_id = VM_IDS_MAX - 1 - i, .serial = UINT64_MAX },
                        text);
                size += strlen(text) + 1;
        }
        assert_in_range(size, 1, 32 * 4096);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_round_trip),
                TEST(test_all_others_are_refused),
                TEST(test_the_names_of_a_full_store_fit_into_one_variable),
        };

        return cmocka_run_group_tests_name("fdname", tests, NULL, NULL);
}
