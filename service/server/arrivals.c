/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Newcomers. Accepting and admitting are two steps of the event loop on purpose: between them the loop looks at
 * hang-ups, which come first by priority. So a VM that closes its connection and opens a new one finds its seat
 * vacant, however fast it is.
 */

#include "service/server/arrivals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <talloc.h>
#include <unistd.h>

#include "service/base/error.h"
#include "service/base/list.h"
#include "service/base/log.h"
#include "service/core/admission.h"
#include "service/core/wire.h"
#include "service/server/doorbells.h"
#include "service/server/listener.h"
#include "service/server/messages.h"
#include "service/server/peercred.h"
#include "service/server/peers.h"
#include "service/server/record.h"
#include "service/server/refused.h"
#include "service/server/tenant.h"

/* Accepted in one go before the loop looks at other events. */
#define ACCEPTS 16U

/* A flood must not keep a stopping server alive. */
#define REFUSALS_AT_STOP 4096U

/* A newcomer that could not be accepted for want of memory is tried again after so long. */
#define ACCEPT_RETRY_USEC 100000U

/* How many may wait to be admitted for arrivals_open() to make one more. They wait for nothing but a wipe, as a rule. */
#define WAITING_MAX 64U

typedef struct Arrival {
        List link;
        Fd *socket;
        Credentials *credentials; /* NULL: the kernel's, of who connected */
} Arrival;

struct Arrivals {
        Domain *domain;
        Peers *peers;
        ArrivalsOps ops;
        RefusedPeers *refused;
        Event *event;
        Fd *listener;
        EventSource *listening;
        EventSource *admitting;
        EventSource *retry;
        List waiting;
        char *units_root; /* of the peers' cgroups; NULL: not known */
        Fd *spare; /* given up for a moment, when no descriptor is left, to refuse somebody or to know somebody */
        unsigned paused; /* set of ArrivalsPause */
        bool said_short; /* the log has it that newcomers are refused for want of something */
};

static int open_spare(Arrivals *arrivals) {
        int fd = fcntl(fd_get(arrivals->listener), F_DUPFD_CLOEXEC, 3);

        return fd < 0 ? errno_negative() : fd_new(arrivals, fd, &arrivals->spare);
}

static uint64_t now_usec(const Arrivals *arrivals) {
        uint64_t usec = 0;

        (void) sd_event_now(arrivals->event->loop, CLOCK_MONOTONIC, &usec);
        return usec;
}

/* ---- The answer ---- */

/* Whoever is told finds it in the log. */
static void refuse(Arrivals *arrivals, Arrival *arrival, Tenant *tenant, const Credentials *credentials,
                   const char *identity, const Admission *admission) {
        arrivals->domain->counters.refusals++;
        record_refused(tenant, credentials, admission->refusal, admission->reason, now_usec(arrivals));
        refusal_send(fd_get(arrival->socket), admission->refusal);
        arrivals->ops.refused(tenant, credentials, identity, admission, arrivals->ops.userdata);
        refused_keep(arrivals->refused, credentials->uid, arrival->socket);
}

/* Who it is could not even be asked. */
static void refuse_nobody(Arrivals *arrivals, int socket) {
        arrivals->domain->counters.refusals++;
        refusal_send(socket, REFUSAL_NO_FREE_SEAT);
}

/* Nobody can be accepted or admitted, for want of memory or because systemd is busy. Whoever waits goes on waiting, but does not keep us
 * awake. */
static void wait_a_while(Arrivals *arrivals) {
        arrivals_pause(arrivals, PAUSE_SHORTAGE, true);
        (void) event_source_arm_timer(arrivals->retry, ACCEPT_RETRY_USEC);
}

static void take_spare_again(Arrivals *arrivals) {
        if (open_spare(arrivals) < 0) {
                wait_a_while(arrivals);
        }
}

/* ---- Admission ---- */

/* Gives the admitted peer its doorbells and its seat. */
static int seat(Arrivals *arrivals, Arrival *arrival, Tenant *tenant, Credentials *credentials,
                const char *identity, uint32_t vm_id) {
        Doorbells *doorbells = arrivals->domain->doorbells;
        int r;

        doorbells_drain(doorbells, vm_id);
        r = doorbells_open(doorbells, vm_id);
        if (r >= 0) {
                r = peers_add(arrivals->peers, vm_id, identity, arrival->socket, tenant, credentials);
        }
        return r;
}

