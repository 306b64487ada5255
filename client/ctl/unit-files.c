/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EnableUnitFiles and DisableUnitFiles of systemd. No Reload follows, as after systemctl: links in a .wants folder count at
 * the next boot, and reloading costs a machine with many domains a look at each stored descriptor.
 */

#include "client/ctl/unit-files.h"


#include "client/ctl/agent.h"
#include "client/ctl/call.h"
#include "client/ctl/connection.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"

/* Only a manager on a bus has a systemd beside it. */
static ExitStatus check(Ctl *ctl, bool enable, Connection **ret) {
        ExitStatus status = connection_get(ctl, ret);

        if (status == STATUS_OK && !(*ret)->destination) {
                status = ctl_fail(
                        STATUS_FAILED,
                        "Failed to %s: the manager at %s is asked without a bus, so no systemd can be asked to "
                        "start domains at boot; an embedded manager starts them with 'ivshmemctl start' only",
                        enable ? "enable" : "disable", (*ret)->where);
        }
        return status;
}

/* "Created symlink A -> B." */
static int print_changes(const Ctl *ctl, sd_bus_message *reply) {
        int r = sd_bus_message_enter_container(reply, 'a', "(sss)");

        while (r > 0) {
                const char *type, *path, *source;

                r = sd_bus_message_read(reply, "(sss)", &type, &path, &source);
                if (r > 0 && *source) {
                        ctl_note(ctl, "Created symlink %s -> %s.", human_safe(ctl, path),
                                 human_safe(ctl, source));
                } else if (r > 0) {
                        ctl_note(ctl, "Removed %s.", human_safe(ctl, path));
                }
        }
        return r;
}

static int append_names(const Ctl *ctl, sd_bus_message *message) {
        int r = sd_bus_message_open_container(message, 'a', "s");

        for (size_t i = 0; i < ctl->options.n_arguments && r >= 0; i++) {
                r = sd_bus_message_append(message, "s",
                                          text_new(ctl, "ivshmem@%s.socket", ctl->options.arguments[i]));
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* Of a domain that does not exist nothing should be enabled. */
static ExitStatus find_all(Ctl *ctl) {
        ExitStatus status = STATUS_OK;

        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                Target target;

                status = ctl_worse(status, call_find_domain(ctl, ctl->options.arguments[i], &target));
        }
        return status;
}

/* systemd asks polkit who may, and passes on what the bus says when that goes away. */
static ExitStatus ask_systemd(Ctl *ctl, sd_bus_message *message, const char *what, sd_bus_message **ret) {
        cleanup_error sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        agent_open(ctl);
        r = sd_bus_call(ctl->connection->bus, message, ctl->patience, &error, ret);
        if (r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY)) {
                return ctl_fail(
                        STATUS_FAILED,
                        "Failed to %s: polkit, which systemd asks, went away before it answered; see "
                        "'systemctl status polkit'",
                        what);
        }
        return r < 0 ? call_failed(ctl, what, &error, r) : STATUS_OK;
}

static ExitStatus send(Ctl *ctl, const Connection *connection, bool enable) {
        cleanup_message sd_bus_message *message = NULL, *reply = NULL;
        const char *what = enable ? "enable" : "disable";
        ExitStatus status;
        int install_info, r;

        need_ok(sd_bus_message_new_method_call(
                connection->bus, &message, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                "org.freedesktop.systemd1.Manager", enable ? "EnableUnitFiles" : "DisableUnitFiles"));
        r = append_names(ctl, message);
        r = r < 0 ? r
                  : sd_bus_message_append(message, enable ? "bb" : "b", /* runtime= */ false,
                                          /* force= */ false);
        if (r < 0) {
                return call_failed(ctl, what, NULL, r);
        }
        status = ask_systemd(ctl, message, what, &reply);
        if (status != STATUS_OK) {
                return status;
        }
        r = enable ? sd_bus_message_read(reply, "b", &install_info) : 0;
        r = r < 0 ? r : print_changes(ctl, reply);
        return r < 0 ? call_failed(ctl, what, NULL, r) : STATUS_OK;
}

ExitStatus unit_files_change(Ctl *ctl, bool enable) {
        Connection *connection;
        ExitStatus status = check(ctl, enable, &connection);

        if (status == STATUS_OK && enable) {
                status = find_all(ctl);
        }
        return status == STATUS_OK ? send(ctl, connection, enable) : status;
}
