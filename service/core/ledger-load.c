/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ledger being read back. The bytes may be anything; what comes out is a domain that could have been. */

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <talloc.h>

#include "service/core/ledger-layout.h"
#include "service/core/text.h"

typedef struct Loader {
        const Ledger *ledger;
        LedgerImage *image;
        uint32_t *order; /* VM IDs by the index of their opening */
        uint32_t n_opened;
        void *ctx; /* the error goes here */
        char **ret_error;
} Loader;

static int __attribute__((format(printf, 2, 3))) doubt(const Loader *loader, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        *loader->ret_error = talloc_vasprintf(loader->ctx, format, arguments);
        va_end(arguments);
        return -EINVAL;
}

/* ---- The head ---- */

/* What version 1 had there means nothing. */
static LedgerFile ledger_file(const Ledger *ledger) {
        return ledger->version == 1 ? LEDGER_FILE_NONE : (LedgerFile) ledger->file;
}

static int check_head(const Loader *loader, size_t size) {
        const LedgerShape *shape = &loader->ledger->shape;

        if (size < sizeof(Ledger) || loader->ledger->magic != LEDGER_MAGIC) {
                return doubt(loader, "this is no ledger");
        }
        if (loader->ledger->version > LEDGER_VERSION) {
                (void) doubt(loader,
                             "the ledger is of version %u, and this program knows none above %u: a newer "
                             "ivshmem-server wrote it",
                             loader->ledger->version, LEDGER_VERSION);
                return -EPROTONOSUPPORT;
        }
        if (loader->ledger->version < LEDGER_VERSION_OLDEST ||
            loader->ledger->seat_size != sizeof(LedgerSeat)) {
                return doubt(loader, "version %u of the ledger is not known to this program",
                             loader->ledger->version);
        }
        if (ledger_file(loader->ledger) >= _LEDGER_FILE_MAX) {
                return doubt(loader, "the memory is of no kind that there is");
        }
        if (shape->max_peers < 1 || shape->max_peers > VM_IDS_MAX || size != ledger_size(shape->max_peers)) {
                return doubt(loader, "a ledger of %zu byte%s cannot have %u seat%s", size, plural(size),
                             shape->max_peers, plural(shape->max_peers));
        }
        if (shape->vectors < 1 || shape->vectors > VECTORS_MAX || shape->topology >= _TOPOLOGY_MAX ||
            shape->huge_pages >= _HUGE_PAGES_MAX) {
                return doubt(loader, "the shape of the domain cannot be");
        }
        if (loader->ledger->batch.n > LEDGER_BATCH_MAX) {
                return doubt(loader, "a batch cannot have %u message%s", loader->ledger->batch.n,
                             plural(loader->ledger->batch.n));
        }
        if (loader->ledger->n_used > shape->max_peers) {
                return doubt(loader, "of %u seat%s %u cannot have been used", shape->max_peers,
                             plural(shape->max_peers), loader->ledger->n_used);
        }
        return 0;
}

/* ---- Seats ---- */

static SeatState record_state(const LedgerSeat *record) {
        return (SeatState) (record->word & ~LEDGER_SLOT);
}

static const char *record_identity(const LedgerSeat *record) {
        return record->identity[record->word & LEDGER_SLOT ? 1 : 0];
}

/* A text of printable characters that ends within its place. */
static bool is_text(const char *place, size_t size) {
        const char *end = memchr(place, '\0', size);

        for (const char *c = place; end && c < end; c++) {
                if ((unsigned char) *c < ' ' || *c == 0x7f) {
                        return false;
                }
        }
        return end;
}

static int check_seat(const Loader *loader, uint32_t vm_id) {
        const LedgerSeat *record = &loader->ledger->seats[vm_id];
        uint32_t state = record->word & ~LEDGER_SLOT;

        if (state >= _SEAT_STATE_MAX) {
                return doubt(loader, "seat %u is in no state that there is", vm_id);
        }
        if (state == SEAT_UNOPENED) {
                return 0;
        }
        if (!is_text(record_identity(record), LEDGER_IDENTITY_SIZE) || !*record_identity(record)) {
                return doubt(loader, "the identity of seat %u is no text", vm_id);
        }
        if (state == SEAT_TAKEN &&
            (!is_text(record->unit, LEDGER_NAME_SIZE) || !is_text(record->machine, LEDGER_NAME_SIZE) ||
             !is_text(record->label, LEDGER_NAME_SIZE) || record->serial == 0)) {
                return doubt(loader, "the connection of seat %u is not whole", vm_id);
        }
        return 0;
}

/* Puts the opened seats into the order of their opening; each place must be had by exactly one. */
static int find_order(Loader *loader) {
        uint32_t n_used = loader->ledger->n_used, n = 0;

        for (uint32_t id = 0; id < n_used; id++) {
                n += record_state(&loader->ledger->seats[id]) != SEAT_UNOPENED;
        }
        loader->order = talloc_array(loader->image, uint32_t, n);
        if (!loader->order) {
                return -ENOMEM;
        }
        memset(loader->order, 0xff, n * sizeof(*loader->order));
        for (uint32_t id = 0; id < n_used; id++) {
                const LedgerSeat *record = &loader->ledger->seats[id];

                if (record_state(record) == SEAT_UNOPENED) {
                        continue;
                }
                if (record->index >= n || loader->order[record->index] != UINT32_MAX) {
                        return doubt(loader, "seat %u cannot have been opened as number %u of %u", id,
                                     record->index, n);
                }
                loader->order[record->index] = id;
        }
        loader->n_opened = n;
        return 0;
}

