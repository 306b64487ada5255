/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's end of the control link. What a link is told of the peers that there are is a walk over them, of which it
 * remembers how far it came; only what happens afterwards is queued, and not much of it.
 */

#include "service/server/control.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/list.h"
#include "service/base/log.h"
#include "service/core/bucket.h"
#include "service/server/memory.h"

/* Records that wait for a link's other end to read. */
#define MESSAGES_MAX 256U

/* Requests of a link in one go, before the loop looks at other events. */
#define REQUESTS_IN_ONE_GO 16U

#define DOMAIN_DELAY_USEC 250000U

/* A connection that could not be accepted for want of something is tried again after so long. */
#define ACCEPT_RETRY_USEC 100000U

/* Log lines about connections that were not taken. */
#define COMPLAINTS_PER_SECOND 1U
#define COMPLAINTS_BURST 10U

/* Link.said: the picture is whole. */
#define SAID_ALL UINT64_MAX

typedef struct Message {
        List link;
        ControlRecord record;
        int fd;
} Message;

typedef struct Link {
        Control *control;
        List link; /* of Control: links, or doomed */
        Fd *socket;
        EventSource *io;
        uint64_t said;   /* Peer.order of the last peer in the picture */
        bool domain_due; /* CONTROL_DOMAIN is to be said (again) */
        bool blocked;    /* waiting for EPOLLOUT */
        List messages;
        size_t n_messages;
} Link;

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
        List links;
        List doomed;
        size_t n_links;
        uid_t own_uid;
        uid_t socket_uid; /* who owns the socket's file */
        ControlDomain told;
        Bucket complaints;
};

static uint64_t now_usec(const Control *control) {
        uint64_t usec = 0;

        (void) sd_event_now(control->event->loop, CLOCK_MONOTONIC, &usec);
        return usec;
}

/* ---- What is said ---- */

static ControlDomain describe_domain(const Domain *domain) {
        ControlDomain description;

        /* Compared as a whole. */
        memset(&description, 0, sizeof(description));
        control_text_set(description.name, sizeof(description.name), domain->name);
        description.memory_size = memory_size(domain->memory);
        description.huge_pages = (uint32_t) domain->definition->huge_pages;
        description.vectors = seats_vectors(domain->seats);
        description.max_peers = seats_max(domain->seats);
        description.topology = seats_topology(domain->seats);
        description.n_peers = seats_taken(domain->seats);
        description.n_seats = seats_opened(domain->seats);
        description.joins = domain->counters.joins;
        description.leaves = domain->counters.leaves;
        description.refusals = domain->counters.refusals;
        description.evictions = domain->counters.evictions;
        description.messages_sent = domain->counters.messages_sent;
        description.definition_removed = domain->definition_removed;
        return description;
}

static void describe_credentials(ControlPeer *ret, const Credentials *credentials, const char *identity) {
        ret->uid = credentials->uid;
        ret->gid = credentials->gid;
        ret->pid = credentials->pid;
        control_text_set(ret->identity, sizeof(ret->identity), identity);
        control_text_set(ret->unit, sizeof(ret->unit), credentials->unit);
        control_text_set(ret->machine, sizeof(ret->machine), credentials->machine);
        control_text_set(ret->label, sizeof(ret->label), credentials->label);
}

/* The seat has its occupant's name also when that has just left. */
static void describe_peer(ControlRecord *ret, ControlKind kind, const Domain *domain, const Peer *peer) {
        uint32_t vm_id = peer->feed.vm_id;

        *ret = (ControlRecord){ .kind = kind, .peer = { .vm_id = vm_id, .since = peer->since } };
        describe_credentials(&ret->peer, peer->credentials, seats_get(domain->seats, vm_id)->identity);
}

/* ---- A link's end ---- */

/* It is freed from the reaper, for this may be its own callback. */
static void link_end(Link *link) {
        Control *control = link->control;

        list_remove(&link->link);
        list_append(&control->doomed, &link->link);
        control->n_links--;
        (void) sd_event_source_set_enabled(link->io->source, SD_EVENT_OFF);
        (void) event_source_arm_once(control->reaper);
}

