/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A domain being served. Who is told what, who may join and what memory is are decided elsewhere; here it is put
 * together, and the few things happen that concern the whole. */

#include "service/server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <talloc.h>

#include "service/base/event.h"
#include "service/base/log.h"
#include "service/core/admission.h"
#include "service/core/reservations.h"
#include "service/core/text.h"
#include "service/server/arrivals.h"
#include "service/server/control.h"
#include "service/server/doorbells.h"
#include "service/server/memory.h"
#include "service/server/messages.h"
#include "service/server/notify.h"
#include "service/server/peers.h"
#include "service/server/record.h"
#include "service/server/refused.h"
#include "service/server/requests.h"
#include "service/server/status.h"
#include "service/server/succession.h"
#include "service/server/tenant.h"
#include "service/server/watch.h"

/* Zeroed in one go before the loop looks at other events. */
#define WIPE_SLICE (UINT64_C(16) << 20)

/* The status line follows what it tells of by so much. */
#define STATUS_DELAY_USEC 200000U

/* QEMU runs with the soft limit of descriptors that it is given, often 1024, and aborts when it has too few. */
#define QEMU_DOORBELLS_NOTEWORTHY 768U

struct Server {
        Domain domain;
        Source source;
        OwnFile *socket_file;
        bool drop_in;
        bool verbose;
        bool said_noteworthy;
        bool said_wipe_short;
        bool ending; /* the domain ends when its memory is wiped, or at once */
        Event *event;
        Peers *peers;
        Arrivals *arrivals;
        Control *control; /* NULL: no control link */
        Watch *watch;     /* NULL: no definition */
        Notify *notify;
        EventSource *status;
        EventSource *wiping;
        uint64_t wiped;
};

static uint64_t now_usec(const Server *server) {
        uint64_t usec = 0;

        (void) sd_event_now(server->event->loop, CLOCK_MONOTONIC, &usec);
        return usec;
}

static void server_stop(Server *server, const char *why, ServerEnd end) {
        log_record(LOG_NOTICE, MESSAGE_STOPPED, NULL, 0, "Stopping: %s", why);
        if (server->domain.succession) {
                arrivals_admit_all(server->arrivals);
        }
        server->domain.stopping = true;
        notify_send(server->notify, "STOPPING=1");
        if (server->socket_file) {
                /* Nobody finds the socket any more, and who found it before is told. */
                ownfile_remove(server->socket_file);
        }
        arrivals_refuse_all(server->arrivals, /* backlog= */ server->socket_file);
        (void) sd_event_exit(server->event->loop, end);
}

/* ---- Status ---- */

static void server_changed(Server *server) {
        if (sd_event_source_get_enabled(server->status->source, NULL) == 0) {
                (void) event_source_arm_timer(server->status, STATUS_DELAY_USEC);
        }
}

static void server_tell_status(const Server *server) {
        char text[STATUS_TEXT_MAX];

        status_format(&server->domain, text);
        notify_status(server->notify, "%s", text);
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata) {
        const Server *server = talloc_get_type_abort(userdata, Server);

        server_tell_status(server);
        return 0;
}

/* ---- Idle ---- */

static void server_wipe(Server *server) {
        server->wiped = 0;
        server->said_wipe_short = false;
        arrivals_pause(server->arrivals, PAUSE_WIPE, true);
        (void) event_source_arm_turn(server->wiping);
}

static void server_end(Server *server) {
        server_stop(server, "the last peer left, Keep=until-idle", SERVER_ENDED);
}

/* The memory is as new. The domain ends if it was to, and otherwise those who wait may come. */
static void server_wiped(Server *server) {
        if (server->ending) {
                server_end(server);
        } else {
                arrivals_pause(server->arrivals, PAUSE_WIPE, false);
        }
}

/* One slice of zeroes; newcomers wait until all is done, so that nobody sees what others left. */
static int on_wipe(sd_event_source *source, uint64_t usec, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);
        int r = memory_wipe(server->domain.memory, server->wiped, WIPE_SLICE, &server->wiped);

        if (r == MEMORY_WIPE_SHORT && !server->said_wipe_short) {
                server->said_wipe_short = true;
                log_record(
                        LOG_ERR, MESSAGE_WIPE_FAILED, NULL, 0,
                        "A peer gave pages of the memory back, and they cannot be had again; a VM that touches "
                        "them may die of SIGBUS. Stop the domain, free pages, and start it again");
        }
        if (r < 0) {
                log_record(LOG_ERR, MESSAGE_WIPE_FAILED, NULL, 0,
                           "Cannot wipe the memory: %s; stopping, so that nobody gets it", strerror(-r));
                return sd_event_exit(server->event->loop, r);
        }
        if (server->wiped < memory_size(server->domain.memory)) {
                return event_source_arm_turn(server->wiping);
        }
        server_wiped(server);
        return 0;
}

