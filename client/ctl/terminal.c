/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terminal: asked, never changed. */

#include "client/ctl/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "client/ctl/human.h"

static struct {
        bool output;
        bool input;
        bool error;
        bool colours;
} terminal;

static const char *const colour_codes[_COLOUR_MAX] = {
        [COLOUR_NONE] = "\x1b[0m",   [COLOUR_TITLE] = "\x1b[1m",    [COLOUR_GOOD] = "\x1b[32m",
        [COLOUR_BAD] = "\x1b[1;31m", [COLOUR_WARNING] = "\x1b[33m", [COLOUR_FAINT] = "\x1b[2m",
};

/* $SYSTEMD_COLORS has a yes or no, or how many colours there are ("16", "256", "auto-16", ...). */
static bool wants_colours(void) {
        const char *systemd = getenv("SYSTEMD_COLORS"), *none = getenv("NO_COLOR"), *kind = getenv("TERM");
        bool wanted;

        if (systemd && human_parse_boolean(systemd, &wanted) == 0) {
                return wanted;
        }
        if (systemd &&
            (strcmp(systemd, "16") == 0 || strcmp(systemd, "256") == 0 || strcmp(systemd, "24bit") == 0)) {
                return true;
        }
        return terminal.output && !(none && *none) && kind && strcmp(kind, "dumb") != 0;
}

void terminal_init(void) {
        setlocale(LC_ALL, "");
        if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
                setlocale(LC_CTYPE, "C.UTF-8"); /* what comes over the bus is UTF-8 wherever it is shown */
        }
        terminal.output = isatty(STDOUT_FILENO) == 1;
        terminal.input = isatty(STDIN_FILENO) == 1;
        terminal.error = isatty(STDERR_FILENO) == 1;
        terminal.colours = wants_colours();
}

bool terminal_has_colours(void) {
        return terminal.colours;
}

bool terminal_is_output(void) {
        return terminal.output;
}

bool terminal_is_input(void) {
        return terminal.input;
}

bool terminal_is_error(void) {
        return terminal.error;
}

const char *terminal_colour(Colour colour) {
        return terminal.colours ? colour_codes[colour] : "";
}

unsigned terminal_width_of(const char *text) {
        mbstate_t state = { 0 };
        unsigned width = 0;

        while (*text) {
                wchar_t character;
                size_t n = mbrtowc(&character, text, strlen(text), &state);
                int cells;

                if (n == 0 || n > strlen(text)) {
                        memset(&state, 0, sizeof(state));
                        width++;
                        text++;
                        continue;
                }
                cells = wcwidth(character);
                width += cells > 0 ? (unsigned) cells : 0;
                text += n;
        }
        return width;
}

static struct winsize window(void) {
        struct winsize size = { 0 };

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0) {
                size = (struct winsize){ 0 };
        }
        return size;
}

unsigned terminal_columns(void) {
        unsigned columns = window().ws_col;

        return columns > 0 ? columns : 80;
}

unsigned terminal_lines(void) {
        unsigned lines = window().ws_row;

        return lines > 0 ? lines : 24;
}
