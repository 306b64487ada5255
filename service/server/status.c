/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "2 of 16 peers, 64M in 2M pages", and what else there is to know. */

#include "service/server/status.h"

#include <inttypes.h>
#include <stdio.h>

#include "service/core/text.h"
#include "service/server/memory.h"

void status_format(const Domain *domain, char ret[static STATUS_TEXT_MAX]) {
        uint32_t max = seats_max(domain->seats);

        snprintf(ret, STATUS_TEXT_MAX, "%" PRIu32 " of %" PRIu32 " peer%s, %s%s%s",
                 seats_taken(domain->seats), max, plural(max), memory_describe(domain->memory),
                 domain->definition_removed ? "; the definition was removed"
                 : domain->not_taken        ? "; served as before, for the definition is wrong: "
                                            : "",
                 domain->not_taken ?: "");
}
