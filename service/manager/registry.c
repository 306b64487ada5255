/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains by name, as a sorted array: many are looked at and few come and go. */

#include "service/manager/registry.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

/* Where the name stands, or where it would. */
static size_t position(const Registry *registry, const char *name) {
        size_t low = 0, high = registry->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(domain_name(registry->domains[middle]), name) < 0) {
                        low = middle + 1;
                } else {
                        high = middle;
                }
        }
        return low;
}

Domain *registry_find(const Registry *registry, const char *name) {
        size_t i = position(registry, name);

        return i < registry->n && strcmp(domain_name(registry->domains[i]), name) == 0 ? registry->domains[i]
                                                                                       : NULL;
}

int registry_add(void *ctx, Registry *registry, Domain *domain) {
        size_t i = position(registry, domain_name(domain)), room = talloc_array_length(registry->domains);

        if (registry->n == room) {
                Domain **domains = talloc_realloc(ctx, registry->domains, Domain *, room ? room * 2 : 16);

                if (!domains) {
                        return -ENOMEM;
                }
                registry->domains = domains;
        }
        memmove(registry->domains + i + 1, registry->domains + i,
                (registry->n - i) * sizeof(*registry->domains));
        registry->domains[i] = domain;
        registry->n++;
        return 0;
}

void registry_remove(Registry *registry, const Domain *domain) {
        size_t i = position(registry, domain_name(domain));

        if (i < registry->n && registry->domains[i] == domain) {
                registry->n--;
                memmove(registry->domains + i, registry->domains + i + 1,
                        (registry->n - i) * sizeof(*registry->domains));
        }
}
