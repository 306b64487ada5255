/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tenants may have, as a value: what holds without files, and which section speaks for whom. */

#include "service/core/config.h"

#include <errno.h>
#include <talloc.h>

/* Enough for a few domains of a few machines each. Of all together there is only what the manager itself can bear; what
 * the machine can bear its administrator knows. */
static const Quota standard_limits = {
        .values = {
                [RESOURCE_DOMAINS] = 16,
                [RESOURCE_BYTES] = UINT64_C(4) << 30,
                [RESOURCE_HUGE_PAGE_BYTES] = UINT64_C(1) << 30,
                [RESOURCE_PEERS] = 256,
                [RESOURCE_VECTORS] = 2048,
        },
};

#define GLOBAL_DOMAINS 4096U

int config_new(void *ctx, Config **ret) {
        Config *config = talloc_zero(ctx, Config);

        if (!config) {
                return -ENOMEM;
        }
        config->standard = standard_limits;
        quota_fill(&config->global, QUOTA_UNLIMITED);
        config->global.values[RESOURCE_DOMAINS] = GLOBAL_DOMAINS;
        *ret = config;
        return 0;
}

static bool is_in(const uint32_t *groups, size_t n_groups, uint32_t gid) {
        for (size_t i = 0; i < n_groups; i++) {
                if (groups[i] == gid) {
                        return true;
                }
        }
        return false;
}

/* What the sections of one kind that speak for this user say at most. False: nothing. */
static bool largest(const Config *config, RuleKind kind, Resource resource, const uint32_t *ids,
                    size_t n_ids, uint64_t *ret) {
        bool said = false;

        for (size_t i = 0; i < config->n_tenants; i++) {
                const ConfigTenant *tenant = &config->tenants[i];
                uint64_t value = tenant->limits.values[resource];

                if (tenant->who.kind != kind || tenant->who.id == PRINCIPAL_UNRESOLVED ||
                    value == QUOTA_UNSET || !is_in(ids, n_ids, tenant->who.id)) {
                        continue;
                }
                *ret = said && *ret > value ? *ret : value;
                said = true;
        }
        return said;
}

void config_limits(const Config *config, uint32_t uid, const uint32_t *groups, size_t n_groups, Quota *ret) {
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                Resource resource = (Resource) i;

                if (!largest(config, RULE_USER, resource, &uid, 1, &ret->values[i]) &&
                    !largest(config, RULE_GROUP, resource, groups, n_groups, &ret->values[i])) {
                        ret->values[i] = uid == 0 ? QUOTA_UNLIMITED : config->standard.values[i];
                }
        }
}
