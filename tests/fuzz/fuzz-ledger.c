/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a ledger. Whatever is accepted is a domain that can go on: its feeds are valid and come to an end, and
 * saved in a new ledger it is read back as the same.
 */

#include <string.h>
#include <talloc.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ledger-input.h"
#include "tests/model/keeper.h"

static uint8_t *lay_out(const uint8_t *data, size_t size, size_t *ret_size) {
        uint8_t mode = data[LEDGER_INPUT_MODE];
        size_t head, whole;
        uint8_t *bytes;

        data += LEDGER_INPUT_HEAD;
        size -= LEDGER_INPUT_HEAD;
        head = size < LEDGER_INPUT_SKIP ? size : LEDGER_INPUT_SKIP;
        whole = size <= head ? size : size - head + LEDGER_INPUT_RESUME;
        if (!(mode & LEDGER_INPUT_EXACT)) {
                *ret_size = ledger_size(1 + mode / 2 % LEDGER_INPUT_SEATS_MAX);
                whole = whole < *ret_size ? whole : *ret_size;
        } else {
                *ret_size = whole;
        }
        bytes = calloc(1, *ret_size > 0 ? *ret_size : 1);
        FUZZ_CHECK(bytes);
        memcpy(bytes, data, head);
        if (whole > LEDGER_INPUT_RESUME) {
                memcpy(bytes + LEDGER_INPUT_RESUME, data + head, whole - LEDGER_INPUT_RESUME);
        }
        return bytes;
}

/* Everything is told, without end only if something is wrong. */
static void tell_all(const LedgerImage *image, Feed feed) {
        uint64_t bound = 3 + (uint64_t) seats_opened(image->seats) * seats_vectors(image->seats);
        FeedMessage messages[LEDGER_BATCH_MAX];
        size_t n;

        while ((n = feed_peek(image->seats, &feed, messages, LEDGER_BATCH_MAX)) > 0) {
                FUZZ_CHECK(messages[n - 1].next > feed.cursor && messages[n - 1].next <= bound);
                feed.cursor = messages[n - 1].next;
                FUZZ_CHECK(feed_is_valid(image->seats, &feed));
        }
}

static void check_image(const LedgerImage *image) {
        FUZZ_CHECK(image->n_connections == seats_taken(image->seats));
        FUZZ_CHECK(seats_max(image->seats) == image->shape.max_peers);
        for (size_t i = 0; i < image->n_connections; i++) {
                const LedgerConnection *connection = &image->connections[i];

                FUZZ_CHECK(feed_is_valid(image->seats, &connection->feed));
                FUZZ_CHECK(connection->serial > 0 && connection->serial <= image->last_serial);
                tell_all(image, connection->feed);
        }
}

static const LedgerConnection *connection_of(const LedgerImage *image, uint32_t vm_id) {
        for (size_t i = 0; i < image->n_connections; i++) {
                if (image->connections[i].feed.vm_id == vm_id) {
                        return &image->connections[i];
                }
        }
        return NULL;
}

/* Each seat is taken, left, and where somebody sits taken again. */
static void save(const LedgerImage *image, Ledger *ledger) {
        ledger_format(ledger, &image->shape);
        ledger_set_file(ledger, image->file);
        for (uint32_t i = 0; i < seats_opened(image->seats); i++) {
                uint32_t vm_id = seats_opened_id(image->seats, i);
                const LedgerConnection somebody = { .feed = { .vm_id = vm_id }, .serial = 1 };
                const LedgerConnection *connection = connection_of(image, vm_id);

                ledger_take(ledger, image->seats, &somebody);
                ledger_leave(ledger, image->seats, vm_id);
                if (connection) {
                        ledger_take(ledger, image->seats, connection);
                }
        }
}

static void check_same(const LedgerImage *image, const LedgerImage *again) {
        char *expected = ledger_image_describe(NULL, image), *text = ledger_image_describe(NULL, again);

        FUZZ_CHECK(strcmp(expected, text) == 0);
        FUZZ_CHECK(memcmp(&image->shape, &again->shape, sizeof(image->shape)) == 0);
        FUZZ_CHECK(image->last_serial == again->last_serial);
        FUZZ_CHECK(image->file == again->file);
        for (uint32_t id = 0; id < image->shape.max_peers; id++) {
                FUZZ_CHECK(seats_get(image->seats, id)->left == seats_get(again->seats, id)->left);
        }
        talloc_free(expected);
        talloc_free(text);
}

static void check_round_trip(const LedgerImage *image) {
        size_t size = ledger_size(image->shape.max_peers);
        Ledger *ledger = calloc(1, size);
        LedgerImage *again = NULL;
        char *error = NULL;

        FUZZ_CHECK(ledger);
        save(image, ledger);
        FUZZ_CHECK(ledger_load(NULL, ledger, size, 0, &again, &error) == 0);
        check_same(image, again);
        talloc_free(again);
        free(ledger);
}

/* What a successor does first leaves it as it was read. */
static void check_settled(const LedgerImage *image, void *bytes, size_t size) {
        LedgerImage *again = NULL;
        char *error = NULL;

        ledger_settle(bytes, image);
        FUZZ_CHECK(ledger_unfinished(bytes, size) == 0);
        FUZZ_CHECK(ledger_load(NULL, bytes, size, 0, &again, &error) == 0);
        check_same(image, again);
        talloc_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        LedgerImage *image = NULL;
        char *error = NULL;
        uint8_t *bytes;
        int r;

        if (size < LEDGER_INPUT_HEAD) {
                return 0;
        }
        bytes = lay_out(data, size, &size);
        FUZZ_CHECK(ledger_unfinished(bytes, size) <= LEDGER_BATCH_MAX);
        r = ledger_load(NULL, bytes, size, data[LEDGER_INPUT_SENT], &image, &error);
        FUZZ_CHECK((r == 0) == (image != NULL));
        FUZZ_CHECK((r < 0) == (error != NULL));
        if (r == 0) {
                check_image(image);
                check_round_trip(image);
                check_settled(image, bytes, size);
        }
        talloc_free(image);
        talloc_free(error);
        free(bytes);
        return 0;
}
