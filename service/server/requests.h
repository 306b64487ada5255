/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the manager may ask of a server over the control link, done. Whether the manager's own caller may is the manager's
 * to decide. */
#pragma once

#include "service/server/arrivals.h"
#include "service/server/control.h"
#include "service/server/domain.h"
#include "service/server/peers.h"

typedef struct Requests Requests;

/* What requests act upon. */
struct Requests {
        Domain *domain;
        Peers *peers;
        Arrivals *arrivals;
        /* Reads the definition again. *ret_why (a chunk of `ctx`) is set when the result is not CONTROL_OK. */
        ControlResult (*reload)(void *ctx, char **ret_why, void *userdata);
        void *userdata;
};

/* Does what is asked; the reply, which comes with CONTROL_OK, says what became of it. Descriptors that are opened for it
 * are chunks of `ctx`. */
void requests_do(const Requests *requests, void *ctx, const ControlRecord *request, ControlReply *reply);