static void server_idle(Server *server) {
        const Definition *definition = server->domain.definition;

        server->ending = definition->keep == KEEP_UNTIL_IDLE && !arrivals_pending(server->arrivals);
        if (definition->wipe_when_idle) {
                server_wipe(server);
        } else if (server->ending) {
                server_end(server);
        }
}

static void on_left(const Peer *peer, Leave why, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);

        record_left(peer->tenant, peer->credentials, peer->feed.vm_id, why, now_usec(server));
        control_left(server->control, peer, why);
        server_changed(server);
        if (peers_count(server->peers) == 0) {
                server_idle(server);
        }
}

static void on_joined(const Peer *peer, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);
        uint32_t doorbells = seats_opened(server->domain.seats) * seats_vectors(server->domain.seats);

        control_joined(server->control, peer);
        server_changed(server);
        if (doorbells > QEMU_DOORBELLS_NOTEWORTHY && !server->said_noteworthy) {
                log_plain(LOG_WARNING,
                          "Each QEMU holds %" PRIu32 " doorbells by now; give it more than 1024 descriptors "
                          "(LimitNOFILE=), for it aborts when it has too few",
                          doorbells);
                server->said_noteworthy = true;
        }
}

static void on_fed(void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);

        control_changed(server->control);
}

static void on_refused(Tenant *tenant, const Credentials *credentials, const char *identity,
                       const Admission *admission, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);

        if (tenant_may_tell(tenant, now_usec(server))) {
                control_refused(server->control, credentials, identity, admission->refusal,
                                admission->reason);
        }
        control_changed(server->control);
}

/* ---- Reload ---- */

static char *join_keys(void *ctx, const char **keys) {
        char *text = talloc_strdup(ctx, "");

        for (size_t i = 0; keys[i] && text; i++) {
                text = talloc_asprintf_append(text, "%s%s", i ? ", " : "", keys[i]);
        }
        return text;
}

/* Takes the new definition if all that changed can change while the domain runs. */
static ControlResult server_take_definition(Server *server, void *ctx, Definition *reloaded,
                                            char **ret_why) {
        Domain *domain = &server->domain;
        const char **fixed = definition_fixed_changes(ctx, domain->definition, reloaded);

        if (!fixed) {
                return CONTROL_SHORT;
        }
        if (fixed[0]) {
                *ret_why = join_keys(ctx, fixed);
                return CONTROL_FIXED;
        }
        if (reservations_change(domain->seats, domain->definition, reloaded) < 0) {
                return CONTROL_SHORT;
        }
        talloc_free(domain->definition);
        domain->definition = talloc_steal(server, reloaded);
        log_set_level(server->verbose ? LOG_DEBUG : domain->definition->log_level);
        if (succession_change_definition(domain->succession, domain->definition) < 0) {
                log_plain(
                        LOG_WARNING,
                        "The definition cannot be kept for a server after this one, which has the one before");
        }
        TALLOC_FREE(server->domain.not_taken);
        server_changed(server);
        return CONTROL_OK;
}

/* A domain goes on without its definition, and that is seen. */
static void on_definition(bool exists, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);

        if (server->domain.definition_removed == !exists) {
                return;
        }
        server->domain.definition_removed = !exists;
        TALLOC_FREE(server->domain.not_taken);
        log_record(LOG_NOTICE, MESSAGE_DEFINITION_REMOVED, NULL, 0,
                   exists ? "There is a definition again"
                          : "The definition was removed; the domain goes on as it is until it is stopped");
        server_changed(server);
        control_changed(server->control);
}

/* Reads the definition again. Why it was not taken is a chunk of `ctx`; NULL: for want of memory. */
static ControlResult server_read_definition(Server *server, void *ctx, char **ret_why) {
        Definition *reloaded;
        int r = load_definition(ctx, &server->source, NAME_SERVICE_FILES, &reloaded, ret_why);

        on_definition(r != -ENOENT, server);
        return r < 0 ? CONTROL_RELOAD_FAILED : server_take_definition(server, ctx, reloaded, ret_why);
}

static ControlResult server_reload(void *ctx, char **ret_why, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);
        ControlResult result;

        if (server->drop_in) {
                log_plain(LOG_NOTICE, "Nothing to reload: this server has no definition");
                *ret_why = talloc_strdup(ctx, "This server has no definition");
                return CONTROL_NOT_SUPPORTED;
        }
        result = server_read_definition(server, ctx, ret_why);
        if (result == CONTROL_OK) {
                log_record(LOG_NOTICE, MESSAGE_RELOADED, NULL, 0, "Reloaded the definition");
        } else if (result == CONTROL_FIXED) {
                log_record(LOG_ERR, MESSAGE_RELOAD_REFUSED, NULL, 0,
                           "Not reloaded, for this takes a restart: %s; all stays as it was",
                           *ret_why ?: "out of memory");
        } else {
                log_record(LOG_ERR, MESSAGE_RELOAD_REFUSED, NULL, 0, "Not reloaded, all stays as it was: %s",
                           *ret_why ?: "out of memory");
        }
        control_changed(server->control);
        return result;
}

