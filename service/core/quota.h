/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a tenant may have, as numbers: limits, what is in use, and whether something more fits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/definition.h"

typedef struct Quota Quota;

/* What is counted of a domain. */
typedef enum Resource {
        RESOURCE_DOMAINS,
        RESOURCE_BYTES,           /* Size=, of whatever pages */
        RESOURCE_HUGE_PAGE_BYTES, /* Size= of those with HugePages= */
        RESOURCE_PEERS,           /* MaxPeers= */
        RESOURCE_VECTORS,         /* MaxPeers= times Vectors=: the doorbells */
        _RESOURCE_MAX,
        _RESOURCE_INVALID = -22,
} Resource;

/* "Domains", "Bytes", ...: the keys of ivshmemd.conf(5). */
extern const char *const resource_names[_RESOURCE_MAX];

/* A number of each: a limit or a use. */
struct Quota {
        uint64_t values[_RESOURCE_MAX];
};

#define QUOTA_UNLIMITED UINT64_MAX
#define QUOTA_UNSET (UINT64_MAX - 1) /* in a section of ivshmemd.conf that does not say it */

/* Room for what resource_format() writes. */
#define RESOURCE_TEXT_MAX 64U

/* "4 domains", "3G of memory", "no limit of domains". */
void resource_format(Resource resource, uint64_t value, char ret[static RESOURCE_TEXT_MAX]);

/* The same without what it is of: "4", "3G", "unlimited". */
void resource_format_value(Resource resource, uint64_t value, char ret[static RESOURCE_TEXT_MAX]);

/* Whether values of this resource are sizes, and may have a suffix. */
bool resource_is_size(Resource resource);

void quota_fill(Quota *ret, uint64_t value);

/* What a domain of this definition takes. */
void quota_of_definition(const Definition *definition, Quota *ret);

/* Adds, and stays below QUOTA_UNSET whatever the numbers. */
void quota_add(Quota *sum, const Quota *more);

/* Whether `more` fits into `limit` beside `used`. Of what `more` has no need of no limit is exceeded. Where it does not
 * fit, *ret is the first resource that is short. */
bool quota_fits(const Quota *limit, const Quota *used, const Quota *more, Resource *ret);