static int restore_seats(Loader *loader) {
        const LedgerShape *shape = &loader->ledger->shape;
        LedgerImage *image = loader->image;
        int r = seats_new(image, shape->max_peers, shape->vectors, (Topology) shape->topology,
                          &image->seats);

        for (uint32_t i = 0; i < loader->n_opened && r >= 0; i++) {
                const LedgerSeat *record = &loader->ledger->seats[loader->order[i]];

                r = seats_restore(image->seats, loader->order[i], record_state(record), record->left,
                                  record_identity(record));
        }
        return r;
}

/* ---- Connections ---- */

static int copy_name(LedgerImage *image, const char *place, const char **ret) {
        if (!*place) {
                return 0;
        }
        *ret = talloc_strdup(image, place);
        return *ret ? 0 : -ENOMEM;
}

static int restore_connection(const Loader *loader, uint32_t vm_id, LedgerConnection *ret) {
        const LedgerSeat *record = &loader->ledger->seats[vm_id];
        Credentials *credentials = &ret->credentials;
        int r;

        *ret = (LedgerConnection){
                .feed = { .vm_id = vm_id, .joined = record->joined, .cursor = record->cursor },
                .serial = record->serial,
                .since = record->since,
                .credentials = { .uid = record->uid, .gid = record->gid, .pid = record->pid },
        };
        if (!feed_is_valid(loader->image->seats, &ret->feed)) {
                return doubt(loader, "the peer on seat %u cannot have been told what is noted", vm_id);
        }
        r = copy_name(loader->image, record->unit, &credentials->unit);
        if (r >= 0) {
                r = copy_name(loader->image, record->machine, &credentials->machine);
        }
        return r < 0 ? r : copy_name(loader->image, record->label, &credentials->label);
}

static int restore_connections(Loader *loader) {
        LedgerImage *image = loader->image;
        int r = 0;

        image->connections = talloc_array(image, LedgerConnection, seats_taken(image->seats));
        if (!image->connections) {
                return -ENOMEM;
        }
        for (uint32_t i = 0; i < loader->n_opened && r >= 0; i++) {
                LedgerConnection *connection = &image->connections[image->n_connections];

                if (seats_get(image->seats, loader->order[i])->state != SEAT_TAKEN) {
                        continue;
                }
                r = restore_connection(loader, loader->order[i], connection);
                if (r >= 0) {
                        image->n_connections++;
                        image->last_serial = connection->serial > image->last_serial ? connection->serial
                                                                                     : image->last_serial;
                }
        }
        return r;
}

/* Moves the cursor of the connection that a batch was being sent to by what went. */
static int finish_batch(const Loader *loader, size_t sent) {
        const LedgerBatch *batch = &loader->ledger->batch;
        LedgerImage *image = loader->image;

        if (sent == 0) {
                return 0;
        }
        if (sent > batch->n) {
                return doubt(loader, "more messages of a batch were sent than it had");
        }
        for (size_t i = 0; i < image->n_connections; i++) {
                Feed *feed = &image->connections[i].feed;

                if (feed->vm_id != batch->vm_id) {
                        continue;
                }
                if (batch->next[sent - 1] < feed->cursor) {
                        return doubt(loader, "a batch for seat %u goes back", feed->vm_id);
                }
                feed->cursor = batch->next[sent - 1];
                return feed_is_valid(image->seats, feed)
                               ? 0
                               : doubt(loader, "a batch for seat %u goes too far", feed->vm_id);
        }
        return doubt(loader, "a batch was being sent to seat %u, on which nobody sits", batch->vm_id);
}

/* ---- The whole ---- */

static int load(Loader *loader, size_t size, size_t sent) {
        int r = check_head(loader, size);

        for (uint32_t id = 0; r >= 0 && id < loader->ledger->n_used; id++) {
                r = check_seat(loader, id);
        }
        if (r >= 0) {
                loader->image->shape = loader->ledger->shape;
                loader->image->file = ledger_file(loader->ledger);
                r = find_order(loader);
        }
        if (r >= 0) {
                r = restore_seats(loader);
        }
        if (r >= 0) {
                r = restore_connections(loader);
        }
        return r < 0 ? r : finish_batch(loader, sent);
}

size_t ledger_unfinished(const void *bytes, size_t size) {
        const Ledger *ledger = bytes;

        if (size < sizeof(Ledger) || ledger->magic != LEDGER_MAGIC ||
            ledger->version < LEDGER_VERSION_OLDEST || ledger->version > LEDGER_VERSION ||
            ledger->batch.n > LEDGER_BATCH_MAX) {
                return 0;
        }
        return ledger->batch.n;
}

int ledger_load(void *ctx, const void *bytes, size_t size, size_t sent, LedgerImage **ret,
                char **ret_error) {
        LedgerImage *image = talloc_zero(ctx, LedgerImage);
        Loader loader = { .ledger = bytes, .image = image, .ctx = ctx, .ret_error = ret_error };
        int r;

        if (!image) {
                return -ENOMEM;
        }
        r = load(&loader, size, sent);
        talloc_free(loader.order);
        if (r < 0) {
                talloc_free(image);
                return r;
        }
        *ret = image;
        return 0;
}
