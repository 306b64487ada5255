/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A manager, and a systemd beside it, that fail as they are told: what a client must bear and a real one does not do at
 * will. On the bus of $DBUS_SYSTEM_BUS_ADDRESS. What happens is up to the domain's name:
 *
 *   ring     exists, has hostile text in its description
 *   refused  does not start, and has a unit with a journal
 *   slow     starts after having told of its progress, and takes so long to be enabled that polkit goes away
 *   named    does not start, and has an error that names it, as those of a manager do
 *   secret   is denied by polkit
 *   locked   would need a password
 *   lost     ends the manager
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "dbus/names.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"

/* What to do before an error is the answer. */
typedef struct Failure {
        const char *domain;
        const char *member;
        const char *name;
        const char *text;
} Failure;

static const Failure failures[] = {
        { "refused", "Start", BUS_ERROR_START_FAILED, "32 huge pages of 2M are wanted, and 3 are free" },
        { "named", "Start", BUS_ERROR_START_FAILED,
          "Domain \"named\" cannot be started: the memory is too small" },
        { "named", "Stop", BUS_ERROR_STOP_FAILED,
          "Domain \"named\" cannot be stopped: the job was cancelled" },
        { "named", "Restart", BUS_ERROR_BUSY, "Domain \"named\" is being started; wait for it" },
        { "secret", "Start", SD_BUS_ERROR_ACCESS_DENIED, "you may not start this domain" },
        { "locked", "Start", SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
          "interactive authentication required" },
};

static const char *const domains[] = { "ring", "refused", "named", "slow", "secret", "locked", "lost" };

static int check(int r, const char *what) {
        if (r < 0) {
                fprintf(stderr, "failing-manager: %s: %s\n", what, strerror(-r));
                exit(EXIT_FAILURE);
        }
        return r;
}

static int exists(const char *name) {
        for (size_t i = 0; i < sizeof(domains) / sizeof(*domains); i++) {
                if (strcmp(domains[i], name) == 0) {
                        return 1;
                }
        }
        return 0;
}

static int get_domain(sd_bus_message *message) {
        char *path = NULL;
        const char *name;
        int r;

        check(sd_bus_message_read(message, "s", &name), "read a name");
        if (!exists(name)) {
                return sd_bus_reply_method_errorf(message, BUS_ERROR_NO_SUCH_DOMAIN, "there is no domain %s",
                                                  name);
        }
        check(sd_bus_path_encode(BUS_DOMAIN_PATH, name, &path), "make a path");
        r = sd_bus_reply_method_return(message, "o", path);
        free(path);
        return r;
}

static int get_properties(sd_bus_message *message, const char *domain) {
        char *unit = NULL;
        int r;

        check(asprintf(&unit, "ivshmem@%s.service", domain), "make a unit's name");
        r = sd_bus_reply_method_return(message, "a{sv}", 6, "Name", "s", domain, "State", "s", "stopped",
                                       "Unit", "s", unit, "Description", "s", "\x1b[31mred\nline", "Vectors",
                                       "u", 4U, "Size", "t", UINT64_C(1) << 26);
        free(unit);
        return r;
}

static int get_unit(sd_bus_message *message, const char *domain) {
        char *unit = NULL;
        int r;

        check(asprintf(&unit, "ivshmem@%s.service", domain), "make a unit's name");
        r = sd_bus_reply_method_return(message, "v", "s", unit);
        free(unit);
        return r;
}

/* As a manager does: with all that belongs to the state, as often as something of it changes. */
static void tell_progress(sd_bus_message *message, uint32_t percent) {
        check(sd_bus_emit_signal(sd_bus_message_get_bus(message), sd_bus_message_get_path(message),
                                 "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                                 BUS_DOMAIN_INTERFACE, 2, "State", "s", "starting", "Progress", "u", percent,
                                 0),
              "tell of progress");
}

static int start(sd_bus_message *message, const char *domain) {
        if (strcmp(domain, "lost") == 0) {
                exit(EXIT_SUCCESS);
        }
        if (strcmp(domain, "slow") == 0) {
                tell_progress(message, 0);
                tell_progress(message, 25);
                tell_progress(message, 75);
                tell_progress(message, 100);
        }
        return sd_bus_reply_method_return(message, "");
}

static int on_domain(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(message);
        char *name = NULL;
        int r = 0;

        if (sd_bus_path_decode(sd_bus_message_get_path(message), BUS_DOMAIN_PATH, &name) <= 0) {
                return 0;
        }
        for (size_t i = 0; i < sizeof(failures) / sizeof(*failures) && r == 0; i++) {
                if (strcmp(failures[i].domain, name) == 0 && strcmp(failures[i].member, member) == 0) {
                        r = sd_bus_reply_method_errorf(message, failures[i].name, "%s", failures[i].text);
                }
        }
        if (r == 0 && strcmp(member, "Start") == 0) {
                r = start(message, name);
        } else if (r == 0 && strcmp(member, "GetAll") == 0) {
                r = get_properties(message, name);
        } else if (r == 0 && strcmp(member, "Get") == 0) {
                r = get_unit(message, name);
        }
        free(name);
        return r;
}

static int on_manager(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(message);

        if (strcmp(member, "GetDomain") == 0) {
                return get_domain(message);
        }
        return strcmp(member, "Subscribe") == 0 ? sd_bus_reply_method_return(message, "") : 0;
}

/* Tells which unit files it was asked for, as systemd tells which links it made. */
static int on_systemd(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(message), *name = "";
        int enable = strcmp(member, "EnableUnitFiles") == 0;

        if (!enable && strcmp(member, "DisableUnitFiles") != 0) {
                return 0;
        }
        check(sd_bus_message_enter_container(message, 'a', "s"), "read unit files");
        check(sd_bus_message_read(message, "s", &name), "read a unit file");
        if (strcmp(name, "ivshmem@secret.socket") == 0) {
                return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_ACCESS_DENIED, "Permission denied");
        }
        if (strcmp(name, "ivshmem@slow.socket") == 0) {
                return sd_bus_reply_method_errorf(
                        message, SD_BUS_ERROR_NO_REPLY,
                        "Message recipient disconnected from message bus without replying");
        }
        return enable ? sd_bus_reply_method_return(message, "ba(sss)", 1, 1, "symlink", "/etc/wanted", name)
                      : sd_bus_reply_method_return(message, "a(sss)", 1, "unlink", "/etc/wanted", "");
}

int main(void) {
        sd_bus *bus;

        check(sd_bus_open_system(&bus), "connect");
        check(sd_bus_add_object(bus, NULL, BUS_PATH, on_manager, NULL), "be a manager");
        check(sd_bus_add_fallback(bus, NULL, BUS_DOMAIN_PATH, on_domain, NULL), "be domains");
        check(sd_bus_add_object(bus, NULL, "/org/freedesktop/systemd1", on_systemd, NULL), "be systemd");
        check(sd_bus_request_name(bus, BUS_NAME, 0), "take a name");
        check(sd_bus_request_name(bus, SYSTEMD_NAME, 0), "take a name");
        puts("ready");
        fflush(stdout);
        for (;;) {
                if (check(sd_bus_process(bus, NULL), "serve") == 0) {
                        check(sd_bus_wait(bus, UINT64_MAX), "wait");
                }
        }
}
