/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers to texts and back. Nothing is printed here. */

#include "client/ctl/human.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "client/ctl/memory.h"

static const char size_suffixes[] = "KMGTPE";

#define USEC_PER_SEC UINT64_C(1000000)

char *human_size(const void *ctx, uint64_t bytes) {
        uint64_t unit = 1;
        size_t n = 0;

        while (bytes / unit >= 1024) {
                unit *= 1024;
                n++;
        }
        if (n == 0) {
                return text_new(ctx, "%" PRIu64, bytes);
        }
        if (bytes % unit == 0) {
                return text_new(ctx, "%" PRIu64 "%c", bytes / unit, size_suffixes[n - 1]);
        }
        return text_new(ctx, "%.1f%c", (double) bytes / (double) unit, size_suffixes[n - 1]);
}

char *human_time(const void *ctx, uint64_t usec) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);
        char text[64];
        struct tm tm;

        if (!localtime_r(&seconds, &tm) ||
            strftime(text, sizeof(text), "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0) {
                return text_new(ctx, "%" PRIu64, usec);
        }
        return text_new(ctx, "%s", text);
}

char *human_span(const void *ctx, uint64_t usec) {
        static const struct {
                const char *name;
                uint64_t seconds;
        } units[] = { { "d", 86400 }, { "h", 3600 }, { "min", 60 }, { "s", 1 } };
        uint64_t rest = usec / USEC_PER_SEC;

        for (size_t i = 0; i + 1 < sizeof(units) / sizeof(*units); i++) {
                uint64_t next = rest % units[i].seconds / units[i + 1].seconds;

                if (rest >= units[i].seconds && next > 0) {
                        return text_new(ctx, "%" PRIu64 "%s %" PRIu64 "%s", rest / units[i].seconds,
                                        units[i].name, next, units[i + 1].name);
                }
                if (rest >= units[i].seconds) {
                        return text_new(ctx, "%" PRIu64 "%s", rest / units[i].seconds, units[i].name);
                }
        }
        return text_new(ctx, "%" PRIu64 "s", rest);
}

const char *human_plural(uint64_t n) {
        return n == 1 ? "" : "s";
}

char *human_user(const void *ctx, uint32_t uid) {
        const struct passwd *entry = getpwuid(uid);

        return entry ? text_new(ctx, "%s", entry->pw_name) : text_new(ctx, "%" PRIu32, uid);
}

char *human_safe(const void *ctx, const char *text) {
        char *safe = text_new(ctx, "%s", "");
        mbstate_t state = { 0 };

        while (*text) {
                wchar_t character;
                size_t n = mbrtowc(&character, text, strlen(text), &state);

                if (n == 0 || n > strlen(text)) {
                        memset(&state, 0, sizeof(state));
                        safe = text_append(safe, "?");
                        text++;
                } else {
                        safe = text_append(safe, "%.*s", iswprint((wint_t) character) ? (int) n : 1,
                                           iswprint((wint_t) character) ? text : "?");
                        text += n;
                }
        }
        return safe;
}

int human_parse_number(const char *text, uint64_t max, uint64_t *ret) {
        uint64_t value = 0;

        if (!*text) {
                return -EINVAL;
        }
        for (; *text; text++) {
                if (*text < '0' || *text > '9') {
                        return -EINVAL;
                }
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (unsigned) (*text - '0'), &value)) {
                        return -ERANGE;
                }
        }
        if (value > max) {
                return -ERANGE;
        }
        *ret = value;
        return 0;
}

static int parse_hexadecimal(const char *digits, uint64_t *ret) {
        if (strspn(digits, "0123456789abcdefABCDEF") != strlen(digits) || !*digits) {
                return -EINVAL;
        }
        if (strlen(digits) > 16) {
                return -ERANGE;
        }
        *ret = strtoull(digits, NULL, 16);
        return 0;
}

int human_parse_size(const char *text, uint64_t *ret) {
        size_t length = strlen(text);
        const char *suffix = length > 0 ? strchr(size_suffixes, text[length - 1]) : NULL;
        unsigned shift = suffix && *suffix ? 10U * (unsigned) (suffix - size_suffixes + 1) : 0;
        char digits[32];
        uint64_t value;
        int r;

        if (strncmp(text, "0x", 2) == 0) {
                return parse_hexadecimal(text + 2, ret);
        }
        if (length >= sizeof(digits)) {
                return -EINVAL;
        }
        memcpy(digits, text, length + 1);
        if (shift > 0) {
                digits[length - 1] = '\0';
        }
        r = human_parse_number(digits, UINT64_MAX >> shift, &value);
        if (r < 0) {
                return r;
        }
        *ret = value << shift;
        return 0;
}

int human_parse_boolean(const char *text, bool *ret) {
        static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
                if (strcmp(text, words[i]) == 0) {
                        *ret = i % 2 == 1;
                        return 0;
                }
        }
        return -EINVAL;
}

int human_parse_user(const char *text, uint32_t *ret) {
        const struct passwd *entry;
        uint64_t number;

        if (human_parse_number(text, UINT32_MAX - 1, &number) == 0) {
                *ret = (uint32_t) number;
                return 0;
        }
        entry = getpwnam(text);
        if (!entry) {
                return -ESRCH;
        }
        *ret = entry->pw_uid;
        return 0;
}
