/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A peer's credentials as text: its identity, and a description for people. */

#include "service/core/credentials.h"

#include <talloc.h>

char *credentials_identity(void *ctx, const Credentials *credentials) {
        if (credentials->machine) {
                return talloc_asprintf(ctx, "machine:%s", credentials->machine);
        }
        if (credentials->unit) {
                return talloc_asprintf(ctx, "unit:%s", credentials->unit);
        }
        return talloc_asprintf(ctx, "uid:%u", credentials->uid);
}

char *credentials_describe(void *ctx, const Credentials *credentials) {
        char *text = talloc_asprintf(ctx, "uid %u, pid %d", credentials->uid, credentials->pid);

        if (text && credentials->unit) {
                text = talloc_asprintf_append(text, ", unit %s", credentials->unit);
        }
        if (text && credentials->machine) {
                text = talloc_asprintf_append(text, ", machine %s", credentials->machine);
        }
        return text;
}