/* ---- Signals ---- */

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);

        server_stop(server, strsignal((int) info->ssi_signo), SERVER_ENDED);
        return 0;
}

static int on_hand_over(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);

        if (!server->domain.succession) {
                return on_stop(source, info, userdata);
        }
        server_stop(server, "a successor goes on with the domain", SERVER_HANDED_OVER);
        return 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);
        void *scratch = talloc_new(server);
        char *why = NULL;

        notify_reloading(server->notify);
        (void) server_reload(scratch, &why, server);
        notify_send(server->notify, "READY=1");
        talloc_free(scratch);
        return 0;
}

static void on_request(const ControlRecord *request, ControlReply *reply, void *userdata) {
        Server *server = talloc_get_type_abort(userdata, Server);
        const Requests requests = {
                .domain = &server->domain,
                .peers = server->peers,
                .arrivals = server->arrivals,
                .reload = server_reload,
                .userdata = server,
        };

        requests_do(&requests, server, request, reply);
        control_changed(server->control);
}

/* ---- Beginning and end ---- */

static int server_add_sources(Server *server) {
        static const struct {
                int signal;
                sd_event_signal_handler_t callback;
        } signals[] = {
                { SIGTERM, on_stop },
                { SIGINT, on_stop },
                { SIGUSR1, on_hand_over },
                { SIGHUP, on_reload },
        };
        EventSource *source;
        int r = 0;

        for (size_t i = 0; i < sizeof(signals) / sizeof(*signals) && r >= 0; i++) {
                r = event_add_signal(server, server->event, signals[i].signal, signals[i].callback, server,
                                     &source);
        }
        if (r >= 0) {
                r = event_add_timer(server, server->event, SD_EVENT_PRIORITY_IDLE, on_status, server,
                                    &server->status);
        }
        if (r >= 0) {
                r = event_add_turn(server, server->event, PRIORITY_NEWCOMER, on_wipe, server,
                                   &server->wiping);
        }
        if (r >= 0) {
                r = notify_attach(server->notify, server->event);
        }
        return r;
}

static int domain_init(Domain *domain, void *ctx, const ServerParts *parts) {
        Definition *definition = parts->definition;
        int r;

        *domain = (Domain){
                .name = parts->source.name,
                .definition = talloc_steal(ctx, definition),
                .memory = parts->memory,
                .doorbells = parts->doorbells,
                .succession = parts->succession,
                .anyone = parts->drop_in,
        };
        if (parts->inheritance) {
                domain->seats = parts->inheritance->image->seats;
                r = 0;
        } else {
                r = seats_new(ctx, definition->max_peers, definition->vectors, definition->topology,
                              &domain->seats);
        }
        if (r >= 0) {
                r = reservations_change(domain->seats, /* old= */ NULL, definition);
        }
        return r < 0 ? r : tenants_new(ctx, &domain->tenants);
}

/* Whether a predecessor made the connection itself (arrivals_open()). The kernel then says of the one who has it that it is
 * that predecessor. */
static bool was_opened(const Fd *socket) {
        struct sockaddr_un address;
        socklen_t length = sizeof(address);

        return getsockname(fd_get(socket), (struct sockaddr *) &address, &length) < 0 ||
               length <= offsetof(struct sockaddr_un, sun_path);
}

/* Goes on with somebody who was not told anything yet. Of whom it is not known any more who it is can only ask again. */
static bool restore_newcomer(Server *server, Fd *socket) {
        if (was_opened(socket)) {
                refusal_send(fd_get(socket), REFUSAL_STOPPING);
                talloc_free(socket);
                return false;
        }
        return arrivals_add(server->arrivals, socket) >= 0;
}

