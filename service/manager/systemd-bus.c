/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection to systemd over the system bus: signals in, calls out. One subscription serves for all units; what is
 * not ours is dropped by its path. When bus or systemd were restarted, all is read again.
 */

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>
#include <talloc.h>

#include "service/base/log.h"
#include "service/core/limits.h"
#include "service/manager/systemd.h"

#define RETRY_USEC 250000U
#define RETRY_MAX_USEC 8000000U

/* For the one call that the manager waits for, as it starts. */
#define LIST_USEC 10000000U

#define DAEMON "org.freedesktop.DBus"

/* Calls that wait for an answer. A bus daemon refuses more than 128 (max_replies_per_connection) by default. */
#define ASKED_MAX 64U

struct Slot {
        sd_bus_slot *slot;
};

/* One call of ours, which waits for its turn or for its answer. */
typedef struct Call {
        List link; /* of those that wait for their turn */
        Systemd *systemd;
        sd_bus_message *message;
        sd_bus_slot *slot; /* NULL: not sent yet */
        sd_bus_message_handler_t callback;
        void *userdata;
} Call;

/* One property of one unit that is being read. */
typedef struct Reading {
        Systemd *systemd;
        char domain[DOMAIN_NAME_MAX + 1];
        const char *property;
} Reading;

static int slot_destructor(Slot *slot) {
        sd_bus_slot_unref(slot->slot);
        return 0;
}

static Slot *slot_new(void *ctx) {
        Slot *slot = talloc_zero(ctx, Slot);

        if (slot) {
                talloc_set_destructor(slot, slot_destructor);
        }
        return slot;
}

/* ---- Who says what ---- */

/* A match does not keep away what somebody sends to us alone. The sender is what nobody can forge. */
static bool is_from_daemon(sd_bus_message *message) {
        return strcmp(sd_bus_message_get_sender(message) ?: "", DAEMON) == 0;
}

static bool is_from_systemd(const Systemd *systemd, sd_bus_message *message) {
        return systemd->owner && strcmp(sd_bus_message_get_sender(message) ?: "", systemd->owner) == 0;
}

static void set_owner(Systemd *systemd, const char *name) {
        TALLOC_FREE(systemd->owner);
        systemd->reloading = false;
        systemd->owner = talloc_strdup(systemd->slots, name);
}

/* Whoever answers what was asked of it is systemd, for the bus lets nobody else answer. Signals before the first answer are
 * older than the list of units. */
static void learn_owner(Systemd *systemd, sd_bus_message *answer) {
        if (!systemd->owner && !sd_bus_message_is_method_error(answer, NULL)) {
                set_owner(systemd, sd_bus_message_get_sender(answer) ?: "");
        }
}

/* ---- Calls ---- */

static void send_waiting(Systemd *systemd);

static int call_destructor(Call *call) {
        list_remove(&call->link);
        call->systemd->n_asked -= call->slot != NULL;
        sd_bus_slot_unref(call->slot);
        sd_bus_message_unref(call->message);
        return 0;
}

/* The call is over before whoever asked hears of it, and may ask again or free what the call hung on. */
static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Call *call = talloc_get_type_abort(userdata, Call);
        sd_bus_message_handler_t callback = call->callback;
        Systemd *systemd = call->systemd;

        userdata = call->userdata;
        talloc_free(call);
        learn_owner(systemd, message);
        send_waiting(systemd);
        return callback(message, userdata, error);
}

static int send_call(Call *call) {
        int r = sd_bus_call_async(call->systemd->bus, &call->slot, call->message, on_answer, call,
                                  /* usec= */ 0);

        if (r >= 0) {
                call->systemd->n_asked++;
                list_remove(&call->link);
        }
        return r;
}

static void send_waiting(Systemd *systemd) {
        while (systemd->n_asked < ASKED_MAX && !list_is_empty(&systemd->waiting)) {
                if (send_call(list_entry(systemd->waiting.next, Call, link)) < 0) {
                        /* The connection is going, which ends all calls. */
                        return;
                }
        }
}

/* The message becomes the call's. */
static int ask(Systemd *systemd, void *ctx, sd_bus_message *message, sd_bus_message_handler_t callback,
               void *userdata) {
        Call *call = talloc_zero(ctx ?: systemd->slots, Call);

        if (!call) {
                return -ENOMEM;
        }
        call->systemd = systemd;
        call->message = sd_bus_message_ref(message);
        call->callback = callback;
        call->userdata = userdata;
        list_append(&systemd->waiting, &call->link);
        talloc_set_destructor(call, call_destructor);
        send_waiting(systemd);
        return 0;
}

