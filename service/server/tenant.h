/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each user (uid) has of us: peers, new connections a second, log records and told refusals a second. Charged when it is
 * taken, released when it is given back; a user who has nothing any more is forgotten.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/base/list.h"
#include "service/core/bucket.h"

typedef struct Tenant Tenant;
typedef struct Tenants Tenants;

struct Tenant {
        List link;
        uint32_t uid;
        uint32_t n_peers;
        Bucket connects;
        Bucket records;
        Bucket refusals;
        uint32_t suppressed; /* log records since the last one that was written */
};

int tenants_new(void *ctx, Tenants **ret);

/* The user's record, made when there is none. -ENOMEM. */
int tenants_get(Tenants *tenants, uint32_t uid, uint32_t connect_rate, uint64_t now_usec, Tenant **ret);

/* Whether one more record about this user may be logged; *ret_suppressed says how many were not. */
bool tenant_may_log(Tenant *tenant, uint64_t now_usec, uint32_t *ret_suppressed);

/* Whether the manager is to hear of one more refusal of this user. */
bool tenant_may_tell(Tenant *tenant, uint64_t now_usec);
