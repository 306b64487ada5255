/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors in flight: sent, not yet received. The kernel charges them to the sender's user against its
 * RLIMIT_NOFILE and refuses to send more (ETOOMANYREFS, unix(7)). So that peers that do not read cannot use up what
 * the others need, each connection has a window of messages that it may have unread. It begins small, and grows for
 * those that read: who never reads holds a first window and no more. All windows shrink as the whole fills up. The
 * kernel keeps a window: it is the socket's send buffer, and a full one is EAGAIN. Windows are powers of two, so that
 * they seldom change.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Inflight Inflight;

struct Inflight {
        uint64_t budget;    /* messages that may be unread in all */
        uint64_t unread;    /* upper bound of those that are */
        uint64_t remeasure; /* when the bound reaches this, it is worth measuring */
};

#define WINDOW_MIN 8U
#define WINDOW_FIRST_MAX 64U
#define WINDOW_MAX 256U

/* For a process that may have `nofile` descriptors in flight. So many peers are certain of WINDOW_MIN messages each, whoever
 * else does not read. */
Inflight inflight_begin(uint64_t nofile, uint32_t max_peers);

/* How many descriptors that takes at least. */
uint64_t inflight_least(uint32_t max_peers);

/* How many unread messages a connection may have that has not shown as yet that it reads. */
uint32_t inflight_first_window(const Inflight *inflight);

/* The same for one that has read most of a full window. */
uint32_t inflight_next_window(const Inflight *inflight, uint32_t window);

/* `n` more were sent. */
void inflight_add(Inflight *inflight, uint32_t n);

/* Of these `n` are known to be read, or gone with their connection. */
void inflight_remove(Inflight *inflight, uint32_t n);

/* Whether the bound has grown so much that each connection should be measured. */
bool inflight_is_worth_measuring(const Inflight *inflight);

/* All connections were measured. */
void inflight_measured(Inflight *inflight);

/* The SO_SNDBUF value that holds so many messages. */
int inflight_send_buffer(uint32_t window);

/* How many messages at most are unread, by the SIOCOUTQ value of a connection. */
uint32_t inflight_unread(uint32_t outq);

/* How many messages at most are unread when a connection with this window is writable again (EPOLLOUT). */
uint32_t inflight_unread_when_writable(uint32_t window);
