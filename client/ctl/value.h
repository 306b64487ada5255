/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes over the bus as JSON values, which is the form in which the verbs have it: to write out, or to look into. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/* The next value of a message, of whatever type: arrays and structs as lists, dictionaries as objects, a descriptor as
 * null. 1; 0 where the message or the container ends; a negative errno. The caller puts *ret. */
int value_read(sd_bus_message *message, json_object **ret);

/* Properties, a{sv}, with the fields of structs named as in ivshmemctl(1): as value_read(). */
int value_read_properties(sd_bus_message *message, json_object **ret);

/* Of an object; 0, "" and false where the key is not there or something else. */
const char *value_text(json_object *object, const char *key);
uint64_t value_number(json_object *object, const char *key);
bool value_boolean(json_object *object, const char *key);

/* A list; NULL where there is none. */
json_object *value_list(json_object *object, const char *key);

/* In one line, as "show" has it: lists with blanks between, objects as "{ name=value ; ... }". A chunk of `ctx`. */
char *value_line(const void *ctx, json_object *value);

void value_put_at_scope_end(json_object **value);

#define cleanup_value __attribute__((cleanup(value_put_at_scope_end)))
