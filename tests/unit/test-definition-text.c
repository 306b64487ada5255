/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/core/definition: the form of the text, whatever the keys mean. What libinih by itself would cut, drop or take
 * for something else is an error, in these words, or works. */

#include <errno.h>
#include <string.h>

#include "service/core/definition.h"
#include "tests/unit/testing.h"

/* Parses bytes; the error, "" for a definition. A chunk of `ctx`. */
static char *error_of(void *ctx, const char *text, size_t length) {
        Definition *definition = NULL;
        char *error = NULL;
        int r = definition_parse(ctx, "f", text, length, &definition, &error);

        assert_int_equal(r, error ? -EINVAL : 0);
        assert_int_equal(!definition, !!error);
        talloc_free(definition);
        return error ? error : talloc_strdup(ctx, "");
}

static void assert_error(void *ctx, const char *text, size_t length, const char *expected) {
        char *error = error_of(ctx, text, length);

        assert_string_equal(error, expected);
        talloc_free(error);
}

typedef struct Row {
        const char *text;
        const char *error; /* "" for a definition */
} Row;

static void check_rows(void *ctx, const Row *rows, size_t n) {
        for (size_t i = 0; i < n; i++) {
                assert_error(ctx, rows[i].text, strlen(rows[i].text), rows[i].error);
        }
}

#define CHECK_ROWS(state, rows) check_rows(*(state), (rows), sizeof(rows) / sizeof(*(rows)))

static void test_sections(void **state) {
#define NO_SECTION(line) "'" line "' is no section; there are [Domain], [Access] and [Peer NAME]"
        static const Row rows[] = {
                { "", "f:1: there is no [Domain] section; add one, with a size as in Size=64M" },
                { "\n\n# nothing",
                  "f:3: there is no [Domain] section; add one, with a size as in Size=64M" },
                { "[Access]\n", "f:1: there is no [Domain] section; add one, with a size as in Size=64M" },
                { "[Domain]\n", "f:1: [Domain] has no Size=; add it, as in Size=64M" },
                { "\n[Domain]\nVectors=2\n[Access]\nUser=0\n",
                  "f:2: [Domain] has no Size=; add it, as in Size=64M" },
                { "[Access]\n[Domain]\nSize=4K\n", "" },
                { "[Domain] \t\nSize=4K\n", "" },
                { "[Domain]\nSize=4K\n[Service]\n", "f:3: " NO_SECTION("[Service]") },
                { "[domain]\nSize=4K\n", "f:1: " NO_SECTION("[domain]") },
                { "[Domain x]\nSize=4K\n", "f:1: " NO_SECTION("[Domain x]") },
                { "[Domain ]\nSize=4K\n", "f:1: " NO_SECTION("[Domain ]") },
                { "[ Domain]\nSize=4K\n", "f:1: " NO_SECTION("[ Domain]") },
                { "[]\nSize=4K\n", "f:1: " NO_SECTION("[]") },
                { "[", "f:1: '[' does not end with ']'; write [SECTION] on a line of its own" },
                { "[Domain\n",
                  "f:1: '[Domain' does not end with ']'; write [SECTION] on a line of its own" },
                { "[Domain] x\n",
                  "f:1: '[Domain] x' does not end with ']'; write [SECTION] on a line of its own" },
                { "[Domain]\nSize=4K\n\n[Domain]\n", "f:4: [Domain] began on line 1 already; join the two" },
                { "[Domain]\nSize=4K\n[Access]\n[Access]\n",
                  "f:4: [Access] began on line 3 already; join the two" },
        };
#undef NO_SECTION

        CHECK_ROWS(state, rows);
}

