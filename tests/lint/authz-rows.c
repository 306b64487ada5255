/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints who may do what: "Manager.StartDomain manage-own manage", "-" for no action; for the test of the manual. */

#include <stdio.h>
#include <string.h>

#include "dbus/authz.h"

/* What is behind the last dot. */
static const char *last(const char *name) {
        return name ? strrchr(name, '.') + 1 : "-";
}

int main(void) {
        for (size_t i = 0; authz_row(i); i++) {
                const AuthzRow *row = authz_row(i);

                printf("%s.%s %s %s\n", last(row->interface), row->member, last(row->own), last(row->other));
        }
        return 0;
}
