/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The definition that is being served, as a text for a successor that finds no definition, or a wrong one
 * (docs/decisions/0025). It is in memory that outlives us in systemd's fd store, and is changed in place: there are two
 * texts, and one number says which counts, so that whenever we end there is a whole one.
 */
#pragma once

#include <stddef.h>

typedef struct Definition Definition;
typedef struct Kept Kept;

/* Makes an empty one. *ret_fd, the caller's to close, is what is to be kept. Negative errno. */
int kept_new(void *ctx, Kept **ret, int *ret_fd);

/* Opens what a predecessor left; the descriptor stays the caller's. -EINVAL when it is nothing of the kind, or another
 * negative errno. What is in it is not judged. */
int kept_open(void *ctx, int fd, Kept **ret);

/* Puts the canonical text of the definition in. Negative errno: the one before stays; -EINVAL when there is no text that
 * says what the definition does. */
int kept_set(Kept *kept, const Definition *definition);

/* The text that counts, as bytes that may be anything: a chunk of `ctx`. NULL: there is none, or no memory. */
char *kept_text(void *ctx, const Kept *kept, size_t *ret_length);