static const char *shortage(int error) {
        switch (error) {
        case -EMFILE:
                return "this server has no descriptors left: raise LimitNOFILE=";
        case -ENFILE:
                return "the machine has no descriptors left: raise fs.file-max";
        case -ENOSPC:
                return "systemd's fd store is full: raise FileDescriptorStoreMax= and --fd-store=";
        case -ETOOMANYREFS:
                return "too many descriptors are in flight: raise LimitNOFILE=";
        default:
                return "out of memory";
        }
}

/* Says once that newcomers are refused for want of something, until one is accepted again. */
static void say_short(Arrivals *arrivals, int error) {
        if (!arrivals->said_short) {
                log_record(LOG_WARNING, MESSAGE_CANNOT_ACCEPT, NULL, 0, "Refusing new peers: %s",
                           shortage(error));
                arrivals->said_short = true;
        }
}

/* -EAGAIN: what a successor needs cannot be kept right now, so the newcomer has to wait. */
static int admit_known(Arrivals *arrivals, Arrival *arrival, Tenant *tenant, Credentials *credentials,
                       const char *identity) {
        const Domain *domain = arrivals->domain;
        const AdmissionContext context = {
                .definition = domain->definition,
                .seats = domain->seats,
                .peers_of_user = tenant->n_peers,
                .rate_exceeded = !bucket_take(&tenant->connects, now_usec(arrivals)),
                .anyone = domain->anyone,
                .stopping = domain->stopping,
        };
        Admission admission = admission_decide(&context, credentials, identity);
        int r = 0;

        if (admission.refusal == REFUSAL_NONE) {
                r = seat(arrivals, arrival, tenant, credentials, identity, admission.vm_id);
        }
        if (r == -EAGAIN) {
                return r;
        }
        if (r < 0) {
                admission.refusal = REFUSAL_NO_FREE_SEAT;
                snprintf(admission.reason, sizeof(admission.reason), "%s", shortage(r));
        }
        if (admission.refusal != REFUSAL_NONE) {
                refuse(arrivals, arrival, tenant, credentials, identity, &admission);
                return 0;
        }
        arrivals->said_short = false;
        record_joined(tenant, credentials, admission.vm_id, admission.reason, now_usec(arrivals));
        return 0;
}

static int arrival_credentials(Arrivals *arrivals, Arrival *arrival, Credentials **ret) {
        int socket = fd_get(arrival->socket), r;

        if (arrival->credentials) {
                *ret = arrival->credentials;
                return 0;
        }
        r = peercred_read(arrival, socket, arrivals->units_root, ret);
        if (r == -EMFILE || r == -ENFILE) {
                /* Somebody who comes back to doorbells that are open takes no more than the socket. */
                TALLOC_FREE(arrivals->spare);
                r = peercred_read(arrival, socket, arrivals->units_root, ret);
                take_spare_again(arrivals);
        }
        return r;
}

/* Everything that admission needs, or a refusal for want of memory. Whatever stays below the arrival goes with it. */
static int admit(Arrivals *arrivals, Arrival *arrival) {
        uint32_t rate = arrivals->domain->definition->connect_rate;
        Credentials *credentials;
        const char *identity = NULL;
        Tenant *tenant;
        int r = arrival_credentials(arrivals, arrival, &credentials);

        if (r >= 0) {
                r = tenants_get(arrivals->domain->tenants, credentials->uid, rate, now_usec(arrivals),
                                &tenant);
        }
        if (r >= 0) {
                identity = credentials_identity(arrival, credentials);
                r = identity ? 0 : -ENOMEM;
        }
        if (r < 0) {
                say_short(arrivals, r);
                refuse_nobody(arrivals, fd_get(arrival->socket));
                return 0;
        }
        return admit_known(arrivals, arrival, tenant, credentials, identity);
}

/* In the order in which they came. */
static void admit_waiting(Arrivals *arrivals) {
        LIST_FOREACH(i, &arrivals->waiting) {
                Arrival *arrival = list_entry(i, Arrival, link);

                if (admit(arrivals, arrival) == -EAGAIN) {
                        wait_a_while(arrivals);
                        return;
                }
                list_remove(&arrival->link);
                talloc_free(arrival);
        }
}