static bool link_has_ended(const Link *link) {
        return sd_event_source_get_enabled(link->io->source, NULL) == 0;
}

static int on_reap(sd_event_source *source, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);

        LIST_FOREACH(i, &control->doomed) {
                talloc_free(list_entry(i, Link, link));
        }
        return 0;
}

/* ---- Sending ---- */

static int link_send(const Link *link, const ControlRecord *record, int fd) {
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
        Link *link;
        int result;
} Walk;

static bool say_peer(const Peer *peer, void *userdata) {
        Walk *walk = userdata;
        ControlRecord record;

        if (peer->order <= walk->link->said) {
                return true;
        }
        describe_peer(&record, CONTROL_PEER, walk->link->control->domain, peer);
        walk->result = link_send(walk->link, &record, /* fd= */ -EBADF);
        if (walk->result < 0) {
                return false;
        }
        walk->link->said = peer->order;
        return true;
}

/* The rest of the picture, or what has changed of the domain since. */
static int link_send_picture(Link *link) {
        ControlRecord record = { .kind = CONTROL_DOMAIN };
        Walk walk = { .link = link };
        int r = 0;

        if (link->domain_due) {
                record.domain = describe_domain(link->control->domain);
                r = link_send(link, &record, /* fd= */ -EBADF);
                if (r < 0) {
                        return r;
                }
                link->domain_due = false;
        }
        if (link->said == SAID_ALL) {
                return 0;
        }
        peers_foreach(link->control->peers, say_peer, &walk);
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
static int link_send_message(Link *link, Message *message) {
        int r = link_send(link, &message->record, message->fd);

        if (r == -ETOOMANYREFS && message->fd >= 0) {
                message->record.result = CONTROL_SHORT;
                control_text_set(message->record.text, sizeof(message->record.text),
                                 "too many descriptors are in flight: raise LimitNOFILE=");
                r = link_send(link, &message->record, /* fd= */ -EBADF);
        }
        return r;
}

static int link_send_messages(Link *link) {
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
static bool link_may_ask(const Link *link) {
        return link->said == SAID_ALL && link->n_messages == 0;
}

/* Sends what there is to be sent and fits. */
static void link_pump(Link *link) {
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
static void link_tell(Link *link, const ControlRecord *record, int fd, Fd *opened) {
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
static int link_receive(const Link *link, ControlRecord *ret) {
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

static void link_answer(Link *link, const ControlRecord *request) {
        const Control *control = link->control;
        ControlReply reply = {
                .record = { .kind = CONTROL_REPLY, .serial = request->serial, .result = CONTROL_OK },
                .fd = -EBADF,
        };

        control->ops.request(request, &reply, control->ops.userdata);
        /* What it did may have been told to this link, too, and have been the last that it could hold. */
        if (link_has_ended(link)) {
                talloc_free(reply.opened);
                return;
        }
        link_tell(link, &reply.record, reply.fd, reply.opened);
}

static void link_listen(Link *link) {
        for (unsigned i = 0; i < REQUESTS_IN_ONE_GO && !link_has_ended(link) && link_may_ask(link); i++) {
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
        Link *link = talloc_get_type_abort(userdata, Link);

        if (events & EPOLLOUT) {
                link_pump(link);
        }
        if (events & EPOLLIN) {
                link_listen(link);
        } else if (events & (EPOLLHUP | EPOLLERR) && !link_has_ended(link)) {
                link_end(link);
        }
        return 0;
}

/* ---- Beginning ---- */

static int link_destructor(Link *link) {
        /* The event loop lets go of the socket before it is closed. */
        TALLOC_FREE(link->io);
        list_remove(&link->link);
        return 0;
}

static int link_new(Control *control, int fd) {
        Link *link = talloc_zero(control, Link);
        int r;

        if (!link) {
                close(fd);
                return -ENOMEM;
        }
        list_init(&link->link);
        list_init(&link->messages);
        talloc_set_destructor(link, link_destructor);
        link->control = control;
        link->domain_due = true;
        r = fd_new(link, fd, &link->socket);
        if (r >= 0) {
                r = event_add_io(link, control->event, fd, /* events= */ 0, PRIORITY_NEWCOMER, on_link, link,
                                 &link->io);
        }
        if (r < 0) {
                talloc_free(link);
                return r;
        }
        list_append(&control->links, &link->link);
        control->n_links++;
        link_pump(link);
        return 0;
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

static void take_connection(Control *control, int fd) {
        struct ucred who = { .uid = UINT32_MAX };
        socklen_t length = sizeof(who);
        int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length);

        if (r < 0 || !may_connect(control, who.uid)) {
                complain(control, &who, "it is neither root nor the socket's owner");
                close(fd);
        } else if (control->n_links >= CONTROL_LINKS_MAX) {
                complain(control, &who, "there are as many as there may be");
                close(fd);
        } else if (link_new(control, fd) < 0) {
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

/* Tells those who have been told of this peer; the others come to it, or will not miss it. */
static void tell_of_peer(Control *control, const ControlRecord *record, const Peer *peer) {
        LIST_FOREACH(i, &control->links) {
                Link *link = list_entry(i, Link, link);

                if (peer->order <= link->said) {
                        link_tell(link, record, /* fd= */ -EBADF, /* opened= */ NULL);
                }
        }
        control_changed(control);
}

static bool has_listeners(const Control *control) {
        return control && !list_is_empty(&control->links);
}

void control_joined(Control *control, const Peer *peer) {
        ControlRecord record;

        if (has_listeners(control)) {
                describe_peer(&record, CONTROL_JOINED, control->domain, peer);
                tell_of_peer(control, &record, peer);
        }
}

void control_left(Control *control, const Peer *peer, Leave why) {
        ControlRecord record;

        if (has_listeners(control)) {
                describe_peer(&record, CONTROL_LEFT, control->domain, peer);
                control_text_set(record.text, sizeof(record.text), leave_names[why]);
                tell_of_peer(control, &record, peer);
        }
}

void control_refused(Control *control, const Credentials *credentials, const char *identity, Refusal refusal,
                     const char *reason) {
        ControlRecord record = { .kind = CONTROL_REFUSED, .refusal = refusal };

        if (!has_listeners(control)) {
                return;
        }
        describe_credentials(&record.peer, credentials, identity);
        control_text_set(record.text, sizeof(record.text), reason);
        LIST_FOREACH(i, &control->links) {
                link_tell(list_entry(i, Link, link), &record, /* fd= */ -EBADF, /* opened= */ NULL);
        }
        control_changed(control);
}

void control_changed(Control *control) {
        if (has_listeners(control) && sd_event_source_get_enabled(control->telling->source, NULL) == 0) {
                (void) event_source_arm_timer(control->telling, DOMAIN_DELAY_USEC);
        }
}

static int on_tell(sd_event_source *source, uint64_t usec, void *userdata) {
        Control *control = talloc_get_type_abort(userdata, Control);
        ControlDomain now = describe_domain(control->domain);

        if (memcmp(&now, &control->told, sizeof(now)) == 0) {
                return 0;
        }
        control->told = now;
        LIST_FOREACH(i, &control->links) {
                Link *link = list_entry(i, Link, link);

                link->domain_due = true;
                if (!link->blocked) {
                        link_pump(link);
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
        control->own_uid = geteuid();
        control->socket_uid = socket_owner(fd_get(listener));
        control->complaints = bucket_full(COMPLAINTS_PER_SECOND, COMPLAINTS_BURST, now_usec(control));
        list_init(&control->links);
        list_init(&control->doomed);
        talloc_set_destructor(control, control_destructor);
        r = control_add_sources(control);
        if (r < 0) {
                talloc_free(control);
                return r;
        }
        *ret = control;
        return 0;
}
