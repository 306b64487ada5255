/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users and groups by their names, from the name service: it reads files and may ask daemons, and is waited for. */
#pragma once

#include <stdint.h>

/* The number of a user or group. -ENOENT: there is none of that name; other negative errno: it could not be found out.
 * `userdata` is not used: these are what a lookup by names consists of. */
int user_by_name(const char *name, uint32_t *ret, void *userdata);
int group_by_name(const char *name, uint32_t *ret, void *userdata);
