/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a tenant may have: arithmetic that cannot be made to wrap around. */

#include "service/core/quota.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "service/core/text.h"

const char *const resource_names[_RESOURCE_MAX] = {
        [RESOURCE_DOMAINS] = "Domains",
        [RESOURCE_BYTES] = "Bytes",
        [RESOURCE_HUGE_PAGE_BYTES] = "HugePageBytes",
        [RESOURCE_PEERS] = "Peers",
        [RESOURCE_VECTORS] = "Vectors",
};

/* For one and for several of it. */
static const char *const resource_words[_RESOURCE_MAX][2] = {
        [RESOURCE_DOMAINS] = { "domain", "domains" },
        [RESOURCE_BYTES] = { "of memory", "of memory" },
        [RESOURCE_HUGE_PAGE_BYTES] = { "of huge pages", "of huge pages" },
        [RESOURCE_PEERS] = { "peer", "peers" },
        [RESOURCE_VECTORS] = { "doorbell", "doorbells" },
};

bool resource_is_size(Resource resource) {
        return resource == RESOURCE_BYTES || resource == RESOURCE_HUGE_PAGE_BYTES;
}

void resource_format_value(Resource resource, uint64_t value, char ret[static RESOURCE_TEXT_MAX]) {
        if (value == QUOTA_UNLIMITED) {
                snprintf(ret, RESOURCE_TEXT_MAX, "unlimited");
        } else if (resource_is_size(resource)) {
                size_format(value, ret);
        } else {
                snprintf(ret, RESOURCE_TEXT_MAX, "%" PRIu64, value);
        }
}

void resource_format(Resource resource, uint64_t value, char ret[static RESOURCE_TEXT_MAX]) {
        char number[RESOURCE_TEXT_MAX];

        resource_format_value(resource, value, number);
        snprintf(ret, RESOURCE_TEXT_MAX, "%.30s %s", number, resource_words[resource][value != 1]);
}

void quota_fill(Quota *ret, uint64_t value) {
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                ret->values[i] = value;
        }
}

void quota_of_definition(const Definition *definition, Quota *ret) {
        *ret = (Quota){ .values = {
                                [RESOURCE_DOMAINS] = 1,
                                [RESOURCE_BYTES] = definition->size,
                                [RESOURCE_HUGE_PAGE_BYTES] = definition->huge_pages == HUGE_PAGES_NONE
                                                                     ? 0
                                                                     : definition->size,
                                [RESOURCE_PEERS] = definition->max_peers,
                                [RESOURCE_VECTORS] = (uint64_t) definition->max_peers * definition->vectors,
                        } };
}

static uint64_t add(uint64_t a, uint64_t b) {
        uint64_t sum;

        return __builtin_add_overflow(a, b, &sum) || sum >= QUOTA_UNSET ? QUOTA_UNSET - 1 : sum;
}

void quota_add(Quota *sum, const Quota *more) {
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                sum->values[i] = add(sum->values[i], more->values[i]);
        }
}

bool quota_fits(const Quota *limit, const Quota *used, const Quota *more, Resource *ret) {
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                if (more->values[i] > 0 && limit->values[i] != QUOTA_UNLIMITED &&
                    add(used->values[i], more->values[i]) > limit->values[i]) {
                        *ret = (Resource) i;
                        return false;
                }
        }
        return true;
}
