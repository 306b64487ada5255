/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Method calls to the manager, and what their errors mean to the one who typed the command. */

#include "client/ctl/call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ctl/agent.h"
#include "client/ctl/connection.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/value.h"
#include "dbus/names.h"

/* Errors that are more than a failure. */
static const struct {
        const char *name;
        ExitStatus status;
        const char *text; /* instead of that of the error */
} error_table[] = {
        { BUS_ERROR_NO_SUCH_DOMAIN, STATUS_NO_SUCH_DOMAIN, NULL },
        { BUS_ERROR_NOT_RUNNING, STATUS_NOT_RUNNING, NULL },
        { SD_BUS_ERROR_ACCESS_DENIED, STATUS_NOT_PERMITTED, NULL },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, STATUS_NOT_PERMITTED,
          "it takes the password of an administrator, who is asked on the terminal of a login session, but not with "
          "--no-ask-password" },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, STATUS_NO_MANAGER,
          "ivshmemd, the manager, is not on the bus and cannot be started; is it installed?" },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, STATUS_NO_MANAGER, "ivshmemd, the manager, does not run" },
        { SD_BUS_ERROR_UNKNOWN_METHOD, STATUS_FAILED,
          "the manager that runs is of another version, which cannot do that; after an upgrade, restart it" },
        { SD_BUS_ERROR_NO_REPLY, STATUS_NO_MANAGER, "the manager went away before it answered" },
        { SD_BUS_ERROR_TIMEOUT, STATUS_NO_MANAGER, "the bus does not answer" },
};

const Target manager_target = { .path = BUS_PATH, .interface = BUS_MANAGER_INTERFACE };

/* What comes behind the start of a text, or NULL. */
static const char *behind(const char *text, const char *start) {
        return strncmp(text, start, strlen(start)) == 0 ? text + strlen(start) : NULL;
}

/* The manager's errors name the domain, for those who see nothing else. Behind "Failed to start domain ring: " it is known. */
static char *without_name(const Ctl *ctl, const char *what, const char *text) {
        static const char *const known[] = { ": ", " cannot be started: ", " cannot be stopped: ",
                                             " cannot be restarted: " };
        const char *name = strrchr(what, ' ');
        const char *rest = name ? behind(text, text_new(ctl, "Domain \"%s\"", name + 1)) : NULL;

        if (name && name[1] && strcmp(text, text_new(ctl, "There is no domain \"%s\"", name + 1)) == 0) {
                return text_new(ctl, "there is no domain of this name");
        }
        for (size_t i = 0; rest && i < sizeof(known) / sizeof(*known); i++) {
                if (behind(rest, known[i])) {
                        return text_new(ctl, "%s", behind(rest, known[i]));
                }
        }
        return rest ? text_new(ctl, "it%s", rest) : text_new(ctl, "%s", text);
}

/* The unit that an error of systemd's is about: "Unit ivshmemd.service is masked.", with or without a folder before it. */
static char *unit_of(const Ctl *ctl, const char *text) {
        const char *end = strstr(text, " is masked"), *begin = end;

        while (begin && begin > text && !strchr(" /", begin[-1])) {
                begin--;
        }
        return begin ? text_new(ctl, "%.*s", (int) (end - begin), begin) : NULL;
}

/* Without a manager, or without the unit that systemd was to do something with. */
static ExitStatus masked(const Ctl *ctl, const char *what, const char *text) {
        char *unit = unit_of(ctl, text);

        if (!unit) {
                return ctl_fail(STATUS_FAILED, "Failed to %s: %s", what, text);
        }
        return ctl_fail(strcmp(unit, "ivshmemd.service") == 0 ? STATUS_NO_MANAGER : STATUS_FAILED,
                        "Failed to %s: %s is masked, so nothing starts it; 'systemctl unmask %s' mends that",
                        what, unit, unit);
}

/* Through ssh it is ssh that has ended, and has said why. */
static ExitStatus disconnected(const Ctl *ctl, const char *what) {
        return ctl_fail(STATUS_NO_MANAGER, "Failed to %s: %s", what,
                        ctl->options.host ? "ssh has ended" : "the manager closed the connection");
}

ExitStatus call_failed(const Ctl *ctl, const char *what, const sd_bus_error *error, int r) {
        const char *name = error && error->name ? error->name : "";
        char *text = human_safe(
                ctl, without_name(ctl, what, error && error->message ? error->message : strerror(-r)));

        for (size_t i = 0; i < sizeof(error_table) / sizeof(*error_table); i++) {
                if (strcmp(error_table[i].name, name) == 0) {
                        return ctl_fail(error_table[i].status, "Failed to %s: %s", what,
                                        error_table[i].text ?: text);
                }
        }
        if (strcmp(name, "org.freedesktop.systemd1.UnitMasked") == 0) {
                return masked(ctl, what, text);
        }
        if (strcmp(name, SD_BUS_ERROR_DISCONNECTED) == 0 || r == -ECONNRESET || r == -ENOTCONN ||
            r == -EPIPE) {
                return disconnected(ctl, what);
        }
        return ctl_fail(r == -EACCES || r == -EPERM ? STATUS_NOT_PERMITTED : STATUS_FAILED,
                        "Failed to %s: %s", what, text);
}

