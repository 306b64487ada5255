/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl list: the domains that the caller may see. */

#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/state.h"
#include "client/ctl/table.h"
#include "client/ctl/verbs.h"

static const Column columns[] = {
        { "NAME", "name", false },  { "STATE", "state", false },  { "SIZE", "size", true },
        { "PEERS", "peers", true }, { "MAX", "max_peers", true }, { "OWNER", "owner", false },
};

typedef struct Row {
        const char *name;
        const char *state;
        uint32_t owner;
        uint64_t size;
        uint32_t peers;
        uint32_t max_peers;
} Row;

static void add_row(Table *table, const Row *row) {
        table_text(table, row->name);
        table_text(table, row->state);
        table_colour(table, state_colour(row->state));
        table_size(table, row->size);
        table_number(table, row->peers);
        table_number(table, row->max_peers);
        table_user(table, row->owner);
}

static bool is_wanted(const Options *options, const Row *row) {
        if (options->state && strcmp(options->state, row->state) != 0) {
                return false;
        }
        return names_match(options, row->name);
}

static int read_rows(sd_bus_message *reply, const Options *options, Table *table) {
        int r = sd_bus_message_enter_container(reply, 'a', "(ssutuuo)");

        while (r > 0) {
                const char *path;
                Row row;

                r = sd_bus_message_read(reply, "(ssutuuo)", &row.name, &row.state, &row.owner, &row.size,
                                        &row.peers, &row.max_peers, &path);
                if (r > 0 && is_wanted(options, &row)) {
                        add_row(table, &row);
                }
        }
        return r;
}

ExitStatus verb_list(Ctl *ctl) {
        cleanup_message sd_bus_message *reply = NULL;
        ExitStatus status = STATUS_OK;
        Table *table;
        int r;

        if (ctl->options.state && !state_exists(ctl->options.state)) {
                return ctl_misuse(ctl, "there is no state '%s', but %s", ctl->options.state, STATES);
        }
        status = call(ctl, &manager_target, "ListDomains", "list domains", &reply, "");
        if (status != STATUS_OK) {
                return status;
        }
        table = table_new(ctl, columns, sizeof(columns) / sizeof(*columns));
        r = read_rows(reply, &ctl->options, table);
        if (r < 0) {
                return call_failed(ctl, "list domains", NULL, r);
        }
        ctl_show_table(ctl, table, "domain");
        return STATUS_OK;
}
