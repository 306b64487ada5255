/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ledger being written: records first, then the one store that makes them true. */

#include "service/core/ledger.h"

#include <assert.h>

#include "service/core/ledger-layout.h"

/* Everything written before is there when this is, and nothing written later is there without it. The reader is a later
 * process, so that only the compiler's order matters. */
#define commit(place, value)                                          \
        do {                                                          \
                __atomic_signal_fence(__ATOMIC_SEQ_CST);              \
                __atomic_store_n((place), (value), __ATOMIC_RELAXED); \
                __atomic_signal_fence(__ATOMIC_SEQ_CST);              \
        } while (0)

size_t ledger_size(uint32_t max_peers) {
        return sizeof(Ledger) + max_peers * sizeof(LedgerSeat);
}

void ledger_format(Ledger *ledger, const LedgerShape *shape) {
        ledger->seat_size = sizeof(LedgerSeat);
        ledger->shape = *shape;
        ledger->version = LEDGER_VERSION;
        commit(&ledger->magic, LEDGER_MAGIC);
}

/* Writes only what is_text() in ledger-load.c takes: a name that somebody contrived must not cost all peers their
 * connections when it is read back. */
static void copy_text(char *place, size_t size, const char *text) {
        size_t n = 0;

        for (; text && text[n] && n < size - 1; n++) {
                place[n] = (unsigned char) text[n] < ' ' || text[n] == 0x7f ? '?' : text[n];
        }
        place[n] = '\0';
}

void ledger_set_file(Ledger *ledger, LedgerFile file) {
        commit(&ledger->file, (uint32_t) file);
}

void ledger_take(Ledger *ledger, const Seats *seats, const LedgerConnection *connection) {
        const Seat *seat = seats_get(seats, connection->feed.vm_id);
        LedgerSeat *record = &ledger->seats[connection->feed.vm_id];
        /* The other one: until the commit the seat has the name it had. */
        uint32_t slot = !(record->word & LEDGER_SLOT);

        copy_text(record->identity[slot], sizeof(record->identity[slot]), seat->identity);
        copy_text(record->unit, sizeof(record->unit), connection->credentials.unit);
        copy_text(record->machine, sizeof(record->machine), connection->credentials.machine);
        copy_text(record->label, sizeof(record->label), connection->credentials.label);
        record->index = seat->index;
        record->serial = connection->serial;
        record->joined = connection->feed.joined;
        record->cursor = connection->feed.cursor;
        record->since = connection->since;
        record->uid = connection->credentials.uid;
        record->gid = connection->credentials.gid;
        record->pid = connection->credentials.pid;
        if (connection->feed.vm_id >= ledger->n_used) {
                commit(&ledger->n_used, connection->feed.vm_id + 1);
        }
        commit(&record->word, SEAT_TAKEN | (slot ? LEDGER_SLOT : 0));
}

void ledger_leave(Ledger *ledger, const Seats *seats, uint32_t vm_id) {
        const Seat *seat = seats_get(seats, vm_id);
        LedgerSeat *record = &ledger->seats[vm_id];

        record->left = seat->left;
        commit(&record->word, seat->state | (record->word & LEDGER_SLOT));
}

void *ledger_headers(Ledger *ledger) {
        return ledger->batch.headers;
}

void ledger_batch_begin(Ledger *ledger, const Feed *feed, const FeedMessage *messages, size_t n) {
        LedgerBatch *batch = &ledger->batch;

        assert(n <= LEDGER_BATCH_MAX);
        batch->vm_id = feed->vm_id;
        for (size_t i = 0; i < n; i++) {
                batch->next[i] = messages[i].next;
        }
        commit(&batch->n, (uint32_t) n);
}

void ledger_batch_end(Ledger *ledger, const Feed *feed) {
        commit(&ledger->seats[feed->vm_id].cursor, feed->cursor);
        commit(&ledger->batch.n, 0);
}

void ledger_settle(Ledger *ledger, const LedgerImage *image) {
        for (size_t i = 0; i < image->n_connections; i++) {
                const Feed *feed = &image->connections[i].feed;

                commit(&ledger->seats[feed->vm_id].cursor, feed->cursor);
        }
        commit(&ledger->batch.n, 0);
        commit(&ledger->file, (uint32_t) image->file);
        /* Last: until here it is read as what it was. */
        commit(&ledger->version, LEDGER_VERSION);
}
