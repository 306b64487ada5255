/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl libvirt-xml: the device as libvirt wants it. */

#include "client/ctl/attach.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

ExitStatus verb_libvirt_xml(Ctl *ctl) {
        Attachment attachment;
        ExitStatus status = attach_get(ctl, ctl->options.arguments[0], &attachment);
        char *text, *error;

        if (status != STATUS_OK) {
                return status;
        }
        if (attach_libvirt(ctl, &attachment, &text, &error) < 0) {
                return ctl_fail(STATUS_FAILED, "%s", error);
        }
        if (ctl->options.json != JSON_OFF) {
                ctl_show_json(ctl, need(json_object_new_string(text)));
        } else {
                fputs(text, stdout);
        }
        return STATUS_OK;
}
