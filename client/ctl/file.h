/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole files as text. */
#pragma once

/* Reads a file; "-" is standard input. A chunk of `ctx`, NUL behind it. Negative errno; -EFBIG above 256 KiB, which no
 * definition is; -EINVAL when there is a NUL in it. */
int file_read(const void *ctx, const char *path, char **ret);
