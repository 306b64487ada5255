/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl monitor: what happens, as it happens, one line an event. */

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <talloc.h>
#include <time.h>

#include "client/ctl/call.h"
#include "client/ctl/connection.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/state.h"
#include "client/ctl/value.h"
#include "client/ctl/verbs.h"
#include "dbus/names.h"

typedef struct Monitor {
        Ctl *ctl;
        uint64_t left; /* events until the end; 0: there is none */
        bool ended;
        void *scratch;       /* texts of the signal that is being taken */
        json_object *states; /* of each domain, as it was told last */
} Monitor;

static uint64_t now(void) {
        struct timespec time;

        clock_gettime(CLOCK_REALTIME, &time);
        return (uint64_t) time.tv_sec * 1000000 + (uint64_t) time.tv_nsec / 1000;
}

static void print_text(const char *domain, const char *words) {
        time_t seconds = (time_t) (now() / 1000000);
        char clock[16];
        struct tm tm;

        localtime_r(&seconds, &tm);
        strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
        printf("%s%s%s %-16s %s\n", terminal_colour(COLOUR_FAINT), clock, terminal_colour(COLOUR_NONE),
               domain, words);
}

/* An event. `details` (what was put into JSON) becomes the monitor's. */
static void print_event(Monitor *monitor, const char *domain, const char *event, json_object *details,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

static void print_event(Monitor *monitor, const char *domain, const char *event, json_object *details,
                        const char *format, ...) {
        va_list arguments;
        char *words;

        if (monitor->ended || !names_match(&monitor->ctl->options, domain)) {
                json_object_put(details);
                return;
        }
        if (monitor->ctl->options.json != JSON_OFF) {
                json_object_object_add(details, "time", need(json_object_new_uint64(now())));
                json_object_object_add(details, "domain", need(json_object_new_string(domain)));
                json_object_object_add(details, "event", need(json_object_new_string(event)));
                ctl_show_json(monitor->ctl, details);
        } else {
                va_start(arguments, format);
                words = need(talloc_vasprintf(NULL, format, arguments));
                va_end(arguments);
                print_text(domain, words);
                talloc_free(words);
                json_object_put(details);
        }
        fflush(stdout);
        monitor->ended = monitor->left > 0 && --monitor->left == 0;
}

static json_object *details_new(void) {
        return need(json_object_new_object());
}

static void detail_text(json_object *details, const char *key, const char *text) {
        json_object_object_add(details, key, need(json_object_new_string(text)));
}

static void detail_number(json_object *details, const char *key, uint64_t number) {
        json_object_object_add(details, key, need(json_object_new_uint64(number)));
}

static int on_joined(Monitor *monitor, const char *domain, sd_bus_message *message) {
        json_object *details = details_new();
        const char *identity;
        uint32_t vm_id, uid;
        int r = sd_bus_message_read(message, "usu", &vm_id, &identity, &uid);

        if (r < 0) {
                json_object_put(details);
                return r;
        }
        detail_number(details, "vm_id", vm_id);
        detail_text(details, "identity", identity);
        detail_number(details, "uid", uid);
        print_event(monitor, domain, "peer-joined", details, "VM ID %" PRIu32 " joined: %s, user %s", vm_id,
                    human_safe(monitor->scratch, identity), human_user(monitor->scratch, uid));
        return 0;
}

static int on_left(Monitor *monitor, const char *domain, sd_bus_message *message) {
        json_object *details = details_new();
        const char *identity, *reason;
        uint32_t vm_id;
        int r = sd_bus_message_read(message, "uss", &vm_id, &identity, &reason);

        if (r < 0) {
                json_object_put(details);
                return r;
        }
        detail_number(details, "vm_id", vm_id);
        detail_text(details, "identity", identity);
        detail_text(details, "reason", reason);
        print_event(monitor, domain, "peer-left", details, "VM ID %" PRIu32 " left: %s, %s", vm_id,
                    human_safe(monitor->scratch, identity), human_safe(monitor->scratch, reason));
        return 0;
}

static int on_refused(Monitor *monitor, const char *domain, sd_bus_message *message) {
        json_object *details = details_new();
        const char *reason;
        uint32_t code, uid;
        int r = sd_bus_message_read(message, "uus", &code, &uid, &reason);

        if (r < 0) {
                json_object_put(details);
                return r;
        }
        detail_number(details, "code", code);
        detail_number(details, "uid", uid);
        detail_text(details, "reason", reason);
        print_event(monitor, domain, "peer-refused", details, "user %s was refused: %" PRIu32 ", %s",
                    human_user(monitor->scratch, uid), code, human_safe(monitor->scratch, reason));
        return 0;
}

/* The manager tells of the state with all that comes with it, as often as something of that changes. */
static bool is_news(const Monitor *monitor, const char *domain, const char *state) {
        if (!*state || strcmp(value_text(monitor->states, domain), state) == 0) {
                return false;
        }
        json_object_object_add(monitor->states, domain, need(json_object_new_string(state)));
        return true;
}

static int on_changed(Monitor *monitor, const char *domain, sd_bus_message *message) {
        cleanup_value json_object *properties = NULL;
        const char *interface, *state, *definition;
        json_object *details;
        int r = sd_bus_message_read(message, "s", &interface);

        r = r < 0 ? r : value_read_properties(message, &properties);
        if (r < 0) {
                return r;
        }
        state = value_text(properties, "State");
        definition = value_text(properties, "DefinitionState");
        if (is_news(monitor, domain, state)) {
                details = details_new();
                detail_text(details, "state", state);
                print_event(monitor, domain, "state", details, "is %s%s%s",
                            human_safe(monitor->scratch, state), strcmp(state, "failed") == 0 ? ": " : "",
                            strcmp(state, "failed") == 0
                                    ? human_safe(monitor->scratch, value_text(properties, "StatusText"))
                                    : "");
        }
        if (*definition) {
                details = details_new();
                detail_text(details, "definition", definition);
                print_event(monitor, domain, "definition", details, "definition is %s",
                            human_safe(monitor->scratch, definition));
        }
        /* 0 is what it is as long as nothing has been prepared, and 100 when nothing is being prepared. */
        if (value_number(properties, "Progress") % 100 > 0) {
                details = details_new();
                detail_number(details, "percent", value_number(properties, "Progress"));
                print_event(monitor, domain, "progress", details, "memory prepared: %" PRIu64 "%%",
                            value_number(properties, "Progress"));
        }
        return 0;
}

static int on_added(Monitor *monitor, const char *domain, sd_bus_message *message) {
        print_event(monitor, domain, "added", details_new(), "is there");
        return 0;
}

static int on_removed(Monitor *monitor, const char *domain, sd_bus_message *message) {
        json_object_object_del(monitor->states, domain);
        print_event(monitor, domain, "removed", details_new(), "is gone");
        return 0;
}

/* Signals of domains; those of the manager name the domain in their first argument. */
static const struct {
        const char *interface;
        const char *member;
        int (*take)(Monitor *monitor, const char *domain, sd_bus_message *message);
} signal_table[] = {
        { BUS_DOMAIN_INTERFACE, "PeerJoined", on_joined },
        { BUS_DOMAIN_INTERFACE, "PeerLeft", on_left },
        { BUS_DOMAIN_INTERFACE, "PeerRefused", on_refused },
        { BUS_MANAGER_INTERFACE, "DomainAdded", on_added },
        { BUS_MANAGER_INTERFACE, "DomainRemoved", on_removed },
        { "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed },
};

#define N_SIGNALS (sizeof(signal_table) / sizeof(*signal_table))

/* Signals that are not what they should be are left out. */
static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *path = sd_bus_message_get_path(message);
        Monitor *monitor = userdata;
        const char *domain;

        if (!call_is_from_manager(monitor->ctl, message)) {
                return 0;
        }
        monitor->scratch = need(talloc_new(monitor));
        domain = path ? call_domain_of(monitor->scratch, path) : NULL;
        for (size_t i = 0; i < N_SIGNALS; i++) {
                if (!sd_bus_message_is_signal(message, signal_table[i].interface, signal_table[i].member)) {
                        continue;
                }
                if (!domain && sd_bus_message_has_signature(message, "so") > 0) {
                        sd_bus_message_read(message, "s", &domain);
                }
                if (domain) {
                        signal_table[i].take(monitor, domain, message);
                }
        }
        talloc_free(monitor->scratch);
        return 0;
}

static int on_subscribed(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return 0; /* no answer: the bus has none to give, and the loop ends with the bus */
}

/* A manager that is new on the bus has no subscribers. */
static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;
        Monitor *monitor = userdata;

        if (strcmp(sd_bus_message_get_sender(message) ?: "", "org.freedesktop.DBus") != 0 ||
            sd_bus_message_read(message, "sss", &name, &before, &after) < 0) {
                return 0;
        }
        if (!*after) {
                ctl_note(monitor->ctl, "The manager is gone; what happens until it is back is not seen.");
        }
        monitor->ctl->connection->manager = text_new(monitor->ctl->connection, "%s", after);
        sd_bus_call_method_async(sd_bus_message_get_bus(message), NULL, BUS_NAME, BUS_PATH,
                                 BUS_MANAGER_INTERFACE, "Subscribe", on_subscribed, NULL, "");
        return 0;
}

