/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger: what a server must know again when its successor takes over - seats, identities, and how far each
 * connection was told. A piece of memory that outlives the process (where it comes from is the caller's), changed by
 * single stores in an order that leaves it true at each instant, and read back like hostile input.
 *
 * A seat's record is written first and then committed by one store of its word. A batch of messages is noted before it
 * is sent, and the kernel notes in it how many went (sendmmsg(2), msg_len), so that even a kill between sending and the
 * next store leaves nothing uncertain: docs/decisions/0012.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "service/core/credentials.h"
#include "service/core/feed.h"
#include "service/core/seats.h"

typedef enum LedgerFile LedgerFile;
typedef struct Ledger Ledger;
typedef struct LedgerConnection LedgerConnection;
typedef struct LedgerImage LedgerImage;
typedef struct LedgerShape LedgerShape;

/* Longer ones are cut: a VM whose name is cut is still told apart by what is left. */
#define LEDGER_IDENTITY_SIZE 272U
#define LEDGER_NAME_SIZE 256U

/* How many messages a batch may have, and how many bytes their headers. */
#define LEDGER_BATCH_MAX 64U
#define LEDGER_HEADERS_SIZE 4096U

/* What cannot change while peers are attached. */
struct LedgerShape {
        uint64_t memory_size;
        uint32_t huge_pages; /* HugePages */
        uint32_t max_peers;
        uint32_t vectors;
        uint32_t topology; /* Topology */
};

/* Whether the memory has a name in the file system, and whose business that is. */
enum LedgerFile {
        LEDGER_FILE_NONE,     /* anonymous; or not known: version 1 did not say */
        LEDGER_FILE_OURS,     /* the server made it, and the last of its successors removes it */
        LEDGER_FILE_ADOPTED,  /* it was there before, and stays */
        LEDGER_FILE_PREPARED, /* who handed it over looks after it (ivshmem-prepare) */
        _LEDGER_FILE_MAX,
};

struct LedgerConnection {
        Feed feed;
        uint64_t serial;         /* counts the domain's connections; never 0 */
        uint64_t since;          /* CLOCK_REALTIME, microseconds */
        Credentials credentials; /* without supplementary groups */
};

/* A ledger that was read back. */
struct LedgerImage {
        LedgerShape shape;
        LedgerFile file;
        Seats *seats;
        LedgerConnection *connections;
        size_t n_connections;
        uint64_t last_serial;
};

/* How many bytes the ledger of a domain takes; most of them are never touched. */
size_t ledger_size(uint32_t max_peers);

/* Makes a new ledger of ledger_size() zeroed bytes. */
void ledger_format(Ledger *ledger, const LedgerShape *shape);

/* What the domain's memory is. */
void ledger_set_file(Ledger *ledger, LedgerFile file);

/* A peer has taken its seat, which seats_take() has recorded in `seats`. */
void ledger_take(Ledger *ledger, const Seats *seats, const LedgerConnection *connection);

/* The seat is vacant, or retired, as `seats` has it by now. */
void ledger_leave(Ledger *ledger, const Seats *seats, uint32_t vm_id);

/* Where the kernel notes what it sent: the headers of the batch. */
void *ledger_headers(Ledger *ledger);

/* These messages are about to be sent to a connection. */
void ledger_batch_begin(Ledger *ledger, const Feed *feed, const FeedMessage *messages, size_t n);

/* They were sent up to this cursor. */
void ledger_batch_end(Ledger *ledger, const Feed *feed);

/* How many messages of an unfinished batch there are to look for in the headers; 0 when none was being sent, or when
 * the bytes are no ledger. */
size_t ledger_unfinished(const void *bytes, size_t size);

/*
 * Reads a ledger back, of this version or the one before; `sent` messages of the unfinished batch went. Every byte is
 * doubted: -EINVAL with *ret_error (a chunk of `ctx`) saying what cannot be true, -ENOMEM. -EPROTONOSUPPORT with
 * *ret_error: a program newer than this one wrote it, so that nothing is known of it, and nothing wrong with it. The image
 * is a chunk of `ctx`.
 */
int ledger_load(void *ctx, const void *bytes, size_t size, size_t sent, LedgerImage **ret, char **ret_error);

/* Writes down what went of the unfinished batch, and makes the ledger one of this version. The first thing that a successor does with the ledger that it has
 * read, and only if it keeps that: the next batch, or the leave of that peer, would make nonsense of what is there. */
void ledger_settle(Ledger *ledger, const LedgerImage *image);