static void test_keys(void **state) {
        static const Row rows[] = {
                { "Size=4K\n[Domain]\n",
                  "f:1: 'Size=4K' stands before the first section; begin with [Domain]" },
                { "[Domain]\nSize=4K\nSize=4K\n", "f:3: Size= was given on line 2 already; remove one" },
                { "[Domain]\nSize=4K\n[Access]\nUser=0\nGroup=0\nUser=1\n",
                  "f:6: User= was given on line 4 already; join the lists" },
                { "[Domain]\nSize=4K\n[Access]\nUser=0\n 1\n 2\nUser=3\n",
                  "f:7: User= was given on line 4 already; join the lists" },
                { "[Domain]\nSize=4K\n[Peer a]\nVMID=0\nUser=0\n[Peer b]\nVMID=1\nUser=0\n", "" },
                { "[Domain]\nSize=4K\nsize=4K\n", "f:3: [Domain] has no size=; is Size= meant?" },
                { "[Domain]\nSzie=4K\n", "f:2: [Domain] has no Szie=; is Size= meant?" },
                { "[Domain]\nHugePage=2M\n", "f:2: [Domain] has no HugePage=; is HugePages= meant?" },
                { "[Domain]\nPathMod=2M\n", "f:2: [Domain] has no PathMod=; is PathMode= meant?" },
                { "[Domain]\nVMID=0\n", "f:2: [Domain] has no VMID=; it belongs to [Peer]" },
                { "[Domain]\nUser=0\n", "f:2: [Domain] has no User=; it belongs to [Access]" },
                { "[Access]\nVectors=0\n", "f:2: [Access] has no Vectors=; it belongs to [Domain]" },
                { "[Domain]\nNonsense=1\n",
                  "f:2: [Domain] has no Nonsense=; ivshmem.domain(5) lists the keys" },
                { "[Domain]\nSz=1\n", "f:2: [Domain] has no Sz=; is Size= meant?" },
                { "[Peer a]\nAB=1\n", "f:2: [Peer] has no AB=; ivshmem.domain(5) lists the keys" },
                { "[Domain]\nAnExceedinglyLongNameOfAKey=1\n",
                  "f:2: [Domain] has no AnExceedinglyLongNameOfAKey=; ivshmem.domain(5) lists the keys" },
                { "[Domain]\n=4K\n", "f:2: there is no key before '='; write KEY=VALUE" },
                { "[Domain]\nSize\n", "f:2: 'Size' is neither KEY=VALUE nor [SECTION]" },
                { "[Domain]\nSize: 4K\n", "f:2: 'Size: 4K' is neither KEY=VALUE nor [SECTION]" },
                { "[Domain]\nSize \t= 4K \t\n", "" },
        };

        CHECK_ROWS(state, rows);
}

static void test_indented_lines(void **state) {
#define NO_LIST "is indented, and there is no list that it could go on with; begin it in the first column"
        static const Row rows[] = {
                { "[Domain]\n Size=4K\n", "f:2: 'Size=4K' " NO_LIST },
                { " [Domain]\nSize=4K\n", "f:1: '[Domain]' " NO_LIST },
                { "[Domain]\nSize=4K\n[Access]\nUser=0\n[Peer a]\n\t1\n", "f:6: '1' " NO_LIST },
                { "[Domain]\nSize=4K\n Vectors=2\n",
                  "f:3: 'Vectors=2' is indented, but Size= is no list that could go on; begin it in the first column" },
                { "[Domain]\nSize=4K\n [Access]\n",
                  "f:3: '[Access]' is indented, but Size= is no list that could go on; begin it in the first column" },
                { "[Domain]\nSize=4K\n  # indented comment\n\t\n[Access]\nUser=0\n  ; too\n 1\n", "" },
        };
#undef NO_LIST

        CHECK_ROWS(state, rows);
}

static void test_comments(void **state) {
#define BEHIND "a comment behind something else; give it a line of its own"
        static const Row rows[] = {
                { "# a\n;b\n[Domain]\n#c\nSize=4K\n;d", "" },
                { "[Domain] ;x\nSize=4K\n", "f:1: " BEHIND },
                { "[Domain]\nSize=4K ; x\n", "f:2: " BEHIND },
                { "[Domain]\nSize=4K\t;x\n", "f:2: " BEHIND },
                { "[Domain]\nDescription=a; b ;c\nSize=4K\n", "f:2: " BEHIND },
                { "[Domain]\nDescription= ;c\nSize=4K\n", "f:2: " BEHIND },
                { "[Domain]\nSize=4K\n[Access]\nUser=0\n 1 ;x\n", "f:5: " BEHIND },
                { "[Domain]\nDescription=a;b # c\nSize=4K\n", "" },
        };
#undef BEHIND

        CHECK_ROWS(state, rows);
}

static void test_bytes(void **state) {
#define BYTES(text, error) \
        { text, sizeof(text) - 1, error }
        static const struct {
                const char *text;
                size_t length;
                const char *error;
        } rows[] = {
                BYTES("[Domain]\r\nSize=4K\r\n", ""),
                BYTES("\xef\xbb\xbf[Domain]\nSize=4K", ""),
                BYTES("\xef\xbb\xbf\xef\xbb\xbf[Domain]\nSize=4K",
                      "f:1: '\xef\xbb\xbf[Domain]' is neither KEY=VALUE nor [SECTION]"),
                BYTES("[Domain]\rSize=4K\r", "f:1: a control character (0x0d) in column 9; remove it"),
                BYTES("[Domain]\nSize=4K\0\n", "f:2: a control character (0x00) in column 8; remove it"),
                BYTES("[Domain]\nSize=4K\n\0", "f:3: a control character (0x00) in column 1; remove it"),
                BYTES("#\t\f\n", "f:1: a control character (0x0c) in column 3; remove it"),
                BYTES("# \x7f\n", "f:1: a control character (0x7f) in column 3; remove it"),
                BYTES("# \xc2\x85\n", "f:1: a control character (0xc2) in column 3; remove it"),
                BYTES("# M\xfchle\n", "f:1: byte 0xfc in column 4 is not UTF-8; save the file as UTF-8"),
                BYTES("# M\xc3", "f:1: byte 0xc3 in column 4 is not UTF-8; save the file as UTF-8"),
                BYTES("# M\xc3\xbchle\n[Domain]\nSize=4K", ""),
        };
#undef BYTES

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                assert_error(*state, rows[i].text, rows[i].length, rows[i].error);
        }
}

