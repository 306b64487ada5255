/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/wire: the bytes, and each conversation that a client can be led through. */

#include "service/core/wire.h"

#include <stdlib.h>

#include "service/core/limits.h"
#include "tests/unit/testing.h"

/*
 * What is sent - numbers, with a + where a descriptor comes along - and what the decoder makes of it: "@ID" its own VM
 * ID, "ID/VECTOR" a doorbell, "-ID" a disconnect, "*" after each that is its own, or the name of the failure.
 */
typedef struct Conversation {
        const char *sent;
        const char *understood;
} Conversation;

static const Conversation conversations[] = {
        /* two peers, two vectors */
        { "0 1 -1+ 0+ 0+ 1+ 1+", "version @1* memory 0/0 0/1 1/0* 1/1*" },
        /* vectors of two peers interleaved */
        { "0 7 -1+ 0+ 7+ 0+ 7+", "version @7* memory 0/0 7/0* 0/1 7/1*" },
        /* a peer that left begins at vector 0 again */
        { "0 0 -1+ 3+ 3+ 3 3+", "version @0* memory 3/0 3/1 -3 3/0" },
        /* its own doorbells taken away */
        { "0 0 -1+ 0+ 0", "version @0* memory 0/0* -0*" },
        /* the highest VM ID */
        { "0 65535 -1+ 65535+", "version @65535* memory 65535/0*" },

        /* refused: and nothing is taken afterwards */
        { "403", "(refused)" },
        { "403 0 1", "(refused) (refused) (refused)" },
        { "-1", "(refused)" },
        { "4294967296", "(refused)" },

        { "0+", "(surplus descriptor)" },
        { "403+", "(surplus descriptor)" },
        { "0 4+", "version (surplus descriptor)" },
        { "0 65536", "version (bad VM ID)" },
        { "0 -1", "version (bad VM ID)" },
        { "0 4294967296", "version (bad VM ID)" },
        { "0 1 0+", "version @1* (bad memory message)" },
        { "0 1 -1", "version @1* (missing descriptor)" },
        { "0 1 -1+ -1+", "version @1* memory (bad VM ID)" },
        { "0 1 -1+ 65536+", "version @1* memory (bad VM ID)" },
        { "0 1 -1+ 4294967296+", "version @1* memory (bad VM ID)" },

        /* disconnects of who never connected, or is gone; and nothing is taken afterwards */
        { "0 1 -1+ 2", "version @1* memory (not connected)" },
        { "0 1 -1+ 2+ 2 2", "version @1* memory 2/0 -2 (not connected)" },
        { "0 1 -1+ 2 2+", "version @1* memory (not connected) (not connected)" },
};

static char *append_event(char *text, const WireEvent *event) {
        const char *own = event->own ? "*" : "";

        switch (event->kind) {
        case WIRE_EVENT_VERSION:
                return talloc_asprintf_append(text, " version");
        case WIRE_EVENT_VM_ID:
                return talloc_asprintf_append(text, " @%u%s", event->vm_id, own);
        case WIRE_EVENT_MEMORY:
                return talloc_asprintf_append(text, " memory");
        case WIRE_EVENT_CONNECT:
                return talloc_asprintf_append(text, " %u/%u%s", event->vm_id, event->vector, own);
        case WIRE_EVENT_DISCONNECT:
                return talloc_asprintf_append(text, " -%u%s", event->vm_id, own);
        }
        return text;
}

static void check_untouched(const WireEvent *event, const WireEvent *before) {
        assert_int_equal(event->kind, before->kind);
        assert_int_equal(event->vm_id, before->vm_id);
        assert_int_equal(event->vector, before->vector);
        assert_int_equal(event->own, before->own);
}

/* Feeds the numbers of `sent` to a new decoder; what it understood, with a blank before each. */
static char *converse(void *context, const char *sent) {
        static const WireEvent before = {
                .kind = WIRE_EVENT_CONNECT, .vm_id = 99, .vector = 98, .own = true
        };
        char *text = talloc_strdup(context, "");
        WireDecoder *decoder;

        assert_int_equal(wire_decoder_new(text, &decoder), 0);
        while (*sent) {
                char *end;
                int64_t value = strtoll(sent, &end, 10);
                bool has_descriptor = *end == '+';
                WireEvent event = before;
                WireResult result = wire_decoder_step(decoder, value, has_descriptor, &event);

                if (result == WIRE_OK) {
                        text = append_event(text, &event);
                } else {
                        check_untouched(&event, &before);
                        text = talloc_asprintf_append(text, " (%s)", wire_result_name(result));
                }
                assert_non_null(text);
                sent = end + has_descriptor;
                sent += *sent == ' ';
        }
        return text;
}

