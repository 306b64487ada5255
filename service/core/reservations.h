/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which seats a definition reserves, and what becomes of them when it is replaced. */
#pragma once

#include "service/core/definition.h"
#include "service/core/seats.h"

/*
 * Reserves the seats that the [Peer] sections of `new` name, and frees for others those that only `old` did; `old` may be
 * NULL. VM IDs that the domain does not have are passed over: a running one may have fewer seats than its changed
 * definition. -ENOMEM: nothing has changed.
 */
int reservations_change(Seats *seats, const Definition *old, const Definition *new);
