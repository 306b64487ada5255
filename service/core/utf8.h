/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether bytes are text that can be shown: well-formed UTF-8 without control characters. No allocation, no locale. */
#pragma once

#include <stddef.h>

typedef enum Utf8Result {
        UTF8_OK = 0,
        UTF8_MALFORMED, /* stray, missing or overlong bytes, a surrogate, or beyond U+10FFFF (RFC 3629) */
        UTF8_CONTROL,   /* U+0000 .. U+001F and U+007F .. U+009F */
} Utf8Result;

/* Checks `length` bytes. *ret_offset (may be NULL) is where the first character stands that is not good, or `length`. */
Utf8Result utf8_check(const char *text, size_t length, size_t *ret_offset);
