/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The properties of a domain: state, settings, counters. Values only; nothing is asked of anybody. */

#include "dbus/domain-properties.h"

#include "service/manager/domain.h"

/* ---- Of the definition ---- */

/* NULL when there is none: a field is 0 or empty then. */
static const void *definition_field(const Property *property, const void *object) {
        const Definition *definition = domain_definition(object);

        return definition ? (const char *) definition + property->offset : NULL;
}

static int append_text_field(sd_bus_message *message, const Property *property, const void *object) {
        char *const *field = definition_field(property, object);

        return sd_bus_message_append(message, "s", field && *field ? *field : "");
}

static int append_principal_field(sd_bus_message *message, const Property *property, const void *object) {
        const AccessRule *field = definition_field(property, object);

        return sd_bus_message_append(message, "s", field && field->text ? field->text : "");
}

static int append_name_field(sd_bus_message *message, const Property *property, const void *object) {
        const int *field = definition_field(property, object);

        return sd_bus_message_append(message, "s", field ? property->names[*field] : "");
}

static int append_u64_field(sd_bus_message *message, const Property *property, const void *object) {
        const uint64_t *field = definition_field(property, object);

        return sd_bus_message_append(message, "t", field ? *field : 0);
}

static int append_u32_field(sd_bus_message *message, const Property *property, const void *object) {
        const uint32_t *field = definition_field(property, object);

        return sd_bus_message_append(message, "u", field ? *field : 0);
}

static int append_boolean_field(sd_bus_message *message, const Property *property, const void *object) {
        const bool *field = definition_field(property, object);

        return sd_bus_message_append(message, "b", field && *field);
}

