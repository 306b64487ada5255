/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tests' own client: it does all that a VM does, and all that none ever would. What it was told is its view - which
 * VM ID has which doorbells - with the identity of each eventfd, so that views of several clients can be compared.
 *
 * Waits end after WAIT_MSEC with -ETIMEDOUT. Nothing here asserts; benchmarks use it too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/fd.h"
#include "service/core/wire.h"

typedef struct Client Client;
typedef struct ClientSeat ClientSeat;
typedef struct Doorbell Doorbell;

/* What becomes of the descriptors that arrive. */
typedef enum ClientMode {
        CLIENT_KEEP, /* they stay open: every doorbell can be rung */
        CLIENT_NOTE, /* the identity is noted; only the memory and the own doorbells stay open */
        CLIENT_DROP, /* there is no room for them, so that the kernel discards them; that one came is noted */
} ClientMode;

typedef enum ClientResult {
        CLIENT_OK = 0,
        CLIENT_END,     /* the server ended the connection */
        CLIENT_FAILURE, /* the decoder refused a message; client->failure says why */
} ClientResult;

struct Doorbell {
        uint64_t identity; /* the kernel's number of the eventfd; 0 when it was dropped */
        Fd *eventfd;       /* NULL when it is not kept */
};

/* What a client was told of one VM ID. */
struct ClientSeat {
        Doorbell *doorbells;
        uint32_t n_doorbells;
};

struct Client {
        Fd *socket;
        ClientMode mode;
        bool bytewise; /* reads one byte at a time */

        WireDecoder *decoder;
        WireResult failure;
        uint32_t vm_id; /* once it is told */
        Fd *memory;
        ClientSeat *seats; /* by VM ID; those that it was not told of have no doorbells */
        size_t n_seats;
        size_t n_doorbells; /* of all VM IDs */
        size_t n_messages;

        uint8_t bytes[WIRE_MESSAGE_SIZE]; /* of the message that is half read */
        size_t n_bytes;
        bool has_descriptor;
        Fd *descriptor;
};

/* Connects, and reads nothing. */
int client_connect(const void *ctx, const char *path, ClientMode mode, Client **ret);

/* The same with a connection that there is already, which becomes the client's own, also on failure. */
int client_adopt(const void *ctx, Fd *socket, ClientMode mode, Client **ret);

/* Waits for one message and takes it into the view. *ret_event (may be NULL) is set on CLIENT_OK. */
int client_step(Client *client, WireEvent *ret_event);

/* Whether anything can be read now: a message, or the end. */
bool client_has_input(const Client *client);

/* Steps until the view has `n` doorbells in all. CLIENT_OK, CLIENT_END or CLIENT_FAILURE. */
int client_read_doorbells(Client *client, size_t n);

/* Steps until the server ends the connection or refuses it: CLIENT_END or CLIENT_FAILURE. */
int client_read_to_end(Client *client);

/* NULL when it was not told of it. */
const Doorbell *client_doorbell(const Client *client, uint32_t vm_id, uint32_t vector);
uint32_t client_vectors(const Client *client, uint32_t vm_id);

/* Rings a doorbell that is kept. */
int client_ring(const Client *client, uint32_t vm_id, uint32_t vector);

/* Waits until its own doorbell rings, and answers it. *ret_count (may be NULL): how often it rang. */
int client_wait_ring(const Client *client, uint32_t vector, uint64_t *ret_count);

/* How often its own doorbell rang since it was answered; answers it without waiting. 0: not at all. */
int client_rings(const Client *client, uint32_t vector, uint64_t *ret_count);

/* The kernel's number of an eventfd, the same in every process that holds it. */
int eventfd_identity(int fd, uint64_t *ret);
