/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints each key that a definition can have as Section.Key, for docs.py, which looks for them in the manual. */

#include <stdio.h>

#include "service/core/definition.h"

int main(void) {
        const char *section, *key, *standard;

        for (size_t i = 0; definition_key(i, &section, &key, &standard); i++) {
                printf("%s.%s\n", section, key);
        }
        return 0;
}
