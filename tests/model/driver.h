/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine and the naive model side by side: does each thing to both, moves messages from feeds to peers, and
 * compares. It knows what must be equal; what happens, and in which order, is the script's.
 *
 * Whatever returns bool returns false once engine and model disagree, or the engine broke a promise of its headers;
 * driver->failure then says how. Nothing may be done with the driver afterwards.
 */
#pragma once

#include "service/core/feed.h"
#include "service/core/seats.h"
#include "service/core/wire.h"
#include "tests/model/keeper.h"
#include "tests/model/model.h"

typedef struct Driver Driver;
typedef struct DriverConfig DriverConfig;
typedef struct DriverPeer DriverPeer;

struct DriverConfig {
        uint32_t max_peers;
        uint32_t vectors;
        Topology topology;
        uint32_t identities; /* how many different ones join */
};

/* The situations that a driver is for. How often each was reached is counted: a test of the test. */
typedef enum DriverCorner {
        CORNER_RULES,                                           /* a join, by each ModelRule */
        CORNER_RETIRED_UNTOLD = CORNER_RULES + _MODEL_RULE_MAX, /* before a peer was told of the seat */
        CORNER_RETIRED_MIDDLE, /* when a peer had been told of some of its doorbells */
        CORNER_RETIRED_TOLD,   /* when a peer had been told of all */
        CORNER_RESERVED_JOIN,
        CORNER_IS_TAKEN,
        CORNER_IS_RETIRED,
        CORNER_PARTIAL_SEND, /* of a peeked batch only the beginning */
        CORNER_FOREIGN_VALID,
        CORNER_FOREIGN_INVALID,
        CORNER_MESSAGE,
        _CORNER_MAX,
} DriverCorner;

extern const char *const driver_corner_names[_CORNER_MAX];

struct DriverPeer {
        Feed feed;
        ModelPeer *model;
        WireDecoder *decoder; /* made when the first message arrives */
        bool stalled;         /* reads nothing */
        int identity;
};

struct Driver {
        DriverConfig config;
        Seats *seats;
        Model *model;
        DriverPeer **peers;
        uint32_t n_peers;
        Keeper *keeper; /* of a ledger beside the engine; set by who wants one, before the first peer */
        uint32_t salt;  /* varies what is sampled, from check to check */
        uint64_t corners[_CORNER_MAX];
        char *failure;
};

/* -EINVAL when the engine refuses the configuration. */
int driver_new(void *ctx, const DriverConfig *config, Driver **ret);

/* The text that the engine gets for an identity. */
void driver_identity(int identity, char *text, size_t size);

/* A peer joins on the seat that the engine chooses, or none is free. */
bool driver_join(Driver *driver, int identity);

/* A peer joins on this seat, as one with a reservation does, or is refused. */
bool driver_join_at(Driver *driver, uint32_t vm_id, int identity);

bool driver_leave(Driver *driver, uint32_t peer);

/* The engine is forgotten, and made again of the keeper's ledger. The peers notice nothing. */
bool driver_restart(Driver *driver);

bool driver_reserve(Driver *driver, uint32_t vm_id, bool reserved);

/* Evicts whoever sits at an opened seat, and retires it. */
bool driver_retire(Driver *driver, uint32_t vm_id);

/* Peeks at no more than `window` messages and delivers the first `part` percent of them. */
bool driver_deliver(Driver *driver, uint32_t peer, uint32_t window, uint32_t part);

/* Delivers everything to a peer. */
bool driver_deliver_all(Driver *driver, uint32_t peer);

/* A feed that was read from outside: what can have been is accepted, what cannot is refused, and one that is accepted
 * is told no nonsense. */
bool driver_foreign(Driver *driver, const Feed *feed);

/* One peer: told + to be told is exactly the model's view, however it is cut into batches. */
bool driver_check_peer(Driver *driver, uint32_t peer);

/* The seats, the counts, and the choice for each identity. */
bool driver_check_domain(Driver *driver);

/* The domain and each peer. */
bool driver_check(Driver *driver);
