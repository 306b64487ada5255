/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/control: each kind there and back, each refusal, and what becomes of text. */

#include "service/core/control.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "service/core/limits.h"
#include "service/core/text.h"
#include "tests/unit/testing.h"

/* Where fields stand in the bytes. These are part of the protocol: an old manager meets a new server. */
enum {
        AT_VERSION = 0,
        AT_KIND = 4,
        AT_SERIAL = 8,
        AT_RESULT = 12,
        AT_VM_ID = 16,
        AT_VECTOR = 20,
        AT_READ_ONLY = 24,
        AT_REFUSAL = 25,
        AT_PEER_VM_ID = 29,
        AT_UID = 33,
        AT_GID = 37,
        AT_PID = 41,
        AT_SINCE = 45,
        AT_IDENTITY = 53,
        AT_UNIT = AT_IDENTITY + 272,
        AT_MACHINE = AT_UNIT + 256,
        AT_LABEL = AT_MACHINE + 256,
        AT_NAME = AT_LABEL + 256,
        AT_MEMORY_SIZE = AT_NAME + 32,
        AT_HUGE_PAGES = AT_MEMORY_SIZE + 8,
        AT_VECTORS = AT_HUGE_PAGES + 4,
        AT_MAX_PEERS = AT_VECTORS + 4,
        AT_TOPOLOGY = AT_MAX_PEERS + 4,
        AT_N_PEERS = AT_TOPOLOGY + 4,
        AT_N_SEATS = AT_N_PEERS + 4,
        AT_JOINS = AT_N_SEATS + 4,
        AT_DEFINITION_REMOVED = AT_JOINS + 5 * 8,
        AT_TEXT = AT_DEFINITION_REMOVED + 1,
        AT_END = AT_TEXT + 512,
};

#define PEER                                                                                    \
        {                                                                                       \
                .vm_id = 65535, .uid = 1000, .gid = 100, .pid = 4711, .since = UINT64_MAX,      \
                .identity = "machine:qemu-1-r\xc3\xb6uter", .unit = "machine-qemu\\x2d1.scope", \
                .machine = "qemu-1-r\xc3\xb6uter", .label = "svirt:s0:c1,c2",                   \
        }
#define SOMEBODY \
        { .uid = 1000, .gid = 100, .pid = 4711, .label = "unconfined" }

static const ControlRecord records[] = {
        { .kind = CONTROL_DOMAIN,
          .domain = { .name = "ring",
                      .memory_size = UINT64_C(1) << 40,
                      .huge_pages = HUGE_PAGES_1G,
                      .vectors = 64,
                      .max_peers = 65536,
                      .topology = TOPOLOGY_STAR,
                      .n_peers = 2,
                      .n_seats = 3,
                      .joins = 4,
                      .leaves = 5,
                      .refusals = 6,
                      .evictions = 7,
                      .messages_sent = UINT64_MAX,
                      .definition_removed = true },
          .text = "2 of 65536 peers, 1T in 1G pages; the definition was removed" },
        { .kind = CONTROL_PEER, .peer = PEER },
        { .kind = CONTROL_SYNCED },
        { .kind = CONTROL_JOINED, .peer = PEER },
        { .kind = CONTROL_LEFT, .peer = PEER, .text = "it closed its connection" },
        { .kind = CONTROL_REFUSED,
          .peer = { .uid = 1, .gid = 2, .pid = 3, .identity = "unit:u.service", .unit = "u.service" },
          .refusal = REFUSAL_NO_FREE_SEAT,
          .text = "all of MaxPeers=2 are taken" },
        { .kind = CONTROL_REPLY, .serial = 1, .result = CONTROL_FIXED, .text = "Size, Vectors" },
        { .kind = CONTROL_EVICT, .serial = UINT32_MAX, .vm_id = 65535 },
        { .kind = CONTROL_RING, .serial = 2, .vm_id = 1, .vector = 63 },
        { .kind = CONTROL_OPEN, .serial = 3, .peer = SOMEBODY },
        { .kind = CONTROL_MEMORY, .serial = 4, .read_only = true },
        { .kind = CONTROL_RELOAD, .serial = 5 },
};

