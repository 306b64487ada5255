/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's end of the control link (service/core/control.h): who may connect, and who of them hears of what. What is
 * done with a request is the owner's.
 */
#pragma once

#include <stddef.h>

#include "service/base/event.h"
#include "service/base/fd.h"
#include "service/core/credentials.h"
#include "service/server/control-link.h"
#include "service/server/domain.h"
#include "service/server/peers.h"

typedef struct Control Control;
typedef struct ControlOps ControlOps;

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