static ExitStatus listen_for_all(Monitor *monitor) {
        Ctl *ctl = monitor->ctl;
        ExitStatus status = STATUS_OK;

        for (size_t i = 0; i < N_SIGNALS && status == STATUS_OK; i++) {
                status = call_match(ctl, signal_table[i].interface, signal_table[i].member, on_signal,
                                    monitor);
        }
        if (status == STATUS_OK && ctl->connection->destination) {
                int r = sd_bus_add_match(
                        ctl->connection->bus, NULL,
                        "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                        "arg0='" BUS_NAME "'",
                        on_owner, monitor);

                status = r < 0 ? call_failed(ctl, "listen for the manager", NULL, r) : STATUS_OK;
        }
        return status == STATUS_OK ? call_subscribe(ctl) : status;
}

ExitStatus verb_monitor(Ctl *ctl) {
        cleanup_value json_object *states = need(json_object_new_object());
        Monitor *monitor = need(talloc_zero(ctl, Monitor));
        ExitStatus status;
        int r = 0;

        *monitor = (Monitor){ .ctl = ctl, .left = ctl->options.count, .states = states };
        status = listen_for_all(monitor);
        if (status != STATUS_OK) {
                return status;
        }
        ctl_note(ctl, "Listening; Ctrl-C ends it.");
        while (!monitor->ended && r >= 0) {
                r = sd_bus_process(ctl->connection->bus, NULL);
                r = r == 0 ? sd_bus_wait(ctl->connection->bus, UINT64_MAX) : r;
        }
        return r < 0 ? call_failed(ctl, "go on listening", NULL, r) : STATUS_OK;
}
