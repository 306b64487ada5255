/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the manager asks for, each a function of its own. */

#include "service/server/requests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "service/base/log.h"
#include "service/core/text.h"
#include "service/server/doorbells.h"
#include "service/server/memory.h"
#include "service/server/messages.h"

static void __attribute__((format(printf, 3, 4)))
answer(ControlReply *reply, ControlResult result, const char *format, ...) {
        char text[CONTROL_TEXT_SIZE];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        reply->record.result = result;
        control_text_set(reply->record.text, sizeof(reply->record.text), text);
}

/* ---- Evict ---- */

static void evict(const Requests *requests, void *ctx, const ControlRecord *request, ControlReply *reply) {
        const LogField fields[] = { { .name = "IVSHMEM_VM_ID", .number = request->vm_id } };
        bool vacant = request->vm_id < seats_max(requests->domain->seats) &&
                      seats_get(requests->domain->seats, request->vm_id)->state == SEAT_VACANT;

        if (peers_evict(requests->peers, request->vm_id) < 0) {
                answer(reply, CONTROL_NO_SUCH_PEER,
                       "VM ID %" PRIu32 " was never given, or is retired already", request->vm_id);
        } else if (vacant) {
                log_record(LOG_NOTICE, MESSAGE_EVICTED, fields, sizeof(fields) / sizeof(*fields),
                           "VM %" PRIu32 ", which was not connected, was evicted", request->vm_id);
        }
}

/* ---- Ring ---- */

static bool has_doorbells(const Seats *seats, uint32_t vm_id) {
        SeatState state = vm_id < seats_max(seats) ? seats_get(seats, vm_id)->state : SEAT_UNOPENED;

        return state == SEAT_TAKEN || state == SEAT_VACANT;
}

static void ring(const Requests *requests, void *ctx, const ControlRecord *request, ControlReply *reply) {
        const Domain *domain = requests->domain;

        if (!has_doorbells(domain->seats, request->vm_id)) {
                answer(reply, CONTROL_NO_SUCH_PEER, "VM ID %" PRIu32 " was never given, or is retired",
                       request->vm_id);
        } else if (request->vector >= seats_vectors(domain->seats)) {
                answer(reply, CONTROL_NO_SUCH_VECTOR,
                       "The domain has %" PRIu32 " vector%s, and the first is 0",
                       seats_vectors(domain->seats), plural(seats_vectors(domain->seats)));
        } else {
                doorbells_ring(domain->doorbells, request->vm_id, request->vector);
        }
}

/* ---- Open ---- */

static void open_connection(const Requests *requests, void *ctx, const ControlRecord *request,
                            ControlReply *reply) {
        const Credentials named = {
                .uid = request->peer.uid,
                .gid = request->peer.gid,
                .pid = request->peer.pid,
                .label = *request->peer.label ? request->peer.label : NULL,
        };
        int r = arrivals_open(requests->arrivals, ctx, &named, &reply->opened);

        if (r < 0) {
                answer(reply, CONTROL_SHORT, "Cannot make a connection: %s",
                       r == -EBUSY ? "too many wait to be admitted" : strerror(-r));
                return;
        }
        reply->fd = fd_get(reply->opened);
}

/* ---- Memory ---- */

static void hand_out_memory(const Requests *requests, void *ctx, const ControlRecord *request,
                            ControlReply *reply) {
        const Memory *memory = requests->domain->memory;

        reply->fd = request->read_only ? memory_readonly_fd(memory) : memory_fd(memory);
        if (reply->fd < 0) {
                answer(reply, CONTROL_NOT_SUPPORTED, "This memory cannot be handed out read-only");
                return;
        }
        log_plain(LOG_INFO, "Handed the memory out to the manager%s",
                  request->read_only ? ", read-only" : "");
}

/* ---- Reload ---- */

static void reload(const Requests *requests, void *ctx, const ControlRecord *request, ControlReply *reply) {
        void *scratch = talloc_new(ctx);
        char *why = NULL;
        ControlResult result = requests->reload(scratch, &why, requests->userdata);

        if (result != CONTROL_OK) {
                answer(reply, result, "%s", why ?: "out of memory");
        }
        talloc_free(scratch);
}

/* ---- The whole ---- */

void requests_do(const Requests *requests, void *ctx, const ControlRecord *request, ControlReply *reply) {
        static void (*const kinds[_CONTROL_KIND_MAX])(const Requests *, void *, const ControlRecord *,
                                                      ControlReply *) = {
                [CONTROL_EVICT] = evict,          [CONTROL_RING] = ring,
                [CONTROL_OPEN] = open_connection, [CONTROL_MEMORY] = hand_out_memory,
                [CONTROL_RELOAD] = reload,
        };

        if (requests->domain->stopping) {
                answer(reply, CONTROL_STOPPING, "The domain is stopping");
                return;
        }
        kinds[request->kind](requests, ctx, request, reply);
}
