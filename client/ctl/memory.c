/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of the program when memory is out, and formatting that cannot fail otherwise. */

#include "client/ctl/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

void *need(void *pointer) {
        if (!pointer) {
                fputs("ivshmemctl: out of memory\n", stderr);
                exit(EXIT_FAILURE);
        }
        return pointer;
}

void need_ok(int r) {
        if (r < 0) {
                fprintf(stderr, "ivshmemctl: cannot make a message: %s\n", strerror(-r));
                exit(EXIT_FAILURE);
        }
}

char *text_new(const void *ctx, const char *format, ...) {
        va_list arguments;
        char *text;

        va_start(arguments, format);
        text = talloc_vasprintf(ctx, format, arguments);
        va_end(arguments);
        return need(text);
}

char *text_append(char *text, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        text = talloc_vasprintf_append(text, format, arguments);
        va_end(arguments);
        return need(text);
}
