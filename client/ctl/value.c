/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages to JSON. What it means is not known here, but for the names of fields. */

#include "client/ctl/value.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/human.h"
#include "client/ctl/memory.h"

#define FIELDS_MAX 4U

/* Properties that are lists of structs, and what the structs' fields are called. */
static const struct {
        const char *property;
        const char *fields[FIELDS_MAX + 1];
} field_table[] = {
        { "Access", { "kind", "entry" } },
        { "Peers", { "name", "vm_id", "master", "rules" } },
        { "rules", { "kind", "entry" } },
        { "HugePagePools", { "page_size", "pages", "free" } },
};

void value_put_at_scope_end(json_object **value) {
        json_object_put(*value);
}

static int read_basic(sd_bus_message *message, char type, json_object **ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
                int h;
        } value;
        int r = sd_bus_message_read_basic(message, type, &value);

        if (r < 0) {
                return r;
        }
        switch (type) {
        case 'y':
                *ret = json_object_new_uint64(value.y);
                break;
        case 'b':
                *ret = json_object_new_boolean(value.i);
                break;
        case 'n':
                *ret = json_object_new_int64(value.n);
                break;
        case 'q':
                *ret = json_object_new_uint64(value.q);
                break;
        case 'i':
                *ret = json_object_new_int64(value.i);
                break;
        case 'u':
                *ret = json_object_new_uint64(value.u);
                break;
        case 'x':
                *ret = json_object_new_int64(value.x);
                break;
        case 't':
                *ret = json_object_new_uint64(value.t);
                break;
        case 'd':
                *ret = json_object_new_double(value.d);
                break;
        case 'h':
                *ret = NULL;
                return 1;
        default:
                *ret = json_object_new_string(value.s);
        }
        need(*ret);
        return 1;
}

/* One entry of a dictionary into an object. 0 at its end. */
static int read_entry(sd_bus_message *message, const char *contents, json_object *object) {
        json_object *key, *value;
        int r = sd_bus_message_enter_container(message, 'e', contents);

        if (r <= 0) {
                return r;
        }
        r = value_read(message, &key);
        if (r < 0) {
                return r;
        }
        r = value_read(message, &value);
        if (r >= 0) {
                json_object_object_add(object, json_object_get_string(key), value);
                r = sd_bus_message_exit_container(message);
        }
        json_object_put(key);
        return r < 0 ? r : 1;
}

static int read_dictionary(sd_bus_message *message, const char *contents, json_object **ret) {
        json_object *object = need(json_object_new_object());
        char *inner = text_new(NULL, "%.*s", (int) strlen(contents) - 2,
                               contents + 1); /* without the braces */
        int r;

        do {
                r = read_entry(message, inner, object);
        } while (r > 0);
        talloc_free(inner);
        *ret = object;
        return r;
}

static int read_list(sd_bus_message *message, json_object **ret) {
        json_object *list = need(json_object_new_array()), *value;
        int r;

        while ((r = value_read(message, &value)) > 0) {
                json_object_array_add(list, value);
        }
        *ret = list;
        return r;
}

static int read_container(sd_bus_message *message, char type, const char *contents, json_object **ret) {
        json_object *value = NULL;
        int r = sd_bus_message_enter_container(message, type, contents);

        if (r < 0) {
                return r;
        }
        if (type == 'v') {
                r = value_read(message, &value);
        } else if (type == 'a' && contents[0] == '{') {
                r = read_dictionary(message, contents, &value);
        } else {
                r = read_list(message, &value);
        }
        r = r < 0 ? r : sd_bus_message_exit_container(message);
        if (r < 0) {
                json_object_put(value);
                return r;
        }
        *ret = value;
        return 1;
}

int value_read(sd_bus_message *message, json_object **ret) {
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(message, &type, &contents);

        if (r <= 0) {
                return r;
        }
        return strchr("avr", type) ? read_container(message, type, contents, ret)
                                   : read_basic(message, type, ret);
}

static const char *const *fields_of(const char *property) {
        for (size_t i = 0; i < sizeof(field_table) / sizeof(*field_table); i++) {
                if (strcmp(field_table[i].property, property) == 0) {
                        return field_table[i].fields;
                }
        }
        return NULL;
}

/* The list with its lists, which were structs, as objects; NULL when it is none of these. The caller puts it. */
static json_object *name_fields(const char *property, json_object *list) {
        const char *const *fields = fields_of(property);
        json_object *named;

        if (!fields || !json_object_is_type(list, json_type_array)) {
                return NULL;
        }
        named = need(json_object_new_array());
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                json_object *row = json_object_array_get_idx(list, i),
                            *object = need(json_object_new_object());

                for (size_t j = 0; fields[j] && json_object_is_type(row, json_type_array); j++) {
                        json_object *value = json_object_array_get_idx(row, j);
                        json_object *inner = name_fields(fields[j], value);

                        json_object_object_add(object, fields[j], inner ?: json_object_get(value));
                }
                json_object_array_add(named, object);
        }
        return named;
}

int value_read_properties(sd_bus_message *message, json_object **ret) {
        json_object *properties;
        int r = value_read(message, &properties);

        if (r <= 0) {
                return r;
        }
        if (!json_object_is_type(properties, json_type_object)) {
                json_object_put(properties);
                return -EBADMSG;
        }
        for (size_t i = 0; i < sizeof(field_table) / sizeof(*field_table); i++) {
                const char *name = field_table[i].property;
                json_object *named = name_fields(name, json_object_object_get(properties, name));

                if (named) {
                        json_object_object_add(properties, name, named);
                }
        }
        *ret = properties;
        return 1;
}

const char *value_text(json_object *object, const char *key) {
        json_object *value = json_object_object_get(object, key);

        return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

uint64_t value_number(json_object *object, const char *key) {
        json_object *value = json_object_object_get(object, key);

        return json_object_is_type(value, json_type_int) ? json_object_get_uint64(value) : 0;
}

bool value_boolean(json_object *object, const char *key) {
        json_object *value = json_object_object_get(object, key);

        return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

json_object *value_list(json_object *object, const char *key) {
        json_object *value = json_object_object_get(object, key);

        return json_object_is_type(value, json_type_array) ? value : NULL;
}

static char *list_line(const void *ctx, json_object *list) {
        char *line = text_new(ctx, "%s", "");

        for (size_t i = 0; i < json_object_array_length(list); i++) {
                line = text_append(line, "%s%s", i > 0 ? " " : "",
                                   value_line(ctx, json_object_array_get_idx(list, i)));
        }
        return line;
}

static char *object_line(const void *ctx, json_object *object) {
        char *line = text_new(ctx, "{");

        json_object_object_foreach(object, key, value) {
                line = text_append(line, "%s %s=%s", strlen(line) > 1 ? " ;" : "", key,
                                   value_line(ctx, value));
        }
        return text_append(line, " }");
}

char *value_line(const void *ctx, json_object *value) {
        switch (json_object_get_type(value)) {
        case json_type_array:
                return list_line(ctx, value);
        case json_type_object:
                return object_line(ctx, value);
        case json_type_boolean:
                return text_new(ctx, "%s", json_object_get_boolean(value) ? "yes" : "no");
        case json_type_null:
                return text_new(ctx, "%s", "");
        case json_type_string:
                return human_safe(ctx, json_object_get_string(value));
        default:
                return text_new(ctx, "%s", json_object_get_string(value));
        }
}
