/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's end of the control link: who may connect, and who of them hears of what. */

#include "service/server/control.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/log.h"
#include "service/core/bucket.h"
#include "service/server/control-record.h"
#include "service/server/listener.h"

#define DOMAIN_DELAY_USEC 250000U

/* A connection that could not be accepted for want of something is tried again after so long. */
#define ACCEPT_RETRY_USEC 100000U

/* Log lines about connections that were not taken. */
#define COMPLAINTS_PER_SECOND 1U
#define COMPLAINTS_BURST 10U

struct Control {
        Event *event;
        const Domain *domain;
        const Peers *peers;
        ControlOps ops;
        Fd *listener;
        EventSource *listening;
        EventSource *retry;
        EventSource *telling;
        EventSource *reaper;
        ControlLink *links[CONTROL_LINKS_MAX]; /* NULL: free for one more */
        void *ended;                           /* those that are over, as its children */
        uid_t own_uid;
        uid_t socket_uid; /* who owns the socket's file */
        Bucket complaints;
};

static uint64_t now_usec(const Control *control) {
        uint64_t usec = 0;

        (void) sd_event_now(control->event->loop, CLOCK_MONOTONIC, &usec);
        return usec;
}

/* ---- Connections ---- */

static ControlLink **find_place(Control *control, const ControlLink *link) {
        for (size_t i = 0; i < CONTROL_LINKS_MAX; i++) {
                if (control->links[i] == link) {
                        return &control->links[i];
                }
        }
        return NULL;
}

static void on_ended(ControlLink *link, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);

        *find_place(control, link) = NULL;
        (void) talloc_steal(control->ended, link);
        (void) event_source_arm_once(control->reaper);
}

static int on_reap(sd_event_source *source, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);

        talloc_free_children(control->ended);
        return 0;
}

static void on_request(const ControlRecord *request, ControlReply *reply, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);

        control->ops.request(request, reply, control->ops.userdata);
}

/* The mode of the socket's file says the same where systemd made it; where somebody widened that, this is a wall of its
 * own. */
static bool may_connect(const Control *control, uid_t uid) {
        return uid == 0 || uid == control->own_uid || uid == control->socket_uid;
}

static void complain(Control *control, const struct ucred *who, const char *why) {
        if (bucket_take(&control->complaints, now_usec(control))) {
                log_plain(LOG_WARNING, "Closed a control connection of uid %u, pid %d: %s",
                          (unsigned) who->uid, (int) who->pid, why);
        }
}

static int begin(Control *control, int fd, ControlLink **place) {
        const ControlLinkOps ops = { .request = on_request, .ended = on_ended, .userdata = control };

        return control_link_new(control, control->event, control->domain, control->peers, fd, &ops, place);
}

static void take_connection(Control *control, int fd) {
        ControlLink **place = find_place(control, NULL);
        struct ucred who = { .uid = UINT32_MAX };
        socklen_t length = sizeof(who);
        int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length);

        if (r < 0 || !may_connect(control, who.uid)) {
                complain(control, &who, "it is neither root nor the socket's owner");
                close(fd);
        } else if (!place) {
                complain(control, &who, "there are as many as there may be");
                close(fd);
        } else if (begin(control, fd, place) < 0) {
                complain(control, &who, "out of memory");
        }
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);
        int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (connection >= 0) {
                take_connection(control, connection);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                /* Whoever waits goes on waiting, but does not keep us awake. */
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
                (void) event_source_arm_timer(control->retry, ACCEPT_RETRY_USEC);
        }
        return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);

        (void) sd_event_source_set_enabled(control->listening->source, SD_EVENT_ON);
        return 0;
}

/* ---- What happens ---- */

static bool has_links(const Control *control) {
        for (size_t i = 0; control && i < CONTROL_LINKS_MAX; i++) {
                if (control->links[i]) {
                        return true;
                }
        }
        return false;
}

static void tell_of(Control *control, const Peer *peer, const ControlRecord *record) {
        for (size_t i = 0; i < CONTROL_LINKS_MAX; i++) {
                if (control->links[i]) {
                        control_link_tell_of(control->links[i], peer, record);
                }
        }
        control_changed(control);
}

