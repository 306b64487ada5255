/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may join, and on which seat: a pure function of what the kernel says of the peer, the definition and the counts.
 * Default deny: without an [Access] rule only root and the owner.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/core/credentials.h"
#include "service/core/definition.h"
#include "service/core/seats.h"
#include "service/core/wire.h"

typedef struct Admission Admission;
typedef struct AdmissionContext AdmissionContext;

struct AdmissionContext {
        const Definition *definition;
        const Seats *seats;
        uint32_t peers_of_user; /* connections that the peer's uid has already */
        bool rate_exceeded;     /* its uid connects faster than ConnectRate= */
        bool anyone; /* no access rules: who can open the socket is admitted, as the reference server does */
        bool stopping;
};

/* A seat, or a refusal with its reason in words. */
struct Admission {
        Refusal refusal;  /* REFUSAL_NONE: admitted */
        uint32_t vm_id;   /* of an admitted peer */
        char reason[160]; /* "User=alice", "[Peer router]: VM ID 0 is taken", ...: the rule that decided */
};

Admission admission_decide(const AdmissionContext *context, const Credentials *credentials,
                           const char *identity);

/* Whether one of the rules matches. *ret_rule (may be NULL) is set when one does. */
bool rules_match(const RuleSet *rules, const Credentials *credentials, const AccessRule **ret_rule);
