/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users and groups of the machine (NSS): names to numbers, and back for texts that people read. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "service/core/definition.h"

extern const PrincipalLookup names_lookup;

/* The user's name, or its number where it has none. A chunk of `ctx`; NULL: no memory. */
char *names_of_user(void *ctx, uint32_t uid);

/* The groups that a user is in, the primary one too. A user without an entry is in none. A chunk of `ctx`; -ENOMEM. */
int names_groups(void *ctx, uint32_t uid, uint32_t **ret, size_t *ret_n);
