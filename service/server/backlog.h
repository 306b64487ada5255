/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who waits in a listening socket of a server that cannot start. */
#pragma once

/* How long clients have to read the answer and close; QEMU does at once. */
#define BACKLOG_READING_MSEC 3000

/* Whoever knocks without end has us started no more often than this. */
#define BACKLOG_PACE_MSEC 250

/*
 * Tells everybody who waits that the domain is not available, and waits until they have closed (docs/decisions/0011
 * says why), for `wait_msec` at most. Left alone they would have the socket's owner start us again, and again. If there was
 * anybody, it takes `pace_msec` at least.
 */
void backlog_refuse(int listener, int wait_msec, int pace_msec);

/* Closes the connections of those who wait in a socket of another protocol, in which an end says enough. */
void backlog_close(int listener);
