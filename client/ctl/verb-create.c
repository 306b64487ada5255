/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl create: a new domain, from options or from a definition's text. */


#include "client/ctl/change.h"
#include "client/ctl/jobs.h"
#include "client/ctl/memory.h"
#include "client/ctl/verbs.h"

/* Options count more than the file. */
static ExitStatus gather(Ctl *ctl, Settings **ret) {
        const Settings *options = ctl->options.settings;
        Settings *settings = settings_new(ctl);
        ExitStatus status = ctl->options.from ? change_read(ctl, ctl->options.from, &settings) : STATUS_OK;

        for (size_t i = 0; i < options->n && status == STATUS_OK; i++) {
                settings_set(settings, options->list[i].peer, options->list[i].key, options->list[i].value);
        }
        *ret = settings;
        return status;
}

static ExitStatus create(Ctl *ctl, const char *name, const Settings *settings) {
        cleanup_message sd_bus_message *message = NULL;
        char *what = text_new(ctl, "create domain %s", name);
        ExitStatus status = call_new(ctl, &manager_target, "CreateDomain", &message);
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_message_append(message, "s", name);
        r = r < 0 ? r : settings_append(settings, message);
        r = r < 0 ? r : sd_bus_message_append(message, "b", !ctl->options.transient);
        return r < 0 ? call_failed(ctl, what, NULL, r) : call_send(ctl, message, what, NULL);
}

ExitStatus verb_create(Ctl *ctl) {
        const char *name = ctl->options.arguments[0];
        Settings *settings;
        ExitStatus status = gather(ctl, &settings);

        if (status == STATUS_OK && !settings_get(settings, NULL, "Size")) {
                return ctl_misuse(ctl, "the memory has no size; give --size=64M, or another one");
        }
        if (status == STATUS_OK) {
                status = create(ctl, name, settings);
        }
        return status == STATUS_OK && ctl->options.start ? jobs_run(ctl, JOB_START, &name, 1) : status;
}
