/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints each limit of ivshmemd.conf as "Limits.Key default", and each section as "[Section]", for docs.py, which looks
 * for all of them in the manual. */

#include <stdio.h>
#include <talloc.h>

#include "service/core/config.h"

int main(void) {
        Config *config = NULL;

        if (config_new(NULL, &config) < 0) {
                return 1;
        }
        for (size_t i = 0; config_sections[i]; i++) {
                printf("[%s%s]\n", config_sections[i], i < 2 ? "" : " *NAME*");
        }
        for (int i = 0; i < _RESOURCE_MAX; i++) {
                char text[RESOURCE_TEXT_MAX];

                resource_format_value((Resource) i, config->standard.values[i], text);
                printf("Limits.%s %s\n", resource_names[i], text);
        }
        talloc_free(config);
        return 0;
}
