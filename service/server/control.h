/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's end of the control link (service/core/control.h): who may connect, what is told, which requests come. What
 * is done with a request is the owner's. A connection holds a bounded number of records that the other end has not read;
 * one that lags further is closed, and has the whole picture anew when it comes again.
 */
#pragma once

#include <stddef.h>

#include "service/base/event.h"
#include "service/base/fd.h"
#include "service/core/control.h"
#include "service/core/credentials.h"
#include "service/server/domain.h"
#include "service/server/peers.h"

typedef struct Control Control;
typedef struct ControlOps ControlOps;
typedef struct ControlReply ControlReply;

/* What becomes of a request: the record, and a descriptor that goes along. */
struct ControlReply {
        ControlRecord record; /* kind, serial and CONTROL_OK are set already */
        int fd;               /* -EBADF: none; it stays the domain's, or belongs to `opened` */
        Fd *opened;           /* becomes the link's; NULL: nothing was opened */
};

struct ControlOps {
        void (*request)(const ControlRecord *request, ControlReply *reply, void *userdata);
        void *userdata;
};

/* Connections at a time: a manager, one that replaces it, and somebody who looks. */
#define CONTROL_LINKS_MAX 4U

/* Serves a listening socket, which becomes the control's own, also on failure. To be called before the server confines
 * itself. Negative errno. */
int control_new(void *ctx, Event *event, const Domain *domain, const Peers *peers, Fd *listener,
                const ControlOps *ops, Control **ret);

/* Each takes NULL, for a server without a control link. */

/* A peer has joined, or left: those who are connected are told. */
void control_joined(Control *control, const Peer *peer);
void control_left(Control *control, const Peer *peer, Leave why);

/* A newcomer was refused. */
void control_refused(Control *control, const Credentials *credentials, const char *identity, Refusal refusal,
                     const char *reason);

/* Something that CONTROL_DOMAIN says may have changed: it is said again, in a while. */
void control_changed(Control *control);

/* For the sandbox: the listening socket, or -EBADF. */
int control_fd(const Control *control);
