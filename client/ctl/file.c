/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading to the end, up to a bound. */

#include "client/ctl/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <talloc.h>

#include "client/ctl/memory.h"

#define TEXT_MAX (256U * 1024U)

static int read_all(FILE *file, char *text) {
        size_t n;

        errno = 0;
        n = fread(text, 1, TEXT_MAX + 1, file);
        if (ferror(file)) {
                return errno > 0 ? -errno : -EIO;
        }
        if (n > TEXT_MAX) {
                return -EFBIG;
        }
        text[n] = '\0';
        return strlen(text) == n ? 0 : -EINVAL;
}

int file_read(const void *ctx, const char *path, char **ret) {
        FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
        char *text;
        int r;

        if (!file) {
                return -errno;
        }
        text = need(talloc_array(ctx, char, TEXT_MAX + 2));
        r = read_all(file, text);
        if (file != stdin) {
                fclose(file);
        }
        if (r < 0) {
                talloc_free(text);
                return r;
        }
        *ret = text;
        return 0;
}
