/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From bytes to a definition. libinih splits lines into keys and values; this file hands it the lines one by one, and
 * so knows their numbers, sees sections that have no keys, and refuses beforehand what libinih (as Debian builds it:
 * 200 bytes a line, continued lines, comments after values, "key: value") would cut, drop or take for something else.
 */

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>
#include <talloc.h>

#include "service/core/definition-keys.h"
#include "service/core/text.h"
#include "service/core/utf8.h"

#define BLANKS " \t"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

typedef struct Parser Parser;
typedef struct Place Place;

typedef enum LineKind {
        LINE_EMPTY, /* blanks only, or a comment */
        LINE_SECTION,
        LINE_KEY,
        LINE_INDENTED, /* goes on with the list of the line before */
} LineKind;

/* Where a section and its keys stand; 0: nowhere. */
struct Place {
        unsigned line;
        unsigned key_lines[DEFINITION_KEYS_MAX];
};

struct Parser {
        void *ctx; /* the error goes here */
        const char *file;
        const char *text; /* what is left of it */
        size_t left;
        unsigned line; /* of the line at hand, from 1 */
        LineKind kind;

        DefinitionSection section; /* _SECTION_INVALID before the first */
        const DefinitionKey *key;  /* that an indented line goes on with */
        Place domain;
        Place access;
        Place *peers; /* in step with the reservations */

        Definition *definition;
        int result;
        char *error;
};

