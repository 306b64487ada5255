/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables: the same cells as aligned text for people, or as JSON for programs. Cells are added from left to right, row by
 * row; each row has as many as there are columns.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/ctl/terminal.h"

typedef struct Column Column;
typedef struct Table Table;

struct Column {
        const char *title; /* over the column */
        const char *key;   /* in JSON */
        bool right;        /* aligned to the right */
};

/* `columns` must outlive the table. */
Table *table_new(const void *ctx, const Column *columns, size_t n_columns);

/* Cells. A text is copied; NULL and "" are shown as "-", and are null in JSON. Sizes are bytes, times microseconds of
 * CLOCK_REALTIME; JSON has them as these. */
void table_text(Table *table, const char *text);
void table_number(Table *table, uint64_t number);
void table_size(Table *table, uint64_t bytes);
void table_time(Table *table, uint64_t usec);
void table_none(Table *table);

/* A user: by name, and as a number in JSON. */
void table_user(Table *table, uint32_t uid);

/* A number with one digit behind the point, such as a rate. */
void table_fraction(Table *table, double number);

/* Colours the cell that was added last. */
void table_colour(Table *table, Colour colour);

size_t table_rows(const Table *table);

void table_print(const Table *table, FILE *file, bool legend);

/* A list with an object for each row; the caller puts it. */
json_object *table_json(const Table *table);
