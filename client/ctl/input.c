/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The terminal reads the line and lets it be edited; this only shows it again where something was written in between. */

#include "client/ctl/input.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client/ctl/terminal.h"

static size_t room(const Input *input) {
        return sizeof(input->text) - 1 - input->n;
}

void input_read(Input *input) {
        ssize_t n = read(STDIN_FILENO, input->text + input->n, room(input));

        if (n > 0) {
                input->n += (size_t) n;
        } else if (n == 0 || errno != EINTR) {
                input->ended = true;
        }
}

bool input_has_line(const Input *input) {
        return memchr(input->text, '\n', input->n) || (input->ended && input->n > 0) || room(input) == 0;
}

bool input_next_line(Input *input, char line[static INPUT_LINE_MAX]) {
        char *end = memchr(input->text, '\n', input->n);
        size_t n = end ? (size_t) (end - input->text) : input->n;

        if (!input_has_line(input)) {
                return false;
        }
        memcpy(line, input->text, n);
        line[n] = '\0';
        n += end ? 1 : 0;
        memmove(input->text, input->text + n, input->n - n);
        input->n -= n;
        return true;
}

void input_show_prompt(const Input *input) {
        if (terminal_is_input()) {
                printf("> %.*s", (int) input->n, input->text);
                fflush(stdout);
        }
}

/*
 * The beginning of a line, which the terminal keeps as long as it can be edited. With it we can show it again; what is
 * taken like this can be gone on with, and not be edited any more. Not in the background, where a terminal stops whoever
 * changes it.
 */
static void take_typed(Input *input) {
        struct pollfd whole = { .fd = STDIN_FILENO, .events = POLLIN };
        struct termios usual, at_once;
        ssize_t n;

        if (poll(&whole, 1, 0) != 0 || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
            tcgetattr(STDIN_FILENO, &usual) < 0) {
                return;
        }
        at_once = usual;
        at_once.c_lflag &= ~(tcflag_t) ICANON;
        at_once.c_cc[VMIN] = 0;
        at_once.c_cc[VTIME] = 0;
        if (tcsetattr(STDIN_FILENO, TCSANOW, &at_once) < 0) {
                return;
        }
        n = read(STDIN_FILENO, input->text + input->n, room(input));
        input->n += n > 0 ? (size_t) n : 0;
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &usual);
}

void input_hide_prompt(Input *input) {
        if (terminal_is_input() && terminal_is_output()) {
                take_typed(input);
                fputs("\r\x1b[K", stdout);
                fflush(stdout);
        }
}
