/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A naive domain: what docs/architecture.md says of seats and of who is told what, in the plainest form. Arrays, lists
 * of all that was ever told, and loops over everything; no cursor, no index, nothing computed twice in two ways. It
 * must not call the engine: being another statement of the same rules is its whole use.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/feed.h"

typedef struct Model Model;
typedef struct ModelMessage ModelMessage;
typedef struct ModelPeer ModelPeer;
typedef struct ModelSeat ModelSeat;
typedef struct ModelView ModelView;

#define MODEL_NOBODY (-1)

/* Which part of rule 5 gave a seat. */
typedef enum ModelRule {
        MODEL_NO_SEAT,
        MODEL_ALONE,         /* nobody is connected: the lowest free one */
        MODEL_SAME_IDENTITY, /* the lowest vacant one that this identity had before */
        MODEL_NEVER_OPENED,  /* the lowest never opened */
        MODEL_LEFT_LONGEST_AGO,
        _MODEL_RULE_MAX,
} ModelRule;

struct ModelMessage {
        FeedMessageKind kind;
        int64_t value;
        uint32_t vm_id;
        uint32_t vector;
};

/* A sequence of messages as one peer is told them. */
struct ModelView {
        ModelMessage *messages;
        size_t n_messages;
        size_t n_allocated;
};

struct ModelSeat {
        bool opened;
        bool taken;
        bool retired;
        bool reserved;
        int identity;       /* of the occupant or the last one, by number; MODEL_NOBODY before the first */
        uint64_t opened_at; /* by the domain's clock, which counts events */
        uint64_t left_at;
};

struct ModelPeer {
        uint32_t vm_id;
        uint64_t joined_at;
        ModelView told;
};

struct Model {
        uint32_t max_peers;
        uint32_t vectors;
        bool star;

        uint64_t clock;
        ModelSeat *seats;
        uint32_t *opened; /* VM IDs in the order in which their seats were opened */
        uint32_t n_opened;
        uint32_t n_peers; /* connected now */
};

/* Any failed allocation in here ends the program: it is a test. */
Model *model_new(void *ctx, uint32_t max_peers, uint32_t vectors, bool star);

/* The seat that rule 5 gives to a peer without a reservation. *ret_vm_id is set unless there is none. */
ModelRule model_choose(const Model *model, int identity, uint32_t *ret_vm_id);

ModelPeer *model_join(Model *model, uint32_t vm_id, int identity);

/* The peer left by itself; it is freed. */
void model_leave(Model *model, ModelPeer *peer);

/* The seat's VM ID is never given again. `peer` is its occupant, who is freed, or NULL. */
void model_retire(Model *model, uint32_t vm_id, ModelPeer *peer);

/* Writes down that the peer has received a message. */
void model_told(ModelPeer *peer, const ModelMessage *message);

/* How many seats were open when the peer had joined, its own included. */
uint32_t model_opened_at_join(const Model *model, const ModelPeer *peer);

/* Whether who sits at one seat is told of the doorbells of another. */
bool model_sees(const Model *model, uint32_t vm_id, uint32_t other);

/*
 * All that a peer at `vm_id`, who joined when `n_before` seats were open and has been told `told` (may be NULL), is told
 * from its first message to the last as things stand now. Freed by view_free().
 */
ModelView model_view(const Model *model, uint32_t vm_id, uint32_t n_before, const ModelView *told);

/* Whether all of its own doorbells are among what the peer was told. */
bool model_is_set_up(const Model *model, const ModelPeer *peer);

/* How often a doorbell of this VM ID is in a view. */
uint32_t view_count(const ModelView *view, uint32_t vm_id);

void view_append(void *ctx, ModelView *view, const ModelMessage *message);
void view_free(ModelView *view);

bool messages_equal(const ModelMessage *a, const ModelMessage *b);
