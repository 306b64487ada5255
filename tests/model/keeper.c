/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A ledger whose keeper may die between any two stores. */

#include "tests/model/keeper.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "service/core/ledger-layout.h"

/* What an operation commits with, in its order. */
typedef struct Commit {
        const void *place; /* in keeper->ledger */
        size_t size;
} Commit;

static void *checked(void *chunk) {
        if (!chunk) {
                abort();
        }
        return chunk;
}

static bool __attribute__((format(printf, 2, 3))) fail(Keeper *keeper, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        keeper->failure = talloc_vasprintf(keeper, format, ap);
        va_end(ap);
        return false;
}

Keeper *keeper_new(void *ctx, const LedgerShape *shape, uint32_t trials, uint64_t salt) {
        Keeper *keeper = checked(talloc_zero(ctx, Keeper));

        keeper->shape = *shape;
        keeper->size = ledger_size(shape->max_peers);
        keeper->ledger = checked(talloc_zero_size(keeper, keeper->size));
        keeper->before = checked(talloc_zero_size(keeper, keeper->size));
        keeper->copy = checked(talloc_zero_size(keeper, keeper->size));
        keeper->changed = checked(talloc_array(keeper, size_t, keeper->size));
        keeper->connections = checked(talloc_zero_array(keeper, LedgerConnection, shape->max_peers));
        keeper->salt = salt;
        keeper->trials = trials;
        ledger_format(keeper->ledger, shape);
        return keeper;
}

/* A number below `bound`, by splitmix64. */
static uint32_t sample(Keeper *keeper, uint32_t bound) {
        uint64_t mixed = keeper->salt += UINT64_C(0x9e3779b97f4a7c15);

        mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
        return (uint32_t) ((mixed ^ mixed >> 31) % bound);
}

/* ---- What is true, as text ---- */

static char *describe_seat(char *text, const Seats *seats, uint32_t vm_id) {
        const Seat *seat = seats_get(seats, vm_id);

        text = checked(talloc_asprintf_append_buffer(text, "%u %s '%s'", vm_id,
                                                     seat_state_names[seat->state], seat->identity));
        /* When somebody left is of interest only while nobody else sits there. */
        if (seat->state == SEAT_VACANT) {
                text = checked(talloc_asprintf_append_buffer(text, " left %" PRIu64, seat->left));
        }
        return checked(talloc_strdup_append_buffer(text, "\n"));
}

static char *describe_connection(char *text, const LedgerConnection *connection) {
        const Credentials *credentials = &connection->credentials;

        return checked(talloc_asprintf_append_buffer(
                text,
                "%u joined %u at %" PRIu64 ", serial %" PRIu64 " since %" PRIu64 " by %u %u %d %s %s %s\n",
                connection->feed.vm_id, connection->feed.joined, connection->feed.cursor, connection->serial,
                connection->since, credentials->uid, credentials->gid, credentials->pid,
                credentials->unit ?: "-", credentials->machine ?: "-", credentials->label ?: "-"));
}

/* Connections come in the order of their seats' opening. */
static char *describe_truth(const Keeper *keeper, const Seats *seats) {
        char *text = checked(talloc_strdup(keeper, ""));

        for (uint32_t i = 0; i < seats_opened(seats); i++) {
                text = describe_seat(text, seats, seats_opened_id(seats, i));
        }
        for (uint32_t i = 0; i < seats_opened(seats); i++) {
                uint32_t vm_id = seats_opened_id(seats, i);

                if (seats_get(seats, vm_id)->state == SEAT_TAKEN) {
                        text = describe_connection(text, &keeper->connections[vm_id]);
                }
        }
        return text;
}

char *ledger_image_describe(void *ctx, const LedgerImage *image) {
        char *text = checked(talloc_strdup(ctx, ""));

        for (uint32_t i = 0; i < seats_opened(image->seats); i++) {
                text = describe_seat(text, image->seats, seats_opened_id(image->seats, i));
        }
        for (size_t i = 0; i < image->n_connections; i++) {
                text = describe_connection(text, &image->connections[i]);
        }
        return text;
}

/* ---- What is read back ---- */

/* The kernel's notes, in the form that the keeper gives them: a number for each message. */
static size_t count_sent(Ledger *ledger, size_t size) {
        const uint32_t *notes = ledger_headers(ledger);
        size_t n = ledger_unfinished(ledger, size), sent = 0;

        while (sent < n && notes[sent] > 0) {
                sent++;
        }
        return sent;
}

static LedgerImage *load(void *ctx, Keeper *keeper, void *bytes) {
        LedgerImage *image = NULL;
        char *error = NULL;

        if (ledger_load(ctx, bytes, keeper->size, count_sent(bytes, keeper->size), &image, &error) < 0) {
                fail(keeper, "refused: %s", error ?: "out of memory");
                talloc_free(error);
                return NULL;
        }
        return image;
}

