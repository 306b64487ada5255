/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading files that people write. */

#include "service/manager/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/sysmacros.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"

/* Linux, Documentation/admin-guide/devices.txt */
static bool is_null_device(const struct stat *st) {
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int read_all(int fd, char *text, size_t size, size_t *ret_length) {
        size_t length = 0;
        ssize_t n = 1;

        while (length < size && (n = read(fd, text + length, size - length)) > 0) {
                length += (size_t) n;
        }
        if (n < 0) {
                return errno_negative();
        }
        *ret_length = length;
        return 0;
}

int file_read(void *ctx, const char *path, size_t max, char **ret, size_t *ret_length,
              struct stat *ret_stat) {
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;
        char *text;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0) {
                return errno_negative();
        }
        if (ret_stat) {
                *ret_stat = st;
        }
        if (!S_ISREG(st.st_mode) && !is_null_device(&st)) {
                return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
        }
        text = talloc_size(ctx, max + 1);
        if (!text) {
                return -ENOMEM;
        }
        r = read_all(fd, text, max + 1, ret_length);
        if (r < 0) {
                talloc_free(text);
                return r;
        }
        *ret = text;
        return 0;
}
