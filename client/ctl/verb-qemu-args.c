/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl qemu-args: what to add to QEMU's command line. */

#include "client/ctl/attach.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

static void print_json(const Ctl *ctl, const char **arguments) {
        json_object *list = need(json_object_new_array());

        for (size_t i = 0; arguments[i]; i++) {
                json_object_array_add(list, need(json_object_new_string(arguments[i])));
        }
        ctl_show_json(ctl, list);
}

ExitStatus verb_qemu_args(Ctl *ctl) {
        Attachment attachment;
        ExitStatus status = attach_get(ctl, ctl->options.arguments[0], &attachment);
        const char **arguments;

        if (status != STATUS_OK) {
                return status;
        }
        arguments = attach_qemu(ctl, &attachment);
        if (ctl->options.json != JSON_OFF) {
                print_json(ctl, arguments);
                return STATUS_OK;
        }
        for (size_t i = 0; arguments[i]; i++) {
                printf("%s%s", i > 0 ? " " : "", attach_quote(ctl, arguments[i]));
        }
        putchar('\n');
        return STATUS_OK;
}
