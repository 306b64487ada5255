/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One connection of a manager: what it is told, and what it asks. It is told of the domain and its peers by a walk over
 * them, of which it remembers how far it came; only what happens to those it was told of is queued, and not much of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/base/event.h"
#include "service/base/fd.h"
#include "service/core/control.h"
#include "service/server/domain.h"
#include "service/server/peers.h"

typedef struct ControlLink ControlLink;
typedef struct ControlLinkOps ControlLinkOps;
typedef struct ControlReply ControlReply;

/* What becomes of a request: the record, and a descriptor that goes along. */
struct ControlReply {
        ControlRecord record; /* kind, serial and CONTROL_OK are set already */
        int fd;               /* -EBADF: none; it stays the domain's, or belongs to `opened` */
        Fd *opened;           /* becomes the link's; NULL: nothing was opened */
};

struct ControlLinkOps {
        void (*request)(const ControlRecord *request, ControlReply *reply, void *userdata);
        /* The connection is over. It must not be freed within, for this may be its own callback. */
        void (*ended)(ControlLink *link, void *userdata);
        void *userdata;
};

/* Takes the socket over, also on failure. What is to be told is told from the event loop. Negative errno. */
int control_link_new(void *ctx, Event *event, const Domain *domain, const Peers *peers, int fd,
                     const ControlLinkOps *ops, ControlLink **ret);

/* A peer has joined or left: queued, if the link was told of it; otherwise it comes to it, or will not miss it. */
void control_link_tell_of(ControlLink *link, const Peer *peer, const ControlRecord *record);

/* Anything else that happens: for links that have the whole picture. */
void control_link_tell(ControlLink *link, const ControlRecord *record);

/* What CONTROL_DOMAIN says has changed. */
void control_link_tell_domain(ControlLink *link);
