/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers as people read them: sizes, times, users. And the way back for what people type. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "64M", "1.5G": in powers of 1024, exact where one digit behind the point is. A chunk of `ctx`, as all texts here. */
char *human_size(const void *ctx, uint64_t bytes);

/* "Thu 2026-11-26 14:45:47 UTC", of microseconds of CLOCK_REALTIME. */
char *human_time(const void *ctx, uint64_t usec);

/* "3min 20s", of microseconds; the two largest units. */
char *human_span(const void *ctx, uint64_t usec);

/* What makes a word for `n` of a thing: "s", but "" for one. No chunk. */
const char *human_plural(uint64_t n);

/* "alice", or the number of a user that has no name. */
char *human_user(const void *ctx, uint32_t uid);

/* The text without what a terminal would take for commands, and without line feeds: control characters, and bytes that
 * are not UTF-8, become "?". */
char *human_safe(const void *ctx, const char *text);

/* A number of bytes: decimal with K, M, G or T, or hexadecimal behind 0x. -EINVAL, -ERANGE. */
int human_parse_size(const char *text, uint64_t *ret);

/* Decimal digits, at most `max`. -EINVAL, -ERANGE. */
int human_parse_number(const char *text, uint64_t max, uint64_t *ret);

/* yes/no, true/false, on/off, 1/0. -EINVAL. */
int human_parse_boolean(const char *text, bool *ret);

/* A user's name or number. -ESRCH: there is none of this name. */
int human_parse_user(const char *text, uint32_t *ret);
