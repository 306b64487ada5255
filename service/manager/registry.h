/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains by name. It does not own them. */
#pragma once

#include <stddef.h>

#include "service/manager/domain.h"

typedef struct Registry Registry;

struct Registry {
        Domain **domains; /* ascending */
        size_t n;
};

Domain *registry_find(const Registry *registry, const char *name);

/* The array is a chunk of `ctx`. -ENOMEM. The name must not be there yet. */
int registry_add(void *ctx, Registry *registry, Domain *domain);
void registry_remove(Registry *registry, const Domain *domain);
