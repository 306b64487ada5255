/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* To whom each domain belonged when somebody was last told of it: when it changes hands, it appears to some and disappears to
 * others. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "service/manager/domain.h"

typedef struct Owner Owner;
typedef struct Owners Owners;

struct Owner {
        const Domain *domain; /* is not looked at */
        uint32_t uid;
};

/* By domain; zeroes are an empty one. */
struct Owners {
        Owner *owners;
        size_t n;
};

/* Remembers an owner, as part of a chunk of `ctx`. -ENOMEM. */
int owners_put(void *ctx, Owners *owners, const Domain *domain, uint32_t uid);

/* `otherwise` for one that is not known. */
uint32_t owners_get(const Owners *owners, const Domain *domain, uint32_t otherwise);

void owners_remove(Owners *owners, const Domain *domain);
