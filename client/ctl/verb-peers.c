/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl peers: who is connected. */

#include "client/ctl/peers.h"
#include "client/ctl/verbs.h"

ExitStatus verb_peers(Ctl *ctl) {
        bool several = ctl->options.n_arguments > 1;
        Table *table = peers_table(ctl, several);
        ExitStatus result = STATUS_OK;

        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                const char *name = ctl->options.arguments[i];
                Target target;
                ExitStatus status = call_find_domain(ctl, name, &target);

                if (status == STATUS_OK) {
                        status = peers_add(ctl, &target, several ? name : NULL, table);
                }
                result = ctl_worse(result, status);
        }
        if (result == STATUS_OK || table_rows(table) > 0) {
                ctl_show_table(ctl, table, "peer");
        }
        return result;
}
