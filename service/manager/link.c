/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manager's end of a control link: connecting, records in and out, and who waits for which reply. */

#include "service/manager/link.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/fd.h"
#include "service/base/list.h"
#include "service/base/log.h"

/* Requests that have not been answered. */
#define PENDING_MAX 64U

/* Records in a row before others have their turn. */
#define RECORDS_A_TURN 64U

/* Between tries: doubled from one to the next. */
#define RETRY_USEC 100000U
#define RETRY_MAX_USEC 5000000U

typedef struct Pending {
        List link;
        uint32_t serial;
        bool sent;
        uint8_t bytes[CONTROL_RECORD_SIZE];
        LinkDone done;
        void *userdata;
} Pending;

struct Link {
        LinkParts parts;
        Fd *socket; /* NULL: not connected */
        EventSource *source;
        EventSource *timer; /* to connect again, or for a reply that does not come */
        uint64_t retry_usec;
        List pending; /* the oldest first */
        size_t n_pending;
        uint32_t serial;
        bool closed;
};

/* As many descriptors as a message can have (SCM_MAX_FD of Linux): what has no room the kernel closes as we receive. */
#define DESCRIPTORS_MAX 253

typedef union AncillaryData {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
} AncillaryData;

static int link_connect(Link *link);

/* ---- Requests that end ---- */

static void pending_end(Link *link, Pending *pending, const Failure *failure, int fd) {
        list_remove(&pending->link);
        link->n_pending--;
        pending->done(failure, fd, pending->userdata);
        talloc_free(pending);
}

static void fail_pending(Link *link, const char *why) {
        Failure failure;

        (void) failure_set(&failure, FAILURE_SERVER_LOST, "The server of domain \"%s\" %s", link->parts.name,
                           why);
        while (!list_is_empty(&link->pending)) {
                pending_end(link, list_entry(link->pending.next, Pending, link), &failure, -EBADF);
        }
}

/* ---- Losing it ---- */

/* The server sees it at once. What has not been received goes with the socket, descriptors too. */
static void link_hang_up(Link *link) {
        TALLOC_FREE(link->source);
        if (link->socket) {
                (void) shutdown(fd_get(link->socket), SHUT_RDWR);
                fd_close_aside(fd_take(link->socket));
        }
        TALLOC_FREE(link->socket);
}

static void link_lose(Link *link, uint64_t retry_usec) {
        link_hang_up(link);
        fail_pending(link, "went away before it answered");
        if (!link->closed) {
                link->retry_usec = retry_usec;
                (void) event_source_arm_timer(link->timer, retry_usec);
        }
}

/* What breaks the rules once does so again. */
static void link_distrust(Link *link, const char *what) {
        log_plain(LOG_WARNING, "The server of domain \"%s\" breaks the rules of the control link: %s",
                  link->parts.name, what);
        link_lose(link, RETRY_MAX_USEC);
}

void link_close(Link *link) {
        link->closed = true;
        TALLOC_FREE(link->timer);
        link_lose(link, 0);
}

/* ---- Sending ---- */

