/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An interface as tables: methods, properties, signals. What sd-bus wants to have of it is made from the tables, and so
 * are the signals about properties, so that a member is written down once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

typedef struct Call Call;
typedef struct Interface Interface;
typedef struct Method Method;
typedef struct Property Property;
typedef struct Signal Signal;

#define METHOD_ARGUMENTS_MAX 3

/* What an argument is, which is what it is read into (call.h). */
typedef enum ArgumentKind {
        ARGUMENT_NONE,
        ARGUMENT_DOMAIN,   /* s: the name of the domain that the call is about */
        ARGUMENT_NEW,      /* s: the name of one to be */
        ARGUMENT_SECTION,  /* s: of a [Peer] section; settings behind it are its */
        ARGUMENT_SETTINGS, /* a{sv} */
        ARGUMENT_FLAG,     /* b */
        ARGUMENT_UID,      /* u */
        ARGUMENT_VM_ID,    /* u */
        ARGUMENT_VECTOR,   /* u */
        _ARGUMENT_KIND_MAX,
} ArgumentKind;

struct Method {
        const char *member;
        const char *in, *out; /* signatures */
        const char *
                names; /* of all arguments, those that come out behind those that go in: SD_BUS_PARAM() each */
        ArgumentKind arguments[METHOD_ARGUMENTS_MAX];
        /* Does it. The caller may. Ends the call, now or later (call_reply(), call_fail(), call_begin_operation()). */
        void (*run)(Call *call);
};

struct Property {
        const char *name;
        const char *signature;
        int changes; /* with which of the object's changes it may change; 0: it does not */
        bool silent; /* it changes, and nobody is told */
        /* Appends the value, without its variant. */
        int (*append)(sd_bus_message *message, const Property *property, const void *object);
        size_t offset;            /* of the field, for those that are one */
        const char *const *names; /* of the values of an enum */
};

struct Signal {
        const char *member;
        const char *signature;
        const char *names;
};

struct Interface {
        const char *name;
        const Method *methods;
        size_t n_methods;
        const Property *properties;
        size_t n_properties;
        const Signal *signals;
        size_t n_signals;
        sd_bus_message_handler_t on_call;
        sd_bus_property_get_t on_get;
};

/* The table for sd-bus, a chunk of `ctx`. -ENOMEM. */
int vtable_new(void *ctx, const Interface *interface, sd_bus_vtable **ret);

/* NULL when there is none. */
const Method *method_find(const Interface *interface, const char *member);
const Property *property_find(const Interface *interface, const char *name);

/* Appends a{sv}: the properties that change with one of `changes`; all for -1. */
int properties_append(sd_bus_message *message, const Interface *interface, const void *object, int changes);
