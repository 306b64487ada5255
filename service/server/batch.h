/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on their way into a socket: up to BATCH_MAX with one sendmmsg(), each with its descriptor in a message of
 * its own (two descriptors in one would both arrive with its first byte).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct Batch Batch;

#define BATCH_MAX 64U

/* An empty batch, to be used again and again: what does not change between messages is laid out once. -ENOMEM. */
int batch_new(void *ctx, Batch **ret);

/* Sets the i-th message. `fd` -1: without a descriptor. */
void batch_set(Batch *batch, size_t i, int64_t value, int fd);

/* Sends the first n without waiting. Returns how many went, at least one, or a negative errno. */
int batch_send(Batch *batch, int socket, size_t n);
