/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One connection of a manager. */

#include "service/server/control-link.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/list.h"
#include "service/base/log.h"
#include "service/server/control-record.h"

/* Records that wait for the other end to read. */
#define MESSAGES_MAX 256U

/* Requests in one go, before the loop looks at other events. */
#define REQUESTS_IN_ONE_GO 16U

/* ControlLink.said: the picture is whole. */
#define SAID_ALL UINT64_MAX

typedef struct Message {
        List link;
        ControlRecord record;
        int fd;
} Message;

struct ControlLink {
        const Domain *domain;
        const Peers *peers;
        ControlLinkOps ops;
        Fd *socket;
        EventSource *io;
        uint64_t said;   /* Peer.order of the last peer in the picture */
        bool domain_due; /* CONTROL_DOMAIN is to be said (again) */
        bool blocked;    /* waiting for EPOLLOUT */
        bool ended;
        List messages;
        size_t n_messages;
};

static void link_end(ControlLink *link) {
        link->ended = true;
        (void) sd_event_source_set_enabled(link->io->source, SD_EVENT_OFF);
        link->ops.ended(link, link->ops.userdata);
}

/* ---- Sending ---- */

static int link_send(const ControlLink *link, const ControlRecord *record, int fd) {
        uint8_t bytes[CONTROL_RECORD_SIZE];
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS,
                                  .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        control_encode(record, bytes);
        if (fd >= 0) {
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
                message.msg_control = control.bytes;
                message.msg_controllen = sizeof(control.bytes);
        }
        return errno_or((int) sendmsg(fd_get(link->socket), &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

typedef struct Walk {
        ControlLink *link;
        int result;
} Walk;

static bool say_peer(const Peer *peer, void *userdata) {
        Walk *walk = userdata;
        ControlRecord record;

        if (peer->order <= walk->link->said) {
                return true;
        }
        record = control_peer_record(CONTROL_PEER, walk->link->domain, peer);
        walk->result = link_send(walk->link, &record, /* fd= */ -EBADF);
        if (walk->result < 0) {
                return false;
        }
        walk->link->said = peer->order;
        return true;
}

static int link_send_domain(ControlLink *link) {
        ControlRecord record;
        int r;

        if (!link->domain_due) {
                return 0;
        }
        record = control_domain_record(link->domain);
        r = link_send(link, &record, /* fd= */ -EBADF);
        if (r >= 0) {
                link->domain_due = false;
        }
        return r;
}

/* The rest of the picture, or what has changed of the domain since. */
static int link_send_picture(ControlLink *link) {
        Walk walk = { .link = link };
        int r = link_send_domain(link);

        if (r < 0 || link->said == SAID_ALL) {
                return r;
        }
        peers_foreach(link->peers, say_peer, &walk);
        if (walk.result < 0) {
                return walk.result;
        }
        r = link_send(link, &(ControlRecord){ .kind = CONTROL_SYNCED }, /* fd= */ -EBADF);
        if (r >= 0) {
                link->said = SAID_ALL;
        }
        return r;
}

/* A descriptor that cannot be sent now, for too many are in flight, is not tried again and again. */
static int link_send_message(ControlLink *link, Message *message) {
        int r = link_send(link, &message->record, message->fd);

        if (r == -ETOOMANYREFS && message->fd >= 0) {
                message->record.result = CONTROL_SHORT;
                control_text_set(message->record.text, sizeof(message->record.text),
                                 "too many descriptors are in flight: raise LimitNOFILE=");
                r = link_send(link, &message->record, /* fd= */ -EBADF);
        }
        return r;
}

static int link_send_messages(ControlLink *link) {
        LIST_FOREACH(i, &link->messages) {
                Message *message = list_entry(i, Message, link);
                int r = link_send_message(link, message);

                if (r < 0) {
                        return r;
                }
                list_remove(&message->link);
                talloc_free(message);
                link->n_messages--;
        }
        return 0;
}

/* Nothing is asked of us that could not be answered at once: who does not read is not listened to. */
static bool link_may_ask(const ControlLink *link) {
        return link->said == SAID_ALL && link->n_messages == 0;
}

/* Sends what there is to be sent and fits. */
static void link_pump(ControlLink *link) {
        /* In this order: that a peer has left is said before another one is told of on the same seat. */
        int r = link_send_messages(link);
        uint32_t events;

        if (r >= 0) {
                r = link_send_picture(link);
        }
        if (r < 0 && r != -EAGAIN) {
                link_end(link);
                return;
        }
        link->blocked = r == -EAGAIN;
        events = (link->blocked ? EPOLLOUT : 0U) | (link_may_ask(link) ? EPOLLIN : 0U);
        (void) sd_event_source_set_io_events(link->io->source, events);
}

/* Queues a record, and sends it if it can be sent. Takes `opened` (may be NULL) over. */
static void link_queue(ControlLink *link, const ControlRecord *record, int fd, Fd *opened) {
        Message *message = link->n_messages < MESSAGES_MAX ? talloc(link, Message) : NULL;

        if (!message) {
                log_plain(LOG_WARNING,
                          "Closed a control connection: its manager does not read what it is told");
                talloc_free(opened);
                link_end(link);
                return;
        }
        *message = (Message){ .record = *record, .fd = fd };
        (void) talloc_steal(message, opened);
        list_append(&link->messages, &message->link);
        link->n_messages++;
        if (!link->blocked) {
                link_pump(link);
        }
}

/* ---- Receiving ---- */

/* Below 0: there is nothing, or never will be. */
static int link_receive(const ControlLink *link, ControlRecord *ret) {
        uint8_t bytes[CONTROL_RECORD_SIZE + 1];
        /* Without room for descriptors: none is ever taken in. */
        ssize_t n = recv(fd_get(link->socket), bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n <= 0) {
                return n < 0 ? errno_negative() : -ECONNRESET;
        }
        if (control_decode(bytes, (size_t) n, ret) < 0 || !control_is_request(ret->kind)) {
                log_plain(LOG_WARNING,
                          "Closed a control connection: what came is no request of this protocol");
                return -EBADMSG;
        }
        return 0;
}

/* Of requests that change it the manager knows what has become of the domain when it has the reply: it is not left to what is
 * said a few times a second. */
static void link_queue_domain(ControlLink *link, ControlKind request) {
        if (!link->ended && (request == CONTROL_EVICT || request == CONTROL_RELOAD)) {
                const ControlRecord record = control_domain_record(link->domain);

                link_queue(link, &record, /* fd= */ -EBADF, /* opened= */ NULL);
        }
}

static void link_answer(ControlLink *link, const ControlRecord *request) {
        ControlReply reply = {
                .record = { .kind = CONTROL_REPLY, .serial = request->serial, .result = CONTROL_OK },
                .fd = -EBADF,
        };

        link->ops.request(request, &reply, link->ops.userdata);
        link_queue_domain(link, request->kind);
        /* What it did may have been told to this link, too, and have been the last that it could hold. */
        if (link->ended) {
                talloc_free(reply.opened);
                return;
        }
        link_queue(link, &reply.record, reply.fd, reply.opened);
}

static void link_listen(ControlLink *link) {
        for (unsigned i = 0; i < REQUESTS_IN_ONE_GO && !link->ended && link_may_ask(link); i++) {
                ControlRecord request;
                int r = link_receive(link, &request);

                if (r == -EAGAIN) {
                        return;
                }
                if (r < 0) {
                        link_end(link);
                        return;
                }
                link_answer(link, &request);
        }
}

static int on_link(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        ControlLink *link = talloc_get_type_abort(userdata, ControlLink);

        if (events & EPOLLOUT) {
                link_pump(link);
        }
        if (events & EPOLLIN) {
                link_listen(link);
        } else if (events & (EPOLLHUP | EPOLLERR) && !link->ended) {
                link_end(link);
        }
        return 0;
}

/* ---- The whole ---- */

void control_link_tell(ControlLink *link, const ControlRecord *record) {
        if (link->said == SAID_ALL) {
                link_queue(link, record, /* fd= */ -EBADF, /* opened= */ NULL);
        }
}

void control_link_tell_of(ControlLink *link, const Peer *peer, const ControlRecord *record) {
        if (peer->order <= link->said) {
                link_queue(link, record, /* fd= */ -EBADF, /* opened= */ NULL);
        }
}

void control_link_tell_domain(ControlLink *link) {
        link->domain_due = true;
        if (!link->blocked) {
                link_pump(link);
        }
}

static int link_destructor(ControlLink *link) {
        /* The event loop lets go of the socket before it is closed. */
        TALLOC_FREE(link->io);
        return 0;
}

int control_link_new(void *ctx, Event *event, const Domain *domain, const Peers *peers, int fd,
                     const ControlLinkOps *ops, ControlLink **ret) {
        ControlLink *link = talloc_zero(ctx, ControlLink);
        int r;

        if (!link) {
                close(fd);
                return -ENOMEM;
        }
        /* Told from the event loop, as if room had just come. */
        *link = (ControlLink){
                .domain = domain, .peers = peers, .ops = *ops, .domain_due = true, .blocked = true
        };
        list_init(&link->messages);
        talloc_set_destructor(link, link_destructor);
        r = fd_new(link, fd, &link->socket);
        if (r >= 0) {
                r = event_add_io(link, event, fd, EPOLLOUT, PRIORITY_NEWCOMER, on_link, link, &link->io);
        }
        if (r < 0) {
                talloc_free(link);
                return r;
        }
        *ret = link;
        return 0;
}
