/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a ledger, for those who write and read it. A field is never moved or given another meaning without a new
 * version, which must read the one before: an upgrade takes over what the old program left.
 */
#pragma once

#include "service/core/ledger.h"

#define LEDGER_MAGIC UINT64_C(0x72656764656c7669) /* "ivledger" */

/*
 * Version 1 ended at n_used: what is behind that was zeroes. Version 2 has the file there; the sizes are the same, so that
 * a ledger becomes one of version 2 where it is (ledger_settle()).
 */
#define LEDGER_VERSION 2U
#define LEDGER_VERSION_OLDEST 1U

/* In a seat's word beside its SeatState: which of the two identities counts. */
#define LEDGER_SLOT (1U << 8)

typedef struct LedgerBatch {
        uint32_t n; /* 0: nothing is being sent */
        uint32_t vm_id;
        uint64_t next[LEDGER_BATCH_MAX]; /* the cursor behind each message */
        _Alignas(16) uint8_t headers[LEDGER_HEADERS_SIZE];
} LedgerBatch;

/* All zeroes: a seat that was never opened. */
typedef struct LedgerSeat {
        uint32_t word; /* SeatState, LEDGER_SLOT */
        uint32_t index;
        uint64_t left;
        uint64_t serial;
        uint64_t cursor;
        uint64_t since;
        uint32_t joined;
        uint32_t uid;
        uint32_t gid;
        int32_t pid;
        char identity[2][LEDGER_IDENTITY_SIZE];
        char unit[LEDGER_NAME_SIZE];
        char machine[LEDGER_NAME_SIZE];
        char label[LEDGER_NAME_SIZE];
} LedgerSeat;

struct Ledger {
        uint64_t magic;
        uint32_t version;
        uint32_t seat_size;
        LedgerShape shape;
        uint32_t n_used;      /* seats from here on were never taken, and need not be looked at */
        uint32_t file;        /* LedgerFile, since version 2 */
        uint8_t reserved[16]; /* zero */
        LedgerBatch batch;
        LedgerSeat seats[]; /* shape.max_peers */
};
