/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service/core/ledger: what is written is read back, and what cannot be true is refused by name. Deaths in the middle
 * are tests/model's.
 */

#include "service/core/ledger.h"

#include <errno.h>
#include <string.h>

#include "service/core/ledger-layout.h"
#include "tests/unit/testing.h"

#define SEATS 4U
#define VECTORS 2U

typedef struct Domain {
        Seats *seats;
        Ledger *ledger;
        size_t size;
        uint64_t serial;
} Domain;

static const LedgerShape shape = {
        .memory_size = 65536,
        .huge_pages = HUGE_PAGES_1G,
        .max_peers = SEATS,
        .vectors = VECTORS,
        .topology = TOPOLOGY_STAR,
};

static Domain *domain_new(void *ctx) {
        Domain *domain = talloc_zero(ctx, Domain);

        assert_non_null(domain);
        assert_int_equal(seats_new(domain, SEATS, VECTORS, TOPOLOGY_STAR, &domain->seats), 0);
        domain->size = ledger_size(SEATS);
        domain->ledger = talloc_zero_size(domain, domain->size);
        assert_non_null(domain->ledger);
        ledger_format(domain->ledger, &shape);
        return domain;
}

static LedgerConnection take_as(Domain *domain, uint32_t vm_id, const char *identity,
                                const Credentials *credentials) {
        LedgerConnection connection = { .serial = ++domain->serial,
                                        .since = 5,
                                        .credentials = *credentials };

        assert_int_equal(seats_take(domain->seats, vm_id, identity), 0);
        connection.feed = feed_begin(domain->seats, vm_id);
        ledger_take(domain->ledger, domain->seats, &connection);
        return connection;
}

static Feed take(Domain *domain, uint32_t vm_id, const char *identity) {
        const Credentials credentials = { .uid = 1000, .gid = 100, .pid = 4711 };

        return take_as(domain, vm_id, identity, &credentials).feed;
}

static void leave(Domain *domain, uint32_t vm_id) {
        seats_leave(domain->seats, vm_id);
        ledger_leave(domain->ledger, domain->seats, vm_id);
}

static void retire(Domain *domain, uint32_t vm_id) {
        seats_retire(domain->seats, vm_id);
        ledger_leave(domain->ledger, domain->seats, vm_id);
}

static LedgerImage *load_sent(Domain *domain, size_t sent) {
        LedgerImage *image = NULL;
        char *error = NULL;
        int r = ledger_load(domain, domain->ledger, domain->size, sent, &image, &error);

        assert_null(error);
        assert_int_equal(r, 0);
        return image;
}

static LedgerImage *load(Domain *domain) {
        return load_sent(domain, 0);
}

/* ---- What is read back ---- */

static void test_an_empty_ledger(void **state) {
        Domain *domain = domain_new(*state);
        LedgerImage *image = load(domain);

        assert_memory_equal(&image->shape, &shape, sizeof(shape));
        assert_int_equal(seats_max(image->seats), SEATS);
        assert_int_equal(seats_vectors(image->seats), VECTORS);
        assert_int_equal(seats_topology(image->seats), TOPOLOGY_STAR);
        assert_int_equal(seats_opened(image->seats), 0);
        assert_int_equal(image->n_connections, 0);
        assert_int_equal(image->last_serial, 0);
        talloc_free(domain);
}

static void test_a_connection(void **state) {
        const Credentials credentials = {
                .uid = 1000, .gid = 100, .pid = 4711, .unit = "u.service", .machine = "m", .label = "l:s0"
        };
        Domain *domain = domain_new(*state);
        LedgerConnection *connection;
        LedgerImage *image;

        domain->serial = 41;
        take_as(domain, 2, "machine:m", &credentials);
        image = load(domain);
        assert_int_equal(image->n_connections, 1);
        assert_int_equal(image->last_serial, 42);
        connection = &image->connections[0];
        assert_int_equal(connection->feed.vm_id, 2);
        assert_int_equal(connection->feed.joined, 1);
        assert_int_equal(connection->feed.cursor, 0);
        assert_int_equal(connection->serial, 42);
        assert_int_equal(connection->since, 5);
        assert_int_equal(connection->credentials.uid, 1000);
        assert_int_equal(connection->credentials.gid, 100);
        assert_int_equal(connection->credentials.pid, 4711);
        assert_string_equal(connection->credentials.unit, "u.service");
        assert_string_equal(connection->credentials.machine, "m");
        assert_string_equal(connection->credentials.label, "l:s0");
        assert_int_equal(connection->credentials.n_groups, 0);
        talloc_free(domain);
}

