/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sections, keys, lists that go on in the next line. Only the form is looked at. */

#include "client/ctl/definition-text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/memory.h"

typedef struct Parse {
        void *ctx;
        const char *file;
        unsigned line;
        bool in_section;
        char *peer; /* of the section; NULL in [Domain] and [Access] */
        char *key;  /* that an indented line goes on with; NULL: none */
        Settings *settings;
        char *error;
} Parse;

static int refuse(Parse *parse, const char *what) {
        parse->error = text_new(parse->ctx, "%s:%u: %s", parse->file, parse->line, what);
        return -EINVAL;
}

/* In place; what is behind the blanks at the beginning. */
static char *strip(char *text) {
        size_t n;

        text += strspn(text, " \t\r");
        for (n = strlen(text); n > 0 && strchr(" \t\r", text[n - 1]); n--) {
                text[n - 1] = '\0';
        }
        return text;
}

static int parse_section(Parse *parse, char *line) {
        size_t n = strlen(line);

        if (line[n - 1] != ']') {
                return refuse(parse, "the section has no \"]\" at its end");
        }
        line[n - 1] = '\0';
        line = strip(line + 1);
        parse->in_section = true;
        parse->key = NULL;
        if (strncmp(line, "Peer ", 5) == 0) {
                parse->peer = text_new(parse->settings, "%s", strip(line + 5));
                return 0;
        }
        parse->peer = NULL;
        return strcmp(line, "Domain") == 0 || strcmp(line, "Access") == 0
                       ? 0
                       : refuse(parse, "there are only the sections [Domain], [Access] and [Peer NAME]");
}

static int parse_setting(Parse *parse, char *line) {
        char *equals = strchr(line, '=');

        if (!equals || equals == line) {
                return refuse(parse, "this is neither a section nor KEY=VALUE");
        }
        if (!parse->in_section) {
                return refuse(parse, "this is in no section; begin with [Domain]");
        }
        *equals = '\0';
        parse->key = text_new(parse->settings, "%s", strip(line));
        if (settings_get(parse->settings, parse->peer, parse->key)) {
                return refuse(parse, "this key is there twice");
        }
        settings_set(parse->settings, parse->peer, parse->key, strip(equals + 1));
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
