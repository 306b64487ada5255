/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where memory, doorbells and seats come from: from a predecessor, as far as what it left is true and whole, or new. A
 * definition that was changed meanwhile gives way to the running domain where peers are attached to it.
 */
#pragma once

#include <stdint.h>

#include "service/server/inherited.h"
#include "service/server/server.h"

/*
 * Fills memory, doorbells, succession and inheritance into the parts; changes parts->definition where the running
 * values stay, and says so in the log. `fd_store` is the room in systemd's fd store, 0: none. Negative errno with
 * *ret_error, a chunk of `ctx`, which owns all parts. -ECANCELED: a signal came that stops the start.
 */
int takeover(void *ctx, ServerParts *parts, Inherited *inherited, uint32_t fd_store, char **ret_error);
