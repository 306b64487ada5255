/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why something was not done. Texts may quote what a caller or a file said, so they are made fit to be shown. */

#include "service/manager/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/core/utf8.h"

const char *const failure_kind_names[_FAILURE_KIND_MAX] = {
        [FAILURE_NO_SUCH_DOMAIN] = "no-such-domain", [FAILURE_DOMAIN_EXISTS] = "domain-exists",
        [FAILURE_DOMAIN_RUNNING] = "domain-running", [FAILURE_NOT_RUNNING] = "not-running",
        [FAILURE_INVALID_NAME] = "invalid-name",     [FAILURE_INVALID_SETTING] = "invalid-setting",
        [FAILURE_FIXED_SETTING] = "fixed-setting",   [FAILURE_NOT_OURS] = "not-ours",
        [FAILURE_LIMIT_EXCEEDED] = "limit-exceeded", [FAILURE_START_FAILED] = "start-failed",
        [FAILURE_STOP_FAILED] = "stop-failed",       [FAILURE_NO_SUCH_PEER] = "no-such-peer",
        [FAILURE_NO_SUCH_VECTOR] = "no-such-vector", [FAILURE_BUSY] = "busy",
        [FAILURE_SERVER_LOST] = "server-lost",       [FAILURE_NOT_SUPPORTED] = "not-supported",
        [FAILURE_NO_MEMORY] = "no-memory",           [FAILURE_SYSTEM] = "system",
};

void text_make_plain(char *text) {
        size_t offset = 0, length = strlen(text);

        while (offset < length) {
                size_t good;

                if (utf8_check(text + offset, length - offset, &good) == UTF8_OK) {
                        return;
                }
                offset += good;
                text[offset++] = '?';
        }
}

/* Cut in the middle of a character, it loses that character as a whole. */
static void drop_half_character(char *text) {
        size_t length = strlen(text), start = length;

        while (start > 0 && ((unsigned char) text[start - 1] & 0xc0) == 0x80) {
                start--;
        }
        if (start > 0 && ((unsigned char) text[start - 1] & 0xc0) == 0xc0) {
                start--;
                if (utf8_check(text + start, length - start, NULL) == UTF8_MALFORMED) {
                        text[start] = '\0';
                }
        }
}

int failure_set(Failure *ret, FailureKind kind, const char *format, ...) {
        Failure failure = { .kind = kind };
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(failure.text, sizeof(failure.text), format, arguments);
        va_end(arguments);
        if (n >= (int) sizeof(failure.text)) {
                drop_half_character(failure.text);
        }
        text_make_plain(failure.text);
        *ret = failure;
        return -EREMOTEIO;
}

int failure_errno(Failure *ret, int r, const char *what) {
        if (r == -EREMOTEIO) {
                return r;
        }
        return failure_set(ret, r == -ENOMEM ? FAILURE_NO_MEMORY : FAILURE_SYSTEM, "%s: %s", what,
                           strerror(-r));
}
