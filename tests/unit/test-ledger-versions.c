/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/core/ledger: what programs of former versions left is read, and what those to come leave is refused. The bytes
 * in tests/ledgers were left by ivshmem-server as it was when the version in the file's name was the newest.
 */

#include "service/core/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/core/ledger-layout.h"
#include "tests/unit/testing.h"

typedef struct Stored {
        Ledger *ledger;
        size_t size;
} Stored;

/* A copy of a stored ledger, a chunk of the context. */
static Stored stored_load(void *ctx, const char *name) {
        char *path = talloc_asprintf(ctx, "%s/%s", getenv("IVSHMEM_LEDGERS") ?: "tests/ledgers", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        Stored stored;
        struct stat st;

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        stored.size = (size_t) st.st_size;
        stored.ledger = talloc_size(ctx, stored.size);
        assert_int_equal(read(fd, stored.ledger, stored.size), stored.size);
        assert_int_equal(close(fd), 0);
        talloc_free(path);
        return stored;
}

static LedgerImage *image_of(void *ctx, Stored stored, size_t sent) {
        LedgerImage *image = NULL;
        char *error = NULL;
        int r = ledger_load(ctx, stored.ledger, stored.size, sent, &image, &error);

        if (error) {
                print_message("%s\n", error);
        }
        assert_int_equal(r, 0);
        return image;
}

/* Four were there and all had been told; the one on seat 2 had left. */
static void check_told(const LedgerImage *image) {
        static const uint32_t taken[] = { 0, 1, 3 };

        assert_int_equal(image->shape.memory_size, 1U << 20);
        assert_int_equal(image->shape.max_peers, 8);
        assert_int_equal(image->shape.vectors, 2);
        assert_int_equal(image->shape.topology, TOPOLOGY_MESH);
        assert_int_equal(image->file, LEDGER_FILE_NONE);
        assert_int_equal(seats_opened(image->seats), 4);
        assert_int_equal(seats_get(image->seats, 2)->state, SEAT_VACANT);
        assert_int_equal(image->n_connections, 3);
        assert_int_equal(image->last_serial, 4);
        for (size_t i = 0; i < image->n_connections; i++) {
                const LedgerConnection *connection = &image->connections[i];
                FeedMessage message;
                Feed feed = connection->feed;

                assert_int_equal(feed.vm_id, taken[i]);
                assert_int_equal(connection->serial, taken[i] + 1);
                assert_int_equal(connection->credentials.uid, 0);
                assert_int_equal(feed_peek(image->seats, &feed, &message, 1), 0);
        }
}

static void test_version_1_is_read(void **state) {
        Stored stored = stored_load(*state, "1-told");
        LedgerImage *image;

        assert_int_equal(stored.ledger->version, 1);
        image = image_of(*state, stored, ledger_unfinished(stored.ledger, stored.size));
        check_told(image);
        talloc_free(image);
        talloc_free(stored.ledger);
}

/* The batch for seat 0 told it of the two doorbells of seat 3; as many as had gone are not told again. */
static void test_a_batch_of_version_1_goes_on_where_it_was(void **state) {
        Stored stored = stored_load(*state, "1-cut-off");

        assert_int_equal(ledger_unfinished(stored.ledger, stored.size), 2);
        for (size_t sent = 0; sent <= 2; sent++) {
                LedgerImage *image = image_of(*state, stored, sent);
                FeedMessage messages[4];

                assert_int_equal(image->n_connections, 4);
                assert_int_equal(feed_peek(image->seats, &image->connections[0].feed, messages, 4),
                                 2 - sent);
                for (size_t i = 0; i < 2 - sent; i++) {
                        assert_int_equal(messages[i].value, 3);
                }
                talloc_free(image);
        }
        talloc_free(stored.ledger);
}

/* It becomes one of this version where it is, and says the same as before. */
static void test_version_1_becomes_version_2(void **state) {
        Stored stored = stored_load(*state, "1-told");
        LedgerImage *image = image_of(*state, stored, 0);

        ledger_settle(stored.ledger, image);
        talloc_free(image);
        assert_int_equal(stored.ledger->version, 2);
        image = image_of(*state, stored, 0);
        check_told(image);
        talloc_free(image);
        ledger_set_file(stored.ledger, LEDGER_FILE_OURS);
        image = image_of(*state, stored, 0);
        assert_int_equal(image->file, LEDGER_FILE_OURS);
        talloc_free(image);
        talloc_free(stored.ledger);
}

/* What lies where version 2 has the file means nothing in version 1, and is not taken along. */
static void test_version_1_has_no_file(void **state) {
        Stored stored = stored_load(*state, "1-told");
        LedgerImage *image;

        stored.ledger->file = LEDGER_FILE_OURS;
        image = image_of(*state, stored, 0);
        assert_int_equal(image->file, LEDGER_FILE_NONE);
        ledger_settle(stored.ledger, image);
        assert_int_equal(stored.ledger->file, LEDGER_FILE_NONE);
        talloc_free(image);
        talloc_free(stored.ledger);
}

/* The one that was killed while it converted comes to the same. */
static void test_settling_counts_when_it_is_done(void **state) {
        Stored stored = stored_load(*state, "1-told");
        LedgerImage *image = image_of(*state, stored, 0);

        ledger_settle(stored.ledger, image);
        stored.ledger->version = 1;
        talloc_free(image);
        image = image_of(*state, stored, 0);
        check_told(image);
        talloc_free(image);
        talloc_free(stored.ledger);
}

static void test_a_newer_version_is_refused_by_name(void **state) {
        Stored stored = stored_load(*state, "1-told");
        LedgerImage *image = NULL;
        char *error = NULL;

        stored.ledger->version = LEDGER_VERSION + 1;
        /* A later version may be laid out in another way. */
        stored.ledger->seat_size = 7;
        stored.ledger->shape.max_peers = 0;
        assert_int_equal(ledger_load(*state, stored.ledger, stored.size, 0, &image, &error),
                         -EPROTONOSUPPORT);
        assert_null(image);
        assert_string_equal(error,
                            "the ledger is of version 3, and this program knows none above 2: a newer "
                            "ivshmem-server wrote it");
        assert_int_equal(ledger_unfinished(stored.ledger, stored.size), 0);
        talloc_free(error);
        talloc_free(stored.ledger);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_version_1_is_read),
                TEST(test_a_batch_of_version_1_goes_on_where_it_was),
                TEST(test_version_1_becomes_version_2),
                TEST(test_version_1_has_no_file),
                TEST(test_settling_counts_when_it_is_done),
                TEST(test_a_newer_version_is_refused_by_name),
        };

        return cmocka_run_group_tests_name("ledger-versions", tests, NULL, NULL);
}
