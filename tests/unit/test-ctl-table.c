/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/ctl/table: aligned text for people, JSON for programs. */

#include "client/ctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/testing.h"

static const Column columns[] = {
        { "NAME", "name", false },
        { "SIZE", "size", true },
        { "WHO", "who", false },
};

static Table *make(void *ctx) {
        return table_new(ctx, columns, 3);
}

static void add_row(Table *table, const char *name, uint64_t size, const char *who) {
        table_text(table, name);
        table_size(table, size);
        table_text(table, who);
}

static char *printed(void *ctx, const Table *table, bool legend) {
        char *text = NULL, *copy;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        table_print(table, file, legend);
        fclose(file);
        copy = talloc_strdup(ctx, text);
        free(text);
        return copy;
}

static void test_alignment(void **state) {
        Table *table = make(*state);

        add_row(table, "ring", 64 << 20, "alice");
        add_row(table, "a-longer-name", 4096, "bob");
        assert_int_equal(table_rows(table), 2);
        assert_string_equal(printed(table, table, true), "NAME          SIZE WHO\n"
                                                         "ring           64M alice\n"
                                                         "a-longer-name   4K bob\n");
        assert_string_equal(printed(table, table, false), "ring          64M alice\n"
                                                          "a-longer-name  4K bob\n");
        talloc_free(table);
}

/* Two cells a character here, none there. */
static void test_width_of_text(void **state) {
        Table *table = make(*state);

        add_row(table, "\xe7\x8e\xaf", 1, "x"); /* one wide character */
        add_row(table, "e\xcc\x81t\xc3\xa9", 1,
                "x"); /* a letter with an accent of its own, and one in one */
        assert_string_equal(printed(table, table, false), "\xe7\x8e\xaf  1 x\n"
                                                          "e\xcc\x81t\xc3\xa9 1 x\n");
        talloc_free(table);
}

static void test_text_for_terminals_is_harmless(void **state) {
        Table *table = make(*state);

        add_row(table, "\x1b[2J\n", 1, "x");
        assert_string_equal(printed(table, table, false), "?[2J? 1 x\n");
        talloc_free(table);
}

static void test_empty_cells(void **state) {
        Table *table = make(*state);

        table_text(table, "");
        table_none(table);
        table_text(table, NULL);
        assert_string_equal(printed(table, table, false), "- - -\n");
        talloc_free(table);
}

static void test_json(void **state) {
        Table *table = make(*state);
        json_object *rows;

        add_row(table, "ring", UINT64_C(1) << 33, "\"quoted\"");
        add_row(table, "other", UINT64_MAX, "");
        rows = table_json(table);
        assert_string_equal(json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PLAIN),
                            "[{\"name\":\"ring\",\"size\":8589934592,\"who\":\"\\\"quoted\\\"\"},"
                            "{\"name\":\"other\",\"size\":18446744073709551615,\"who\":null}]");
        json_object_put(rows);
        talloc_free(table);
}

static void test_empty_table(void **state) {
        Table *table = make(*state);
        json_object *rows = table_json(table);

        assert_int_equal(table_rows(table), 0);
        assert_string_equal(json_object_to_json_string_ext(rows, JSON_C_TO_STRING_PLAIN), "[]");
        json_object_put(rows);
        talloc_free(table);
}

static void test_colours(void **state) {
        Table *table = make(*state);

        setenv("SYSTEMD_COLORS", "1", 1);
        terminal_init();
        table_text(table, "ring");
        table_number(table, 1);
        table_text(table, "bad");
        table_colour(table, COLOUR_GOOD);
        assert_string_equal(printed(table, table, false), "ring 1 \x1b[32mbad\x1b[0m\n");
        setenv("SYSTEMD_COLORS", "0", 1);
        terminal_init();
        assert_string_equal(printed(table, table, false), "ring 1 bad\n");
        talloc_free(table);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_alignment),   TEST(test_width_of_text), TEST(test_text_for_terminals_is_harmless),
                TEST(test_empty_cells), TEST(test_json),          TEST(test_empty_table),
                TEST(test_colours),
        };

        terminal_init();
        return cmocka_run_group_tests_name("ctl-table", tests, NULL, NULL);
}
