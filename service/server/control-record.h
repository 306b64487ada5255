/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is in a domain, as records of the control link. */
#pragma once

#include "service/core/control.h"
#include "service/core/credentials.h"
#include "service/server/domain.h"
#include "service/server/peers.h"

ControlRecord control_domain_record(const Domain *domain);

/* A peer that is connected, has just joined or has just left: CONTROL_PEER, CONTROL_JOINED, CONTROL_LEFT. */
ControlRecord control_peer_record(ControlKind kind, const Domain *domain, const Peer *peer);

ControlRecord control_refused_record(const Credentials *credentials, const char *identity, Refusal refusal,
                                     const char *reason);
