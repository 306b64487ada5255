/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The naive domain. Slow on purpose, and never clever. */

#include "tests/model/model.h"

#include <stdlib.h>
#include <string.h>
#include <talloc.h>

static void *checked(void *chunk) {
        if (!chunk) {
                abort();
        }
        return chunk;
}

Model *model_new(void *ctx, uint32_t max_peers, uint32_t vectors, bool star) {
        Model *model = checked(talloc_zero(ctx, Model));

        model->max_peers = max_peers;
        model->vectors = vectors;
        model->star = star;
        model->seats = checked(talloc_zero_array(model, ModelSeat, max_peers));
        model->opened = checked(talloc_zero_array(model, uint32_t, max_peers));
        for (uint32_t id = 0; id < max_peers; id++) {
                model->seats[id].identity = MODEL_NOBODY;
        }
        return model;
}

static bool is_vacant(const ModelSeat *seat) {
        return seat->opened && !seat->taken && !seat->retired;
}

static bool choose_lowest_free(const Model *model, uint32_t *ret_vm_id) {
        for (uint32_t id = 0; id < model->max_peers; id++) {
                const ModelSeat *seat = &model->seats[id];

                if (!seat->reserved && (is_vacant(seat) || !seat->opened)) {
                        *ret_vm_id = id;
                        return true;
                }
        }
        return false;
}

static bool choose_same_identity(const Model *model, int identity, uint32_t *ret_vm_id) {
        for (uint32_t id = 0; id < model->max_peers; id++) {
                const ModelSeat *seat = &model->seats[id];

                if (!seat->reserved && is_vacant(seat) && seat->identity == identity) {
                        *ret_vm_id = id;
                        return true;
                }
        }
        return false;
}

static bool choose_never_opened(const Model *model, uint32_t *ret_vm_id) {
        for (uint32_t id = 0; id < model->max_peers; id++) {
                const ModelSeat *seat = &model->seats[id];

                if (!seat->reserved && !seat->opened) {
                        *ret_vm_id = id;
                        return true;
                }
        }
        return false;
}

static bool choose_left_longest_ago(const Model *model, uint32_t *ret_vm_id) {
        bool found = false;

        for (uint32_t id = 0; id < model->max_peers; id++) {
                const ModelSeat *seat = &model->seats[id];

                if (seat->reserved || !is_vacant(seat)) {
                        continue;
                }
                if (!found || seat->left_at < model->seats[*ret_vm_id].left_at) {
                        *ret_vm_id = id;
                        found = true;
                }
        }
        return found;
}

ModelRule model_choose(const Model *model, int identity, uint32_t *ret_vm_id) {
        if (model->n_peers == 0) {
                return choose_lowest_free(model, ret_vm_id) ? MODEL_ALONE : MODEL_NO_SEAT;
        }
        if (choose_same_identity(model, identity, ret_vm_id)) {
                return MODEL_SAME_IDENTITY;
        }
        if (choose_never_opened(model, ret_vm_id)) {
                return MODEL_NEVER_OPENED;
        }
        return choose_left_longest_ago(model, ret_vm_id) ? MODEL_LEFT_LONGEST_AGO : MODEL_NO_SEAT;
}

ModelPeer *model_join(Model *model, uint32_t vm_id, int identity) {
        ModelPeer *peer = checked(talloc_zero(model, ModelPeer));
        ModelSeat *seat = &model->seats[vm_id];

        model->clock++;
        if (!seat->opened) {
                seat->opened = true;
                seat->opened_at = model->clock;
                model->opened[model->n_opened++] = vm_id;
        }
        seat->taken = true;
        seat->identity = identity;
        peer->vm_id = vm_id;
        peer->joined_at = model->clock;
        model->n_peers++;
        return peer;
}

static void remove_peer(Model *model, ModelPeer *peer) {
        model->seats[peer->vm_id].taken = false;
        model->n_peers--;
        talloc_free(peer);
}

void model_leave(Model *model, ModelPeer *peer) {
        model->seats[peer->vm_id].left_at = ++model->clock;
        remove_peer(model, peer);
}

void model_retire(Model *model, uint32_t vm_id, ModelPeer *peer) {
        model->seats[vm_id].retired = true;
        if (peer) {
                remove_peer(model, peer);
        }
}

void model_told(ModelPeer *peer, const ModelMessage *message) {
        view_append(peer, &peer->told, message);
}

uint32_t model_opened_at_join(const Model *model, const ModelPeer *peer) {
        uint32_t n = 0;

        for (uint32_t id = 0; id < model->max_peers; id++) {
                if (model->seats[id].opened && model->seats[id].opened_at <= peer->joined_at) {
                        n++;
                }
        }
        return n;
}

bool model_sees(const Model *model, uint32_t vm_id, uint32_t other) {
        if (!model->star || vm_id == other) {
                return true;
        }
        return vm_id == 0 || other == 0;
}

static void tell_doorbells(const Model *model, ModelView *view, uint32_t vm_id) {
        for (uint32_t vector = 0; vector < model->vectors; vector++) {
                const ModelMessage message = { FEED_DOORBELL, vm_id, vm_id, vector };

                view_append(/* ctx= */ NULL, view, &message);
        }
}

/* Another seat's doorbells: all of them or none. */
static void tell_other(const Model *model, ModelView *view, uint32_t vm_id, uint32_t other,
                       const ModelView *told) {
        if (other == vm_id || !model_sees(model, vm_id, other)) {
                return;
        }
        if (model->seats[other].retired && (!told || view_count(told, other) == 0)) {
                return;
        }
        tell_doorbells(model, view, other);
}

ModelView model_view(const Model *model, uint32_t vm_id, uint32_t n_before, const ModelView *told) {
        ModelView view = { 0 };

        view_append(NULL, &view, &(ModelMessage){ FEED_VERSION, 0, 0, 0 });
        view_append(NULL, &view, &(ModelMessage){ FEED_VM_ID, vm_id, 0, 0 });
        view_append(NULL, &view, &(ModelMessage){ FEED_MEMORY, -1, 0, 0 });
        for (uint32_t i = 0; i < n_before; i++) {
                tell_other(model, &view, vm_id, model->opened[i], told);
        }
        tell_doorbells(model, &view, vm_id);
        for (uint32_t i = n_before; i < model->n_opened; i++) {
                tell_other(model, &view, vm_id, model->opened[i], told);
        }
        return view;
}

bool model_is_set_up(const Model *model, const ModelPeer *peer) {
        return view_count(&peer->told, peer->vm_id) == model->vectors;
}

uint32_t view_count(const ModelView *view, uint32_t vm_id) {
        uint32_t n = 0;

        for (size_t i = 0; i < view->n_messages; i++) {
                if (view->messages[i].kind == FEED_DOORBELL && view->messages[i].vm_id == vm_id) {
                        n++;
                }
        }
        return n;
}

void view_append(void *ctx, ModelView *view, const ModelMessage *message) {
        if (view->n_messages == view->n_allocated) {
                view->n_allocated = view->n_allocated * 2 + 8;
                view->messages = checked(
                        talloc_realloc(ctx, view->messages, ModelMessage, view->n_allocated));
        }
        view->messages[view->n_messages++] = *message;
}

void view_free(ModelView *view) {
        talloc_free(view->messages);
        *view = (ModelView){ 0 };
}

/* VM ID and vector mean something of doorbells only. */
bool messages_equal(const ModelMessage *a, const ModelMessage *b) {
        return a->kind == b->kind && a->value == b->value &&
               (a->kind != FEED_DOORBELL || (a->vm_id == b->vm_id && a->vector == b->vector));
}