#define N_RECORDS (sizeof(records) / sizeof(*records))

static const ControlRecord *record_of(ControlKind kind) {
        for (size_t i = 0; i < N_RECORDS; i++) {
                if (records[i].kind == kind) {
                        return &records[i];
                }
        }
        fail_msg("the table has no record of kind %d", (int) kind);
        return NULL;
}

static void check_equal(const ControlRecord *record, const ControlRecord *expected) {
        const ControlPeer *peer = &record->peer;
        const ControlDomain *domain = &record->domain;

        assert_int_equal(record->kind, expected->kind);
        assert_int_equal(record->serial, expected->serial);
        assert_int_equal(record->result, expected->result);
        assert_int_equal(record->vm_id, expected->vm_id);
        assert_int_equal(record->vector, expected->vector);
        assert_int_equal(record->read_only, expected->read_only);
        assert_int_equal(record->refusal, expected->refusal);
        assert_string_equal(record->text, expected->text);
        assert_int_equal(peer->vm_id, expected->peer.vm_id);
        assert_int_equal(peer->uid, expected->peer.uid);
        assert_int_equal(peer->gid, expected->peer.gid);
        assert_int_equal(peer->pid, expected->peer.pid);
        assert_true(peer->since == expected->peer.since);
        assert_string_equal(peer->identity, expected->peer.identity);
        assert_string_equal(peer->unit, expected->peer.unit);
        assert_string_equal(peer->machine, expected->peer.machine);
        assert_string_equal(peer->label, expected->peer.label);
        assert_string_equal(domain->name, expected->domain.name);
        assert_true(domain->memory_size == expected->domain.memory_size);
        assert_int_equal(domain->huge_pages, expected->domain.huge_pages);
        assert_int_equal(domain->vectors, expected->domain.vectors);
        assert_int_equal(domain->max_peers, expected->domain.max_peers);
        assert_int_equal(domain->topology, expected->domain.topology);
        assert_int_equal(domain->n_peers, expected->domain.n_peers);
        assert_int_equal(domain->n_seats, expected->domain.n_seats);
        assert_true(domain->joins == expected->domain.joins);
        assert_true(domain->leaves == expected->domain.leaves);
        assert_true(domain->refusals == expected->domain.refusals);
        assert_true(domain->evictions == expected->domain.evictions);
        assert_true(domain->messages_sent == expected->domain.messages_sent);
        assert_int_equal(domain->definition_removed, expected->domain.definition_removed);
}

static void test_each_kind_there_and_back(void **state) {
        for (ControlKind kind = 0; kind < _CONTROL_KIND_MAX; kind++) {
                uint8_t bytes[CONTROL_RECORD_SIZE], again[CONTROL_RECORD_SIZE];
                ControlRecord record;

                memset(bytes, 0xff, sizeof(bytes));
                memset(&record, 0xff, sizeof(record));
                control_encode(record_of(kind), bytes);
                assert_int_equal(control_decode(bytes, sizeof(bytes), &record), 0);
                check_equal(&record, record_of(kind));
                control_encode(&record, again);
                assert_memory_equal(again, bytes, sizeof(bytes));
        }
}

/* What a kind does not have does not get out. */
static void test_other_fields_are_not_written(void **state) {
        ControlRecord full = *record_of(CONTROL_DOMAIN), record;
        uint8_t bytes[CONTROL_RECORD_SIZE];

        full.kind = CONTROL_OPEN;
        full.serial = 9;
        full.peer = (ControlPeer) PEER;
        full.result = CONTROL_SHORT;
        full.vm_id = full.vector = 7;
        full.read_only = true;
        full.refusal = REFUSAL_STOPPING;
        control_text_set(full.text, sizeof(full.text), "text");
        control_encode(&full, bytes);
        assert_int_equal(control_decode(bytes, sizeof(bytes), &record), 0);
        check_equal(&record,
                    &(ControlRecord){
                            .kind = CONTROL_OPEN,
                            .serial = 9,
                            .peer = { .uid = 1000, .gid = 100, .pid = 4711, .label = "svirt:s0:c1,c2" } });
}

