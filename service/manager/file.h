/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading files that people write: whole, bounded, and never waiting for anybody. */
#pragma once

#include <stddef.h>
#include <sys/stat.h>

/*
 * Reads at most `max` + 1 bytes, so that a longer file can be told from one that fits. /dev/null is read as empty; what is
 * neither that nor a regular file is -EINVAL, a directory -EISDIR. *ret is a chunk of `ctx`; *ret_stat may be NULL, and is
 * set once the file is open.
 */
int file_read(void *ctx, const char *path, size_t max, char **ret, size_t *ret_length,
              struct stat *ret_stat);
