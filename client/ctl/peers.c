/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ListPeers as a table. */

#include "client/ctl/peers.h"


/* The first one is for several domains only. */
static const Column columns[] = {
        { "DOMAIN", "domain", false },   { "VM-ID", "vm_id", true },  { "IDENTITY", "identity", false },
        { "USER", "uid", false },        { "PID", "pid", true },      { "UNIT", "unit", false },
        { "MACHINE", "machine", false }, { "LABEL", "label", false }, { "SINCE", "since", false },
};

#define N_COLUMNS (sizeof(columns) / sizeof(*columns))

Table *peers_table(const void *ctx, bool with_domain) {
        return with_domain ? table_new(ctx, columns, N_COLUMNS) : table_new(ctx, columns + 1, N_COLUMNS - 1);
}

static int read_peer(sd_bus_message *reply, const char *domain, Table *table) {
        const char *identity, *unit, *machine, *label;
        uint32_t vm_id, uid, gid, pid;
        uint64_t since;
        int r = sd_bus_message_read(reply, "(usuuussst)", &vm_id, &identity, &uid, &gid, &pid, &unit,
                                    &machine, &label, &since);

        if (r <= 0) {
                return r;
        }
        if (domain) {
                table_text(table, domain);
        }
        table_number(table, vm_id);
        table_text(table, identity);
        table_user(table, uid);
        table_number(table, pid);
        table_text(table, unit);
        table_text(table, machine);
        table_text(table, label);
        table_time(table, since);
        return 1;
}

ExitStatus peers_add(Ctl *ctl, const Target *target, const char *domain, Table *table) {
        cleanup_message sd_bus_message *reply = NULL;
        ExitStatus status = call(ctl, target, "ListPeers", "list peers", &reply, "");
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_message_enter_container(reply, 'a', "(usuuussst)");
        while (r > 0) {
                r = read_peer(reply, domain, table);
        }
        return r < 0 ? call_failed(ctl, "list peers", NULL, r) : STATUS_OK;
}