/* ---- The bytes ---- */

static void test_layout(void **state) {
        static const uint8_t ring[] = { 1, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 63 };
        uint8_t bytes[CONTROL_RECORD_SIZE], rest[CONTROL_RECORD_SIZE] = { 0 };

        control_encode(record_of(CONTROL_RING), bytes);
        assert_memory_equal(bytes, ring, sizeof(ring));
        assert_memory_equal(bytes + sizeof(ring), rest, sizeof(bytes) - sizeof(ring));

        control_encode(record_of(CONTROL_DOMAIN), bytes);
        assert_string_equal((char *) bytes + AT_NAME, "ring");
        assert_int_equal(bytes[AT_MEMORY_SIZE + 5], 1);
        assert_int_equal(bytes[AT_N_PEERS], 2);
        assert_int_equal(bytes[AT_DEFINITION_REMOVED], 1);
        control_encode(record_of(CONTROL_LEFT), bytes);
        assert_string_equal((char *) bytes + AT_TEXT, "it closed its connection");
        assert_true(AT_END < CONTROL_RECORD_SIZE);
}

/* ---- What is refused ---- */

static const struct {
        const char *what;
        ControlKind kind;
        size_t offset;
        const char *bytes;
        size_t n;
} refusals[] = {
#define BYTES(text) text, sizeof(text) - 1
        { "version 0", CONTROL_SYNCED, AT_VERSION, BYTES("\0") },
        { "a later version", CONTROL_SYNCED, AT_VERSION, BYTES("\2") },
        { "a version of more bits", CONTROL_SYNCED, AT_VERSION + 3, BYTES("\1") },
        { "no kind", CONTROL_SYNCED, AT_KIND, BYTES("\14") },
        { "a negative kind", CONTROL_SYNCED, AT_KIND, BYTES("\377\377\377\377") },
        { "serial 0 of a request", CONTROL_RELOAD, AT_SERIAL, BYTES("\0") },
        { "serial 0 of a reply", CONTROL_REPLY, AT_SERIAL, BYTES("\0") },
        { "a serial where there is none", CONTROL_SYNCED, AT_SERIAL, BYTES("\1") },
        { "no result", CONTROL_REPLY, AT_RESULT, BYTES("\10") },
        { "a result of a request", CONTROL_EVICT, AT_RESULT, BYTES("\1") },
        { "VM ID 65536", CONTROL_EVICT, AT_VM_ID, BYTES("\0\0\1") },
        { "VM ID where there is none", CONTROL_MEMORY, AT_VM_ID, BYTES("\1") },
        { "vector 64", CONTROL_RING, AT_VECTOR, BYTES("\100") },
        { "read_only of 2", CONTROL_MEMORY, AT_READ_ONLY, BYTES("\2") },
        { "refusal 0", CONTROL_REFUSED, AT_REFUSAL, BYTES("\0\0") },
        { "refusal 404", CONTROL_REFUSED, AT_REFUSAL, BYTES("\224\1") },
        { "a refusal of more bits", CONTROL_REFUSED, AT_REFUSAL + 3, BYTES("\1") },
        { "a peer's VM ID 65536", CONTROL_JOINED, AT_PEER_VM_ID, BYTES("\0\0\1") },
        { "VM ID of who was refused", CONTROL_REFUSED, AT_PEER_VM_ID, BYTES("\1") },
        { "uid -1", CONTROL_PEER, AT_UID, BYTES("\377\377\377\377") },
        { "gid -1", CONTROL_OPEN, AT_GID, BYTES("\377\377\377\377") },
        { "a negative pid", CONTROL_OPEN, AT_PID + 3, BYTES("\200") },
        { "since of who shall become a peer", CONTROL_OPEN, AT_SINCE, BYTES("\1") },
        { "an identity of control characters", CONTROL_PEER, AT_IDENTITY, BYTES("\n") },
        { "DEL", CONTROL_PEER, AT_IDENTITY, BYTES("\177") },
        { "a C1 control", CONTROL_PEER, AT_IDENTITY, BYTES("\302\205") },
        { "no UTF-8", CONTROL_PEER, AT_IDENTITY, BYTES("\377") },
        { "half a character at the end", CONTROL_JOINED, AT_LABEL, BYTES("x\303\0") },
        { "something behind the end", CONTROL_PEER, AT_UNIT, BYTES("u\0v") },
        { "a text of who has none", CONTROL_JOINED, AT_TEXT, BYTES("x") },
        { "a unit of who shall become a peer", CONTROL_OPEN, AT_UNIT, BYTES("x") },
        { "a name that is none", CONTROL_DOMAIN, AT_NAME, BYTES("Ring") },
        { "no name", CONTROL_DOMAIN, AT_NAME, BYTES("\0\0\0\0") },
        { "a name that is too long", CONTROL_DOMAIN, AT_NAME, BYTES("abcdefghijklmnopqrstuvwxyzab") },
        { "memory that is no power of two", CONTROL_DOMAIN, AT_MEMORY_SIZE, BYTES("\1") },
        { "no memory", CONTROL_DOMAIN, AT_MEMORY_SIZE, BYTES("\0\0\0\0\0\0\0\0") },
        { "pages of no kind", CONTROL_DOMAIN, AT_HUGE_PAGES, BYTES("\3") },
        { "no vectors", CONTROL_DOMAIN, AT_VECTORS, BYTES("\0") },
        { "65 vectors", CONTROL_DOMAIN, AT_VECTORS, BYTES("\101") },
        { "no seats", CONTROL_DOMAIN, AT_MAX_PEERS, BYTES("\0\0\0") },
        { "more seats than VM IDs", CONTROL_DOMAIN, AT_MAX_PEERS, BYTES("\1\0\1") },
        { "no topology", CONTROL_DOMAIN, AT_TOPOLOGY, BYTES("\2") },
        { "more peers than seats", CONTROL_DOMAIN, AT_N_PEERS, BYTES("\4") },
        { "more seats given than there are", CONTROL_DOMAIN, AT_MAX_PEERS, BYTES("\2\0\0") },
        { "half removed", CONTROL_DOMAIN, AT_DEFINITION_REMOVED, BYTES("\2") },
        { "something in the rest", CONTROL_SYNCED, AT_END, BYTES("\1") },
        { "something at the very end", CONTROL_SYNCED, CONTROL_RECORD_SIZE - 1, BYTES("\1") },
};

