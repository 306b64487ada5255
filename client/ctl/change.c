/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions from files and from the manager, and the calls that change one into another. */

#include "client/ctl/change.h"

#include <errno.h>
#include <string.h>

#include "client/ctl/definition-text.h"
#include "client/ctl/file.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"

ExitStatus change_read(Ctl *ctl, const char *path, Settings **ret) {
        const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
        char *text, *error;
        int r = file_read(ctl, path, &text);

        if (r < 0) {
                return ctl_fail(STATUS_FAILED, "Failed to read %s: %s", name,
                                r == -EINVAL ? "it is not text" : strerror(-r));
        }
        r = definition_text_parse(ctl, text, name, ret, &error);
        return r < 0 ? ctl_fail(STATUS_FAILED, "%s", human_safe(ctl, error)) : STATUS_OK;
}

ExitStatus change_definition(Ctl *ctl, const Target *target, const char *name, char **ret) {
        cleanup_message sd_bus_message *reply = NULL;
        char *what = text_new(ctl, "read the definition of %s", name);
        ExitStatus status = call(ctl, target, "GetDefinition", what, &reply, "");
        const char *text;
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0) {
                return call_failed(ctl, what, NULL, r);
        }
        *ret = text_new(ctl, "%s", text);
        return STATUS_OK;
}

ExitStatus change_set(Ctl *ctl, const Target *target, const char *name, const Settings *settings) {
        cleanup_message sd_bus_message *message = NULL;
        char *what = text_new(ctl, "change domain %s", name);
        ExitStatus status = call_new(ctl, target, "Set", &message);
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = settings_append(settings, message);
        return r < 0 ? call_failed(ctl, what, NULL, r) : call_send(ctl, message, what, NULL);
}

ExitStatus change_apply(Ctl *ctl, const Target *target, const char *name, const Settings *before,
                        const Settings *after) {
        const Settings *changed = definition_text_compare(ctl, before, after);

        if (changed->n == 0 && !changed->all_peers) {
                ctl_note(ctl, "Nothing has changed.");
                return STATUS_OK;
        }
        return change_set(ctl, target, name, changed);
}
