/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line on a terminal that tells how far something is. It is on standard error, and gone in the end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Progress Progress;

struct Progress {
        bool on;    /* set by the owner: whether there is somebody to see it */
        bool drawn; /* the line is there */
};

/* "ring: preparing memory [########........] 50%" */
void progress_draw(Progress *progress, const char *name, uint64_t percent);
void progress_clear(Progress *progress);
