/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints each key that a definition can have as "Section.Key default", for docs.py, which looks for both in the
 * manual. */

#include <stdbool.h>
#include <stdio.h>

#include "service/core/definition.h"

int main(void) {
        const char *section, *key, *default_value;

        for (size_t i = 0; definition_key(i, &section, &key, &default_value); i++) {
                printf("%s.%s %s\n", section, key, default_value ? default_value : "");
        }
        return 0;
}
