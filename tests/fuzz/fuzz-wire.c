/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any messages to a client's decoder: nine bytes each, of which the first says whether a descriptor came with it. What it
 * makes of them is compared with counts that are kept here.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "service/core/limits.h"
#include "service/core/wire.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_SIZE (1 + WIRE_MESSAGE_SIZE)

typedef struct Seen {
        size_t n_messages;
        uint32_t own;
        uint8_t vectors[VM_IDS_MAX];
} Seen;

/* The first three messages, and nothing else, are the greeting. */
static void check_event(Seen *seen, const WireEvent *event, int64_t value, bool has_descriptor) {
        switch (event->kind) {
        case WIRE_EVENT_VERSION:
                FUZZ_CHECK(seen->n_messages == 0 && value == WIRE_PROTOCOL_VERSION && !has_descriptor);
                break;
        case WIRE_EVENT_VM_ID:
                FUZZ_CHECK(seen->n_messages == 1 && value == event->vm_id && !has_descriptor);
                seen->own = event->vm_id;
                break;
        case WIRE_EVENT_MEMORY:
                FUZZ_CHECK(seen->n_messages == 2 && value == WIRE_MEMORY && has_descriptor);
                break;
        case WIRE_EVENT_CONNECT:
                FUZZ_CHECK(seen->n_messages > 2 && value == event->vm_id && has_descriptor);
                FUZZ_CHECK(event->own == (event->vm_id == seen->own));
                /* The N-th message with a VM ID means vector N-1. */
                FUZZ_CHECK(event->vector == seen->vectors[event->vm_id]++);
                break;
        case WIRE_EVENT_DISCONNECT:
                FUZZ_CHECK(seen->n_messages > 2 && value == event->vm_id && !has_descriptor);
                FUZZ_CHECK(seen->vectors[event->vm_id] > 0);
                seen->vectors[event->vm_id] = 0;
                break;
        default:
                FUZZ_CHECK(false);
        }
        FUZZ_CHECK(value == WIRE_MEMORY || event->vm_id < VM_IDS_MAX);
        seen->n_messages++;
}

/* Returns false when the conversation is over. */
static bool step(WireDecoder *decoder, Seen *seen, const uint8_t *input) {
        bool has_descriptor = input[0] & 1;
        int64_t value = wire_decode(input + 1);
        uint8_t again[WIRE_MESSAGE_SIZE];
        WireEvent event = { 0 };
        WireResult result;

        wire_encode(value, again);
        FUZZ_CHECK(memcmp(again, input + 1, sizeof(again)) == 0);
        result = wire_decoder_step(decoder, value, has_descriptor, &event);
        FUZZ_CHECK(wire_result_name(result));
        if (result != WIRE_OK) {
                FUZZ_CHECK(result != WIRE_REFUSED ||
                           (seen->n_messages == 0 && wire_decoder_refusal(decoder) == value));
                return false;
        }
        check_event(seen, &event, value, has_descriptor);
        FUZZ_CHECK(wire_decoder_vectors(decoder, event.vm_id) == seen->vectors[event.vm_id]);
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Seen *seen = calloc(1, sizeof(*seen));
        WireDecoder *decoder = NULL;

        FUZZ_CHECK(seen && wire_decoder_new(NULL, &decoder) == 0);
        for (; size >= INPUT_SIZE && step(decoder, seen, data); size -= INPUT_SIZE) {
                data += INPUT_SIZE;
        }
        talloc_free(decoder);
        free(seen);
        return 0;
}