/* Ends the parsing, unless it has ended before, with an error about a line. */
static void complain_at(Parser *parser, unsigned line, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static void complain_at(Parser *parser, unsigned line, const char *format, ...) {
        va_list arguments;
        char *error;

        if (parser->result < 0) {
                return;
        }
        error = talloc_asprintf(parser->ctx, "%s:%u: ", parser->file, line);
        if (error) {
                va_start(arguments, format);
                parser->error = talloc_vasprintf_append_buffer(error, format, arguments);
                va_end(arguments);
        }
        if (!parser->error) {
                talloc_free(error);
        }
        parser->result = parser->error ? -EINVAL : -ENOMEM;
}

#define complain(parser, ...) complain_at((parser), (parser)->line, __VA_ARGS__)

/* The place of the section at hand, NULL before the first. */
static Place *parser_place(Parser *parser) {
        switch (parser->section) {
        case SECTION_DOMAIN:
                return &parser->domain;
        case SECTION_ACCESS:
                return &parser->access;
        case SECTION_PEER:
                return &parser->peers[parser->definition->n_reservations - 1];
        default:
                return NULL;
        }
}

/* What the fields of the section at hand belong to. */
static void *parser_base(Parser *parser) {
        Definition *definition = parser->definition;

        return parser->section == SECTION_PEER
                       ? (void *) &definition->reservations[definition->n_reservations - 1]
                       : (void *) definition;
}

/* ---- Lines ---- */

static void complain_about_bytes(Parser *parser, Utf8Result fault, const char *line, size_t offset) {
        unsigned byte = (unsigned char) line[offset];

        if (fault == UTF8_MALFORMED) {
                complain(parser, "byte 0x%02x in column %zu is not UTF-8; save the file as UTF-8", byte,
                         offset + 1);
        } else {
                complain(parser, "a control character (0x%02x) in column %zu; remove it", byte, offset + 1);
        }
}

/* The bytes of a line: no more than fit, and all of them text. Tabs are blanks outside of values. */
static void check_bytes(Parser *parser, const char *line, size_t length) {
        if (length > DEFINITION_LINE_MAX) {
                complain(
                        parser,
                        "the line has %zu bytes, %u are allowed; lists can go on in the next line, indented",
                        length, DEFINITION_LINE_MAX);
                return;
        }
        for (size_t start = 0, offset; start < length; start += offset + 1) {
                Utf8Result fault = utf8_check(line + start, length - start, &offset);

                if (fault != UTF8_OK && line[start + offset] != '\t') {
                        complain_about_bytes(parser, fault, line, start + offset);
                        return;
                }
        }
}

static LineKind line_kind(const char *line) {
        const char *first = line + strspn(line, BLANKS);

        if (*first == '\0' || *first == '#' || *first == ';') {
                return LINE_EMPTY;
        }
        if (first > line) {
                return LINE_INDENTED;
        }
        return *first == '[' ? LINE_SECTION : LINE_KEY;
}

/* A comment behind something else, which libinih would drop from some lines and keep in others. */
static void check_comment(Parser *parser, const char *line) {
        for (const char *c = line; (c = strchr(c, ';')); c++) {
                if (c > line && strchr(BLANKS, c[-1])) {
                        complain(parser, "a comment behind something else; give it a line of its own");
                        return;
                }
        }
}

static void check_key_line(Parser *parser, const char *line) {
        size_t name = strcspn(line, "=:");

        if (line[name] != '=') {
                complain(parser, "'%s' is neither KEY=VALUE nor [SECTION]", line);
        } else if (name == 0) {
                complain(parser, "there is no key before '='; write KEY=VALUE");
        } else if (parser->section < 0) {
                complain(parser, "'%s' stands before the first section; begin with [Domain]", line);
        }
}

static void check_indented_line(Parser *parser, const char *line) {
        if (!parser->key) {
                complain(
                        parser,
                        "'%s' is indented, and there is no list that it could go on with; begin it in the first "
                        "column",
                        line + strspn(line, BLANKS));
        } else if (parser->key->type != &value_rules) {
                complain(
                        parser,
                        "'%s' is indented, but %s= is no list that could go on; begin it in the first column",
                        line + strspn(line, BLANKS), parser->key->name);
        }
}

/* ---- Sections ---- */

/* A reservation with its place; what is found wrong with its name is said here, where the line is known. */
static void open_peer(Parser *parser, const char *name) {
        Definition *definition = parser->definition;
        size_t n = definition->n_reservations;
        Reservation *reservations;
        Place *peers;

        if (n >= DEFINITION_RULES_MAX) {
                complain(parser, "there are more than %u [Peer] sections; merge some", DEFINITION_RULES_MAX);
                return;
        }
        if (!reservation_name_is_valid(name)) {
                complain(parser,
                         "'%s' is no name for a peer; write letters, digits, '_', '.' and '-', %u at most",
                         name, RESERVATION_NAME_MAX);
                return;
        }
        reservations = talloc_realloc(definition, definition->reservations, Reservation, n + 1);
        definition->reservations = reservations ? reservations : definition->reservations;
        peers = talloc_realloc(definition, parser->peers, Place, n + 1);
        parser->peers = peers ? peers : parser->peers;
        if (!reservations || !peers) {
                parser->result = -ENOMEM;
                return;
        }
        reservations[n] = (Reservation){ .name = talloc_strdup(definition, name) };
        peers[n] = (Place){ .line = parser->line };
        definition->n_reservations++;
        if (!reservations[n].name ||
            definition_section_init(definition, SECTION_PEER, &reservations[n]) < 0) {
                parser->result = -ENOMEM;
        }
}

/* The first [Peer] section of this name, but for the last section. */
static const Place *peer_place_find(const Parser *parser, const char *name) {
        for (size_t i = 0; i < parser->definition->n_reservations; i++) {
                if (strcmp(parser->definition->reservations[i].name, name) == 0) {
                        return &parser->peers[i];
                }
        }
        return NULL;
}

/* Splits "[Peer router]" in place into "Peer" and "router" (NULL when there is no blank). */
static bool header_split(char *line, char **ret_section, char **ret_name) {
        size_t length = strlen(line);

        while (strchr(BLANKS, line[length - 1])) {
                length--;
        }
        if (line[length - 1] != ']') {
                return false;
        }
        line[length - 1] = '\0';
        *ret_section = line + 1;
        *ret_name = strchr(line, ' ');
        if (*ret_name) {
                *(*ret_name)++ = '\0';
        }
        return true;
}

static void open_section(Parser *parser, DefinitionSection section, const char *name) {
        const Place *earlier = section == SECTION_DOMAIN   ? &parser->domain
                               : section == SECTION_ACCESS ? &parser->access
                                                           : peer_place_find(parser, name);

        if (earlier && earlier->line > 0) {
                complain(parser, "[%s%s%s] began on line %u already; join the two", section_names[section],
                         name ? " " : "", name ? name : "", earlier->line);
                return;
        }
        parser->section = section;
        if (section == SECTION_PEER) {
                open_peer(parser, name);
        } else {
                parser_place(parser)->line = parser->line;
        }
}

static void take_header(Parser *parser, const char *line) {
        char *copy = talloc_strdup(parser->definition, line), *word, *name;
        int section;

        parser->key = NULL;
        if (!copy) {
                parser->result = -ENOMEM;
                return;
        }
        if (!header_split(copy, &word, &name)) {
                complain(parser, "'%s' does not end with ']'; write [SECTION] on a line of its own", line);
                goto out;
        }
        section = NAME_PARSE(section_names, word);
        if (section < 0 || (name && section != SECTION_PEER)) {
                complain(parser, "'%s' is no section; there are [Domain], [Access] and [Peer NAME]", line);
        } else if (!name && section == SECTION_PEER) {
                complain(parser, "[Peer] lacks a name; write one, as in [Peer router]");
        } else {
                open_section(parser, section, name);
        }
out:
        talloc_free(copy);
}

/* ---- Keys ---- */

static void complain_about_key(Parser *parser, const char *name) {
        const char *section = section_names[parser->section];
        const DefinitionKey *guess = definition_key_guess(parser->section, name);

        if (!guess) {
                complain(parser, "[%s] has no %s=; ivshmem.domain(5) lists the keys", section, name);
        } else if (guess->section == parser->section) {
                complain(parser, "[%s] has no %s=; is %s= meant?", section, name, guess->name);
        } else {
                complain(parser, "[%s] has no %s=; it belongs to [%s]", section, name,
                         section_names[guess->section]);
        }
}

/* Notes where the key stands. One that stood before is an error, unless this line goes on with it. */
static void note_key(Parser *parser, const DefinitionKey *key) {
        unsigned *line = &parser_place(parser)->key_lines[definition_key_index(key)];

        if (parser->kind == LINE_KEY && *line > 0) {
                complain(parser, "%s= was given on line %u already; %s", key->name, *line,
                         key->type == &value_rules ? "join the lists" : "remove one");
        } else if (*line == 0) {
                *line = parser->line;
        }
        parser->key = key;
}

/* libinih's handler. It names the section too, but cuts long names, so that the parser's own counts. */
static int take_value(void *userdata, const char *section, const char *name, const char *value) {
        Parser *parser = userdata;
        const DefinitionKey *key = definition_key_find(parser->section, name);
        char *error = NULL;
        int r;

        if (!key) {
                complain_about_key(parser, name);
                return 1;
        }
        note_key(parser, key);
        if (parser->result < 0) {
                return 1;
        }
        r = key->type->parse(parser->definition, key, value, definition_key_field(key, parser_base(parser)),
                             &error);
        if (r == -EINVAL) {
                complain(parser, "%s", error);
        } else if (r < 0) {
                parser->result = r;
        }
        return 1;
}

/* ---- The whole ---- */

/* Cuts the next line off, without its end. */
static size_t next_line(Parser *parser, const char **ret_line) {
        const char *line = parser->text, *end = memchr(line, '\n', parser->left);
        size_t length = end ? (size_t) (end - line) : parser->left;
        size_t step = length + (end != NULL);

        parser->text += step;
        parser->left -= step;
        parser->line++;
        *ret_line = line;
        return end && length > 0 && end[-1] == '\r' ? length - 1 : length;
}

static void check_line(Parser *parser, const char *line) {
        parser->kind = line_kind(line);
        if (parser->kind == LINE_EMPTY) {
                return;
        }
        check_comment(parser, line);
        if (parser->kind == LINE_SECTION) {
                take_header(parser, line);
        } else if (parser->kind == LINE_INDENTED) {
                check_indented_line(parser, line);
        } else {
                check_key_line(parser, line);
        }
}

/* libinih's reader: puts the next line into `buffer`, or returns NULL to end the parsing. */
static char *read_line(char *buffer, int size, void *userdata) {
        Parser *parser = userdata;
        const char *line;
        size_t length;

        if (parser->result < 0 || parser->left == 0) {
                return NULL;
        }
        length = next_line(parser, &line);
        check_bytes(parser, line, length);
        if (parser->result == 0 && length >= (size_t) size) {
                complain(parser, "the line has %zu bytes, of which this build of libinih reads %d", length,
                         size - 1);
        }
        if (parser->result < 0) {
                return NULL;
        }
        memcpy(buffer, line, length);
        buffer[length] = '\0';
        check_line(parser, buffer);
        return parser->result < 0 ? NULL : buffer;
}

static void check_peers_complete(Parser *parser) {
        size_t vm_id = definition_key_index(definition_key_find(SECTION_PEER, "VMID"));

        for (size_t i = 0; i < parser->definition->n_reservations; i++) {
                if (parser->peers[i].key_lines[vm_id] == 0) {
                        complain_at(parser, parser->peers[i].line,
                                    "[Peer %s] has no VMID=; add it, as in VMID=0",
                                    parser->definition->reservations[i].name);
                }
        }
}

/* What must be there, and what is there for nothing even when its value is the default. */
static void check_complete(Parser *parser) {
        const unsigned *lines = parser->domain.key_lines;

        if (parser->domain.line == 0) {
                complain_at(parser, parser->line ? parser->line : 1,
                            "there is no [Domain] section; add one, with a size as in Size=64M");
        } else if (lines[definition_key_index(definition_key_find(SECTION_DOMAIN, "Size"))] == 0) {
                complain_at(parser, parser->domain.line, "[Domain] has no Size=; add it, as in Size=64M");
        }
        DEFINITION_KEY_FOREACH(key) {
                const DefinitionKey *needed = key->needs ? definition_key_find(key->section, key->needs)
                                                         : NULL;

                if (needed && lines[definition_key_index(key)] && !lines[definition_key_index(needed)]) {
                        complain_at(parser, lines[definition_key_index(key)], DEFINITION_NEEDS_FORMAT,
                                    key->name, needed->name);
                }
        }
        check_peers_complete(parser);
}

/* The line of the key that is to blame, else of its section. */
static unsigned fault_line(const Parser *parser, const DefinitionFault *fault) {
        const Place *place = fault->reservation
                                     ? &parser->peers[fault->reservation - parser->definition->reservations]
                             : fault->key && fault->key->section == SECTION_ACCESS ? &parser->access
                                                                                   : &parser->domain;
        unsigned line = fault->key ? place->key_lines[definition_key_index(fault->key)] : 0;

        return line > 0 ? line : place->line;
}

static void check_whole(Parser *parser) {
        DefinitionFault fault;
        int r = definition_check(parser->definition, parser->definition, &fault);

        if (r == -EINVAL) {
                complain_at(parser, fault_line(parser, &fault), "%s", fault.text);
        } else if (r < 0) {
                parser->result = r;
        }
}

static void parse(Parser *parser) {
        int r = ini_parse_stream(read_line, parser, take_value, parser);

        if (parser->result < 0) {
                return;
        }
        if (r < 0) {
                parser->result = -ENOMEM;
        } else if (r > 0) {
                complain_at(parser, (unsigned) r, "this build of libinih does not understand the line");
        } else {
                check_complete(parser);
        }
        if (parser->result == 0) {
                check_whole(parser);
        }
}

int definition_parse(void *ctx, const char *file, const char *text, size_t length, Definition **ret,
                     char **ret_error) {
        size_t mark = length >= 3 && memcmp(text, BYTE_ORDER_MARK, 3) == 0 ? 3 : 0;
        Parser parser = {
                .ctx = ctx,
                .file = file,
                .text = text + mark,
                .left = length - mark,
                .section = _SECTION_INVALID,
        };
        int r = definition_new(ctx, &parser.definition);

        if (r < 0) {
                return r;
        }
        if (length > DEFINITION_TEXT_MAX) {
                complain_at(&parser, 1, "the file has %zu bytes, %u are allowed", length,
                            DEFINITION_TEXT_MAX);
        } else {
                parse(&parser);
        }
        talloc_free(parser.peers);
        if (parser.result < 0) {
                talloc_free(parser.definition);
        }
        if (parser.result == -EINVAL) {
                *ret_error = parser.error;
        } else if (parser.result == 0) {
                *ret = parser.definition;
        }
        return parser.result;
}
