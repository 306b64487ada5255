/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What standard output can do, and the colours of it. */
#pragma once

#include <stdbool.h>

typedef enum Colour {
        COLOUR_NONE,
        COLOUR_TITLE,
        COLOUR_GOOD,
        COLOUR_BAD,
        COLOUR_WARNING,
        COLOUR_FAINT,
        _COLOUR_MAX,
} Colour;

/* The locale, for widths, and whether there are colours: on a terminal that has some, unless $NO_COLOR is set;
 * $SYSTEMD_COLORS says it for certain. Called once, before the pager takes standard output. */
void terminal_init(void);

bool terminal_has_colours(void);

/* Whether people sit before it, as far as one can know. */
bool terminal_is_output(void);
bool terminal_is_input(void);
bool terminal_is_error(void); /* standard error, where progress goes */

/* What switches a colour on; "" without colours. COLOUR_NONE switches all off. */
const char *terminal_colour(Colour colour);

/* Cells that a text takes; characters that have no width, and control characters, take none. */
unsigned terminal_width_of(const char *text);

unsigned terminal_columns(void);
unsigned terminal_lines(void);
