/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger's operations as they were compiled, one machine instruction after the other: a child does them in shared
 * memory, and at each step that changed something it is as if it had died there. tests/model/keeper.h tries each order
 * of stores but takes that of the commits for granted; this takes nothing for granted, and has only one order.
 */

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/core/ledger-layout.h"
#include "tests/model/keeper.h"
#include "tests/unit/testing.h"

#define SEATS 3U
#define VECTORS 2U
#define MESSAGES 6U

typedef struct Stage {
        Seats *seats;
        Ledger *ledger;
        uint8_t *seen; /* the bytes at the last step */
        size_t size;
        LedgerConnection connection; /* of the peer that this is about */
        FeedMessage messages[MESSAGES];
        uint64_t serial;
        uint32_t n_changes;
} Stage;

typedef void (*Operation)(const Stage *stage);

static Stage *stage_new(void *ctx) {
        const LedgerShape shape = { .memory_size = 4096, .max_peers = SEATS, .vectors = VECTORS };
        Stage *stage = talloc_zero(ctx, Stage);

        assert_non_null(stage);
        assert_int_equal(seats_new(stage, SEATS, VECTORS, TOPOLOGY_MESH, &stage->seats), 0);
        stage->size = ledger_size(SEATS);
        stage->ledger = mmap(NULL, stage->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(stage->ledger, MAP_FAILED);
        stage->seen = talloc_zero_size(stage, stage->size);
        assert_non_null(stage->seen);
        ledger_format(stage->ledger, &shape);
        return stage;
}

static void stage_free(Stage *stage) {
        munmap(stage->ledger, stage->size);
        talloc_free(stage);
}

/* What a successor would read. */
static char *read_back(const Stage *stage) {
        const uint32_t *notes = ledger_headers(stage->ledger);
        size_t n = ledger_unfinished(stage->ledger, stage->size), sent = 0;
        LedgerImage *image = NULL;
        char *error = NULL, *text;

        while (sent < n && notes[sent] > 0) {
                sent++;
        }
        if (ledger_load(stage->seats, stage->ledger, stage->size, sent, &image, &error) < 0) {
                return error;
        }
        text = ledger_image_describe(stage->seats, image);
        talloc_free(image);
        return text;
}

/* ---- Stepping ---- */

static pid_t start(const Stage *stage, Operation operation) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
                        _exit(EXIT_FAILURE);
                }
                raise(SIGSTOP);
                operation(stage);
                raise(SIGSTOP);
                _exit(EXIT_SUCCESS);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status)) {
                return -1;
        }
        return pid;
}

/* One instruction; false when the child has stopped at its end. */
static bool step(pid_t pid) {
        int status;

        assert_true(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) >= 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        return WSTOPSIG(status) == SIGTRAP;
}

static bool has_changed(Stage *stage) {
        if (memcmp(stage->seen, stage->ledger, stage->size) == 0) {
                return false;
        }
        memcpy(stage->seen, stage->ledger, stage->size);
        stage->n_changes++;
        return true;
}

/* The texts that were read, each once, in their order. */
static char *step_through(Stage *stage, pid_t pid) {
        char *last = read_back(stage), *all = talloc_strdup(stage, last);

        memcpy(stage->seen, stage->ledger, stage->size);
        while (step(pid)) {
                char *text;

                if (!has_changed(stage)) {
                        continue;
                }
                text = read_back(stage);
                if (strcmp(text, last) != 0) {
                        all = talloc_asprintf_append(all, "then:\n%s", text);
                }
                talloc_free(last);
                last = text;
        }
        talloc_free(last);
        return all;
}

/* Whatever happens between, what is read changes at one instant, from one text to another; or never, when they are the
 * same. Where nobody may trace, there is nothing to see. */
static void expect(Stage *stage, Operation operation, const char *before, const char *after) {
        const char *expected = strcmp(before, after) == 0
                                       ? before
                                       : talloc_asprintf(stage, "%sthen:\n%s", before, after);
        pid_t pid = start(stage, operation);
        char *all;
        int status;

        if (pid < 0) {
                skip();
        }
        stage->n_changes = 0;
        all = step_through(stage, pid);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_string_equal(all, expected);
        assert_true(stage->n_changes > 1);
        talloc_free(all);
}

/* ---- Operations ---- */

static void take(const Stage *stage) {
        ledger_take(stage->ledger, stage->seats, &stage->connection);
}

static void leave(const Stage *stage) {
        ledger_leave(stage->ledger, stage->seats, stage->connection.feed.vm_id);
}

static void begin_batch(const Stage *stage) {
        memset(ledger_headers(stage->ledger), 0, MESSAGES * sizeof(uint32_t));
        ledger_batch_begin(stage->ledger, &stage->connection.feed, stage->messages, MESSAGES);
}

static void end_batch(const Stage *stage) {
        ledger_batch_end(stage->ledger, &stage->connection.feed);
}

/* One batch after the other: nothing of the second may be there before the first is over. */
static void end_and_begin_batch(const Stage *stage) {
        end_batch(stage);
        begin_batch(stage);
}

static void settle(const Stage *stage) {
        LedgerConnection connection = stage->connection;
        const LedgerImage image = { .connections = &connection, .n_connections = 1 };

        ledger_settle(stage->ledger, &image);
}

