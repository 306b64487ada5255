/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of standard input, read by hand: what stdio holds back poll() would not see. People have a prompt before them, which
 * makes way for what is written meanwhile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The longest line, with a NUL. */
#define INPUT_LINE_MAX 4096U

typedef struct Input Input;

/* Begins as zeros. */
struct Input {
        char text[INPUT_LINE_MAX];
        size_t n;
        bool ended;
};

/* Reads what is there; waits for it where nothing is. */
void input_read(Input *input);

/* The next whole line, into `line`; the last one needs no end. False: more has to be read, or there is none. */
bool input_next_line(Input *input, char line[static INPUT_LINE_MAX]);

/* Whether input_next_line() has one. */
bool input_has_line(const Input *input);

/* The prompt, with what was typed behind it; nothing when no people type. */
void input_show_prompt(const Input *input);

/* Takes it from the terminal's line, for something else to be written there. It is to be shown again afterwards. */
void input_hide_prompt(Input *input);