static void test_refusals(void **state) {
        for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
                ControlRecord record, before;
                uint8_t bytes[CONTROL_RECORD_SIZE];

                control_encode(record_of(refusals[i].kind), bytes);
                assert_int_equal(control_decode(bytes, sizeof(bytes), &record), 0);
                memcpy(bytes + refusals[i].offset, refusals[i].bytes, refusals[i].n);
                memset(&record, 0x5a, sizeof(record));
                before = record;
                if (control_decode(bytes, sizeof(bytes), &record) != -EINVAL) {
                        fail_msg("%s is let through", refusals[i].what);
                }
                assert_memory_equal(&record, &before, sizeof(record));
        }
}

static void test_a_text_without_end(void **state) {
        uint8_t bytes[CONTROL_RECORD_SIZE];
        ControlRecord record;

        control_encode(record_of(CONTROL_REPLY), bytes);
        memset(bytes + AT_TEXT, 'x', CONTROL_TEXT_SIZE - 1);
        assert_int_equal(control_decode(bytes, sizeof(bytes), &record), 0);
        assert_int_equal(strlen(record.text), CONTROL_TEXT_SIZE - 1);
        bytes[AT_TEXT + CONTROL_TEXT_SIZE - 1] = 'x';
        assert_int_equal(control_decode(bytes, sizeof(bytes), &record), -EINVAL);
}

