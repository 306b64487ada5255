/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A ledger kept beside an engine, whose keeper may die between any two stores. What docs/decisions/0012 claims is tried
 * for each operation: the bytes that it changed are given to a copy of the ledger as it was before, those that are no
 * commit in any order and number, then the commits one by one; each time the copy must be read back as what was true
 * before, or as what is true now.
 *
 * Whatever returns bool returns false once that is not so; keeper->failure then says how.
 */
#pragma once

#include "service/core/ledger.h"

typedef struct Keeper Keeper;

/* Deaths by where they were. A test of the test. */
typedef struct KeeperDeaths {
        uint64_t before;  /* of an operation, its first store included */
        uint64_t between; /* stores */
        uint64_t sending; /* in the middle of a batch */
} KeeperDeaths;

struct Keeper {
        LedgerShape shape;
        Ledger *ledger;
        size_t size;
        LedgerConnection
                *connections; /* the true ones, by VM ID; those of seats that are not taken mean nothing */
        uint64_t last_serial;
        uint64_t salt;   /* varies what is tried */
        uint32_t trials; /* for each commit of each operation */
        KeeperDeaths deaths;
        char *failure;

        uint8_t *before; /* the ledger's bytes before the operation that runs */
        uint8_t *copy;
        size_t *changed; /* where it changed them, but for its commits */
        size_t n_changed;
        char *was; /* what was true before */
};

Keeper *keeper_new(void *ctx, const LedgerShape *shape, uint32_t trials, uint64_t salt);

/* The engine has done this. */
bool keeper_take(Keeper *keeper, const Seats *seats, const Feed *feed);
bool keeper_leave(Keeper *keeper, const Seats *seats, uint32_t vm_id);

/* `sent` of `n` messages are sent to the peer with this feed, which the engine has not moved yet. */
bool keeper_send(Keeper *keeper, const Seats *seats, const Feed *feed, const FeedMessage *messages, size_t n,
                 size_t sent);

/* Reads the ledger back, and compares with this engine. A chunk of `ctx`; NULL when something is wrong. */
LedgerImage *keeper_load(void *ctx, Keeper *keeper, const Seats *seats);

/* All that a ledger says, as text. A chunk of `ctx`. */
char *ledger_image_describe(void *ctx, const LedgerImage *image);
