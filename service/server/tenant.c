/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each user has of us. The records are few: one for each uid that was seen lately. */

#include "service/server/tenant.h"

#include <errno.h>
#include <talloc.h>

#define RECORDS_PER_SECOND 20U
#define RECORDS_BURST 200U
#define REFUSALS_PER_SECOND 20U
#define REFUSALS_BURST 100U
#define CONNECT_BURST_SECONDS 10U

/* Looked for old records to forget whenever a new one is made and there are at least so many. */
#define FORGET_ABOVE 64U

struct Tenants {
        List list;
        uint32_t n;
};

int tenants_new(void *ctx, Tenants **ret) {
        Tenants *tenants = talloc_zero(ctx, Tenants);

        if (!tenants) {
                return -ENOMEM;
        }
        list_init(&tenants->list);
        *ret = tenants;
        return 0;
}

static void tenants_forget(Tenants *tenants, uint64_t now_usec) {
        LIST_FOREACH(i, &tenants->list) {
                Tenant *tenant = list_entry(i, Tenant, link);

                if (tenant->n_peers == 0 && bucket_is_full(&tenant->connects, now_usec) &&
                    bucket_is_full(&tenant->records, now_usec) &&
                    bucket_is_full(&tenant->refusals, now_usec)) {
                        list_remove(&tenant->link);
                        talloc_free(tenant);
                        tenants->n--;
                }
        }
}

static Tenant *tenants_find(const Tenants *tenants, uint32_t uid) {
        LIST_FOREACH(i, &tenants->list) {
                Tenant *tenant = list_entry(i, Tenant, link);

                if (tenant->uid == uid) {
                        return tenant;
                }
        }
        return NULL;
}

int tenants_get(Tenants *tenants, uint32_t uid, uint32_t connect_rate, uint64_t now_usec, Tenant **ret) {
        uint32_t burst = connect_rate * CONNECT_BURST_SECONDS;
        Tenant *tenant = tenants_find(tenants, uid);

        if (!tenant) {
                if (tenants->n >= FORGET_ABOVE) {
                        tenants_forget(tenants, now_usec);
                }
                tenant = talloc_zero(tenants, Tenant);
                if (!tenant) {
                        return -ENOMEM;
                }
                tenant->uid = uid;
                tenant->connects = bucket_full(connect_rate, burst, now_usec);
                tenant->records = bucket_full(RECORDS_PER_SECOND, RECORDS_BURST, now_usec);
                tenant->refusals = bucket_full(REFUSALS_PER_SECOND, REFUSALS_BURST, now_usec);
                list_append(&tenants->list, &tenant->link);
                tenants->n++;
        }
        if (tenant->connects.rate != connect_rate) {
                tenant->connects = bucket_full(connect_rate, burst, now_usec);
        }
        *ret = tenant;
        return 0;
}

bool tenant_may_log(Tenant *tenant, uint64_t now_usec, uint32_t *ret_suppressed) {
        if (!bucket_take(&tenant->records, now_usec)) {
                tenant->suppressed++;
                return false;
        }
        *ret_suppressed = tenant->suppressed;
        tenant->suppressed = 0;
        return true;
}

bool tenant_may_tell(Tenant *tenant, uint64_t now_usec) {
        return bucket_take(&tenant->refusals, now_usec);
}