static void test_names_that_there_are_not_stay_none(void **state) {
        Domain *domain = domain_new(*state);
        LedgerImage *image;

        take(domain, 0, "uid:1000");
        image = load(domain);
        assert_null(image->connections[0].credentials.unit);
        assert_null(image->connections[0].credentials.machine);
        assert_null(image->connections[0].credentials.label);
        talloc_free(domain);
}

static void test_a_new_occupant_leaves_nothing_of_the_old(void **state) {
        const Credentials named = { .uid = 1, .unit = "long-name.service", .machine = "m", .label = "l" };
        Domain *domain = domain_new(*state);
        LedgerImage *image;

        take_as(domain, 0, "machine:m", &named);
        leave(domain, 0);
        take(domain, 0, "x");
        image = load(domain);
        assert_string_equal(seats_get(image->seats, 0)->identity, "x");
        assert_null(image->connections[0].credentials.unit);
        assert_null(image->connections[0].credentials.machine);
        talloc_free(domain);
}

static void test_seats_keep_order_and_state(void **state) {
        Domain *domain = domain_new(*state);
        Feed feed;
        LedgerImage *image;
        uint32_t vm_id;

        take(domain, 3, "three");
        take(domain, 0, "zero");
        feed = take(domain, 1, "one");
        leave(domain, 0);
        leave(domain, 3);
        take(domain, 0, "zero");
        leave(domain, 0);
        retire(domain, 3);
        image = load(domain);
        assert_int_equal(seats_opened(image->seats), 3);
        assert_int_equal(seats_opened_id(image->seats, 0), 3);
        assert_int_equal(seats_opened_id(image->seats, 1), 0);
        assert_int_equal(seats_opened_id(image->seats, 2), 1);
        assert_int_equal(seats_get(image->seats, 3)->state, SEAT_RETIRED);
        assert_int_equal(seats_get(image->seats, 0)->state, SEAT_VACANT);
        assert_int_equal(seats_get(image->seats, 0)->left, 3);
        assert_int_equal(seats_get(image->seats, 1)->state, SEAT_TAKEN);
        assert_int_equal(seats_get(image->seats, 2)->state, SEAT_UNOPENED);
        assert_int_equal(image->connections[0].feed.joined, feed.joined);
        assert_int_equal(seats_choose(image->seats, "zero", &vm_id), SEAT_OK);
        assert_int_equal(vm_id, 0);
        talloc_free(domain);
}

static void test_leaves_are_counted_on(void **state) {
        Domain *domain = domain_new(*state);
        LedgerImage *image;

        take(domain, 0, "a");
        take(domain, 1, "b");
        leave(domain, 1);
        image = load(domain);
        seats_leave(image->seats, 0);
        assert_int_equal(seats_get(image->seats, 1)->left, 1);
        assert_int_equal(seats_get(image->seats, 0)->left, 2);
        talloc_free(domain);
}