static void test_other_sizes(void **state) {
        uint8_t bytes[CONTROL_RECORD_SIZE + 1] = { 0 };
        ControlRecord record;

        control_encode(record_of(CONTROL_SYNCED), bytes);
        assert_int_equal(control_decode(bytes, 0, &record), -EINVAL);
        assert_int_equal(control_decode(bytes, CONTROL_RECORD_SIZE - 1, &record), -EINVAL);
        assert_int_equal(control_decode(bytes, CONTROL_RECORD_SIZE + 1, &record), -EINVAL);
        assert_int_equal(control_decode(bytes, CONTROL_RECORD_SIZE, &record), 0);
}

/* ---- Text ---- */

static void test_text(void **state) {
        static const struct {
                const char *text;
                const char *place; /* of 8 bytes */
        } table[] = {
                { NULL, "" },
                { "", "" },
                { "seven 7", "seven 7" },
                { "eight 88", "eight 8" },
                { "r\xc3\xb6uter", "r\xc3\xb6uter" },
                { "router\xc3\xb6", "router" },             /* it would be cut in two */
                { "abcd\xe2\x82\xac", "abcd\xe2\x82\xac" }, /* just fits */
                { "abcde\xe2\x82\xac", "abcde" },           /* does not */
                { "abcde\xe2\x82\xac!", "abcde" },          /* nothing goes in its place */
                { "\xf0\x9f\x94\x94!", "\xf0\x9f\x94\x94!" },
                { "a\nb\x7f"
                  "c",
                  "a?b?c" },
                { "\xc2\x85", "??" }, /* a C1 control of two bytes */
                { "\xff\xc3", "??" },
                { "\xed\xa0\x80", "???" }, /* a surrogate */
                { "\n\n\n\n\n\n\n\n", "???????" },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                char place[9] = "xxxxxxxx";

                control_text_set(place, 8, table[i].text);
                assert_string_equal(place, table[i].place);
                assert_int_equal(place[7], 0);
                assert_int_equal(place[8], 0);
        }
}

/* Bytes that a caller put into a record without care come out as text. */
static void test_encode_mends_text(void **state) {
        uint8_t bytes[CONTROL_RECORD_SIZE];
        ControlRecord sent = *record_of(CONTROL_JOINED), record;

        memset(sent.peer.identity, 'i', sizeof(sent.peer.identity));
        memset(sent.peer.unit, '\n', 3);
        sent.peer.unit[3] = '\0';
        control_encode(&sent, bytes);
        assert_int_equal(control_decode(bytes, sizeof(bytes), &record), 0);
        assert_int_equal(strlen(record.peer.identity), CONTROL_IDENTITY_SIZE - 1);
        assert_string_equal(record.peer.unit, "???");
        assert_string_equal(record.peer.machine, sent.peer.machine);
}

/* ---- Names ---- */

static void test_names(void **state) {
        for (int kind = 0; kind < _CONTROL_KIND_MAX; kind++) {
                assert_non_null(control_kind_names[kind]);
                assert_int_equal(NAME_PARSE(control_kind_names, control_kind_names[kind]), kind);
        }
        for (int result = 0; result < _CONTROL_RESULT_MAX; result++) {
                assert_non_null(control_result_names[result]);
                assert_int_equal(NAME_PARSE(control_result_names, control_result_names[result]), result);
        }
}

static void test_who_says_what(void **state) {
        for (ControlKind kind = 0; kind < _CONTROL_KIND_MAX; kind++) {
                assert_int_equal(control_is_request(kind), kind >= CONTROL_EVICT);
        }
        assert_false(control_is_request(_CONTROL_KIND_MAX));
        assert_false(control_is_request(_CONTROL_KIND_INVALID));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_each_kind_there_and_back),
                TEST(test_other_fields_are_not_written),
                TEST(test_layout),
                TEST(test_refusals),
                TEST(test_a_text_without_end),
                TEST(test_other_sizes),
                TEST(test_text),
                TEST(test_encode_mends_text),
                TEST(test_names),
                TEST(test_who_says_what),
        };

        return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