ExitStatus call_new(Ctl *ctl, const Target *target, const char *member, sd_bus_message **ret) {
        Connection *connection;
        ExitStatus status = connection_get(ctl, &connection);

        if (status == STATUS_OK) {
                need_ok(sd_bus_message_new_method_call(connection->bus, ret, connection->destination,
                                                       target->path, target->interface, member));
        }
        return status;
}

ExitStatus call_send(Ctl *ctl, sd_bus_message *message, const char *what, sd_bus_message **ret) {
        cleanup_error sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        agent_open(ctl);
        r = sd_bus_call(ctl->connection->bus, message, ctl->patience, &error, ret);
        return r < 0 ? call_failed(ctl, what, &error, r) : STATUS_OK;
}

ExitStatus call(Ctl *ctl, const Target *target, const char *member, const char *what, sd_bus_message **ret,
                const char *types, ...) {
        cleanup_message sd_bus_message *message = NULL;
        ExitStatus status = call_new(ctl, target, member, &message);
        va_list arguments;
        int r = 0;

        if (status != STATUS_OK) {
                return status;
        }
        va_start(arguments, types);
        r = *types ? sd_bus_message_appendv(message, types, arguments) : 0;
        va_end(arguments);
        if (r < 0) {
                return call_failed(ctl, what, NULL, r); /* text that is not UTF-8 */
        }
        return call_send(ctl, message, what, ret);
}

ExitStatus call_find_domain(Ctl *ctl, const char *name, Target *ret) {
        cleanup_message sd_bus_message *reply = NULL;
        char *what = text_new(ctl, "look up domain %s", human_safe(ctl, name));
        ExitStatus status = call(ctl, &manager_target, "GetDomain", what, &reply, "s", name);
        const char *path;
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0) {
                return call_failed(ctl, what, NULL, r);
        }
        *ret = (Target){ .path = text_new(ctl, "%s", path), .interface = BUS_DOMAIN_INTERFACE };
        return STATUS_OK;
}

ExitStatus call_properties(Ctl *ctl, const Target *target, const char *what, json_object **ret) {
        cleanup_message sd_bus_message *reply = NULL;
        Target properties = { .path = target->path, .interface = "org.freedesktop.DBus.Properties" };
        ExitStatus status = call(ctl, &properties, "GetAll", what, &reply, "s", target->interface);
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = value_read_properties(reply, ret);
        return r <= 0 ? call_failed(ctl, what, NULL, r < 0 ? r : -EBADMSG) : STATUS_OK;
}

ExitStatus call_domain_properties(Ctl *ctl, const char *name, json_object **ret) {
        Target target;
        ExitStatus status = call_find_domain(ctl, name, &target);

        return status != STATUS_OK
                       ? status
                       : call_properties(ctl, &target, text_new(ctl, "look at domain %s", name), ret);
}

ExitStatus call_subscribe(Ctl *ctl) {
        cleanup_message sd_bus_message *reply = NULL;
        ExitStatus status = call(ctl, &manager_target, "Subscribe", "subscribe to events", &reply, "");

        if (status == STATUS_OK && ctl->connection->destination) {
                ctl->connection->manager = text_new(ctl->connection, "%s",
                                                    sd_bus_message_get_sender(reply) ?: "");
        }
        return status;
}

bool call_is_from_manager(const Ctl *ctl, sd_bus_message *message) {
        const Connection *connection = ctl->connection;

        return !connection->destination ||
               (connection->manager &&
                strcmp(connection->manager, sd_bus_message_get_sender(message) ?: "") == 0);
}

ExitStatus call_match(Ctl *ctl, const char *interface, const char *member, sd_bus_message_handler_t callback,
                      void *userdata) {
        Connection *connection;
        ExitStatus status = connection_get(ctl, &connection);
        int r;

        if (status != STATUS_OK) {
                return status;
        }
        r = sd_bus_match_signal(connection->bus, NULL, connection->destination, NULL, interface, member,
                                callback, userdata);
        return r < 0 ? call_failed(ctl, "listen for events", NULL, r) : STATUS_OK;
}

char *call_domain_of(const void *ctx, const char *path) {
        char *name, *copy;

        if (sd_bus_path_decode(path, BUS_DOMAIN_PATH, &name) <= 0) {
                return NULL;
        }
        copy = text_new(ctx, "%s", name);
        free(name);
        return copy;
}
