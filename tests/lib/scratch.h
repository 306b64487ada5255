/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory of a test's own, below $TMPDIR or /tmp, which everybody may search. It goes with all that is
 * below it. */
#pragma once

typedef struct Scratch Scratch;

struct Scratch {
        char *path;
};

int scratch_new(const void *ctx, Scratch **ret);

/* "DIRECTORY/name", a chunk of the scratch; NULL when out of memory. */
char *scratch_path(Scratch *scratch, const char *name);

/* Writes a file of that name, replacing it. Its path is a chunk of the scratch. */
int scratch_write(Scratch *scratch, const char *name, const char *text, char **ret_path);

/* Makes a directory of that name, with those that it lies in. */
int scratch_mkdir(Scratch *scratch, const char *name);