/* "PREFIX" and then one character `n` times, a chunk of `ctx`. */
static char *stretched(void *ctx, const char *prefix, char c, size_t n) {
        size_t length = strlen(prefix);
        char *text = talloc_array(ctx, char, length + n + 1);

        memcpy(text, prefix, length);
        memset(text + length, c, n);
        text[length + n] = '\0';
        return text;
}

static void test_long_lines(void **state) {
#define TOO_LONG "the line has 197 bytes, 196 are allowed; lists can go on in the next line, indented"
        static const struct {
                const char *prefix;
                size_t n;
                const char *error;
        } rows[] = {
                { "[Domain]\nSize=4K\nDescription=", 184, "" },
                { "[Domain]\nSize=4K\nDescription=", 185, "f:3: " TOO_LONG },
                { "[Domain]\nSize=4K\n#", 195, "" },
                { "[Domain]\nSize=4K\n#", 196, "f:3: " TOO_LONG },
                { "[Domain]\nSize=4K\n[Access]\nUnit=", 128, "" },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                char *text = stretched(*state, rows[i].prefix, 'x', rows[i].n);

                assert_error(*state, text, strlen(text), rows[i].error);
                talloc_free(text);
        }
#undef TOO_LONG
}

static void test_long_entry(void **state) {
        char *text = stretched(*state, "[Domain]\nSize=4K\n[Access]\nUnit=", 'x', 129), *error;

        error = error_of(*state, text, strlen(text));
        assert_non_null(strstr(error, "f:4: Unit=xxx"));
        assert_non_null(strstr(error, "xxx is too long; 128 bytes are allowed"));
        talloc_free(error);
        talloc_free(text);
}

static void test_long_files(void **state) {
        char *text = stretched(*state, "[Domain]\nSize=4K\n", '\n', DEFINITION_TEXT_MAX - 17);

        assert_error(*state, text, DEFINITION_TEXT_MAX, "");
        assert_error(*state, text, DEFINITION_TEXT_MAX + 1,
                     "f:1: the file has 262145 bytes, 262144 are allowed");
        talloc_free(text);
}

/* `n` entries for `key`, one a line. */
static char *with_entries(char *text, const char *key, size_t n) {
        for (size_t i = 0; i < n; i++) {
                text = talloc_asprintf_append_buffer(text, "%s%zu\n", i ? " " : key, i);
        }
        return text;
}

static void test_many_entries(void **state) {
        static const struct {
                size_t access;
                size_t peer;
                const char *error;
        } rows[] = {
                { 1024, 0, "" },
                { 1023, 1, "" },
                { 1025, 0,
                  "f:1028: User=1024 is one too many; all lists together have room for 1024 entries" },
                { 1024, 1,
                  "f:1: all lists together have 1025 entries, of which 1024 are allowed; use groups or patterns" },
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                char *text = with_entries(talloc_strdup(*state, "[Domain]\nSize=4K\n[Access]\n"),
                                          "User=", rows[i].access);

                if (rows[i].peer) {
                        text = talloc_asprintf_append_buffer(text, "[Peer a]\nVMID=0\n");
                        text = with_entries(text, "Unit=", rows[i].peer);
                }
                assert_error(*state, text, strlen(text), rows[i].error);
                talloc_free(text);
        }
}

static void test_many_peers(void **state) {
        char *text = talloc_strdup(*state, "[Domain]\nSize=4K\nMaxPeers=65536\n");

        for (size_t i = 0; i < 1025; i++) {
                if (i == 1024) {
                        assert_error(*state, text, strlen(text), "");
                }
                text = talloc_asprintf_append_buffer(text, "[Peer %zu]\nVMID=%zu\nUser=0\n", i, i);
        }
        assert_error(*state, text, strlen(text),
                     "f:3076: there are more than 1024 [Peer] sections; merge some");
        talloc_free(text);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_sections),   TEST(test_keys),       TEST(test_indented_lines),
                TEST(test_comments),   TEST(test_bytes),      TEST(test_long_lines),
                TEST(test_long_entry), TEST(test_long_files), TEST(test_many_entries),
                TEST(test_many_peers),
        };

        return cmocka_run_group_tests_name("definition-text", tests, NULL, NULL);
}
