/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ivshmemctl show: properties for programs. */

#include <inttypes.h>
#include <string.h>

#include "client/ctl/call.h"
#include "client/ctl/change.h"
#include "client/ctl/human.h"
#include "client/ctl/memory.h"
#include "client/ctl/pager.h"
#include "client/ctl/value.h"
#include "client/ctl/verbs.h"

static bool is_wanted(const Options *options, const char *property) {
        for (size_t i = 0; i < options->n_properties; i++) {
                if (strcmp(options->properties[i], property) == 0) {
                        return true;
                }
        }
        return options->n_properties == 0;
}

static void print_property(const Ctl *ctl, const char *key, json_object *value) {
        bool mode = strcmp(key, "PathMode") == 0; /* which nobody reads but in octal digits */
        char *text = mode ? text_new(ctl, "%04" PRIo64, json_object_get_uint64(value))
                          : value_line(ctl, value);

        if (ctl->options.value) {
                puts(text);
        } else {
                printf("%s=%s\n", human_safe(ctl, key), text);
        }
}

/* Puts the object. */
static void print_text(Ctl *ctl, json_object *object) {
        pager_open(ctl);
        json_object_object_foreach(object, key, value) {
                if (is_wanted(&ctl->options, key)) {
                        print_property(ctl, key, value);
                }
        }
        json_object_put(object);
}

/* Only the wanted ones. Puts the object. */
static json_object *filtered(const Options *options, json_object *object) {
        json_object *result = need(json_object_new_object());

        json_object_object_foreach(object, key, value) {
                if (is_wanted(options, key)) {
                        json_object_object_add(result, key, json_object_get(value));
                }
        }
        json_object_put(object);
        return result;
}

/* A property that does not exist is a mistake that nobody should have to find out. */
static ExitStatus check_properties(const Ctl *ctl, json_object *object) {
        for (size_t i = 0; i < ctl->options.n_properties; i++) {
                if (!json_object_object_get_ex(object, ctl->options.properties[i], NULL)) {
                        return ctl_fail(STATUS_FAILED, "There is no property '%s'",
                                        ctl->options.properties[i]);
                }
        }
        return STATUS_OK;
}

/* Puts the object, or adds it to the list. */
static ExitStatus show(Ctl *ctl, json_object *object, json_object *list) {
        ExitStatus status = check_properties(ctl, object);

        if (status != STATUS_OK) {
                json_object_put(object);
        } else if (ctl->options.json == JSON_OFF) {
                print_text(ctl, object);
        } else {
                json_object_array_add(list, filtered(&ctl->options, object));
        }
        return status;
}

static ExitStatus show_definition(Ctl *ctl, const char *name, json_object *list) {
        Target target;
        char *text;
        ExitStatus status = call_find_domain(ctl, name, &target);

        if (status == STATUS_OK) {
                status = change_definition(ctl, &target, name, &text);
        }
        if (status == STATUS_OK && ctl->options.json != JSON_OFF) {
                json_object_array_add(list, need(json_object_new_string(text)));
        } else if (status == STATUS_OK) {
                pager_open(ctl);
                fputs(text, stdout);
        }
        return status;
}

static ExitStatus show_domain(Ctl *ctl, const char *name, json_object *list) {
        json_object *domain;
        ExitStatus status = call_domain_properties(ctl, name, &domain);

        return status == STATUS_OK ? show(ctl, domain, list) : status;
}

static ExitStatus show_manager(Ctl *ctl, json_object *list) {
        json_object *manager;
        ExitStatus status = call_properties(ctl, &manager_target, "look at the manager", &manager);

        return status == STATUS_OK ? show(ctl, manager, list) : status;
}

ExitStatus verb_show(Ctl *ctl) {
        json_object *list;
        ExitStatus status;

        if (ctl->options.definition && ctl->options.n_arguments == 0) {
                return ctl_misuse(ctl, "--definition is that of a domain; give its NAME");
        }
        list = need(json_object_new_array());
        status = ctl->options.n_arguments == 0 ? show_manager(ctl, list) : STATUS_OK;
        for (size_t i = 0; i < ctl->options.n_arguments; i++) {
                const char *name = ctl->options.arguments[i];

                if (i > 0 && ctl->options.json == JSON_OFF) {
                        putchar('\n');
                }
                status = ctl_worse(status, ctl->options.definition ? show_definition(ctl, name, list)
                                                                   : show_domain(ctl, name, list));
        }
        if (ctl->options.json == JSON_OFF) {
                json_object_put(list);
        } else {
                ctl_show_json(ctl, list);
        }
        return status;
}