/* Goes on with the peers of a predecessor. Who hung up meanwhile is noticed by the loop like anybody else. */
static void restore_peers(Server *server, Inheritance *inheritance) {
        uint32_t rate = server->domain.definition->connect_rate, lost = 0;

        for (size_t i = 0; i < inheritance->image->n_connections; i++) {
                const LedgerConnection *connection = &inheritance->image->connections[i];
                Tenant *tenant;

                if (!inheritance->sockets[i]) {
                        peers_vacate(server->peers, connection);
                        lost++;
                } else if (tenants_get(server->domain.tenants, connection->credentials.uid, rate,
                                       /* now= */ 0, &tenant) < 0 ||
                           peers_restore(server->peers, connection, inheritance->sockets[i], tenant) < 0) {
                        lost++;
                }
        }
        for (size_t i = 0; i < inheritance->n_newcomers; i++) {
                lost += !restore_newcomer(server, inheritance->newcomers[i]);
        }
        log_record(LOG_NOTICE, MESSAGE_RESUMED, NULL, 0,
                   "Went on with %" PRIu32 " peer%s of the server before%s", peers_count(server->peers),
                   plural(peers_count(server->peers)), lost ? "; others were gone" : "");
}

/* How many descriptors messages may have in flight: what the kernel allows, without the doorbells in the fd store. */
static uint64_t descriptors_in_flight(const ServerParts *parts) {
        uint64_t stored = (uint64_t) parts->definition->max_peers * parts->definition->vectors;

        return parts->succession ? parts->nofile - stored : parts->nofile;
}

/* From here on it is known whether there is a definition, also where it went after it was loaded. */
static int server_watch(Server *server, const ServerParts *parts) {
        int r = watch_new(server, server->event, &server->source, on_definition, server, &server->watch);

        if (r < 0) {
                return r;
        }
        if (parts->not_taken) {
                server->domain.not_taken = talloc_strdup(server, parts->not_taken);
                if (!server->domain.not_taken) {
                        return -ENOMEM;
                }
        }
        on_definition(definition_exists(&server->source), server);
        return 0;
}

static int server_init(Server *server, const ServerParts *parts) {
        const PeersOps peers_ops = {
                .joined = on_joined, .left = on_left, .fed = on_fed, .userdata = server
        };
        const ArrivalsOps arrivals_ops = { .refused = on_refused, .userdata = server };
        const ControlOps control_ops = { .request = on_request, .userdata = server };
        int r = domain_init(&server->domain, server, parts);

        server->source = parts->source;
        server->socket_file = parts->socket_file;
        server->notify = parts->notify;
        server->drop_in = parts->drop_in;
        server->verbose = parts->verbose;
        if (r >= 0) {
                r = event_new(server, &server->event);
        }
        if (r >= 0) {
                r = server_add_sources(server);
        }
        if (r >= 0) {
                r = peers_new(server, server->event, &server->domain, descriptors_in_flight(parts),
                              &peers_ops, &server->peers);
        }
        if (r >= 0) {
                r = arrivals_new(server, server->event, &server->domain, server->peers, parts->listener,
                                 &arrivals_ops, &server->arrivals);
        }
        if (r >= 0 && parts->control) {
                r = control_new(server, server->event, &server->domain, server->peers, parts->control,
                                &control_ops, &server->control);
        }
        if (r >= 0 && !parts->drop_in) {
                r = server_watch(server, parts);
        }
        if (r >= 0 && parts->inheritance) {
                restore_peers(server, parts->inheritance);
        }
        return r;
}

int server_new(void *ctx, const ServerParts *parts, Server **ret) {
        Server *server = talloc_zero(ctx, Server);
        int r;

        if (!server) {
                return -ENOMEM;
        }
        r = server_init(server, parts);
        if (r < 0) {
                talloc_free(server);
                return r;
        }
        *ret = server;
        return 0;
}

size_t server_count_fds(const Server *server) {
        return arrivals_count_fds(server->arrivals) + doorbells_count(server->domain.doorbells) +
               peers_count(server->peers) + (server->control ? 1 : 0) +
               (watch_fd(server->watch) >= 0 ? 1 : 0);
}

size_t server_list_fds(const Server *server, int *ret) {
        size_t n = arrivals_list_fds(server->arrivals, ret);

        n += doorbells_list_fds(server->domain.doorbells, ret + n);
        if (server->control) {
                ret[n++] = control_fd(server->control);
        }
        if (watch_fd(server->watch) >= 0) {
                ret[n++] = watch_fd(server->watch);
        }
        return n + peers_list_fds(server->peers, ret + n);
}

int server_run(Server *server) {
        uint32_t vectors = seats_vectors(server->domain.seats);

        log_record(LOG_NOTICE, MESSAGE_STARTED, NULL, 0, "Serving %s, %" PRIu32 " vector%s",
                   memory_describe(server->domain.memory), vectors, plural(vectors));
        /* First what it is that is ready: whoever waited for that looks then. */
        server_tell_status(server);
        notify_send(server->notify, "READY=1");
        if (server->domain.definition->wipe_when_idle && memory_is_adopted(server->domain.memory) &&
            peers_count(server->peers) == 0) {
                /* Whoever ended before did not come to it. */
                server_wipe(server);
        }
        return sd_event_loop(server->event->loop);
}
