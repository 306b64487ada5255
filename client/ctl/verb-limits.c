/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl limits: what users may have, and have. */

#include <string.h>
#include <unistd.h>

#include "client/ctl/call.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

static const Column columns[] = {
        { "USER", "uid", false },
        { "WHAT", "what", false },
        { "USED", "used", true },
        { "LIMIT", "limit", true },
};

static void add_amount(Table *table, const char *what, uint64_t amount) {
        if (amount == UINT64_MAX) {
                table_none(table);
        } else if (strstr(what, "Bytes")) {
                table_size(table, amount);
        } else {
                table_number(table, amount);
        }
}

static ExitStatus add_user(Ctl *ctl, uint32_t uid, Table *table) {
        cleanup_message sd_bus_message *reply = NULL;
        char *what = text_new(ctl, "look up the limits of %s", human_user(ctl, uid));
        ExitStatus status = call(ctl, &manager_target, "GetLimits", what, &reply, "u", uid);
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_message_enter_container(reply, 'a', "(stt)");
        while (r > 0) {
                const char *limited;
                uint64_t used, limit;

                r = sd_bus_message_read(reply, "(stt)", &limited, &used, &limit);
                if (r > 0) {
                        table_user(table, uid);
                        table_text(table, limited);
                        add_amount(table, limited, used);
                        table_colour(table, used >= limit ? COLOUR_WARNING : COLOUR_NONE);
                        add_amount(table, limited, limit);
                }
        }
        return r < 0 ? call_failed(ctl, what, NULL, r) : STATUS_OK;
}

static ExitStatus add_named(Ctl *ctl, const char *user, Table *table) {
        uint32_t uid;

        return human_parse_user(user, &uid) < 0 ? ctl_fail(STATUS_FAILED, "There is no user '%s'", user)
                                                : add_user(ctl, uid, table);
}

ExitStatus verb_limits(Ctl *ctl) {
        Table *table = table_new(ctl, columns, sizeof(columns) / sizeof(*columns));
        ExitStatus status = ctl->options.n_arguments == 0 ? add_user(ctl, getuid(), table) : STATUS_OK;

        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                status = ctl_worse(status, add_named(ctl, ctl->options.arguments[i], table));
        }
        if (table_rows(table) > 0) {
                ctl_show_table(ctl, table, NULL);
        }
        return status;
}