/* As far as it goes; the rest when there is room. */
static int flush(Link *link) {
        uint32_t events = EPOLLIN;

        LIST_FOREACH(i, &link->pending) {
                Pending *pending = list_entry(i, Pending, link);

                if (pending->sent) {
                        continue;
                }
                if (send(fd_get(link->socket), pending->bytes, sizeof(pending->bytes),
                         MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                        if (errno != EAGAIN) {
                                return errno_negative();
                        }
                        events |= EPOLLOUT;
                        break;
                }
                pending->sent = true;
        }
        return sd_event_source_set_io_events(link->source->source, events);
}

int link_request(Link *link, const ControlRecord *request, LinkDone done, void *userdata,
                 Failure *ret_failure) {
        ControlRecord record = *request;
        Pending *pending;

        if (!link->socket) {
                return failure_set(ret_failure, FAILURE_SERVER_LOST,
                                   "The server of domain \"%s\" cannot be spoken to now; try again",
                                   link->parts.name);
        }
        if (link->n_pending >= PENDING_MAX) {
                return failure_set(ret_failure, FAILURE_BUSY,
                                   "Too much is being asked of domain \"%s\"; try again", link->parts.name);
        }
        pending = talloc_zero(link, Pending);
        if (!pending) {
                return failure_errno(ret_failure, -ENOMEM, "Cannot ask the server");
        }
        link->serial += 1 + (link->serial == UINT32_MAX);
        record.serial = pending->serial = link->serial;
        control_encode(&record, pending->bytes);
        pending->done = done;
        pending->userdata = userdata;
        list_append(&link->pending, &pending->link);
        if (link->n_pending++ == 0) {
                (void) event_source_arm_timer(link->timer, link->parts.reply_usec);
        }
        /* A failure shows as a hang-up, in the loop. */
        (void) flush(link);
        return 0;
}

/* ---- Receiving ---- */

static FailureKind kind_of_result(ControlResult result) {
        static const FailureKind kinds[_CONTROL_RESULT_MAX] = {
                [CONTROL_OK] = FAILURE_SYSTEM,
                [CONTROL_NO_SUCH_PEER] = FAILURE_NO_SUCH_PEER,
                [CONTROL_NO_SUCH_VECTOR] = FAILURE_NO_SUCH_VECTOR,
                [CONTROL_RELOAD_FAILED] = FAILURE_INVALID_SETTING,
                [CONTROL_FIXED] = FAILURE_FIXED_SETTING,
                [CONTROL_SHORT] = FAILURE_NO_MEMORY,
                [CONTROL_STOPPING] = FAILURE_NOT_RUNNING,
                [CONTROL_NOT_SUPPORTED] = FAILURE_NOT_SUPPORTED,
        };

        return kinds[result];
}

static const char *words_of_result(ControlResult result) {
        static const char *const words[_CONTROL_RESULT_MAX] = {
                [CONTROL_OK] = "",
                [CONTROL_NO_SUCH_PEER] = "no such peer",
                [CONTROL_NO_SUCH_VECTOR] = "no such vector",
                [CONTROL_RELOAD_FAILED] = "the definition cannot be loaded",
                [CONTROL_FIXED] = "this takes a restart of the domain",
                [CONTROL_SHORT] = "descriptors or memory do not suffice",
                [CONTROL_STOPPING] = "the domain is stopping",
                [CONTROL_NOT_SUPPORTED] = "the domain's memory does not allow it",
        };

        return words[result];
}

/* Replies come in the order of the requests. */
static int take_reply(Link *link, const ControlRecord *record, int *fd) {
        Pending *pending = list_is_empty(&link->pending) ? NULL
                                                         : list_entry(link->pending.next, Pending, link);
        Failure failure;

        if (!pending || !pending->sent || pending->serial != record->serial) {
                return -EBADMSG;
        }
        if (record->result == CONTROL_OK) {
                pending_end(link, pending, NULL, fd_steal(fd));
        } else {
                (void) failure_set(&failure, kind_of_result(record->result), "Domain \"%s\": %s",
                                   link->parts.name,
                                   *record->text ? record->text : words_of_result(record->result));
                pending_end(link, pending, &failure, -EBADF);
        }
        if (link->closed) {
                return 0;
        }
        if (link->n_pending > 0) {
                (void) event_source_arm_timer(link->timer, link->parts.reply_usec);
        } else {
                (void) sd_event_source_set_enabled(link->timer->source, SD_EVENT_OFF);
        }
        return 0;
}

static size_t list_descriptors(struct msghdr *message, int ret[static DESCRIPTORS_MAX]) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
                        continue;
                }
                for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len && n < DESCRIPTORS_MAX;
                     at += sizeof(int)) {
                        memcpy(&ret[n++], (char *) c + at, sizeof(int));
                }
        }
        return n;
}

/* One there may be. */
static int take_descriptor(struct msghdr *message, int *ret) {
        int fds[DESCRIPTORS_MAX];
        size_t n = list_descriptors(message, fds);

        if (n > 1) {
                fds_close_aside(fds, n);
        } else if (n == 1) {
                *ret = fds[0];
        }
        return n > 1 || (message->msg_flags & MSG_CTRUNC) ? -EBADMSG : 0;
}