static int on_admit(sd_event_source *source, void *userdata) {
        Arrivals *arrivals = talloc_get_type_abort(userdata, Arrivals);

        if (!arrivals->paused) {
                admit_waiting(arrivals);
        }
        return 0;
}

/* ---- Accepting ---- */

static size_t arrivals_count_waiting(const Arrivals *arrivals) {
        size_t n = 0;

        LIST_FOREACH(i, &arrivals->waiting) {
                n++;
        }
        return n;
}

/* Takes the credentials (may be NULL) over on success. */
static int arrival_add(Arrivals *arrivals, int fd, Credentials *credentials) {
        Arrival *arrival = talloc_zero(arrivals, Arrival);

        if (!arrival) {
                close(fd);
                return -ENOMEM;
        }
        if (fd_new(arrival, fd, &arrival->socket) < 0) {
                talloc_free(arrival);
                return -ENOMEM;
        }
        /* Of a pair, or made before we listened. */
        socket_bar_descriptors(fd);
        arrival->credentials = talloc_steal(arrival, credentials);
        list_append(&arrivals->waiting, &arrival->link);
        return event_source_arm_once(arrivals->admitting);
}

int arrivals_add(Arrivals *arrivals, Fd *socket) {
        int fd = fd_take(socket);

        talloc_free(socket);
        return arrival_add(arrivals, fd, /* credentials= */ NULL);
}

/* Takes the credentials over on success. */
static int open_with(Arrivals *arrivals, void *ctx, Credentials *credentials, Fd **ret) {
        int ends[2], r;
        Fd *end;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
                return errno_negative();
        }
        r = fd_new(ctx, ends[1], &end);
        if (r < 0) {
                close(ends[0]);
                return r;
        }
        r = arrival_add(arrivals, ends[0], credentials);
        if (r < 0) {
                talloc_free(end);
                return r;
        }
        *ret = end;
        return 0;
}

int arrivals_open(Arrivals *arrivals, void *ctx, const Credentials *named, Fd **ret) {
        Credentials *credentials;
        int r;

        if (arrivals_count_waiting(arrivals) >= WAITING_MAX) {
                return -EBUSY;
        }
        r = peercred_of_process(arrivals, named, arrivals->units_root, &credentials);
        if (r < 0) {
                return r;
        }
        r = open_with(arrivals, ctx, credentials, ret);
        if (r < 0) {
                talloc_free(credentials);
        }
        return r;
}

void arrivals_admit_all(Arrivals *arrivals) {
        admit_waiting(arrivals);
}

