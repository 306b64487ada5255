/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What systemd is told (sd_notify(3)): readiness, status, watchdog, descriptors to keep. The service manager may be
 * busy for a long time, and sd_notify() would wait for it with all peers waiting behind us; so once there is an event
 * loop nothing waits: what does not go at once goes later, in order. Without a service manager all of this does nothing (NULL).
 */
#pragma once

#include <stdint.h>

#include "service/base/event.h"

typedef struct Notify Notify;

/* Connects to $NOTIFY_SOCKET. *ret is NULL when there is none. Negative errno. */
int notify_new(void *ctx, Notify **ret);

/* From here on what waits is sent by the event loop, and the watchdog is fed where systemd asks for it. */
int notify_attach(Notify *notify, Event *event);

/* Tells something ("READY=1"). */
void notify_send(Notify *notify, const char *text);

/* Tells that a reload begins, with the time that systemd 253 and later want to know. */
void notify_reloading(Notify *notify);

/* Tells the status, in place of one that still waits. */
void notify_status(Notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Tells something about a descriptor, which goes with it: now, or -EAGAIN. */
int notify_send_fd(Notify *notify, const char *text, int fd);

/* For the sandbox: the socket, or -EBADF. */
int notify_fd(const Notify *notify);