int systemd_call(Systemd *systemd, void *ctx, sd_bus_message_handler_t callback, void *userdata,
                 const char *member, const char *types, ...) {
        sd_bus_message *message = NULL;
        va_list arguments;
        int r = !systemd->bus ? -ENOTCONN
                              : sd_bus_message_new_method_call(systemd->bus, &message, SYSTEMD_NAME,
                                                               SYSTEMD_PATH, SYSTEMD_MANAGER, member);

        if (r >= 0) {
                va_start(arguments, types);
                r = sd_bus_message_appendv(message, types, arguments);
                va_end(arguments);
        }
        if (r >= 0) {
                r = ask(systemd, ctx, message, callback, userdata);
        }
        sd_bus_message_unref(message);
        return r;
}

/* ---- Units that run when we come ---- */

static int on_property(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Reading *reading = talloc_get_type_abort(userdata, Reading);
        Systemd *systemd = reading->systemd;
        Unit *unit = units_find(systemd->units, reading->domain);

        /* A unit that is gone by now has been told of. */
        if (unit && !sd_bus_message_is_method_error(message, NULL) &&
            unit_take_property(unit, reading->property, message) >= 0) {
                systemd_tell(systemd, unit);
        }
        talloc_free(reading);
        return 0;
}

static int read_property(Systemd *systemd, const Unit *unit, const char *path, const char *interface,
                         const char *property) {
        Reading *reading = talloc_zero(systemd->slots, Reading);
        sd_bus_message *message = NULL;
        int r;

        if (!reading) {
                return -ENOMEM;
        }
        reading->systemd = systemd;
        reading->property = property;
        memcpy(reading->domain, unit->name, strlen(unit->name) + 1);
        r = sd_bus_message_new_method_call(systemd->bus, &message, SYSTEMD_NAME, path,
                                           "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0) {
                r = sd_bus_message_append(message, "ss", interface, property);
        }
        if (r >= 0) {
                r = ask(systemd, NULL, message, on_property, reading);
        }
        sd_bus_message_unref(message);
        return r;
}

/* All that matters; of one that is as it was before a reload only what could have been missed of a crash. */
static int read_properties(Systemd *systemd, const Unit *unit, const char *path, bool known) {
        const char *interface, *property;
        int r = 0;

        for (size_t i = 0; r >= 0 && (property = unit_property(i, &interface)); i++) {
                if (!known || strcmp(property, "MainPID") == 0) {
                        r = read_property(systemd, unit, path, interface, property);
                }
        }
        return r;
}

/* ---- The list ---- */

static int take_row(Systemd *systemd, const char *name, const char *active_state, const char *path,
                    uint32_t job) {
        char domain[DOMAIN_NAME_MAX + 1], *copy;
        Unit *unit;
        bool known;

        if (!units_domain_of_name(name, domain, sizeof(domain))) {
                return 0;
        }
        unit = units_find(systemd->units, domain);
        known = unit && strcmp(unit->active_state, active_state) == 0;
        unit = unit ?: units_get(systemd->units, domain);
        copy = unit ? talloc_strdup(unit, active_state) : NULL;
        if (!copy) {
                return -ENOMEM;
        }
        talloc_free(unit->active_state);
        unit->active_state = copy;
        unit->job = job;
        unit->listed = true;
        systemd_tell(systemd, unit);
        return strcmp(active_state, "inactive") == 0 ? 0 : read_properties(systemd, unit, path, known);
}

static void drop_unlisted(Systemd *systemd) {
        for (size_t i = units_count(systemd->units); i > 0; i--) {
                Unit *unit = units_at(systemd->units, i - 1);
                LauncherState stopped = { .state = DOMAIN_STOPPED, .status = "" };

                if (!unit->listed) {
                        systemd->observer.changed(unit->name, &stopped, systemd->observer.userdata);
                        units_remove(systemd->units, unit->name);
                }
        }
}

static int take_list(Systemd *systemd, sd_bus_message *message) {
        const char *name, *active_state, *path;
        uint32_t job;
        int r = sd_bus_message_enter_container(message, SD_BUS_TYPE_ARRAY, "(ssssssouso)");

        for (size_t i = 0; i < units_count(systemd->units); i++) {
                units_at(systemd->units, i)->listed = false;
        }
        while (r >= 0 && (r = sd_bus_message_read(message, "(ssssssouso)", &name, NULL, NULL, &active_state,
                                                  NULL, NULL, &path, &job, NULL, NULL)) > 0) {
                r = take_row(systemd, name, active_state, path, job);
        }
        if (r >= 0) {
                drop_unlisted(systemd);
        }
        return r;
}

