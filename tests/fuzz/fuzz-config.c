/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as ivshmemd.conf: refused in one readable line with a line number, with nothing changed, or limits that are
 * within their bounds. Nothing is left behind. */

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "service/core/config.h"
#include "service/core/utf8.h"
#include "tests/fuzz/fuzz.h"

static void check_error(char *error) {
        char *end;

        FUZZ_CHECK(strncmp(error, "fuzz:", 5) == 0 && isdigit((unsigned char) error[5]));
        FUZZ_CHECK(strtoul(error + 5, &end, 10) >= 1);
        FUZZ_CHECK(strncmp(end, ": ", 2) == 0 && end[2]);
        for (char *c = error; (c = strchr(c, '\t')); c++) {
                *c = ' ';
        }
        FUZZ_CHECK(utf8_check(error, strlen(error), NULL) == UTF8_OK);
}

static void check_config(const Config *config) {
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                FUZZ_CHECK(config->standard.values[i] != QUOTA_UNSET &&
                           config->global.values[i] != QUOTA_UNSET);
        }
        for (size_t i = 0; i < config->n_tenants; i++) {
                const ConfigTenant *tenant = &config->tenants[i];
                Quota quota;

                FUZZ_CHECK(tenant->who.kind == RULE_USER || tenant->who.kind == RULE_GROUP);
                FUZZ_CHECK(*tenant->who.text &&
                           utf8_check(tenant->who.text, strlen(tenant->who.text), NULL) == UTF8_OK);
                config_limits(config, tenant->who.id, &tenant->who.id, 1, &quota);
                for (size_t j = 0; j < _RESOURCE_MAX; j++) {
                        FUZZ_CHECK(quota.values[j] != QUOTA_UNSET);
                }
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        void *ctx = talloc_named_const(NULL, 0, "fuzz");
        Config *config = NULL;
        char *error = NULL;
        int r;

        FUZZ_CHECK(config_new(ctx, &config) == 0);
        r = config_parse(ctx, config, "fuzz", (const char *) data, size, &error);
        if (r == 0) {
                FUZZ_CHECK(!error);
                check_config(config);
        } else {
                FUZZ_CHECK(r == -EINVAL && error);
                check_error(error);
                FUZZ_CHECK(config->n_tenants == 0);
                FUZZ_CHECK(talloc_total_blocks(ctx) == 3);
        }
        talloc_free(ctx);
        return 0;
}
