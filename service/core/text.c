/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text that people and files supply. Strict: no leading blanks, signs or trailing characters are let through. */

#include "service/core/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "service/core/limits.h"

static const char size_suffixes[] = "KMGT";

/* Reads digits of `base` from the start of the text, up to UINT64_MAX. */
static int digits_parse(const char *text, unsigned base, uint64_t *ret, const char **ret_end) {
        uint64_t value = 0;
        const char *c = text;

        for (; *c >= '0' && *c < (char) ('0' + base); c++) {
                if (__builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, (unsigned) (*c - '0'), &value)) {
                        return -ERANGE;
                }
        }
        if (c == text) {
                return -EINVAL;
        }
        *ret = value;
        *ret_end = c;
        return 0;
}

int size_parse(const char *text, uint64_t *ret) {
        const char *end, *suffix;
        uint64_t value;
        unsigned shift = 0;
        int r = digits_parse(text, 10, &value, &end);

        if (r < 0) {
                return r;
        }
        if (*end) {
                suffix = strchr(size_suffixes, *end);
                if (!suffix || end[1]) {
                        return -EINVAL;
                }
                shift = 10 * (unsigned) (suffix - size_suffixes + 1);
        }
        if (value > UINT64_MAX >> shift) {
                return -ERANGE;
        }
        *ret = value << shift;
        return 0;
}

void size_format(uint64_t size, char ret[static SIZE_TEXT_MAX]) {
        size_t n = 0;

        while (n < sizeof(size_suffixes) - 1 && size && size % 1024 == 0) {
                size /= 1024;
                n++;
        }
        if (n == 0) {
                snprintf(ret, SIZE_TEXT_MAX, "%" PRIu64, size);
        } else {
                snprintf(ret, SIZE_TEXT_MAX, "%" PRIu64 "%c", size, size_suffixes[n - 1]);
        }
}

const char *plural(uint64_t n) {
        return n == 1 ? "" : "s";
}

int boolean_parse(const char *text, bool *ret) {
        static const struct {
                const char *text;
                bool value;
        } table[] = {
                { "yes", true }, { "true", true },   { "on", true },   { "1", true },
                { "no", false }, { "false", false }, { "off", false }, { "0", false },
        };

        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
                if (strcmp(text, table[i].text) == 0) {
                        *ret = table[i].value;
                        return 0;
                }
        }
        return -EINVAL;
}

static int bounded_parse(const char *text, unsigned base, uint32_t max, uint32_t *ret) {
        const char *end;
        uint64_t value;
        int r = digits_parse(text, base, &value, &end);

        if (r < 0) {
                return r;
        }
        if (*end) {
                return -EINVAL;
        }
        if (value > max) {
                return -ERANGE;
        }
        *ret = (uint32_t) value;
        return 0;
}

int number_parse(const char *text, uint32_t max, uint32_t *ret) {
        return bounded_parse(text, 10, max, ret);
}

int mode_parse(const char *text, uint32_t *ret) {
        return bounded_parse(text, 8, 0777, ret);
}

const char *name_of(const char *const *names, size_t n_names, int value) {
        return value >= 0 && (size_t) value < n_names ? names[value] : NULL;
}

int name_parse(const char *const *names, size_t n_names, const char *text) {
        for (size_t i = 0; i < n_names; i++) {
                if (names[i] && strcmp(names[i], text) == 0) {
                        return (int) i;
                }
        }
        return -EINVAL;
}

static bool is_lower(char c) {
        return c >= 'a' && c <= 'z';
}

bool domain_name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n > DOMAIN_NAME_MAX || !is_lower(name[0])) {
                return false;
        }
        for (size_t i = 1; i < n; i++) {
                if (!is_lower(name[i]) && !(name[i] >= '0' && name[i] <= '9') && name[i] != '_' &&
                    name[i] != '-') {
                        return false;
                }
        }
        return true;
}
