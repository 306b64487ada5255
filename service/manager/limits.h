/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What users may have: ivshmemd.conf and its drop-ins, with the users and groups that they name. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "service/core/quota.h"

typedef struct Limits Limits;

/* `directories` (NULL-terminated, in order of precedence, copied) have ivshmemd.conf and ivshmemd.conf.d/. Without files
 * users have the limits of ivshmemd.conf(5), or none where `unlimited`. -ENOMEM. */
int limits_new(void *ctx, const char *const *directories, bool unlimited, Limits **ret);

/* Reads the files. One with an error is left out as a whole when they are read for the first time; later all stays as it
 * was. Both are logged. -ENOMEM. */
int limits_load(Limits *limits);

/* What a user may have. -ENOMEM. */
int limits_of(const Limits *limits, uint32_t uid, Quota *ret);

/* What all together may have. */
const Quota *limits_global(const Limits *limits);
