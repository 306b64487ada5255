/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of a program that runs for a moment: when there is none left, it says so and ends. So nothing in client/ctl looks
 * at what talloc, json-c and sd-bus return for want of memory.
 */
#pragma once

#include <stddef.h>

/* `pointer`, which is not NULL: else the program ends with status 1. */
void *need(void *pointer);

/* The same for results of sd-bus that cannot fail otherwise (appending what is well-formed). */
void need_ok(int r);

/* Formatting into a chunk of `ctx`. */
char *text_new(const void *ctx, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `text` with more behind it, in its place. */
char *text_append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