static void log_list(int r, const sd_bus_error *error) {
        log_plain(LOG_ERR, "Cannot ask systemd for the units of domains: %s",
                  error && error->message ? error->message : strerror(-r));
}

static int on_list(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);
        int r;

        if (sd_bus_message_is_method_error(message, NULL)) {
                log_list(-EIO, sd_bus_message_get_error(message));
                return 0;
        }
        r = take_list(systemd, message);
        if (r < 0) {
                log_list(r, NULL);
        }
        return 0;
}

static int list_later(Systemd *systemd) {
        return systemd_call(systemd, NULL, on_list, systemd, "ListUnitsByPatterns", "asas", 0U, 1U,
                            UNIT_PREFIX "*" UNIT_SUFFIX);
}

/* So that the manager never shows as stopped what runs. */
static int list_now(Systemd *systemd) {
        sd_bus_message *message = NULL, *reply = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_message_new_method_call(systemd->bus, &message, SYSTEMD_NAME, SYSTEMD_PATH,
                                               SYSTEMD_MANAGER, "ListUnitsByPatterns");

        if (r >= 0) {
                r = sd_bus_message_append(message, "asas", 0U, 1U, UNIT_PREFIX "*" UNIT_SUFFIX);
        }
        if (r >= 0) {
                r = sd_bus_call(systemd->bus, message, LIST_USEC, &error, &reply);
        }
        if (r >= 0) {
                learn_owner(systemd, reply);
                r = take_list(systemd, reply);
        }
        if (r < 0) {
                log_list(r, &error);
        }
        sd_bus_error_free(&error);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(message);
        return r;
}

/* ---- Signals ---- */

/* One that died is said to have failed before it is said to be started again. Both have been said when systemd answers what
 * it is asked after that. */
static void follow(Systemd *systemd, const Unit *unit, const char *path) {
        if (!unit_has_ended(unit) || unit->job != 0 ||
            read_property(systemd, unit, path, SYSTEMD_UNIT, "ActiveState") < 0) {
                systemd_tell(systemd, unit);
        }
}

/* systemd tells of the service first and of the unit then, so that with the second the picture is whole. */
static int on_properties(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);
        const char *path = sd_bus_message_get_path(message) ?: "", *interface;
        char domain[DOMAIN_NAME_MAX + 1];
        Unit *unit;
        int r;

        if (!is_from_systemd(systemd, message) || !units_domain_of_path(path, domain, sizeof(domain))) {
                return 0;
        }
        unit = units_get(systemd->units, domain);
        r = unit ? sd_bus_message_read_basic(message, SD_BUS_TYPE_STRING, &interface) : -ENOMEM;
        if (r >= 0 && strcmp(interface, SYSTEMD_UNIT) != 0 && strcmp(interface, SYSTEMD_SERVICE) != 0) {
                return 0;
        }
        if (r >= 0) {
                r = unit_take_properties(unit, message);
        }
        if (r < 0) {
                log_plain(LOG_ERR, "Cannot follow the unit of domain \"%s\": %s", domain, strerror(-r));
        } else if (strcmp(interface, SYSTEMD_UNIT) == 0) {
                follow(systemd, unit, path);
        }
        return 0;
}

/* What a reload takes away for good is not in the list that is read after it. */
static int on_unit_removed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);
        LauncherState stopped = { .state = DOMAIN_STOPPED, .status = "" };
        char domain[DOMAIN_NAME_MAX + 1];
        const char *name;

        if (is_from_systemd(systemd, message) && !systemd->reloading &&
            sd_bus_message_read_basic(message, SD_BUS_TYPE_STRING, &name) >= 0 &&
            units_domain_of_name(name, domain, sizeof(domain)) && units_find(systemd->units, domain)) {
                units_remove(systemd->units, domain);
                systemd->observer.changed(domain, &stopped, systemd->observer.userdata);
        }
        return 0;
}

/* How the unit is by now has been said, and is told before whoever waits for the job goes on. */
static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);
        const char *path, *name, *result;
        char domain[DOMAIN_NAME_MAX + 1];
        uint32_t job;
        Unit *unit;

        if (!is_from_systemd(systemd, message) ||
            sd_bus_message_read(message, "uoss", &job, &path, &name, &result) < 0) {
                return 0;
        }
        unit = units_domain_of_name(name, domain, sizeof(domain)) ? units_find(systemd->units, domain)
                                                                  : NULL;
        if (unit && unit->job == job) {
                unit->job = 0;
                systemd_tell(systemd, unit);
        }
        systemd_job_removed(systemd, path, result);
        return 0;
}

