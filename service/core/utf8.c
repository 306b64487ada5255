/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether bytes are text that can be shown. Decodes one character after the other, and stores nothing. */

#include "service/core/utf8.h"

#include <stdint.h>

/* The forms of RFC 3629: how the first byte begins, and the least character that needs this many bytes. */
static const struct {
        uint8_t mask;
        uint8_t lead;
        size_t length;
        uint32_t least;
} utf8_forms[] = {
        { 0x80, 0x00, 1, 0 },
        { 0xe0, 0xc0, 2, 0x80 },
        { 0xf0, 0xe0, 3, 0x800 },
        { 0xf8, 0xf0, 4, 0x10000 },
};

/* Decodes `length` bytes of one form. */
static Utf8Result utf8_decode(const uint8_t *bytes, size_t form, uint32_t *ret) {
        uint32_t character = bytes[0] & (uint8_t) ~utf8_forms[form].mask;

        for (size_t i = 1; i < utf8_forms[form].length; i++) {
                if ((bytes[i] & 0xc0) != 0x80) {
                        return UTF8_MALFORMED;
                }
                character = character << 6 | (bytes[i] & 0x3f);
        }
        if (character < utf8_forms[form].least || character > 0x10ffff ||
            (character >= 0xd800 && character <= 0xdfff)) {
                return UTF8_MALFORMED;
        }
        *ret = character;
        return UTF8_OK;
}

/* Checks the character at the start, and tells how long it is. */
static Utf8Result utf8_first(const uint8_t *bytes, size_t left, size_t *ret_length) {
        for (size_t form = 0; form < sizeof(utf8_forms) / sizeof(*utf8_forms); form++) {
                uint32_t character;
                Utf8Result result;

                if ((bytes[0] & utf8_forms[form].mask) != utf8_forms[form].lead) {
                        continue;
                }
                if (utf8_forms[form].length > left) {
                        return UTF8_MALFORMED;
                }
                result = utf8_decode(bytes, form, &character);
                if (result != UTF8_OK) {
                        return result;
                }
                *ret_length = utf8_forms[form].length;
                return character < 0x20 || (character >= 0x7f && character <= 0x9f) ? UTF8_CONTROL : UTF8_OK;
        }
        return UTF8_MALFORMED;
}

Utf8Result utf8_check(const char *text, size_t length, size_t *ret_offset) {
        Utf8Result result = UTF8_OK;
        size_t offset = 0, step = 0;

        while (offset < length) {
                result = utf8_first((const uint8_t *) text + offset, length - offset, &step);
                if (result != UTF8_OK) {
                        break;
                }
                offset += step;
        }
        if (ret_offset) {
                *ret_offset = offset;
        }
        return result;
}
