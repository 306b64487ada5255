/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes between server and client (QEMU, docs/specs/ivshmem-spec, "Client-Server protocol"; ivshmem-protocol(7)).
 * Server to client only; each message is a signed 64-bit little-endian number, with at most one descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum WireEventKind WireEventKind;
typedef enum WireResult WireResult;
typedef struct WireDecoder WireDecoder;
typedef struct WireEvent WireEvent;

#define WIRE_MESSAGE_SIZE 8U

#define WIRE_PROTOCOL_VERSION INT64_C(0)
#define WIRE_MEMORY INT64_C(-1)

/* Sent in place of the protocol version, so that QEMU prints it: "server sent version 403, expecting 0". */
typedef enum Refusal {
        REFUSAL_NONE = 0,
        REFUSAL_NOT_PERMITTED = 403,
        REFUSAL_SEAT_TAKEN = 409,
        REFUSAL_TOO_MANY = 429,
        REFUSAL_STOPPING = 503,
        REFUSAL_NO_FREE_SEAT = 507,
} Refusal;

/* "not permitted", "seat taken", ... ; NULL for a number that is not a refusal. */
const char *refusal_name(int64_t version);

void wire_encode(int64_t value, uint8_t ret[static WIRE_MESSAGE_SIZE]);
int64_t wire_decode(const uint8_t bytes[static WIRE_MESSAGE_SIZE]);

/* What a message means to a client. */
enum WireEventKind {
        WIRE_EVENT_VERSION, /* the handshake began */
        WIRE_EVENT_VM_ID,   /* `vm_id` is the client's own */
        WIRE_EVENT_MEMORY,  /* the descriptor is the shared memory */
        WIRE_EVENT_CONNECT, /* the descriptor is the eventfd of `vector` of `vm_id` */
        WIRE_EVENT_DISCONNECT,
};

struct WireEvent {
        WireEventKind kind;
        uint32_t vm_id;
        uint32_t vector;
        bool own; /* VM_ID, CONNECT, DISCONNECT: it is the client's own ID */
};

/* What became of a message. All but WIRE_OK end the conversation. */
enum WireResult {
        WIRE_OK = 0,
        WIRE_REFUSED,            /* a version other than 0; wire_decoder_refusal() has it */
        WIRE_BAD_VM_ID,          /* outside 0 .. 65535 */
        WIRE_BAD_MEMORY,         /* the third message is not -1 */
        WIRE_MISSING_DESCRIPTOR, /* the memory came without one */
        WIRE_SURPLUS_DESCRIPTOR, /* version or VM ID came with one */
        WIRE_TOO_MANY_VECTORS,   /* more than VECTORS_MAX connects for one VM ID */
        WIRE_NOT_CONNECTED,      /* a disconnect of a VM ID that never connected */
        _WIRE_RESULT_MAX,
};

const char *wire_result_name(WireResult result);

/* A client's side: counts the connects of each VM ID, since the N-th means vector N-1. */
int wire_decoder_new(void *ctx, WireDecoder **ret);

/* Takes one message, and whether a descriptor came with it. *ret_event is set on WIRE_OK only. */
WireResult wire_decoder_step(WireDecoder *decoder, int64_t value, bool has_descriptor, WireEvent *ret_event);

/* The version that was sent in place of 0, after WIRE_REFUSED. */
int64_t wire_decoder_refusal(const WireDecoder *decoder);

/* How many connects have been seen for a VM ID. */
uint32_t wire_decoder_vectors(const WireDecoder *decoder, uint32_t vm_id);