/* Any text that is written is read back, if only what is left of it. */
static void test_texts(void **state) {
        char long_text[1000], cut_identity[LEDGER_IDENTITY_SIZE], cut_name[LEDGER_NAME_SIZE];
        struct {
                const char *text, *identity, *name;
        } table[] = {
                { "plain", "plain", "plain" },
                { "two\nlines\tand\x1f\x7f", "two?lines?and??", "two?lines?and??" },
                { "caf\xc3\xa9 \xff", "caf\xc3\xa9 \xff", "caf\xc3\xa9 \xff" },
                { long_text, cut_identity, cut_name },
        };

        memset(long_text, 'x', sizeof(long_text));
        memset(cut_identity, 'x', sizeof(cut_identity));
        memset(cut_name, 'x', sizeof(cut_name));
        long_text[sizeof(long_text) - 1] = '\0';
        cut_identity[sizeof(cut_identity) - 1] = '\0';
        cut_name[sizeof(cut_name) - 1] = '\0';
        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                const char *text = table[i].text;
                const Credentials credentials = { .unit = text, .machine = text, .label = text };
                Domain *domain = domain_new(*state);
                LedgerImage *image;

                take_as(domain, 0, text, &credentials);
                image = load(domain);
                assert_string_equal(seats_get(image->seats, 0)->identity, table[i].identity);
                assert_string_equal(image->connections[0].credentials.unit, table[i].name);
                assert_string_equal(image->connections[0].credentials.machine, table[i].name);
                assert_string_equal(image->connections[0].credentials.label, table[i].name);
                talloc_free(domain);
        }
}

/* ---- Batches ---- */

/* Seat 0 is told 3 + 2 * VECTORS messages. */
static Feed two_peers(Domain *domain) {
        Feed feed = take(domain, 0, "hub");

        take(domain, 1, "leaf");
        return feed;
}

#define ALL (3 + 2 * VECTORS)

static uint64_t loaded_cursor(Domain *domain, size_t sent) {
        LedgerImage *image = load_sent(domain, sent);
        uint64_t cursor;

        assert_int_equal(image->n_connections, 2);
        assert_int_equal(image->connections[0].feed.vm_id, 0);
        assert_int_equal(image->connections[1].feed.cursor, 0);
        cursor = image->connections[0].feed.cursor;
        talloc_free(image);
        return cursor;
}

static void test_a_batch_counts_as_far_as_it_went(void **state) {
        for (size_t sent = 0; sent <= ALL; sent++) {
                Domain *domain = domain_new(*state);
                Feed feed = two_peers(domain);
                FeedMessage messages[ALL];

                assert_int_equal(feed_peek(domain->seats, &feed, messages, ALL), ALL);
                assert_int_equal(ledger_unfinished(domain->ledger, domain->size), 0);
                ledger_batch_begin(domain->ledger, &feed, messages, ALL);
                assert_int_equal(ledger_unfinished(domain->ledger, domain->size), ALL);
                assert_int_equal(loaded_cursor(domain, sent), sent);

                /* Its end, killed between its two stores. */
                feed.cursor = sent;
                domain->ledger->seats[0].cursor = sent;
                assert_int_equal(loaded_cursor(domain, sent), sent);
                ledger_batch_end(domain->ledger, &feed);
                assert_int_equal(ledger_unfinished(domain->ledger, domain->size), 0);
                assert_int_equal(loaded_cursor(domain, 0), sent);
                talloc_free(domain);
        }
}

/* The second batch begins where the first was cut. */
static void test_batches_in_a_row(void **state) {
        Domain *domain = domain_new(*state);
        Feed feed = two_peers(domain);
        FeedMessage messages[ALL];
        size_t n;

        for (size_t sent = 0; sent < ALL; sent++) {
                n = feed_peek(domain->seats, &feed, messages, ALL);
                assert_int_equal(n, ALL - sent);
                ledger_batch_begin(domain->ledger, &feed, messages, n);
                assert_int_equal(loaded_cursor(domain, 1), sent + 1);
                feed.cursor = messages[0].next;
                ledger_batch_end(domain->ledger, &feed);
                assert_int_equal(loaded_cursor(domain, 0), sent + 1);
        }
        talloc_free(domain);
}

/* A successor settles what it has read; from then on the notes mean nothing. */
static void test_settling(void **state) {
        Domain *domain = domain_new(*state);
        Feed feed = two_peers(domain);
        FeedMessage messages[ALL];
        LedgerImage *image;

        feed_peek(domain->seats, &feed, messages, ALL);
        ledger_batch_begin(domain->ledger, &feed, messages, ALL);
        image = load_sent(domain, 4);
        ledger_settle(domain->ledger, image);
        assert_int_equal(ledger_unfinished(domain->ledger, domain->size), 0);
        assert_int_equal(loaded_cursor(domain, 0), 4);
        talloc_free(image);
        leave(domain, 0);
        image = load(domain);
        assert_int_equal(image->n_connections, 1);
        talloc_free(domain);
}

