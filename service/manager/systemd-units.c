/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of the services of domains: a table of the properties that matter, and what they mean together. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "service/core/limits.h"
#include "service/core/text.h"
#include "service/manager/systemd.h"

/* How sd_bus_path_encode(3) begins the path of a unit of ours: 40 is '@'. */
#define PATH_PREFIX SYSTEMD_UNIT_PATH "/ivshmem_40"

struct Units {
        Unit **units; /* by name */
        size_t n;
};

typedef struct Property {
        const char *name;
        const char *interface;
        char type; /* of sd_bus_message_read_basic(3) */
        size_t offset;
} Property;

static const Property properties[] = {
        { "ActiveState", SYSTEMD_UNIT, SD_BUS_TYPE_STRING, offsetof(Unit, active_state) },
        { "ActiveEnterTimestamp", SYSTEMD_UNIT, SD_BUS_TYPE_UINT64, offsetof(Unit, active_enter) },
        { "StateChangeTimestamp", SYSTEMD_UNIT, SD_BUS_TYPE_UINT64, offsetof(Unit, state_change) },
        { "MainPID", SYSTEMD_SERVICE, SD_BUS_TYPE_UINT32, offsetof(Unit, main_pid) },
        { "StatusText", SYSTEMD_SERVICE, SD_BUS_TYPE_STRING, offsetof(Unit, status_text) },
        { "Result", SYSTEMD_SERVICE, SD_BUS_TYPE_STRING, offsetof(Unit, result) },
};

#define N_PROPERTIES (sizeof(properties) / sizeof(*properties))

/* ---- Names ---- */

bool units_domain_of_name(const char *unit, char *ret, size_t size) {
        size_t length = strlen(unit), prefix = strlen(UNIT_PREFIX), suffix = strlen(UNIT_SUFFIX);

        if (length <= prefix + suffix || length - prefix - suffix >= size ||
            strncmp(unit, UNIT_PREFIX, prefix) != 0 || strcmp(unit + length - suffix, UNIT_SUFFIX) != 0) {
                return false;
        }
        length -= prefix + suffix;
        memcpy(ret, unit + prefix, length);
        ret[length] = '\0';
        return domain_name_is_valid(ret);
}

/* Most signals are about units of others. */
bool units_domain_of_path(const char *path, char *ret, size_t size) {
        char *unit = NULL;
        bool ours;

        if (strncmp(path, PATH_PREFIX, strlen(PATH_PREFIX)) != 0 ||
            sd_bus_path_decode(path, SYSTEMD_UNIT_PATH, &unit) <= 0) {
                return false;
        }
        ours = units_domain_of_name(unit, ret, size);
        free(unit);
        return ours;
}

/* ---- The table ---- */

static size_t position(const Units *units, const char *domain) {
        size_t low = 0, high = units->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(units->units[middle]->name, domain) < 0) {
                        low = middle + 1;
                } else {
                        high = middle;
                }
        }
        return low;
}

Unit *units_find(const Units *units, const char *domain) {
        size_t i = position(units, domain);

        return i < units->n && strcmp(units->units[i]->name, domain) == 0 ? units->units[i] : NULL;
}

static Unit *unit_new(void *ctx, const char *domain) {
        Unit *unit = talloc_zero(ctx, Unit);

        if (!unit) {
                return NULL;
        }
        unit->name = talloc_strdup(unit, domain);
        unit->active_state = talloc_strdup(unit, "inactive");
        unit->result = talloc_strdup(unit, "success");
        unit->status_text = talloc_strdup(unit, "");
        if (!unit->name || !unit->active_state || !unit->result || !unit->status_text) {
                talloc_free(unit);
                return NULL;
        }
        return unit;
}

Unit *units_get(Units *units, const char *domain) {
        Unit *unit = units_find(units, domain);
        size_t i, room = talloc_array_length(units->units);

        if (unit) {
                return unit;
        }
        if (units->n == room) {
                Unit **array = talloc_realloc(units, units->units, Unit *, room ? room * 2 : 16);

                if (!array) {
                        return NULL;
                }
                units->units = array;
        }
        unit = unit_new(units, domain);
        if (!unit) {
                return NULL;
        }
        i = position(units, domain);
        memmove(units->units + i + 1, units->units + i, (units->n - i) * sizeof(*units->units));
        units->units[i] = unit;
        units->n++;
        return unit;
}

void units_remove(Units *units, const char *domain) {
        Unit *unit = units_find(units, domain);
        size_t i = position(units, domain);

        if (unit) {
                units->n--;
                memmove(units->units + i, units->units + i + 1, (units->n - i) * sizeof(*units->units));
                talloc_free(unit);
        }
}

size_t units_count(const Units *units) {
        return units->n;
}

Unit *units_at(const Units *units, size_t i) {
        return units->units[i];
}

int units_new(void *ctx, Units **ret) {
        *ret = talloc_zero(ctx, Units);
        return *ret ? 0 : -ENOMEM;
}

/* ---- Properties ---- */

