/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is logged about a peer: that it joined, left or was refused, with everything an administrator needs to see who it
 * was and which rule decided, and no more records than its user may cause. */
#pragma once

#include <stdint.h>

#include "service/core/credentials.h"
#include "service/core/wire.h"
#include "service/server/peers.h"
#include "service/server/tenant.h"

/* VM `vm_id` joined by this rule ("User=alice"). */
void record_joined(Tenant *tenant, const Credentials *credentials, uint32_t vm_id, const char *rule,
                   uint64_t now_usec);

/* VM `vm_id` left, and why; a breach of the protocol is a warning. */
void record_left(Tenant *tenant, const Credentials *credentials, uint32_t vm_id, Leave why,
                 uint64_t now_usec);

/* A peer was refused, for this reason. */
void record_refused(Tenant *tenant, const Credentials *credentials, Refusal refusal, const char *reason,
                    uint64_t now_usec);
