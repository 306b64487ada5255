/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What systemd is told, without ever waiting for it. */

#include "service/server/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <talloc.h>
#include <time.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/base/list.h"

#define STATUS_PREFIX "STATUS="

typedef struct Waiting {
        List link;
        char *text;
} Waiting;

struct Notify {
        Fd *socket;
        List waiting; /* the oldest first */
        EventSource *writable;
        EventSource *watchdog;
        uint64_t watchdog_usec; /* 0: systemd does not ask for it */
};

typedef union Control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
} Control;

/* As long as there is no loop there are no peers either: then, and only then, the manager is waited for. */
static int send_now(const Notify *notify, const char *text, int fd) {
        int wait = notify->writable ? MSG_DONTWAIT : 0;
        struct iovec iov = { .iov_base = (char *) text, .iov_len = strlen(text) };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
        Control control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };

        if (fd >= 0) {
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
                header.msg_control = &control;
                header.msg_controllen = sizeof(control);
        }
        return errno_or((int) sendmsg(fd_get(notify->socket), &header, wait | MSG_NOSIGNAL));
}

/* ---- Waiting ---- */

static int waiting_destructor(Waiting *waiting) {
        list_remove(&waiting->link);
        return 0;
}

/* Out of memory something is not told; nothing here is worth more than serving. */
static void wait_for_room(Notify *notify, const char *text) {
        Waiting *waiting = talloc_zero(notify, Waiting);

        if (!waiting) {
                return;
        }
        list_append(&notify->waiting, &waiting->link);
        talloc_set_destructor(waiting, waiting_destructor);
        waiting->text = talloc_strdup(waiting, text);
        if (!waiting->text) {
                talloc_free(waiting);
                return;
        }
        if (notify->writable) {
                (void) sd_event_source_set_enabled(notify->writable->source, SD_EVENT_ON);
        }
}

/* Sends what waits, as far as it goes. A receiver that is gone, or takes no such thing, is told no more of it. */
static void flush(Notify *notify) {
        LIST_FOREACH(i, &notify->waiting) {
                Waiting *waiting = list_entry(i, Waiting, link);

                if (send_now(notify, waiting->text, -1) == -EAGAIN) {
                        return;
                }
                talloc_free(waiting);
        }
}

static int on_writable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Notify *notify = talloc_get_type_abort(userdata, Notify);

        flush(notify);
        return list_is_empty(&notify->waiting) ? sd_event_source_set_enabled(source, SD_EVENT_OFF) : 0;
}

void notify_send(Notify *notify, const char *text) {
        if (!notify) {
                return;
        }
        if (!list_is_empty(&notify->waiting) || send_now(notify, text, -1) == -EAGAIN) {
                wait_for_room(notify, text);
        }
}

void notify_reloading(Notify *notify) {
        char text[64];
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                 (unsigned long long) now.tv_sec * 1000000 + (unsigned long long) now.tv_nsec / 1000);
        notify_send(notify, text);
}

static void drop_old_status(Notify *notify) {
        LIST_FOREACH(i, &notify->waiting) {
                Waiting *waiting = list_entry(i, Waiting, link);

                if (strncmp(waiting->text, STATUS_PREFIX, strlen(STATUS_PREFIX)) == 0) {
                        talloc_free(waiting);
                }
        }
}

void notify_status(Notify *notify, const char *format, ...) {
        char *text;
        va_list ap;

        if (!notify) {
                return;
        }
        text = talloc_strdup(notify, STATUS_PREFIX);
        va_start(ap, format);
        text = text ? talloc_vasprintf_append(text, format, ap) : NULL;
        va_end(ap);
        if (text) {
                drop_old_status(notify);
                notify_send(notify, text);
        }
        talloc_free(text);
}

int notify_send_fd(Notify *notify, const char *text, int fd) {
        int r = list_is_empty(&notify->waiting) ? send_now(notify, text, fd) : -EAGAIN;

        return r < 0 ? r : 0;
}

/* ---- Watchdog ---- */

/* While the loop turns, and only then. When the manager does not listen anyway, nothing is added to what waits. */
static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata) {
        Notify *notify = talloc_get_type_abort(userdata, Notify);

        if (list_is_empty(&notify->waiting)) {
                (void) send_now(notify, "WATCHDOG=1", -1);
        }
        return event_source_arm_timer(notify->watchdog, notify->watchdog_usec / 2);
}

static int watch(Notify *notify, Event *event) {
        int r = sd_watchdog_enabled(/* unset_environment= */ 0, &notify->watchdog_usec);

        if (r <= 0) {
                return r;
        }
        r = event_add_timer(notify, event, SD_EVENT_PRIORITY_IMPORTANT, on_watchdog, notify,
                            &notify->watchdog);
        return r < 0 ? r : event_source_arm_timer(notify->watchdog, notify->watchdog_usec / 2);
}

/* ---- Beginning ---- */

/* sd_notify(3): a path, or "@" and an abstract name. */
static int connect_to(Notify *notify, const char *where) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t length = strlen(where);

        if ((where[0] != '/' && where[0] != '@') || length < 2 || length >= sizeof(address.sun_path)) {
                return -EINVAL;
        }
        memcpy(address.sun_path, where, length + 1);
        if (where[0] == '@') {
                address.sun_path[0] = '\0';
        } else {
                length++;
        }
        return errno_or(connect(fd_get(notify->socket), (const struct sockaddr *) &address,
                                (socklen_t) (offsetof(struct sockaddr_un, sun_path) + length)));
}

static int notify_destructor(Notify *notify) {
        /* The event loop lets go of the socket before it is closed. */
        TALLOC_FREE(notify->writable);
        while (!list_is_empty(&notify->waiting)) {
                talloc_free(list_entry(notify->waiting.next, Waiting, link));
        }
        return 0;
}

int notify_new(void *ctx, Notify **ret) {
        const char *where = getenv("NOTIFY_SOCKET");
        Notify *notify;
        int fd, r;

        if (!where) {
                *ret = NULL;
                return 0;
        }
        notify = talloc_zero(ctx, Notify);
        if (!notify) {
                return -ENOMEM;
        }
        list_init(&notify->waiting);
        talloc_set_destructor(notify, notify_destructor);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        r = fd < 0 ? errno_negative() : fd_new(notify, fd, &notify->socket);
        if (r >= 0) {
                r = connect_to(notify, where);
        }
        if (r < 0) {
                talloc_free(notify);
                return r;
        }
        *ret = notify;
        return 0;
}

int notify_attach(Notify *notify, Event *event) {
        int r;

        if (!notify) {
                return 0;
        }
        r = event_add_io(notify, event, fd_get(notify->socket), EPOLLOUT, SD_EVENT_PRIORITY_NORMAL,
                         on_writable, notify, &notify->writable);
        return r < 0 ? r : watch(notify, event);
}

int notify_fd(const Notify *notify) {
        return notify ? fd_get(notify->socket) : -EBADF;
}