static int accept_one(Arrivals *arrivals) {
        return errno_or(accept4(fd_get(arrivals->listener), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

/* No descriptor is left for a newcomer: the spare one is given up, the newcomer told, and the spare taken again. Else
 * the newcomer would wait for ever, and the listening socket would wake us for ever. */
static void refuse_one_with_the_spare(Arrivals *arrivals, int error) {
        int fd;

        say_short(arrivals, error);
        TALLOC_FREE(arrivals->spare);
        fd = accept_one(arrivals);
        if (fd >= 0) {
                refuse_nobody(arrivals, fd);
                close(fd);
        }
        take_spare_again(arrivals);
}

/* Accepts one who waits. Returns false when there is nobody, or no more can be done now. */
static bool accept_next(Arrivals *arrivals, bool first) {
        int fd = accept_one(arrivals);

        switch (fd) {
        case -EAGAIN:
        case -ECONNABORTED:
        case -EINTR:
                return false;
        case -EMFILE:
        case -ENFILE:
                /* Hang-ups that came before the newcomer give descriptors back. Of the first one it is certain that
                 * they were looked at. */
                if (first) {
                        refuse_one_with_the_spare(arrivals, fd);
                }
                return false;
        }
        if (fd < 0) {
                wait_a_while(arrivals);
                return false;
        }
        return arrival_add(arrivals, fd, /* credentials= */ NULL) >= 0;
}

/* Asking is cheaper than an accept4() that finds nobody, which makes a file to throw away. */
static bool somebody_waits(const Arrivals *arrivals) {
        struct pollfd pollfd = { .fd = fd_get(arrivals->listener), .events = POLLIN };

        return poll(&pollfd, 1, 0) > 0;
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Arrivals *arrivals = talloc_get_type_abort(userdata, Arrivals);

        for (unsigned i = 0; i < ACCEPTS && accept_next(arrivals, i == 0) && somebody_waits(arrivals); i++) {
        }
        return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Arrivals *arrivals = talloc_get_type_abort(userdata, Arrivals);

        if (!arrivals->spare && open_spare(arrivals) < 0) {
                return event_source_arm_timer(arrivals->retry, ACCEPT_RETRY_USEC);
        }
        arrivals_pause(arrivals, PAUSE_SHORTAGE, false);
        return 0;
}

void arrivals_pause(Arrivals *arrivals, ArrivalsPause why, bool pause) {
        arrivals->paused = pause ? arrivals->paused | why : arrivals->paused & ~why;
        (void) sd_event_source_set_enabled(arrivals->listening->source,
                                           arrivals->paused ? SD_EVENT_OFF : SD_EVENT_ON);
        if (!arrivals->paused && !list_is_empty(&arrivals->waiting)) {
                (void) event_source_arm_once(arrivals->admitting);
        }
}

void arrivals_refuse_all(Arrivals *arrivals, bool backlog) {
        int fd;

        LIST_FOREACH(i, &arrivals->waiting) {
                Arrival *arrival = list_entry(i, Arrival, link);

                list_remove(&arrival->link);
                refusal_send(fd_get(arrival->socket), REFUSAL_STOPPING);
                talloc_free(arrival);
        }
        for (unsigned i = 0; backlog && i < REFUSALS_AT_STOP && (fd = accept_one(arrivals)) >= 0; i++) {
                refusal_send(fd, REFUSAL_STOPPING);
                close(fd);
        }
}

bool arrivals_pending(const Arrivals *arrivals) {
        return !list_is_empty(&arrivals->waiting);
}

size_t arrivals_count_fds(const Arrivals *arrivals) {
        return 2 + arrivals_count_waiting(arrivals);
}

size_t arrivals_list_fds(const Arrivals *arrivals, int *ret) {
        size_t n = 0;

        ret[n++] = fd_get(arrivals->listener);
        ret[n++] = fd_get(arrivals->spare);
        LIST_FOREACH(i, &arrivals->waiting) {
                ret[n++] = fd_get(list_entry(i, Arrival, link)->socket);
        }
        return n;
}

static int arrivals_destructor(Arrivals *arrivals) {
        /* The event loop lets go of the socket before it is closed. */
        TALLOC_FREE(arrivals->listening);
        return 0;
}

int arrivals_new(void *ctx, Event *event, Domain *domain, Peers *peers, Fd *listener, const ArrivalsOps *ops,
                 Arrivals **ret) {
        Arrivals *arrivals = talloc_zero(ctx, Arrivals);
        int r;

        if (!arrivals) {
                talloc_free(listener);
                return -ENOMEM;
        }
        *arrivals = (Arrivals){ .domain = domain, .peers = peers, .ops = *ops, .event = event };
        arrivals->listener = talloc_steal(arrivals, listener);
        socket_bar_descriptors(fd_get(listener));
        list_init(&arrivals->waiting);
        talloc_set_destructor(arrivals, arrivals_destructor);
        r = refused_new(arrivals, event, REFUSED_KEEP_USEC, &arrivals->refused);
        if (r >= 0) {
                r = peercred_units_root(arrivals, &arrivals->units_root);
        }
        if (r >= 0) {
                r = open_spare(arrivals);
        }
        if (r >= 0) {
                r = event_add_io(arrivals, event, fd_get(listener), EPOLLIN, PRIORITY_NEWCOMER, on_listener,
                                 arrivals, &arrivals->listening);
        }
        if (r >= 0) {
                r = event_add_deferred(arrivals, event, PRIORITY_NEWCOMER, on_admit, arrivals,
                                       &arrivals->admitting);
        }
        if (r >= 0) {
                r = event_add_timer(arrivals, event, PRIORITY_NEWCOMER, on_retry, arrivals,
                                    &arrivals->retry);
        }
        if (r < 0) {
                talloc_free(arrivals);
                return r;
        }
        *ret = arrivals;
        return 0;
}
