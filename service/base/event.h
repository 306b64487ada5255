/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sd-event objects bound to the talloc tree: an Event unrefs its loop, an EventSource disables and unrefs its source
 * when it is freed, so a callback never runs for an object that is gone. Callbacks get `userdata` and return a
 * negative errno only to end the source; they must not free their own EventSource (mark, and reap from a deferred
 * source).
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct Event Event;
typedef struct EventSource EventSource;

struct Event {
        sd_event *loop;
};

struct EventSource {
        sd_event_source *source;
};

int event_new(const void *ctx, Event **ret);

/* Each adds a source with `priority` (lower goes first). The source is freed with its talloc parent. */
int event_add_io(const void *ctx, Event *event, int fd, uint32_t events, int64_t priority,
                 sd_event_io_handler_t callback, void *userdata, EventSource **ret);
int event_add_signal(const void *ctx, Event *event, int signal, sd_event_signal_handler_t callback,
                     void *userdata, EventSource **ret);

/* Added switched off; event_source_arm_once() and event_source_arm_timer() switch them on. A timer can be late by a
 * millisecond. */
int event_add_deferred(const void *ctx, Event *event, int64_t priority, sd_event_handler_t callback,
                       void *userdata, EventSource **ret);
int event_add_timer(const void *ctx, Event *event, int64_t priority, sd_event_time_handler_t callback,
                    void *userdata, EventSource **ret);

/*
 * For work that goes on in turns: switched off, and each event_source_arm_turn() is one more turn, after everything of its
 * priority that has come in by then. A deferred source that arms itself again would be before all that, as long as it
 * does: sd-event takes it for one that has been waiting since it was added.
 */
int event_add_turn(const void *ctx, Event *event, int64_t priority, sd_event_time_handler_t callback,
                   void *userdata, EventSource **ret);
int event_source_arm_turn(EventSource *source);

/* Runs a deferred source once, in a later iteration of the loop. */
int event_source_arm_once(EventSource *source);

/* Runs a timer once, `usec` microseconds from now (CLOCK_MONOTONIC). */
int event_source_arm_timer(EventSource *source, uint64_t usec);
