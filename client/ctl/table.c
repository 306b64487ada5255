/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cells, and the two forms of a table. Where it goes is the caller's. */

#include "client/ctl/table.h"

#include <assert.h>
#include <inttypes.h>
#include <talloc.h>

#include "client/ctl/human.h"
#include "client/ctl/memory.h"

typedef struct Cell {
        char *text;         /* for people; never NULL */
        json_object *value; /* for programs; NULL is null */
        Colour colour;
        unsigned width;
} Cell;

struct Table {
        const Column *columns;
        size_t n_columns;
        Cell *cells;
        size_t n_cells;
};

static int table_destructor(Table *table) {
        for (size_t i = 0; i < table->n_cells; i++) {
                json_object_put(table->cells[i].value);
        }
        return 0;
}

Table *table_new(const void *ctx, const Column *columns, size_t n_columns) {
        Table *table = need(talloc_zero(ctx, Table));

        table->columns = columns;
        table->n_columns = n_columns;
        talloc_set_destructor(table, table_destructor);
        return table;
}

/* Takes over both. */
static void add(Table *table, char *text, json_object *value) {
        table->cells = need(talloc_realloc(table, table->cells, Cell, table->n_cells + 1));
        table->cells[table->n_cells++] = (Cell){
                .text = talloc_steal(table->cells, text),
                .value = value,
                .width = terminal_width_of(text),
        };
}

void table_none(Table *table) {
        add(table, text_new(table, "-"), NULL);
}

void table_text(Table *table, const char *text) {
        if (!text || !*text) {
                table_none(table);
        } else {
                add(table, human_safe(table, text), need(json_object_new_string(text)));
        }
}

void table_number(Table *table, uint64_t number) {
        add(table, text_new(table, "%" PRIu64, number), need(json_object_new_uint64(number)));
}

void table_size(Table *table, uint64_t bytes) {
        add(table, human_size(table, bytes), need(json_object_new_uint64(bytes)));
}

void table_time(Table *table, uint64_t usec) {
        add(table, human_time(table, usec), need(json_object_new_uint64(usec)));
}

void table_user(Table *table, uint32_t uid) {
        add(table, human_user(table, uid), need(json_object_new_uint64(uid)));
}

void table_fraction(Table *table, double number) {
        add(table, text_new(table, "%.1f", number), need(json_object_new_double(number)));
}

void table_colour(Table *table, Colour colour) {
        assert(table->n_cells > 0);
        table->cells[table->n_cells - 1].colour = colour;
}

size_t table_rows(const Table *table) {
        assert(table->n_cells % table->n_columns == 0);
        return table->n_cells / table->n_columns;
}

static unsigned column_width(const Table *table, size_t column, bool legend) {
        unsigned width = legend ? terminal_width_of(table->columns[column].title) : 0;

        for (size_t i = column; i < table->n_cells; i += table->n_columns) {
                if (table->cells[i].width > width) {
                        width = table->cells[i].width;
                }
        }
        return width;
}

/* The last column has no blanks behind it. */
static void print_cell(const Table *table, FILE *file, size_t column, unsigned width, const Cell *cell) {
        const char *on = cell->colour != COLOUR_NONE ? terminal_colour(cell->colour) : "";
        const char *off = *on ? terminal_colour(COLOUR_NONE) : "";
        int padding = (int) (width - cell->width);
        bool last = column + 1 == table->n_columns, right = table->columns[column].right;

        fprintf(file, "%*s%s%s%s%*s%s", right ? padding : 0, "", on, cell->text, off,
                right || last ? 0 : padding, "", last ? "\n" : " ");
}

static void print_titles(const Table *table, FILE *file, const unsigned *widths) {
        for (size_t i = 0; i < table->n_columns; i++) {
                Cell title = {
                        .text = (char *) table->columns[i].title,
                        .width = terminal_width_of(table->columns[i].title),
                        .colour = COLOUR_TITLE,
                };

                print_cell(table, file, i, widths[i], &title);
        }
}

void table_print(const Table *table, FILE *file, bool legend) {
        unsigned *widths = need(talloc_array(NULL, unsigned, (unsigned) table->n_columns));

        for (size_t i = 0; i < table->n_columns; i++) {
                widths[i] = column_width(table, i, legend);
        }
        if (legend) {
                print_titles(table, file, widths);
        }
        for (size_t i = 0; i < table_rows(table) * table->n_columns; i++) {
                print_cell(table, file, i % table->n_columns, widths[i % table->n_columns],
                           &table->cells[i]);
        }
        talloc_free(widths);
}

json_object *table_json(const Table *table) {
        json_object *rows = need(json_object_new_array());

        for (size_t i = 0; i < table_rows(table) * table->n_columns; i++) {
                json_object *row;

                if (i % table->n_columns == 0) {
                        json_object_array_add(rows, need(json_object_new_object()));
                }
                row = json_object_array_get_idx(rows, i / table->n_columns);
                json_object_object_add(row, table->columns[i % table->n_columns].key,
                                       json_object_get(table->cells[i].value));
        }
        return rows;
}
