/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peers of a domain as the manager lists them. */
#pragma once

#include "client/ctl/call.h"
#include "client/ctl/table.h"

/* Adds those of a domain to a table, which peers_table() made. With `domain`, its name comes first. */
ExitStatus peers_add(Ctl *ctl, const Target *target, const char *domain, Table *table);

Table *peers_table(const void *ctx, bool with_domain);
