/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints each key that a definition can have as Section.Key, for docs.py, which looks for them in the manual. */

#include <stdio.h>

#include "service/core/definition.h"

int main(void) {
        for (size_t i = 0; definition_keys[i]; i++) {
                puts(definition_keys[i]);
        }
        return 0;
}
