/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl reserve: keeps a VM ID for those who match. */

#include <inttypes.h>

#include "client/ctl/call.h"
#include "client/ctl/limits.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

static ExitStatus reserve(Ctl *ctl, const char *name, const char *peer, uint32_t vm_id) {
        cleanup_message sd_bus_message *message = NULL;
        char *what = text_new(ctl, "reserve VM ID %" PRIu32 " of domain %s", vm_id, name);
        Target target;
        ExitStatus status = call_find_domain(ctl, name, &target);
        int r;

        if (status == STATUS_OK) {
                status = call_new(ctl, &target, "ReservePeer", &message);
        }
        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_message_append(message, "su", peer, vm_id);
        r = r < 0 ? r : settings_append_peer(ctl->options.settings, NULL, message);
        return r < 0 ? call_failed(ctl, what, NULL, r) : call_send(ctl, message, what, NULL);
}

ExitStatus verb_reserve(Ctl *ctl) {
        const char *const *arguments = ctl->options.arguments;
        Settings *settings = ctl->options.settings;
        uint32_t vm_id;
        ExitStatus status = ctl_number(ctl, arguments[2], "VM ID", VM_ID_MAX, &vm_id);

        if (status != STATUS_OK) {
                return status;
        }
        if (settings->n == 0) {
                return ctl_misuse(
                        ctl,
                        "nobody is said to have the VM ID; give --machine, --unit, --user, --group or --label");
        }
        if (ctl->options.master) {
                settings_set(settings, NULL, "Master", "yes");
        }
        return reserve(ctl, arguments[0], arguments[1], vm_id);
}
