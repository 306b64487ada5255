/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sd-event objects bound to the talloc tree. Only ownership is added; what sd-event does stays visible. */

#include "service/base/event.h"

#include <errno.h>
#include <talloc.h>
#include <time.h>

static int event_destructor(Event *event) {
        sd_event_unref(event->loop);
        return 0;
}

static int event_source_destructor(EventSource *source) {
        sd_event_source_disable_unref(source->source);
        return 0;
}

int event_new(const void *ctx, Event **ret) {
        Event *event = talloc_zero(ctx, Event);
        int r;

        if (!event) {
                return -ENOMEM;
        }
        r = sd_event_new(&event->loop);
        if (r < 0) {
                talloc_free(event);
                return r;
        }
        talloc_set_destructor(event, event_destructor);
        *ret = event;
        return 0;
}

static int event_source_new(const void *ctx, EventSource **ret) {
        EventSource *source = talloc_zero(ctx, EventSource);

        if (!source) {
                return -ENOMEM;
        }
        talloc_set_destructor(source, event_source_destructor);
        *ret = source;
        return 0;
}

/* Hands the new source out when adding it went well, else forgets it. */
static int event_source_finish(EventSource *source, int r, int64_t priority, int enabled,
                               EventSource **ret) {
        if (r >= 0) {
                r = sd_event_source_set_priority(source->source, priority);
        }
        if (r >= 0) {
                r = sd_event_source_set_enabled(source->source, enabled);
        }
        if (r < 0) {
                talloc_free(source);
                return r;
        }
        *ret = source;
        return 0;
}

int event_add_io(const void *ctx, Event *event, int fd, uint32_t events, int64_t priority,
                 sd_event_io_handler_t callback, void *userdata, EventSource **ret) {
        EventSource *source;
        int r = event_source_new(ctx, &source);

        if (r < 0) {
                return r;
        }
        r = sd_event_add_io(event->loop, &source->source, fd, events, callback, userdata);
        return event_source_finish(source, r, priority, SD_EVENT_ON, ret);
}

int event_add_signal(const void *ctx, Event *event, int signal, sd_event_signal_handler_t callback,
                     void *userdata, EventSource **ret) {
        EventSource *source;
        int r = event_source_new(ctx, &source);

        if (r < 0) {
                return r;
        }
        r = sd_event_add_signal(event->loop, &source->source, signal | SD_EVENT_SIGNAL_PROCMASK, callback,
                                userdata);
        return event_source_finish(source, r, SD_EVENT_PRIORITY_NORMAL, SD_EVENT_ON, ret);
}

int event_add_deferred(const void *ctx, Event *event, int64_t priority, sd_event_handler_t callback,
                       void *userdata, EventSource **ret) {
        EventSource *source;
        int r = event_source_new(ctx, &source);

        if (r < 0) {
                return r;
        }
        r = sd_event_add_defer(event->loop, &source->source, callback, userdata);
        return event_source_finish(source, r, priority, SD_EVENT_OFF, ret);
}

static int add_time(const void *ctx, Event *event, uint64_t accuracy, int64_t priority,
                    sd_event_time_handler_t callback, void *userdata, EventSource **ret) {
        EventSource *source;
        int r = event_source_new(ctx, &source);

        if (r < 0) {
                return r;
        }
        r = sd_event_add_time(event->loop, &source->source, CLOCK_MONOTONIC, /* usec= */ 0, accuracy,
                              callback, userdata);
        return event_source_finish(source, r, priority, SD_EVENT_OFF, ret);
}

int event_add_timer(const void *ctx, Event *event, int64_t priority, sd_event_time_handler_t callback,
                    void *userdata, EventSource **ret) {
        return add_time(ctx, event, /* accuracy= */ 1000, priority, callback, userdata, ret);
}

/* A timer that is due at once: it waits from when the loop sees that, and the loop looks at everything else then. */
int event_add_turn(const void *ctx, Event *event, int64_t priority, sd_event_time_handler_t callback,
                   void *userdata, EventSource **ret) {
        return add_time(ctx, event, /* accuracy= */ 1, priority, callback, userdata, ret);
}

int event_source_arm_turn(EventSource *source) {
        return event_source_arm_timer(source, 0);
}

int event_source_arm_once(EventSource *source) {
        return sd_event_source_set_enabled(source->source, SD_EVENT_ONESHOT);
}

int event_source_arm_timer(EventSource *source, uint64_t usec) {
        int r = sd_event_source_set_time_relative(source->source, usec);

        return r < 0 ? r : sd_event_source_set_enabled(source->source, SD_EVENT_ONESHOT);
}
