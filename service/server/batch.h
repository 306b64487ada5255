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

/* How many bytes the headers of a batch take. */
#define BATCH_HEADERS_SIZE 4096U

/* An empty batch, to be used again and again: what does not change between messages is laid out once. `headers`
 * (BATCH_HEADERS_SIZE bytes, aligned) is where the kernel notes how far it came; NULL: a place of the batch's own.
 * -ENOMEM. */
int batch_new(void *ctx, void *headers, Batch **ret);

/* Sets the i-th message. `fd` -1: without a descriptor. */
void batch_set(Batch *batch, size_t i, int64_t value, int fd);

/* Sends the first n without waiting. Returns how many went, at least one, or a negative errno. */
int batch_send(Batch *batch, int socket, size_t n);

/* Counts the messages that the kernel noted as sent in the headers that a process left when it was killed: of a batch
 * of n, the first so many. */
size_t batch_sent(const void *headers, size_t n);