/* What was said in between is lost. */
static int on_reloading(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);
        int active;

        if (!is_from_systemd(systemd, message) ||
            sd_bus_message_read_basic(message, SD_BUS_TYPE_BOOLEAN, &active) < 0) {
                return 0;
        }
        systemd->reloading = active;
        if (!active) {
                (void) list_later(systemd);
        }
        return 0;
}

static int on_ignored(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return 0;
}

static int subscribe(Systemd *systemd) {
        return systemd_call(systemd, NULL, on_ignored, NULL, "Subscribe", "");
}

/* systemd was executed anew. */
static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);
        const char *name, *owner;

        if (!is_from_daemon(message) || sd_bus_message_read(message, "sss", &name, NULL, &owner) < 0 ||
            !*owner) {
                return 0;
        }
        set_owner(systemd, owner);
        (void) subscribe(systemd);
        (void) list_later(systemd);
        return 0;
}

/* Not here: the connection that has ended is calling. */
static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Systemd *systemd = talloc_get_type_abort(userdata, Systemd);

        log_plain(LOG_WARNING, "The connection to the system bus is lost; connecting again");
        systemd->retry_usec = RETRY_USEC;
        (void) event_source_arm_timer(systemd->retry, systemd->retry_usec);
        return 0;
}

/* ---- Connecting ---- */

#define SIGNAL_OF_MANAGER(member)                                                                          \
        "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH "',interface='" SYSTEMD_MANAGER "'," \
        "member='" member "'"

static const struct {
        const char *match;
        sd_bus_message_handler_t callback;
} matches[] = {
        { "type='signal',sender='" SYSTEMD_NAME "',path_namespace='" SYSTEMD_UNIT_PATH "',"
          "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
          on_properties },
        { SIGNAL_OF_MANAGER("UnitRemoved"), on_unit_removed },
        { SIGNAL_OF_MANAGER("JobRemoved"), on_job_removed },
        { SIGNAL_OF_MANAGER("Reloading"), on_reloading },
        { "type='signal',sender='" DAEMON "',member='NameOwnerChanged',arg0='" SYSTEMD_NAME "'", on_owner },
        { "type='signal',sender='org.freedesktop.DBus.Local',interface='org.freedesktop.DBus.Local',"
          "member='Disconnected'",
          on_disconnected },
};

static int add_matches(Systemd *systemd) {
        int r = 0;

        for (size_t i = 0; i < sizeof(matches) / sizeof(*matches) && r >= 0; i++) {
                Slot *slot = slot_new(systemd->slots);

                r = slot ? sd_bus_add_match_async(systemd->bus, &slot->slot, matches[i].match,
                                                  matches[i].callback,
                                                  /* install_callback= */ NULL, systemd)
                         : -ENOMEM;
        }
        return r;
}

void systemd_disconnect(Systemd *systemd) {
        TALLOC_FREE(systemd->slots);
        systemd->owner = NULL;
        if (systemd->bus) {
                (void) sd_bus_detach_event(systemd->bus);
                systemd->bus = sd_bus_close_unref(systemd->bus);
        }
}

static int open_bus(Systemd *systemd) {
        int r;

        systemd->slots = talloc_new(systemd);
        if (!systemd->slots) {
                return -ENOMEM;
        }
        r = sd_bus_open_system_with_description(&systemd->bus, "systemd");
        if (r >= 0) {
                r = sd_bus_attach_event(systemd->bus, systemd->event->loop, SD_EVENT_PRIORITY_NORMAL);
        }
        if (r >= 0) {
                r = add_matches(systemd);
        }
        return r < 0 ? r : subscribe(systemd);
}

int systemd_connect(Systemd *systemd, bool wait) {
        int r = open_bus(systemd);

        if (r >= 0) {
                r = wait ? list_now(systemd) : list_later(systemd);
        }
        if (r < 0) {
                systemd_disconnect(systemd);
                systemd->retry_usec = systemd->retry_usec * 2 < RETRY_MAX_USEC
                                              ? systemd->retry_usec * 2 + RETRY_USEC
                                              : RETRY_MAX_USEC;
                (void) event_source_arm_timer(systemd->retry, systemd->retry_usec);
        }
        return r;
}
