/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A sorted array: domains come and go seldom, and there are thousands at most. */

#include "dbus/owners.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

/* Where a domain is, or belongs. */
static size_t place_of(const Owners *owners, const Domain *domain) {
        size_t low = 0, high = owners->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if ((uintptr_t) owners->owners[middle].domain < (uintptr_t) domain) {
                        low = middle + 1;
                } else {
                        high = middle;
                }
        }
        return low;
}

static bool is_at(const Owners *owners, size_t i, const Domain *domain) {
        return i < owners->n && owners->owners[i].domain == domain;
}

int owners_put(void *ctx, Owners *owners, const Domain *domain, uint32_t uid) {
        size_t i = place_of(owners, domain);
        Owner *grown;

        if (is_at(owners, i, domain)) {
                owners->owners[i].uid = uid;
                return 0;
        }
        grown = talloc_realloc(ctx, owners->owners, Owner, owners->n + 1);
        if (!grown) {
                return -ENOMEM;
        }
        owners->owners = grown;
        memmove(&grown[i + 1], &grown[i], (owners->n - i) * sizeof(*grown));
        grown[i] = (Owner){ domain, uid };
        owners->n++;
        return 0;
}

uint32_t owners_get(const Owners *owners, const Domain *domain, uint32_t otherwise) {
        size_t i = place_of(owners, domain);

        return is_at(owners, i, domain) ? owners->owners[i].uid : otherwise;
}

void owners_remove(Owners *owners, const Domain *domain) {
        size_t i = place_of(owners, domain);

        if (is_at(owners, i, domain)) {
                owners->n--;
                memmove(&owners->owners[i], &owners->owners[i + 1],
                        (owners->n - i) * sizeof(*owners->owners));
        }
}
