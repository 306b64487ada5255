/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interfaces: from tables to what sd-bus wants, and values of properties. */

#include "dbus/vtable.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

/* Who may call what authz.h says, not sd-bus. */
#define CALL_FLAGS SD_BUS_VTABLE_UNPRIVILEGED

static sd_bus_vtable method_entry(const Interface *interface, const Method *method) {
        /* The macro joins two literals with names; ours are joined already. */
        return (sd_bus_vtable) SD_BUS_METHOD_WITH_NAMES(method->member, method->in, method->names,
                                                        method->out, , interface->on_call, CALL_FLAGS);
}

static sd_bus_vtable property_entry(const Interface *interface, const Property *property) {
        uint64_t flags = property->changes  ? SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
                         : property->silent ? 0
                                            : SD_BUS_VTABLE_PROPERTY_CONST;

        return (sd_bus_vtable) SD_BUS_PROPERTY(property->name, property->signature, interface->on_get, 0,
                                               flags);
}

static sd_bus_vtable signal_entry(const Signal *signal) {
        return (sd_bus_vtable) SD_BUS_SIGNAL_WITH_NAMES(signal->member, signal->signature, signal->names, 0);
}

int vtable_new(void *ctx, const Interface *interface, sd_bus_vtable **ret) {
        size_t n = interface->n_methods + interface->n_properties + interface->n_signals + 2;
        sd_bus_vtable *vtable = talloc_array(ctx, sd_bus_vtable, n), *entry = vtable;

        if (!vtable) {
                return -ENOMEM;
        }
        *entry++ = (sd_bus_vtable) SD_BUS_VTABLE_START(0);
        for (size_t i = 0; i < interface->n_methods; i++) {
                *entry++ = method_entry(interface, &interface->methods[i]);
        }
        for (size_t i = 0; i < interface->n_properties; i++) {
                *entry++ = property_entry(interface, &interface->properties[i]);
        }
        for (size_t i = 0; i < interface->n_signals; i++) {
                *entry++ = signal_entry(&interface->signals[i]);
        }
        *entry = (sd_bus_vtable) SD_BUS_VTABLE_END;
        *ret = vtable;
        return 0;
}

const Method *method_find(const Interface *interface, const char *member) {
        for (size_t i = 0; i < interface->n_methods; i++) {
                if (strcmp(interface->methods[i].member, member) == 0) {
                        return &interface->methods[i];
                }
        }
        return NULL;
}

const Property *property_find(const Interface *interface, const char *name) {
        for (size_t i = 0; i < interface->n_properties; i++) {
                if (strcmp(interface->properties[i].name, name) == 0) {
                        return &interface->properties[i];
                }
        }
        return NULL;
}

static int property_append(sd_bus_message *message, const Property *property, const void *object) {
        int r = sd_bus_message_open_container(message, 'e', "sv");

        if (r >= 0) {
                r = sd_bus_message_append_basic(message, 's', property->name);
        }
        if (r >= 0) {
                r = sd_bus_message_open_container(message, 'v', property->signature);
        }
        if (r >= 0) {
                r = property->append(message, property, object);
        }
        if (r >= 0) {
                r = sd_bus_message_close_container(message);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int properties_append(sd_bus_message *message, const Interface *interface, const void *object, int changes) {
        int r = sd_bus_message_open_container(message, 'a', "{sv}");

        for (size_t i = 0; r >= 0 && i < interface->n_properties; i++) {
                const Property *property = &interface->properties[i];

                if (changes == -1 || (property->changes & changes) != 0) {
                        r = property_append(message, property, object);
                }
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}