/* 1: a record. 0: the end. -EAGAIN, -EBADMSG. */
static int receive(Link *link, ControlRecord *ret, int *ret_fd) {
        uint8_t bytes[CONTROL_RECORD_SIZE];
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        AncillaryData ancillary;
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = &ancillary,
                                  .msg_controllen = sizeof(ancillary) };
        ssize_t n = recvmsg(fd_get(link->socket), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int r;

        if (n < 0) {
                return errno_negative();
        }
        r = take_descriptor(&message, ret_fd);
        if (n == 0 && r == 0) {
                return 0;
        }
        if (r < 0 || (message.msg_flags & MSG_TRUNC) || control_decode(bytes, (size_t) n, ret) < 0 ||
            control_is_request(ret->kind) || (*ret_fd >= 0 && ret->kind != CONTROL_REPLY)) {
                return -EBADMSG;
        }
        return 1;
}

static int take_record(Link *link) {
        cleanup_close_aside int fd = -EBADF;
        ControlRecord record;
        int r = receive(link, &record, &fd);

        if (r <= 0) {
                return r == 0 ? -ECONNRESET : r;
        }
        r = record.kind == CONTROL_REPLY ? take_reply(link, &record, &fd)
                                         : link->parts.record(&record, link->parts.userdata);
        return r < 0 ? r : 0;
}

static int on_link(sd_event_source *source, int socket, uint32_t events, void *userdata) {
        Link *link = talloc_get_type_abort(userdata, Link);
        int r = 0;

        for (unsigned i = 0; i < RECORDS_A_TURN && r == 0 && link->socket; i++) {
                r = take_record(link);
        }
        if (!link->socket) {
                return 0;
        }
        if (r == 0 || r == -EAGAIN || r == -EINTR) {
                r = events & EPOLLOUT ? flush(link) : 0;
        }
        if (r == -EBADMSG) {
                link_distrust(link, "a record that is malformed, out of order or untrue");
        } else if (r < 0) {
                link_lose(link, RETRY_USEC);
        } else {
                link->retry_usec = RETRY_USEC;
        }
        return 0;
}

/* ---- Connecting ---- */

static int link_open(Link *link, Fd **ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t size = strlen(link->parts.path) + 1;
        int fd, r;

        if (size > sizeof(address.sun_path)) {
                return -ENAMETOOLONG;
        }
        memcpy(address.sun_path, link->parts.path, size);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        r = fd < 0 ? errno_negative() : fd_new(link, fd, ret);
        if (r < 0) {
                return r;
        }
        r = errno_or(connect(fd, (const struct sockaddr *) &address, sizeof(address)));
        if (r < 0) {
                TALLOC_FREE(*ret);
        }
        return r;
}

static int link_connect(Link *link) {
        int r = link_open(link, &link->socket);

        if (r >= 0) {
                r = event_add_io(link, link->parts.event, fd_get(link->socket), EPOLLIN,
                                 SD_EVENT_PRIORITY_NORMAL, on_link, link, &link->source);
        }
        if (r < 0) {
                TALLOC_FREE(link->socket);
                return r;
        }
        link->parts.begun(link->parts.userdata);
        return 0;
}

static void link_try(Link *link) {
        uint64_t next = link->retry_usec * 2 < RETRY_MAX_USEC ? link->retry_usec * 2 : RETRY_MAX_USEC;

        if (link->parts.alive(link->parts.userdata) && link_connect(link) >= 0) {
                return;
        }
        link->retry_usec = next;
        (void) event_source_arm_timer(link->timer, next);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Link *link = talloc_get_type_abort(userdata, Link);

        if (!link->socket) {
                link_try(link);
        } else if (link->n_pending > 0) {
                log_plain(LOG_WARNING, "The server of domain \"%s\" does not answer", link->parts.name);
                link_lose(link, RETRY_USEC);
        }
        return 0;
}

static int link_destructor(Link *link) {
        link_hang_up(link);
        return 0;
}

int link_new(void *ctx, const LinkParts *parts, Link **ret) {
        Link *link = talloc_zero(ctx, Link);
        int r;

        if (!link) {
                return -ENOMEM;
        }
        link->parts = *parts;
        link->retry_usec = RETRY_USEC;
        list_init(&link->pending);
        talloc_set_destructor(link, link_destructor);
        r = event_add_timer(link, parts->event, SD_EVENT_PRIORITY_NORMAL, on_timer, link, &link->timer);
        if (r < 0) {
                talloc_free(link);
                return r;
        }
        link_try(link);
        *ret = link;
        return 0;
}