static void seat_peer(Stage *stage, uint32_t vm_id, const char *identity) {
        assert_int_equal(seats_take(stage->seats, vm_id, identity), 0);
        stage->connection = (LedgerConnection){
                .feed = feed_begin(stage->seats, vm_id),
                .serial = ++stage->serial,
                .since = 1000 + stage->serial,
                .credentials = { .uid = 7, .gid = 8, .pid = 9, .unit = identity },
        };
}

/* ---- The tests ---- */

#define PEER_1 "1 taken 'a'\n1 joined 1 at 0, serial 1 since 1001 by 7 8 9 a - -\n"
#define VACANT_1 "1 vacant 'a' left 1\n"

static void test_a_new_seat(void **state) {
        Stage *stage = stage_new(*state);

        seat_peer(stage, 1, "a");
        expect(stage, take, "", PEER_1);
        stage_free(stage);
}

static void test_leaving(void **state) {
        Stage *stage = stage_new(*state);

        seat_peer(stage, 1, "a");
        take(stage);
        seats_leave(stage->seats, 1);
        expect(stage, leave, PEER_1, VACANT_1);
        stage_free(stage);
}

static void test_retaking_by_another(void **state) {
        Stage *stage = stage_new(*state);

        seat_peer(stage, 1, "a");
        take(stage);
        seats_leave(stage->seats, 1);
        leave(stage);
        seat_peer(stage, 1, "machine:another");
        expect(stage, take, VACANT_1,
               "1 taken 'machine:another'\n"
               "1 joined 1 at 0, serial 2 since 1002 by 7 8 9 machine:another - -\n");
        stage_free(stage);
}

#define SENT(at) "1 taken 'a'\n1 joined 1 at " #at ", serial 1 since 1001 by 7 8 9 a - -\n"

/* A peer that is told its five messages, and one of a seat opened later. */
static Stage *stage_with_batch(void *ctx) {
        Stage *stage = stage_new(ctx);

        seat_peer(stage, 1, "a");
        take(stage);
        for (uint32_t i = 0; i < MESSAGES; i++) {
                stage->messages[i].next = i + 1;
        }
        return stage;
}

static void note(const Stage *stage, uint32_t n) {
        uint32_t *notes = ledger_headers(stage->ledger);

        for (uint32_t i = 0; i < n; i++) {
                notes[i] = 8;
        }
}

static void test_a_batch_begins(void **state) {
        Stage *stage = stage_with_batch(*state);

        note(stage, 2); /* left from another */
        expect(stage, begin_batch, PEER_1, PEER_1);
        stage_free(stage);
}

static void test_a_batch_ends(void **state) {
        Stage *stage = stage_with_batch(*state);

        begin_batch(stage);
        note(stage, 4);
        stage->connection.feed.cursor = 4;
        expect(stage, end_batch, SENT(4), SENT(4));
        stage_free(stage);
}

static void test_a_batch_follows_another(void **state) {
        Stage *stage = stage_with_batch(*state);

        begin_batch(stage);
        note(stage, 3);
        stage->connection.feed.cursor = 3;
        expect(stage, end_and_begin_batch, SENT(3), SENT(3));
        stage_free(stage);
}

static void test_settling(void **state) {
        Stage *stage = stage_with_batch(*state);

        begin_batch(stage);
        note(stage, 5);
        stage->connection.feed.cursor = 5;
        expect(stage, settle, SENT(5), SENT(5));
        stage_free(stage);
}

/* What version 1 had where the kind of file is now means nothing, until the version is 2. */
static void test_settling_one_of_version_1(void **state) {
        Stage *stage = stage_with_batch(*state);

        stage->ledger->version = 1;
        stage->ledger->file = _LEDGER_FILE_MAX;
        expect(stage, settle, PEER_1, PEER_1);
        stage_free(stage);
}

/* The successor of a server that died here gives a seat behind the one that was being taken: that does not bring it back. */
static void take_another(const Stage *stage) {
        Ledger *copy = talloc_memdup(stage->seats, stage->ledger, stage->size);
        LedgerConnection connection = { .serial = 9 };
        LedgerImage *image, *again;
        char *error = NULL;

        assert_int_equal(ledger_load(copy, copy, stage->size, 0, &image, &error), 0);
        if (image->n_connections == 0) {
                assert_int_equal(seats_take(image->seats, 2, "b"), 0);
                connection.feed = feed_begin(image->seats, 2);
                ledger_take(copy, image->seats, &connection);
                assert_int_equal(ledger_load(copy, copy, stage->size, 0, &again, &error), 0);
                assert_int_equal(again->n_connections, 1);
                assert_int_equal(again->connections[0].feed.vm_id, 2);
        }
        talloc_free(copy);
}

static void test_a_seat_that_was_not_taken_stays_so(void **state) {
        Stage *stage = stage_new(*state);
        pid_t pid;
        int status;

        seat_peer(stage, 1, "a");
        pid = start(stage, take);
        if (pid < 0) {
                skip();
        }
        memcpy(stage->seen, stage->ledger, stage->size);
        while (step(pid)) {
                if (has_changed(stage)) {
                        take_another(stage);
                }
        }
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        stage_free(stage);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_a_new_seat),
                TEST(test_leaving),
                TEST(test_retaking_by_another),
                TEST(test_a_batch_begins),
                TEST(test_a_batch_ends),
                TEST(test_a_batch_follows_another),
                TEST(test_settling),
                TEST(test_settling_one_of_version_1),
                TEST(test_a_seat_that_was_not_taken_stays_so),
        };

        return cmocka_run_group_tests_name("ledger-steps", tests, NULL, NULL);
}