static void test_headers_are_aligned_and_inside(void **state) {
        Domain *domain = domain_new(*state);
        size_t offset = (size_t) ((uint8_t *) ledger_headers(domain->ledger) - (uint8_t *) domain->ledger);

        assert_int_equal(offset % 16, 0);
        assert_true(offset + LEDGER_HEADERS_SIZE <= ledger_size(1));
        talloc_free(domain);
}

/* ---- What cannot be ---- */

typedef struct Corruption {
        const char *name; /* for people */
        const char *error;
        void (*corrupt)(Ledger *ledger);
        size_t sent;
} Corruption;

#define CORRUPTION(what, statement)             \
        static void corrupt_##what(Ledger *l) { \
                statement;                      \
        }

CORRUPTION(magic, l->magic ^= 1)
CORRUPTION(version, l->version = 0)
CORRUPTION(file, l->file = _LEDGER_FILE_MAX)
CORRUPTION(seat_size, l->seat_size++)
CORRUPTION(no_seats, l->shape.max_peers = 0)
CORRUPTION(more_seats, l->shape.max_peers = 5)
CORRUPTION(seats_that_wrap, l->shape.max_peers = UINT32_MAX)
CORRUPTION(no_vectors, l->shape.vectors = 0)
CORRUPTION(many_vectors, l->shape.vectors = VECTORS_MAX + 1)
CORRUPTION(topology, l->shape.topology = _TOPOLOGY_MAX)
CORRUPTION(huge_pages, l->shape.huge_pages = _HUGE_PAGES_MAX)
CORRUPTION(batch, l->batch.n = LEDGER_BATCH_MAX + 1)
CORRUPTION(used, l->n_used = 5)
CORRUPTION(used_less, l->n_used = 2)
CORRUPTION(state, l->seats[1].word = _SEAT_STATE_MAX)
CORRUPTION(state_bits, l->seats[1].word |= 1U << 31)
CORRUPTION(no_identity, l->seats[1].identity[1][0] = '\0')
CORRUPTION(other_slot, l->seats[1].word ^= LEDGER_SLOT)
CORRUPTION(endless_identity, memset(l->seats[1].identity[1], 'x', LEDGER_IDENTITY_SIZE))
CORRUPTION(control, l->seats[1].identity[1][1] = '\n')
CORRUPTION(delete, l->seats[2].identity[1][0] = 0x7f)
CORRUPTION(unit, memset(l->seats[1].unit, 'x', LEDGER_NAME_SIZE))
CORRUPTION(machine, memset(l->seats[1].machine, 'x', LEDGER_NAME_SIZE))
CORRUPTION(label, memcpy(l->seats[1].label, "\x1b[2J", 5))
CORRUPTION(no_serial, l->seats[1].serial = 0)
CORRUPTION(same_index, l->seats[1].index = 0)
CORRUPTION(index_beyond, l->seats[1].index = 3)
CORRUPTION(index_far, l->seats[1].index = UINT32_MAX)
CORRUPTION(forgotten, l->seats[0].word = 0)
CORRUPTION(joined_0, l->seats[1].joined = 0)
CORRUPTION(joined_before_itself, l->seats[1].joined = 1)
CORRUPTION(joined_beyond, l->seats[1].joined = 4)
CORRUPTION(cursor_beyond, l->seats[0].cursor = 3 + 3 * VECTORS + 1)
CORRUPTION(cursor_far, l->seats[0].cursor = UINT64_MAX)
CORRUPTION(cursor_unseen, l->seats[1].cursor = 3 + 3 * VECTORS)
CORRUPTION(nothing, (void) l)
CORRUPTION(batch_back, l->seats[0].cursor = 4; l->batch.n = 2; l->batch.next[1] = 3)
CORRUPTION(batch_far, l->batch.n = 2; l->batch.next[1] = 3 + 3 * VECTORS + 1)
CORRUPTION(batch_vacant, l->batch.n = 2; l->batch.vm_id = 2; l->batch.next[1] = 1)
CORRUPTION(batch_nobody, l->batch.n = 2; l->batch.vm_id = UINT32_MAX; l->batch.next[1] = 1)
CORRUPTION(batch_short, l->batch.n = 1; l->batch.next[1] = 1)

