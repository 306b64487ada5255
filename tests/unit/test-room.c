/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/server/room: what is too large says so, up to the largest domain that the unit has room for. */

#include "service/server/room.h"

#include <errno.h>
#include <string.h>

#include "service/core/definition.h"
#include "service/core/limits.h"
#include "service/server/inflight.h"
#include "tests/unit/testing.h"

/* What units/ivshmem@.service has. */
#define UNIT_NOFILE 1048576U
#define UNIT_STORE 4099U

static void test_what_there_is_room_for(void **state) {
        static const struct {
                uint32_t max_peers;
                uint32_t vectors;
                Room room;
                int result;
                const char *error;
        } rows[] = {
                { 2048, VECTORS_MAX, { UNIT_NOFILE, UNIT_STORE, false }, 0, NULL },
                { 2049,
                  1,
                  { UNIT_NOFILE, UNIT_STORE, false },
                  -ENOSPC,
                  "MaxPeers=2049 takes 4101 places in systemd's fd store, but it has 4099; raise "
                  "FileDescriptorStoreMax= and --fd-store=, or lower MaxPeers=" },
                { 2048, 1, { UNIT_NOFILE, UNIT_STORE - 1, true }, 0, NULL },
                { 2048,
                  1,
                  { UNIT_NOFILE, UNIT_STORE - 1, false },
                  -ENOSPC,
                  "MaxPeers=2048 takes 4099 places" },
                { 2048,
                  1,
                  { UNIT_NOFILE, UNIT_STORE - 2, true },
                  -ENOSPC,
                  "MaxPeers=2048 takes 4098 places" },
                { VM_IDS_MAX,
                  1,
                  { UNIT_NOFILE, UNIT_STORE, false },
                  -ENOSPC,
                  "MaxPeers=65536 takes 131075 places in systemd's fd store, but it has 4099; lower MaxPeers=" },
                { 2048,
                  VECTORS_MAX,
                  { 20000, UNIT_STORE, false },
                  -EMFILE,
                  "MaxPeers=2048 with Vectors=64 takes " },
                { VM_IDS_MAX, 1, { UNIT_NOFILE, 0, false }, 0, NULL },
                { VM_IDS_MAX,
                  VECTORS_MAX,
                  { UNIT_NOFILE, 0, false },
                  -EMFILE,
                  "MaxPeers=65536 with Vectors=64 takes " },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                const Definition definition = { .max_peers = rows[i].max_peers, .vectors = rows[i].vectors };
                char *error = NULL;

                assert_int_equal(room_check(*state, &rows[i].room, &definition, &error), rows[i].result);
                assert_int_equal(error == NULL, rows[i].error == NULL);
                if (error) {
                        assert_memory_equal(error, rows[i].error, strlen(rows[i].error));
                }
                talloc_free(error);
        }
}

/* Doorbells in the store are in flight, beside messages. */
static void test_doorbells_in_the_store_are_counted(void **state) {
        const Definition definition = { .max_peers = 2048, .vectors = VECTORS_MAX };
        uint64_t least = inflight_least(2048) + 2048 * VECTORS_MAX;
        const Room enough = { .nofile = least, .fd_store = UNIT_STORE },
                   short_of_one = { .nofile = least - 1, .fd_store = UNIT_STORE },
                   without_store = { .nofile = least - 1 };
        char *error = NULL;

        assert_int_equal(room_check(*state, &enough, &definition, &error), 0);
        assert_int_equal(room_check(*state, &without_store, &definition, &error), 0);
        assert_int_equal(room_check(*state, &short_of_one, &definition, &error), -EMFILE);
        talloc_free(error);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_what_there_is_room_for),
                TEST(test_doorbells_in_the_store_are_counted),
        };

        return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