/* Whether the copy is read back as one of two texts. */
static bool check_copy(Keeper *keeper, const char *was, const char *is) {
        LedgerImage *image = load(keeper, keeper, keeper->copy);
        char *text;
        bool good;

        if (!image) {
                return false;
        }
        text = ledger_image_describe(keeper, image);
        good = strcmp(text, is) == 0 || (was && strcmp(text, was) == 0);
        if (!good) {
                fail(keeper, "read back:\n%sbefore:\n%safter:\n%s", text, was ?: "(as after)\n", is);
        }
        talloc_free(text);
        talloc_free(image);
        return good;
}

LedgerImage *keeper_load(void *ctx, Keeper *keeper, const Seats *seats) {
        LedgerImage *image = load(ctx, keeper, keeper->ledger);
        char *expected, *text;
        bool good;

        if (!image) {
                return NULL;
        }
        expected = describe_truth(keeper, seats);
        text = ledger_image_describe(keeper, image);
        good = strcmp(expected, text) == 0 &&
               memcmp(&image->shape, &keeper->shape, sizeof(image->shape)) == 0;
        if (!good) {
                fail(keeper, "read back:\n%sinstead of:\n%s", text, expected);
                TALLOC_FREE(image);
        }
        talloc_free(expected);
        talloc_free(text);
        return image;
}

/* ---- Dying ---- */

static void begin(Keeper *keeper) {
        memcpy(keeper->before, keeper->ledger, keeper->size);
}

static size_t commit_offset(const Keeper *keeper, const Commit *commit) {
        return (size_t) ((const uint8_t *) commit->place - (const uint8_t *) keeper->ledger);
}

static bool is_committed(const Keeper *keeper, const Commit *commits, size_t n_commits, size_t offset) {
        for (size_t i = 0; i < n_commits; i++) {
                size_t start = commit_offset(keeper, &commits[i]);

                if (offset >= start && offset < start + commits[i].size) {
                        return true;
                }
        }
        return false;
}

static void find_changes(Keeper *keeper, const Commit *commits, size_t n_commits) {
        const uint8_t *now = (const uint8_t *) keeper->ledger;

        keeper->n_changed = 0;
        for (size_t i = 0; i < keeper->size; i++) {
                if (now[i] != keeper->before[i] && !is_committed(keeper, commits, n_commits, i)) {
                        keeper->changed[keeper->n_changed++] = i;
                }
        }
}

/* Gives some changes to the copy, or takes some back: each by itself, words of 8, a beginning, or an end. */
static void shuffle(Keeper *keeper, uint32_t trial) {
        const uint8_t *now = (const uint8_t *) keeper->ledger;
        uint32_t edge = sample(keeper, (uint32_t) keeper->n_changed + 1);
        uint32_t salt = sample(keeper, UINT32_MAX);

        for (size_t i = 0; i < keeper->n_changed; i++) {
                size_t offset = keeper->changed[i];
                bool there;

                switch (trial % 6) {
                case 0:
                        there = sample(keeper, 2) > 0;
                        break;
                case 1:
                        there = (offset / 8 * UINT64_C(0x9e3779b97f4a7c15) + salt) >> 40 & 1;
                        break;
                case 2:
                        there = i < edge;
                        break;
                case 3:
                        there = i >= edge;
                        break;
                case 4:
                        there = i == edge;
                        break;
                default:
                        there = i != edge;
                        break;
                }
                keeper->copy[offset] = there ? now[offset] : keeper->before[offset];
        }
}

static bool try_deaths(Keeper *keeper, const char *was, const char *is, const char *what) {
        for (uint32_t i = 0; i <= keeper->trials && keeper->n_changed > 0; i++) {
                shuffle(keeper, i);
                keeper->deaths.between++;
                if (!check_copy(keeper, was, is)) {
                        return fail(keeper, "%s, a death among its stores: %s", what, keeper->failure);
                }
        }
        return true;
}

/* The operation is over: it has committed in this order, having stored all else before the last of them. Until that
 * all is as it was. */
static bool finish(Keeper *keeper, const char *was, const char *is, const char *what, const Commit *commits,
                   size_t n_commits) {
        const uint8_t *now = (const uint8_t *) keeper->ledger;

        find_changes(keeper, commits, n_commits);
        memcpy(keeper->copy, keeper->before, keeper->size);
        for (size_t i = 0; i < n_commits; i++) {
                size_t offset = commit_offset(keeper, &commits[i]);

                keeper->deaths.before++;
                if (!check_copy(keeper, was, was)) {
                        return fail(keeper, "%s, a death before commit %zu: %s", what, i, keeper->failure);
                }
                if (!try_deaths(keeper, NULL, was, what)) {
                        return false;
                }
                for (size_t j = 0; j < keeper->n_changed; j++) {
                        size_t place = keeper->changed[j];

                        keeper->copy[place] = i + 1 < n_commits ? keeper->before[place] : now[place];
                }
                memcpy(keeper->copy + offset, now + offset, commits[i].size);
        }
        return check_copy(keeper, NULL, is) || fail(keeper, "%s: %s", what, keeper->failure);
}

