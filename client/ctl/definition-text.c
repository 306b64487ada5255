/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sections, keys, lists that go on in the next line. Only the form is looked at, and that no section is lost on the way: one
 * without keys, or one of two with the same name. What is wrong is said as the server says it of files. */

#include "client/ctl/definition-text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/memory.h"

typedef struct Section {
        char *name; /* "Domain", "Access", "Peer NAME" */
        unsigned line;
} Section;

typedef struct Parse {
        void *ctx;
        const char *file;
        unsigned line;
        Section *sections; /* the last one is that at hand */
        size_t n_sections;
        const char *peer; /* of the section; NULL in [Domain] and [Access] */
        char *key;        /* that an indented line goes on with; NULL: none */
        Settings *settings;
        char *error;
} Parse;

static int refuse_at(Parse *parse, unsigned line, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static int refuse_at(Parse *parse, unsigned line, const char *format, ...) {
        va_list arguments;
        char *what;

        va_start(arguments, format);
        what = need(talloc_vasprintf(parse->settings, format, arguments));
        va_end(arguments);
        parse->error = text_new(parse->ctx, "%s:%u: %s", parse->file, line, what);
        return -EINVAL;
}

#define refuse(parse, ...) refuse_at((parse), (parse)->line, __VA_ARGS__)

/* In place; what is behind the blanks at the beginning. */
static char *strip(char *text) {
        size_t n;

        text += strspn(text, " \t\r");
        for (n = strlen(text); n > 0 && strchr(" \t\r", text[n - 1]); n--) {
                text[n - 1] = '\0';
        }
        return text;
}

/* What the section at hand must have: without keys it would not be sent. */
static int end_section(Parse *parse) {
        const char *peer = parse->peer;

        return !peer || settings_get(parse->settings, peer, "VMID")
                       ? 0
                       : refuse_at(parse, parse->sections[parse->n_sections - 1].line,
                                   "[Peer %s] has no VMID=; add it, as in VMID=0", peer);
}

static int begin_section(Parse *parse, const char *name) {
        Section *section;

        for (size_t i = 0; i < parse->n_sections; i++) {
                if (strcmp(parse->sections[i].name, name) == 0) {
                        return refuse(parse, "[%s] began on line %u already; join the two", name,
                                      parse->sections[i].line);
                }
        }
        parse->sections = need(
                talloc_realloc(parse->settings, parse->sections, Section, (unsigned) parse->n_sections + 1));
        section = &parse->sections[parse->n_sections++];
        *section = (Section){ .name = text_new(parse->settings, "%s", name), .line = parse->line };
        parse->peer = strncmp(name, "Peer ", 5) == 0 ? section->name + 5 : NULL;
        parse->key = NULL;
        return 0;
}

static int parse_section(Parse *parse, char *line) {
        size_t n = strlen(line);
        char *name;
        int r;

        if (line[n - 1] != ']') {
                return refuse(parse, "'%s' does not end with ']'; write [SECTION] on a line of its own",
                              line);
        }
        r = end_section(parse);
        if (r < 0) {
                return r;
        }
        name = text_new(parse->settings, "%.*s", (int) n - 2, line + 1);
        name = strip(name);
        if (strcmp(name, "Peer") == 0) {
                return refuse(parse, "[Peer] lacks a name; write one, as in [Peer router]");
        }
        if (strncmp(name, "Peer ", 5) == 0) {
                name = text_new(parse->settings, "Peer %s", strip(name + 5));
        } else if (strcmp(name, "Domain") != 0 && strcmp(name, "Access") != 0) {
                return refuse(parse, "'%s' is no section; there are [Domain], [Access] and [Peer NAME]",
                              line);
        }
        return begin_section(parse, name);
}

static int parse_setting(Parse *parse, char *line) {
        char *equals = strchr(line, '=');
        const Setting *earlier;

        if (!equals) {
                return refuse(parse, "'%s' is neither KEY=VALUE nor [SECTION]", line);
        }
        if (equals == line) {
                return refuse(parse, "there is no key before '='; write KEY=VALUE");
        }
        if (parse->n_sections == 0) {
                return refuse(parse, "'%s' stands before the first section; begin with [Domain]", line);
        }
        *equals = '\0';
        parse->key = text_new(parse->settings, "%s", strip(line));
        earlier = settings_find(parse->settings, parse->peer, parse->key);
        if (earlier) {
                return refuse(parse, "%s= was given on line %u already; remove one, or join the lists",
                              parse->key, earlier->line);
        }
        settings_set(parse->settings, parse->peer, parse->key, strip(equals + 1));
        settings_find(parse->settings, parse->peer, parse->key)->line = parse->line;
        return 0;
}

static int parse_line(Parse *parse, char *line) {
        bool indented = *line == ' ' || *line == '\t';

        line = strip(line);
        if (!*line || *line == '#' || *line == ';') {
                return 0;
        }
        if (indented && parse->key) {
                settings_extend(parse->settings, parse->peer, parse->key, line);
                return 0;
        }
        return *line == '[' ? parse_section(parse, line) : parse_setting(parse, line);
}

int definition_text_parse(void *ctx, const char *text, const char *file, Settings **ret, char **ret_error) {
        Parse parse = { .ctx = ctx, .file = file, .settings = settings_new(ctx) };
        char *copy = text_new(parse.settings, "%s", text), *rest = copy;
        int r = 0;

        for (char *line; r >= 0 && (line = strsep(&rest, "\n"));) {
                parse.line++;
                r = parse_line(&parse, line);
        }
        r = r < 0 ? r : end_section(&parse);
        if (r < 0) {
                talloc_free(parse.settings);
                *ret_error = parse.error;
                return r;
        }
        *ret = parse.settings;
        return 0;
}

/* Whether each setting of a [Peer] section in `a` is in `b`, too. */
static bool has_peers_of(const Settings *a, const Settings *b) {
        for (size_t i = 0; i < a->n; i++) {
                const Setting *setting = &a->list[i];
                const char *other = setting->peer ? settings_get(b, setting->peer, setting->key) : NULL;

                if (setting->peer && (!other || strcmp(other, setting->value) != 0)) {
                        return false;
                }
        }
        return true;
}

static void compare_domain(const Settings *before, const Settings *after, Settings *changed) {
        for (size_t i = 0; i < before->n; i++) {
                const Setting *old = &before->list[i];

                if (!old->peer && !settings_get(after, NULL, old->key)) {
                        settings_set(changed, NULL, old->key, "");
                }
        }
        for (size_t i = 0; i < after->n; i++) {
                const Setting *new = &after->list[i];
                const char *old = new->peer ? NULL : settings_get(before, NULL, new->key);

                if (!new->peer && (!old || strcmp(old, new->value) != 0)) {
                        settings_set(changed, NULL, new->key, new->value);
                }
        }
}

Settings *definition_text_compare(const void *ctx, const Settings *before, const Settings *after) {
        Settings *changed = settings_new(ctx);

        compare_domain(before, after, changed);
        changed->all_peers = !has_peers_of(before, after) || !has_peers_of(after, before);
        for (size_t i = 0; i < after->n && changed->all_peers; i++) {
                const Setting *setting = &after->list[i];

                if (setting->peer) {
                        settings_set(changed, setting->peer, setting->key, setting->value);
                }
        }
        return changed;
}