static void test_conversations(void **state) {
        for (size_t i = 0; i < sizeof(conversations) / sizeof(*conversations); i++) {
                char *text = converse(*state, conversations[i].sent);

                assert_string_equal(text + 1, conversations[i].understood);
                talloc_free(text);
        }
}

/* A decoder that is past its handshake, as VM ID 0. */
static WireDecoder *decoder_in_peers(void *context) {
        WireDecoder *decoder;
        WireEvent event;

        assert_int_equal(wire_decoder_new(context, &decoder), 0);
        assert_int_equal(wire_decoder_step(decoder, WIRE_PROTOCOL_VERSION, false, &event), WIRE_OK);
        assert_int_equal(wire_decoder_step(decoder, 0, false, &event), WIRE_OK);
        assert_int_equal(wire_decoder_step(decoder, WIRE_MEMORY, true, &event), WIRE_OK);
        return decoder;
}

static void test_vectors_are_counted_up_to_the_limit(void **state) {
        WireDecoder *decoder = decoder_in_peers(*state);
        WireEvent event;

        for (uint32_t vector = 0; vector < VECTORS_MAX; vector++) {
                assert_int_equal(wire_decoder_vectors(decoder, 5), vector);
                assert_int_equal(wire_decoder_step(decoder, 5, true, &event), WIRE_OK);
                assert_int_equal(event.vector, vector);
        }
        assert_int_equal(wire_decoder_vectors(decoder, 5), VECTORS_MAX);
        assert_int_equal(wire_decoder_vectors(decoder, 4), 0);
        assert_int_equal(wire_decoder_vectors(decoder, VM_IDS_MAX), 0);
        assert_int_equal(wire_decoder_step(decoder, 5, true, &event), WIRE_TOO_MANY_VECTORS);
        talloc_free(decoder);
}

static void test_refusal_is_kept(void **state) {
        WireDecoder *decoder;
        WireEvent event;

        assert_int_equal(wire_decoder_new(*state, &decoder), 0);
        assert_int_equal(wire_decoder_step(decoder, REFUSAL_TOO_MANY, false, &event), WIRE_REFUSED);
        assert_int_equal(wire_decoder_refusal(decoder), 429);
        assert_int_equal(wire_decoder_step(decoder, REFUSAL_STOPPING, false, &event), WIRE_REFUSED);
        assert_int_equal(wire_decoder_refusal(decoder), 429);
        talloc_free(decoder);
}

static void test_bytes(void **state) {
        static const struct {
                int64_t value;
                uint8_t bytes[WIRE_MESSAGE_SIZE];
        } table[] = {
                { 0, { 0 } },
                { 1, { 1 } },
                { 403, { 0x93, 0x01 } },
                { 65535, { 0xff, 0xff } },
                { -1, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
                { INT64_MAX, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f } },
                { INT64_MIN, { 0, 0, 0, 0, 0, 0, 0, 0x80 } },
                { INT64_C(0x0807060504030201), { 1, 2, 3, 4, 5, 6, 7, 8 } },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                uint8_t bytes[WIRE_MESSAGE_SIZE];

                wire_encode(table[i].value, bytes);
                assert_memory_equal(bytes, table[i].bytes, sizeof(bytes));
                assert_true(wire_decode(table[i].bytes) == table[i].value);
        }
}

static void test_names(void **state) {
        assert_string_equal(refusal_name(403), "not permitted");
        assert_string_equal(refusal_name(507), "no free seat");
        assert_null(refusal_name(REFUSAL_NONE));
        assert_null(refusal_name(404));
        assert_null(refusal_name(INT64_C(403) + (INT64_C(1) << 32)));
        for (int result = 0; result < _WIRE_RESULT_MAX; result++) {
                assert_non_null(wire_result_name((WireResult) result));
        }
        assert_null(wire_result_name(_WIRE_RESULT_MAX));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_bytes),
                TEST(test_conversations),
                TEST(test_vectors_are_counted_up_to_the_limit),
                TEST(test_refusal_is_kept),
                TEST(test_names),
        };

        return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