#define ROW(what, text) \
        { #what, text, corrupt_##what, 0 }
#define SENT_ROW(what, text) \
        { #what, text, corrupt_##what, 2 }

/* Of a ledger in which 0 and 1 are taken, 2 is vacant and 3 was never opened. */
static const Corruption corruptions[] = {
        ROW(magic, "this is no ledger"),
        ROW(version, "version 0 of the ledger is not known to this program"),
        ROW(seat_size, "version 2 of the ledger is not known to this program"),
        ROW(file, "the memory is of no kind that there is"),
        ROW(no_seats, "a ledger of %zu bytes cannot have 0 seats"),
        ROW(more_seats, "a ledger of %zu bytes cannot have 5 seats"),
        ROW(seats_that_wrap, "a ledger of %zu bytes cannot have 4294967295 seats"),
        ROW(no_vectors, "the shape of the domain cannot be"),
        ROW(many_vectors, "the shape of the domain cannot be"),
        ROW(topology, "the shape of the domain cannot be"),
        ROW(huge_pages, "the shape of the domain cannot be"),
        ROW(batch, "a batch cannot have 65 messages"),
        ROW(used, "of 4 seats 5 cannot have been used"),
        ROW(used_less, "the peer on seat 0 cannot have been told what is noted"),
        ROW(state, "seat 1 is in no state that there is"),
        ROW(state_bits, "seat 1 is in no state that there is"),
        ROW(no_identity, "the identity of seat 1 is no text"),
        ROW(other_slot, "the identity of seat 1 is no text"),
        ROW(endless_identity, "the identity of seat 1 is no text"),
        ROW(control, "the identity of seat 1 is no text"),
        ROW(delete, "the identity of seat 2 is no text"),
        ROW(unit, "the connection of seat 1 is not whole"),
        ROW(machine, "the connection of seat 1 is not whole"),
        ROW(label, "the connection of seat 1 is not whole"),
        ROW(no_serial, "the connection of seat 1 is not whole"),
        ROW(same_index, "seat 1 cannot have been opened as number 0 of 3"),
        ROW(index_beyond, "seat 1 cannot have been opened as number 3 of 3"),
        ROW(index_far, "seat 1 cannot have been opened as number 4294967295 of 3"),
        ROW(forgotten, "seat 2 cannot have been opened as number 2 of 2"),
        ROW(joined_0, "the peer on seat 1 cannot have been told what is noted"),
        ROW(joined_before_itself, "the peer on seat 1 cannot have been told what is noted"),
        ROW(joined_beyond, "the peer on seat 1 cannot have been told what is noted"),
        ROW(cursor_beyond, "the peer on seat 0 cannot have been told what is noted"),
        ROW(cursor_far, "the peer on seat 0 cannot have been told what is noted"),
        ROW(cursor_unseen, "the peer on seat 1 cannot have been told what is noted"),
        SENT_ROW(nothing, "more messages of a batch were sent than it had"),
        SENT_ROW(batch_short, "more messages of a batch were sent than it had"),
        SENT_ROW(batch_back, "a batch for seat 0 goes back"),
        SENT_ROW(batch_far, "a batch for seat 0 goes too far"),
        SENT_ROW(batch_vacant, "a batch was being sent to seat 2, on which nobody sits"),
        SENT_ROW(batch_nobody, "a batch was being sent to seat 4294967295, on which nobody sits"),
};

static Domain *corruptible(void *ctx) {
        Domain *domain = domain_new(ctx);
        Feed feed;

        take(domain, 0, "hub");
        take(domain, 1, "one");
        take(domain, 2, "two");
        leave(domain, 2);
        /* It is told all there is, so that its cursor needs all three seats. */
        feed = (Feed){ .vm_id = 0, .joined = 1, .cursor = 3 + 3 * VECTORS };
        ledger_batch_end(domain->ledger, &feed);
        return domain;
}

static void expect_refusal(Domain *domain, size_t size, size_t sent, const char *expected) {
        LedgerImage *image = NULL;
        char *error = NULL;

        assert_int_equal(ledger_load(domain, domain->ledger, size, sent, &image, &error), -EINVAL);
        assert_null(image);
        assert_non_null(error);
        assert_string_equal(error, expected);
        talloc_free(error);
}

static void test_each_corruption_is_named(void **state) {
        for (size_t i = 0; i < sizeof(corruptions) / sizeof(*corruptions); i++) {
                const Corruption *row = &corruptions[i];
                Domain *domain = corruptible(*state);
                const char *at = strstr(row->error, "%zu");
                char *expected;

                talloc_free(load(domain));
                if (row->sent > 0) {
                        domain->ledger->seats[0].cursor = 0;
                }
                row->corrupt(domain->ledger);
                expected = at ? talloc_asprintf(domain, "%.*s%zu%s", (int) (at - row->error), row->error,
                                                domain->size, at + 3)
                              : talloc_strdup(domain, row->error);
                print_message("# %s: %s\n", row->name, expected);
                expect_refusal(domain, domain->size, row->sent, expected);
                talloc_free(domain);
        }
}

static void test_each_cut_is_refused(void **state) {
        Domain *domain = corruptible(*state);

        for (size_t size = 0; size < domain->size; size++) {
                /* A piece of its own, so that a read beyond it shows. */
                size_t step = size < sizeof(Ledger) + 16 ? 1 : 97;
                void *piece = talloc_memdup(domain, domain->ledger, size ?: 1);
                LedgerImage *image = NULL;
                char *error = NULL;

                assert_int_equal(ledger_load(domain, piece, size, 0, &image, &error), -EINVAL);
                assert_int_equal(ledger_unfinished(piece, size), 0);
                talloc_free(error);
                talloc_free(piece);
                size += step - 1;
        }
        talloc_free(domain);
}

static void test_of_strange_bytes_nothing_is_unfinished(void **state) {
        Domain *domain = corruptible(*state);

        domain->ledger->batch.n = 2;
        assert_int_equal(ledger_unfinished(domain->ledger, domain->size), 2);
        domain->ledger->batch.n = LEDGER_BATCH_MAX + 1;
        assert_int_equal(ledger_unfinished(domain->ledger, domain->size), 0);
        domain->ledger->batch.n = 2;
        domain->ledger->version++;
        assert_int_equal(ledger_unfinished(domain->ledger, domain->size), 0);
        domain->ledger->version--;
        domain->ledger->magic++;
        assert_int_equal(ledger_unfinished(domain->ledger, domain->size), 0);
        talloc_free(domain);
}

/* What lies behind the last seat that was used is not even looked at: it would cost memory. */
static void test_seats_never_used_are_not_looked_at(void **state) {
        Domain *domain = corruptible(*state);

        memset(&domain->ledger->seats[3], 0xff, sizeof(LedgerSeat));
        talloc_free(load(domain));
        talloc_free(domain);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_an_empty_ledger),
                TEST(test_a_connection),
                TEST(test_names_that_there_are_not_stay_none),
                TEST(test_a_new_occupant_leaves_nothing_of_the_old),
                TEST(test_seats_keep_order_and_state),
                TEST(test_leaves_are_counted_on),
                TEST(test_texts),
                TEST(test_a_batch_counts_as_far_as_it_went),
                TEST(test_batches_in_a_row),
                TEST(test_settling),
                TEST(test_headers_are_aligned_and_inside),
                TEST(test_each_corruption_is_named),
                TEST(test_each_cut_is_refused),
                TEST(test_of_strange_bytes_nothing_is_unfinished),
                TEST(test_seats_never_used_are_not_looked_at),
        };

        return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