static const Property *property_find(const char *name) {
        for (size_t i = 0; i < N_PROPERTIES; i++) {
                if (strcmp(properties[i].name, name) == 0) {
                        return &properties[i];
                }
        }
        return NULL;
}

const char *unit_property(size_t i, const char **ret_interface) {
        if (i >= N_PROPERTIES) {
                return NULL;
        }
        *ret_interface = properties[i].interface;
        return properties[i].name;
}

static int take_string(Unit *unit, sd_bus_message *message, char **field) {
        const char *text;
        char *copy;
        int r = sd_bus_message_read_basic(message, SD_BUS_TYPE_STRING, &text);

        if (r < 0) {
                return r;
        }
        copy = talloc_strdup(unit, text);
        if (!copy) {
                return -ENOMEM;
        }
        talloc_free(*field);
        *field = copy;
        return 0;
}

/* Its number, and an object that we need not know. */
static int take_job(Unit *unit, sd_bus_message *message) {
        int r = sd_bus_message_enter_container(message, SD_BUS_TYPE_VARIANT, "(uo)");

        if (r >= 0) {
                r = sd_bus_message_read(message, "(uo)", &unit->job, NULL);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int unit_take_property(Unit *unit, const char *name, sd_bus_message *message) {
        const Property *property = property_find(name);
        const char type[] = { property ? property->type : '\0', '\0' };
        void *field;
        int r;

        if (strcmp(name, "Job") == 0) {
                return take_job(unit, message);
        }
        if (!property) {
                return sd_bus_message_skip(message, "v");
        }
        field = (char *) unit + property->offset;
        r = sd_bus_message_enter_container(message, SD_BUS_TYPE_VARIANT, type);
        if (r >= 0) {
                r = property->type == SD_BUS_TYPE_STRING
                            ? take_string(unit, message, field)
                            : sd_bus_message_read_basic(message, property->type, field);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int unit_take_properties(Unit *unit, sd_bus_message *message) {
        int r = sd_bus_message_enter_container(message, SD_BUS_TYPE_ARRAY, "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(message, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                const char *name;

                r = sd_bus_message_read_basic(message, SD_BUS_TYPE_STRING, &name);
                if (r >= 0) {
                        r = unit_take_property(unit, name, message);
                }
                if (r >= 0) {
                        r = sd_bus_message_exit_container(message);
                }
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int unit_forget_failure(Unit *unit) {
        char *state = talloc_strdup(unit, "inactive");

        if (!state) {
                return -ENOMEM;
        }
        talloc_free(unit->active_state);
        unit->active_state = state;
        return 0;
}

/* ---- Meaning ---- */

/* systemd's states of units, "auto-restart" among them: "activating". */
static DomainState state_of(const char *active_state) {
        static const struct {
                const char *name;
                DomainState state;
        } states[] = {
                { "active", DOMAIN_RUNNING },        { "reloading", DOMAIN_RUNNING },
                { "refreshing", DOMAIN_RUNNING },    { "activating", DOMAIN_STARTING },
                { "deactivating", DOMAIN_STOPPING }, { "failed", DOMAIN_FAILED },
        };

        for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
                if (strcmp(states[i].name, active_state) == 0) {
                        return states[i].state;
                }
        }
        return DOMAIN_STOPPED;
}

/* Of systemd.exec(5) and the Result= of org.freedesktop.systemd1(5). */
static const char *words_of_result(const char *result) {
        static const struct {
                const char *name;
                const char *words;
        } results[] = {
                { "success", "The server has ended" },
                { "exit-code", "The server failed; the journal of its unit says why" },
                { "signal", "The server was killed by a signal" },
                { "core-dump", "The server crashed" },
                { "timeout", "The server took too long" },
                { "watchdog", "The server did not answer its watchdog" },
                { "oom-kill", "The server was killed for want of memory" },
                { "resources", "systemd had not the resources that the unit needs" },
                { "protocol", "The server ended before it was ready" },
                { "start-limit-hit", "The server was started too often in a short time" },
        };

        for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
                if (strcmp(results[i].name, result) == 0) {
                        return results[i].words;
                }
        }
        return "The server failed";
}

const char *unit_why(const Unit *unit) {
        return *unit->status_text ? unit->status_text : words_of_result(unit->result);
}

bool unit_has_ended(const Unit *unit) {
        DomainState state = state_of(unit->active_state);

        return state == DOMAIN_STOPPED || state == DOMAIN_FAILED;
}

LauncherState unit_state(const Unit *unit) {
        DomainState state = state_of(unit->active_state);
        bool runs = state == DOMAIN_RUNNING || state == DOMAIN_STOPPING;

        return (LauncherState){
                .state = state,
                .status = state == DOMAIN_FAILED    ? unit_why(unit)
                          : state == DOMAIN_STOPPED ? ""
                                                    : unit->status_text,
                .main_pid = unit_has_ended(unit) ? 0 : unit->main_pid,
                .since = runs ? unit->active_enter : 0,
                .loaded = runs ? unit->state_change : 0,
        };
}