/* ---- Operations ---- */

/* `was` is what was true before the engine did it: what the keeper said last. */
static bool finish_operation(Keeper *keeper, const Seats *seats, const char *what, const Commit *commits,
                             size_t n_commits) {
        char *is = describe_truth(keeper, seats);
        bool good = finish(keeper, keeper->was ?: "", is, what, commits, n_commits);

        talloc_free(keeper->was);
        keeper->was = is;
        return good;
}

static const char *draw_name(Keeper *keeper) {
        static const char *const names[] = {
                NULL, "a", "session-1.scope", "qemu-1-router", "x.service", "b"
        };

        return names[sample(keeper, sizeof(names) / sizeof(*names))];
}

static LedgerConnection draw_connection(Keeper *keeper, const Feed *feed) {
        LedgerConnection connection = { .feed = *feed, .serial = ++keeper->last_serial };

        connection.since = UINT64_C(1700000000000000) + sample(keeper, UINT32_MAX);
        connection.credentials.uid = sample(keeper, UINT32_MAX);
        connection.credentials.gid = sample(keeper, UINT32_MAX);
        connection.credentials.pid = (int32_t) sample(keeper, INT32_MAX);
        connection.credentials.unit = draw_name(keeper);
        connection.credentials.machine = draw_name(keeper);
        connection.credentials.label = draw_name(keeper);
        return connection;
}

bool keeper_take(Keeper *keeper, const Seats *seats, const Feed *feed) {
        const LedgerConnection connection = draw_connection(keeper, feed);
        const Commit commits[] = {
                { &keeper->ledger->n_used, sizeof(keeper->ledger->n_used) },
                { &keeper->ledger->seats[feed->vm_id].word, sizeof(uint32_t) },
        };

        begin(keeper);
        ledger_take(keeper->ledger, seats, &connection);
        keeper->connections[feed->vm_id] = connection;
        return finish_operation(keeper, seats, "taking", commits, 2);
}

bool keeper_leave(Keeper *keeper, const Seats *seats, uint32_t vm_id) {
        const Commit commits[] = { { &keeper->ledger->seats[vm_id].word, sizeof(uint32_t) } };

        begin(keeper);
        ledger_leave(keeper->ledger, seats, vm_id);
        return finish_operation(keeper, seats, "leaving", commits, 1);
}

/* The headers are cleared and the batch is noted: nothing has gone. */
static bool begin_batch(Keeper *keeper, const Seats *seats, const Feed *feed, const FeedMessage *messages,
                        size_t n) {
        const Commit commits[] = { { &keeper->ledger->batch.n, sizeof(uint32_t) } };

        begin(keeper);
        memset(ledger_headers(keeper->ledger), 0, n * sizeof(uint32_t));
        ledger_batch_begin(keeper->ledger, feed, messages, n);
        return finish_operation(keeper, seats, "beginning a batch", commits, 1);
}

/* The kernel sends and notes one; that alone makes it true. */
static bool send_one(Keeper *keeper, const Seats *seats, const FeedMessage *message, uint32_t vm_id,
                     size_t i) {
        uint32_t *notes = ledger_headers(keeper->ledger);
        const Commit commits[] = { { &notes[i], sizeof(notes[i]) } };

        begin(keeper);
        notes[i] = 8;
        keeper->connections[vm_id].feed.cursor = message->next;
        keeper->deaths.sending++;
        return finish_operation(keeper, seats, "sending", commits, 1);
}

static bool end_batch(Keeper *keeper, const Seats *seats, uint32_t vm_id) {
        const Commit commits[] = {
                { &keeper->ledger->seats[vm_id].cursor, sizeof(uint64_t) },
                { &keeper->ledger->batch.n, sizeof(uint32_t) },
        };

        begin(keeper);
        ledger_batch_end(keeper->ledger, &keeper->connections[vm_id].feed);
        return finish_operation(keeper, seats, "ending a batch", commits, 2);
}

bool keeper_send(Keeper *keeper, const Seats *seats, const Feed *feed, const FeedMessage *messages, size_t n,
                 size_t sent) {
        while (sent > 0) {
                size_t size = n < LEDGER_BATCH_MAX ? n : LEDGER_BATCH_MAX;
                size_t going = sent < size ? sent : size;

                if (!begin_batch(keeper, seats, feed, messages, size)) {
                        return false;
                }
                for (size_t i = 0; i < going; i++) {
                        if (!send_one(keeper, seats, &messages[i], feed->vm_id, i)) {
                                return false;
                        }
                }
                if (!end_batch(keeper, seats, feed->vm_id)) {
                        return false;
                }
                messages += going;
                n -= going;
                sent -= going;
        }
        return true;
}