static int append_rules(sd_bus_message *message, const RuleSet *set) {
        int r = sd_bus_message_open_container(message, 'a', "(ss)");

        for (size_t i = 0; r >= 0 && set && i < set->n_rules; i++) {
                r = sd_bus_message_append(message, "(ss)", rule_kind_names[set->rules[i].kind],
                                          set->rules[i].text);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_access(sd_bus_message *message, const Property *property, const void *object) {
        return append_rules(message, definition_field(property, object));
}

static int append_reservation(sd_bus_message *message, const Reservation *reservation) {
        int r = sd_bus_message_open_container(message, 'r', "suba(ss)");

        if (r >= 0) {
                r = sd_bus_message_append(message, "sub", reservation->name, reservation->vm_id,
                                          reservation->master);
        }
        if (r >= 0) {
                r = append_rules(message, &reservation->match);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_reservations(sd_bus_message *message, const Property *property, const void *object) {
        const Definition *definition = domain_definition(object);
        int r = sd_bus_message_open_container(message, 'a', "(suba(ss))");

        for (size_t i = 0; r >= 0 && definition && i < definition->n_reservations; i++) {
                r = append_reservation(message, &definition->reservations[i]);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* ---- Of the server ---- */

static const void *counter_field(const Property *property, const void *object) {
        return (const char *) domain_counters(object) + property->offset;
}

static int append_u64_counter(sd_bus_message *message, const Property *property, const void *object) {
        const uint64_t *field = counter_field(property, object);

        return sd_bus_message_append(message, "t", *field);
}

static int append_u32_counter(sd_bus_message *message, const Property *property, const void *object) {
        const uint32_t *field = counter_field(property, object);

        return sd_bus_message_append(message, "u", *field);
}

/* From the list of peers, which is true at once; the server's counters come a few times a second. */
static int append_n_peers(sd_bus_message *message, const Property *property, const void *object) {
        size_t n;

        (void) domain_peers(object, &n);
        return sd_bus_message_append(message, "u", (uint32_t) n);
}

/* ---- Of the domain ---- */

#define APPEND(name, type, value)                                                                         \
        static int append_##name(sd_bus_message *message, const Property *property, const void *object) { \
                return sd_bus_message_append(message, type, value);                                       \
        }

APPEND(name, "s", domain_name(object))
APPEND(state, "s", domain_state_names[domain_state(object)])
APPEND(status, "s", domain_status(object))
APPEND(progress, "u", domain_progress(object))
APPEND(origin, "s", origin_names[domain_origin(object)])
APPEND(path, "s", domain_path(object))
APPEND(definition_state, "s", definition_state_names[domain_definition_state(object)])
APPEND(definition_error, "s", domain_definition_error(object))
APPEND(owner, "u", domain_owner(object))
APPEND(socket_path, "s", domain_socket_path(object))
APPEND(unit, "s", domain_unit(object))
APPEND(main_pid, "u", domain_main_pid(object))
APPEND(since, "t", domain_since(object))

#undef APPEND

/* ---- The table ---- */

#define STATE .changes = DOMAIN_CHANGED_STATE
#define STATUS .changes = DOMAIN_CHANGED_STATUS
#define DEFINITION .changes = DOMAIN_CHANGED_DEFINITION
#define COUNTERS .changes = DOMAIN_CHANGED_COUNTERS

#define FIELD(name) DEFINITION, .offset = offsetof(Definition, name)
#define COUNTER(name) COUNTERS, .offset = offsetof(ControlDomain, name)

const Property domain_property_table[DOMAIN_PROPERTIES] = {
        { "Name", "s", .append = append_name },
        { "State", "s", STATE, .append = append_state },
        { "StatusText", "s", STATUS, .append = append_status },
        { "Progress", "u", STATUS, .append = append_progress },
        { "Origin", "s", DEFINITION, .append = append_origin },
        { "DefinitionPath", "s", DEFINITION, .append = append_path },
        { "DefinitionState", "s", DEFINITION, .append = append_definition_state },
        { "DefinitionError", "s", DEFINITION, .append = append_definition_error },
        { "OwnerUID", "u", DEFINITION, .append = append_owner },
        { "SocketPath", "s", .append = append_socket_path },
        { "Unit", "s", .append = append_unit },
        { "MainPID", "u", STATE, .append = append_main_pid },
        { "RunningSince", "t", STATE, .append = append_since },

        { "Description", "s", FIELD(description), .append = append_text_field },
        { "LogLevel", "s", FIELD(log_level), .append = append_name_field, .names = log_level_names },
        { "Size", "t", FIELD(size), .append = append_u64_field },
        { "HugePages", "s", FIELD(huge_pages), .append = append_name_field, .names = huge_pages_names },
        { "NUMANodes", "s", FIELD(numa_nodes), .append = append_text_field },
        { "NUMAPolicy", "s", FIELD(numa_policy), .append = append_name_field, .names = numa_policy_names },
        { "Prefault", "b", FIELD(prefault), .append = append_boolean_field },
        { "Path", "s", FIELD(path), .append = append_text_field },
        { "PathUser", "s", FIELD(path_user), .append = append_principal_field },
        { "PathGroup", "s", FIELD(path_group), .append = append_principal_field },
        { "PathMode", "u", FIELD(path_mode), .append = append_u32_field },
        { "PathLabel", "s", FIELD(path_label), .append = append_text_field },
        { "Keep", "s", FIELD(keep), .append = append_name_field, .names = keep_names },
        { "WipeWhenIdle", "b", FIELD(wipe_when_idle), .append = append_boolean_field },
        { "Vectors", "u", FIELD(vectors), .append = append_u32_field },
        { "MaxPeers", "u", FIELD(max_peers), .append = append_u32_field },
        { "Topology", "s", FIELD(topology), .append = append_name_field, .names = topology_names },
        { "PeersPerUser", "u", FIELD(peers_per_user), .append = append_u32_field },
        { "ConnectRate", "u", FIELD(connect_rate), .append = append_u32_field },
        { "Access", "a(ss)", FIELD(access), .append = append_access },
        { "Peers", "a(suba(ss))", DEFINITION, .append = append_reservations },

        { "NPeers", "u", COUNTERS, .append = append_n_peers },
        { "NSeats", "u", COUNTER(n_seats), .append = append_u32_counter },
        { "Joins", "t", COUNTER(joins), .append = append_u64_counter },
        { "Leaves", "t", COUNTER(leaves), .append = append_u64_counter },
        { "Refusals", "t", COUNTER(refusals), .append = append_u64_counter },
        { "Evictions", "t", COUNTER(evictions), .append = append_u64_counter },
        { "MessagesSent", "t", COUNTER(messages_sent), .append = append_u64_counter },
};
