/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The wire's numbers, and what they mean to a client. Bytes and integers only: no sockets, no descriptors. */

#include "service/core/wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/core/limits.h"

typedef enum WireState {
        STATE_VERSION, /* what is expected next */
        STATE_VM_ID,
        STATE_MEMORY,
        STATE_PEERS,
        STATE_OVER, /* a message was bad: nothing more is taken */
} WireState;

struct WireDecoder {
        WireState state;
        WireResult failure; /* in STATE_OVER: why */
        int64_t refusal;
        uint32_t vm_id;
        uint8_t vectors[VM_IDS_MAX]; /* connects seen, at most VECTORS_MAX */
};

static const struct {
        int64_t version;
        const char *name;
} refusals[] = {
        { REFUSAL_NOT_PERMITTED, "not permitted" }, { REFUSAL_SEAT_TAKEN, "seat taken" },
        { REFUSAL_TOO_MANY, "too many" },           { REFUSAL_STOPPING, "stopping" },
        { REFUSAL_NO_FREE_SEAT, "no free seat" },
};

static const char *const wire_result_names[_WIRE_RESULT_MAX] = {
        [WIRE_OK] = "ok",
        [WIRE_REFUSED] = "refused",
        [WIRE_BAD_VM_ID] = "bad VM ID",
        [WIRE_BAD_MEMORY] = "bad memory message",
        [WIRE_MISSING_DESCRIPTOR] = "missing descriptor",
        [WIRE_SURPLUS_DESCRIPTOR] = "surplus descriptor",
        [WIRE_TOO_MANY_VECTORS] = "too many vectors",
        [WIRE_NOT_CONNECTED] = "not connected",
};

const char *refusal_name(int64_t version) {
        for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
                if (refusals[i].version == version) {
                        return refusals[i].name;
                }
        }
        return NULL;
}

const char *wire_result_name(WireResult result) {
        return (unsigned) result < _WIRE_RESULT_MAX ? wire_result_names[result] : NULL;
}

void wire_encode(int64_t value, uint8_t ret[static WIRE_MESSAGE_SIZE]) {
        uint64_t bytes = htole64((uint64_t) value);

        memcpy(ret, &bytes, sizeof(bytes));
}

int64_t wire_decode(const uint8_t bytes[static WIRE_MESSAGE_SIZE]) {
        uint64_t value;

        memcpy(&value, bytes, sizeof(value));
        return (int64_t) le64toh(value);
}

int wire_decoder_new(void *ctx, WireDecoder **ret) {
        WireDecoder *decoder = talloc_zero(ctx, WireDecoder);

        if (!decoder) {
                return -ENOMEM;
        }
        *ret = decoder;
        return 0;
}

static bool is_vm_id(int64_t value) {
        return value >= 0 && value < (int64_t) VM_IDS_MAX;
}

static WireResult step_version(WireDecoder *decoder, int64_t value, bool has_descriptor, WireEvent *event) {
        if (has_descriptor) {
                return WIRE_SURPLUS_DESCRIPTOR;
        }
        if (value != WIRE_PROTOCOL_VERSION) {
                decoder->refusal = value;
                return WIRE_REFUSED;
        }
        decoder->state = STATE_VM_ID;
        *event = (WireEvent){ .kind = WIRE_EVENT_VERSION };
        return WIRE_OK;
}

static WireResult step_vm_id(WireDecoder *decoder, int64_t value, bool has_descriptor, WireEvent *event) {
        if (has_descriptor) {
                return WIRE_SURPLUS_DESCRIPTOR;
        }
        if (!is_vm_id(value)) {
                return WIRE_BAD_VM_ID;
        }
        decoder->vm_id = (uint32_t) value;
        decoder->state = STATE_MEMORY;
        *event = (WireEvent){ .kind = WIRE_EVENT_VM_ID, .vm_id = decoder->vm_id, .own = true };
        return WIRE_OK;
}

static WireResult step_memory(WireDecoder *decoder, int64_t value, bool has_descriptor, WireEvent *event) {
        if (value != WIRE_MEMORY) {
                return WIRE_BAD_MEMORY;
        }
        if (!has_descriptor) {
                return WIRE_MISSING_DESCRIPTOR;
        }
        decoder->state = STATE_PEERS;
        *event = (WireEvent){ .kind = WIRE_EVENT_MEMORY };
        return WIRE_OK;
}

/* With a descriptor the next vector of that VM ID; without one, all its vectors are gone. */
static WireResult step_peers(WireDecoder *decoder, int64_t value, bool has_descriptor, WireEvent *event) {
        uint8_t *vectors;

        if (!is_vm_id(value)) {
                return WIRE_BAD_VM_ID;
        }
        vectors = &decoder->vectors[value];
        if (has_descriptor && *vectors == VECTORS_MAX) {
                return WIRE_TOO_MANY_VECTORS;
        }
        if (!has_descriptor && *vectors == 0) {
                return WIRE_NOT_CONNECTED;
        }
        *event = (WireEvent){
                .kind = has_descriptor ? WIRE_EVENT_CONNECT : WIRE_EVENT_DISCONNECT,
                .vm_id = (uint32_t) value,
                .vector = has_descriptor ? *vectors : 0,
                .own = (uint32_t) value == decoder->vm_id,
        };
        *vectors = has_descriptor ? *vectors + 1 : 0;
        return WIRE_OK;
}

WireResult wire_decoder_step(WireDecoder *decoder, int64_t value, bool has_descriptor,
                             WireEvent *ret_event) {
        static WireResult (*const steps[])(WireDecoder *, int64_t, bool, WireEvent *) = {
                [STATE_VERSION] = step_version,
                [STATE_VM_ID] = step_vm_id,
                [STATE_MEMORY] = step_memory,
                [STATE_PEERS] = step_peers,
        };
        WireResult result;

        if (decoder->state == STATE_OVER) {
                return decoder->failure;
        }
        result = steps[decoder->state](decoder, value, has_descriptor, ret_event);
        if (result != WIRE_OK) {
                decoder->state = STATE_OVER;
                decoder->failure = result;
        }
        return result;
}

int64_t wire_decoder_refusal(const WireDecoder *decoder) {
        return decoder->refusal;
}

uint32_t wire_decoder_vectors(const WireDecoder *decoder, uint32_t vm_id) {
        return vm_id < VM_IDS_MAX ? decoder->vectors[vm_id] : 0;
}