void control_joined(Control *control, const Peer *peer) {
        if (has_links(control)) {
                const ControlRecord record = control_peer_record(CONTROL_JOINED, control->domain, peer);

                tell_of(control, peer, &record);
        }
}

void control_left(Control *control, const Peer *peer, Leave why) {
        if (has_links(control)) {
                ControlRecord record = control_peer_record(CONTROL_LEFT, control->domain, peer);

                control_text_set(record.text, sizeof(record.text), leave_names[why]);
                tell_of(control, peer, &record);
        }
}

void control_refused(Control *control, const Credentials *credentials, const char *identity, Refusal refusal,
                     const char *reason) {
        if (has_links(control)) {
                const ControlRecord record = control_refused_record(credentials, identity, refusal, reason);

                for (size_t i = 0; i < CONTROL_LINKS_MAX; i++) {
                        if (control->links[i]) {
                                control_link_tell(control->links[i], &record);
                        }
                }
        }
}

void control_changed(Control *control) {
        if (has_links(control) && sd_event_source_get_enabled(control->telling->source, NULL) == 0) {
                (void) event_source_arm_timer(control->telling, DOMAIN_DELAY_USEC);
        }
}

static int on_tell(sd_event_source *source, uint64_t usec, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);

        for (size_t i = 0; i < CONTROL_LINKS_MAX; i++) {
                if (control->links[i]) {
                        control_link_tell_domain(control->links[i]);
                }
        }
        return 0;
}

/* ---- The whole ---- */

int control_fd(const Control *control) {
        return control ? fd_get(control->listener) : -EBADF;
}

/* Who owns the file of a listening socket: the user that the socket unit names. Without a file it is nobody but us. */
static uid_t socket_owner(int fd) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(address);
        char path[sizeof(address.sun_path) + 1] = "";
        struct stat st;

        if (getsockname(fd, (struct sockaddr *) &address, &length) < 0) {
                return geteuid();
        }
        memcpy(path, address.sun_path, sizeof(address.sun_path));
        return path[0] == '/' && stat(path, &st) >= 0 && S_ISSOCK(st.st_mode) ? st.st_uid : geteuid();
}

static int control_destructor(Control *control) {
        /* The event loop lets go of the socket before it is closed. */
        TALLOC_FREE(control->listening);
        return 0;
}

static int control_add_sources(Control *control) {
        int r = event_add_io(control, control->event, fd_get(control->listener), EPOLLIN, PRIORITY_NEWCOMER,
                             on_listener, control, &control->listening);

        if (r >= 0) {
                r = event_add_deferred(control, control->event, PRIORITY_PEER, on_reap, control,
                                       &control->reaper);
        }
        if (r >= 0) {
                r = event_add_timer(control, control->event, PRIORITY_NEWCOMER, on_retry, control,
                                    &control->retry);
        }
        if (r >= 0) {
                r = event_add_timer(control, control->event, SD_EVENT_PRIORITY_IDLE, on_tell, control,
                                    &control->telling);
        }
        return r;
}

int control_new(void *ctx, Event *event, const Domain *domain, const Peers *peers, Fd *listener,
                const ControlOps *ops, Control **ret) {
        Control *control = talloc_zero(ctx, Control);
        int r;

        if (!control) {
                talloc_free(listener);
                return -ENOMEM;
        }
        *control = (Control){ .event = event, .domain = domain, .peers = peers, .ops = *ops };
        control->listener = talloc_steal(control, listener);
        socket_bar_descriptors(fd_get(listener));
        control->own_uid = geteuid();
        control->socket_uid = socket_owner(fd_get(listener));
        control->complaints = bucket_full(COMPLAINTS_PER_SECOND, COMPLAINTS_BURST, now_usec(control));
        control->ended = talloc_new(control);
        talloc_set_destructor(control, control_destructor);
        r = control->ended ? control_add_sources(control) : -ENOMEM;
        if (r < 0) {
                talloc_free(control);
                return r;
        }
        *ret = control;
        return 0;
}
