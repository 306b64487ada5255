/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From bytes to a configuration: lines, sections, and keys that are the same in each section. */

#include "service/core/config.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <talloc.h>

#include "service/core/text.h"
#include "service/core/utf8.h"

#define LINE_MAX_BYTES 256U
#define BLANKS " \t"
#define NAME_BYTES_MAX 128U

typedef enum Section {
        SECTION_LIMITS,
        SECTION_GLOBAL,
        SECTION_USER,
        SECTION_GROUP,
        _SECTION_MAX,
        _SECTION_INVALID = -22,
} Section;

const char *const config_sections[] = {
        [SECTION_LIMITS] = "Limits", [SECTION_GLOBAL] = "Global", [SECTION_USER] = "User",
        [SECTION_GROUP] = "Group",   [_SECTION_MAX] = NULL,
};

/* A section of the file at hand. */
typedef struct Place {
        Section section;
        const char *name; /* "" where it has none */
        unsigned line;
        unsigned key_lines[_RESOURCE_MAX];
        Quota said; /* QUOTA_UNSET where it says nothing */
} Place;

typedef struct Parser {
        void *ctx; /* the error goes here */
        void *tmp;
        const char *file;
        unsigned line;
        Place *places;
        size_t n_places;
        char *error;
} Parser;

static int complain(Parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(Parser *parser, const char *format, ...) {
        char *error = talloc_asprintf(parser->ctx, "%s:%u: ", parser->file, parser->line);
        va_list arguments;

        if (error) {
                va_start(arguments, format);
                parser->error = talloc_vasprintf_append_buffer(error, format, arguments);
                va_end(arguments);
        }
        if (!parser->error) {
                talloc_free(error);
                return -ENOMEM;
        }
        return -EINVAL;
}

/* ---- Sections ---- */

static int add_place(Parser *parser, Section section, const char *name) {
        Place *places;

        for (size_t i = 0; i < parser->n_places; i++) {
                if (parser->places[i].section == section && strcmp(parser->places[i].name, name) == 0) {
                        return complain(parser, "[%s%s%s] began on line %u already; join the two",
                                        config_sections[section], *name ? " " : "", name,
                                        parser->places[i].line);
                }
        }
        if (parser->n_places >= CONFIG_TENANTS_MAX) {
                return complain(parser, "more than %u sections; use groups", CONFIG_TENANTS_MAX);
        }
        places = talloc_realloc(parser->tmp, parser->places, Place, parser->n_places + 1);
        if (!places) {
                return -ENOMEM;
        }
        parser->places = places;
        places[parser->n_places] = (Place){ .section = section, .name = name, .line = parser->line };
        quota_fill(&places[parser->n_places++].said, QUOTA_UNSET);
        return 0;
}

/* A user's or group's name, or its number. */
static const char *name_fault(const char *name) {
        if (*name == '\0') {
                return "lacks a name";
        }
        if (strlen(name) > NAME_BYTES_MAX) {
                return "has a name that is too long";
        }
        if (name[0] == '-' || name[strcspn(name, BLANKS "/:,*?[]\"'=")]) {
                return "names nobody: write a name or a number";
        }
        return NULL;
}

/* "[User alice]", without the brackets. */
static int take_section(Parser *parser, char *header) {
        char *name = strchr(header, ' ');
        const char *fault;
        int section;

        if (name) {
                *name++ = '\0';
        }
        section = name_parse(config_sections, _SECTION_MAX, header);
        if (section < 0) {
                return complain(
                        parser,
                        "[%s] is no section; there are [Limits], [Global], [User NAME] and [Group NAME]",
                        header);
        }
        if (section != SECTION_USER && section != SECTION_GROUP) {
                return name ? complain(parser, "[%s] has no name; write [%s]", header, header)
                            : add_place(parser, (Section) section, "");
        }
        fault = name_fault(name ?: "");
        if (fault) {
                return complain(parser, "[%s] %s, as in [%s %s]", header, fault, header,
                                section == SECTION_USER ? "alice" : "kvm");
        }
        return add_place(parser, (Section) section, name);
}

/* ---- Keys ---- */

static int value_parse(Parser *parser, Resource resource, const char *text, uint64_t *ret) {
        const char *key = resource_names[resource];
        uint32_t number;
        int r;

        if (strcmp(text, "unlimited") == 0) {
                *ret = QUOTA_UNLIMITED;
                return 0;
        }
        if (resource_is_size(resource)) {
                r = size_parse(text, ret);
                return r == 0 && *ret < QUOTA_UNSET
                               ? 0
                               : complain(
                                         parser,
                                         "%s=%s is no size; write a number of bytes, or one with K, M, G or T, as in "
                                         "4G, or unlimited",
                                         key, text);
        }
        r = number_parse(text, UINT32_MAX, &number);
        if (r < 0) {
                return complain(parser, "%s=%s is no number up to %u; write one, or unlimited", key, text,
                                UINT32_MAX);
        }
        *ret = number;
        return 0;
}

static char *trimmed(char *text) {
        size_t length;

        text += strspn(text, BLANKS);
        length = strlen(text);
        while (length > 0 && strchr(BLANKS, text[length - 1])) {
                length--;
        }
        text[length] = '\0';
        return text;
}

static int take_key(Parser *parser, const char *key, const char *value) {
        Place *place = parser->n_places ? &parser->places[parser->n_places - 1] : NULL;
        int resource = NAME_PARSE(resource_names, key);

        if (!place) {
                return complain(parser, "%s= stands before the first section; write [Limits] above it", key);
        }
        if (resource < 0) {
                return complain(
                        parser,
                        "%s= is no limit; there are Domains=, Bytes=, HugePageBytes=, Peers= and Vectors=",
                        key);
        }
        if (place->key_lines[resource] > 0) {
                return complain(parser, "%s= was given on line %u already; remove one", key,
                                place->key_lines[resource]);
        }
        place->key_lines[resource] = parser->line;
        return value_parse(parser, (Resource) resource, value, &place->said.values[resource]);
}

/* ---- Lines ---- */

static int check_bytes(Parser *parser, const char *line, size_t length) {
        if (length > LINE_MAX_BYTES) {
                return complain(parser, "the line has %zu bytes, %u are allowed", length, LINE_MAX_BYTES);
        }
        for (size_t start = 0, offset; start < length; start += offset + 1) {
                if (utf8_check(line + start, length - start, &offset) != UTF8_OK &&
                    line[start + offset] != '\t') {
                        return complain(parser, "byte 0x%02x in column %zu is not text; remove it",
                                        (unsigned char) line[start + offset], start + offset + 1);
                }
        }
        return 0;
}

static int take_line(Parser *parser, char *line) {
        char *equals;

        if (line[strspn(line, BLANKS)] == '\0' || *line == '#' || *line == ';') {
                return 0;
        }
        if (strchr(BLANKS, *line)) {
                return complain(parser, "the line is indented; nothing goes on over several lines here");
        }
        line = trimmed(line);
        if (*line == '[') {
                size_t last = strlen(line) - 1;

                if (line[last] != ']') {
                        return complain(parser,
                                        "'%s' does not end with ']'; write [SECTION] on a line of its own",
                                        line);
                }
                line[last] = '\0';
                return take_section(parser, line + 1);
        }
        equals = strchr(line, '=');
        if (!equals) {
                return complain(parser, "'%s' is neither a section nor KEY=VALUE", line);
        }
        *equals = '\0';
        return take_key(parser, trimmed(line), trimmed(equals + 1));
}

static int take_lines(Parser *parser, const char *text, size_t length) {
        const char *end = text + length;
        int r = 0;

        while (text < end && r == 0) {
                const char *newline = memchr(text, '\n', (size_t) (end - text)) ?: end;
                size_t n = (size_t) (newline - text);
                char *line;

                n -= n > 0 && text[n - 1] == '\r';
                parser->line++;
                r = check_bytes(parser, text, n);
                if (r == 0) {
                        /* It stays as long as the parser: names of sections point into it. */
                        line = talloc_strndup(parser->tmp, text, n);
                        r = line ? take_line(parser, line) : -ENOMEM;
                }
                text = newline + 1;
        }
        return r;
}

/* ---- The whole ---- */

static void quota_override(Quota *limits, const Quota *said) {
        for (size_t i = 0; i < _RESOURCE_MAX; i++) {
                if (said->values[i] != QUOTA_UNSET) {
                        limits->values[i] = said->values[i];
                }
        }
}

static int tenant_get(Config *config, RuleKind kind, const char *name, ConfigTenant **ret) {
        ConfigTenant *tenants;
        uint32_t id;

        for (size_t i = 0; i < config->n_tenants; i++) {
                if (config->tenants[i].who.kind == kind && strcmp(config->tenants[i].who.text, name) == 0) {
                        *ret = &config->tenants[i];
                        return 0;
                }
        }
        tenants = talloc_realloc(config, config->tenants, ConfigTenant, config->n_tenants + 1);
        if (!tenants) {
                return -ENOMEM;
        }
        config->tenants = tenants;
        *ret = &tenants[config->n_tenants];
        **ret = (ConfigTenant){ .who = { .kind = kind, .text = talloc_strdup(config, name) } };
        (*ret)->who.id = number_parse(name, UINT32_MAX - 1, &id) == 0 ? id : PRINCIPAL_UNRESOLVED;
        quota_fill(&(*ret)->limits, QUOTA_UNSET);
        config->n_tenants += (*ret)->who.text != NULL;
        return (*ret)->who.text ? 0 : -ENOMEM;
}

static int take_over(Config *config, const Place *place) {
        ConfigTenant *tenant;
        int r;

        if (place->section == SECTION_LIMITS || place->section == SECTION_GLOBAL) {
                quota_override(place->section == SECTION_LIMITS ? &config->standard : &config->global,
                               &place->said);
                return 0;
        }
        r = tenant_get(config, place->section == SECTION_USER ? RULE_USER : RULE_GROUP, place->name,
                       &tenant);
        if (r == 0) {
                quota_override(&tenant->limits, &place->said);
        }
        return r;
}

int config_parse(void *ctx, Config *config, const char *file, const char *text, size_t length,
                 char **ret_error) {
        Parser parser = { .ctx = ctx, .tmp = talloc_new(ctx), .file = file };
        int r = parser.tmp ? 0 : -ENOMEM;

        if (r == 0 && length > CONFIG_TEXT_MAX) {
                parser.line = 1;
                r = complain(&parser, "the file has %zu bytes, %u are allowed", length, CONFIG_TEXT_MAX);
        }
        if (r == 0) {
                r = take_lines(&parser, text, length);
        }
        for (size_t i = 0; i < parser.n_places && r == 0; i++) {
                r = take_over(config, &parser.places[i]);
        }
        talloc_free(parser.tmp);
        if (r == -EINVAL) {
                *ret_error = parser.error;
        }
        return r;
}
