/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a domain's server says. Each kind of record has a function; what contradicts what was said before is refused. */

#include "service/manager/mirror.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <talloc.h>

#include "service/manager/manager-parts.h"

/* As many peers as any server is believed to have, however its definition may have been changed since it started. */
#define PEERS_BELIEVED 4096U

struct Mirror {
        Domain *domain;
        Link *link;
        PeerList incoming; /* of a picture that is not whole yet */
        bool synced;
};

/* ---- Telling ---- */

static void tell_joined(const Domain *domain, const ControlPeer *peer) {
        const ManagerOps *observer = &domain->manager->observer;

        if (observer->peer_joined) {
                observer->peer_joined((Domain *) domain, peer, observer->userdata);
        }
}

static void tell_left(const Domain *domain, const ControlPeer *peer, const char *why) {
        const ManagerOps *observer = &domain->manager->observer;

        if (observer->peer_left) {
                observer->peer_left((Domain *) domain, peer, why, observer->userdata);
        }
}

/* ---- The picture ---- */

static bool same_peer(const ControlPeer *a, const ControlPeer *b) {
        return b && a->since == b->since && a->pid == b->pid && a->uid == b->uid &&
               strcmp(a->identity, b->identity) == 0;
}

/* The whole picture takes the place of the one before. */
static int take_synced(Mirror *mirror, const ControlRecord *record) {
        Domain *domain = mirror->domain;
        PeerList before = domain->peers;

        if (mirror->synced) {
                return -EBADMSG;
        }
        domain->peers = mirror->incoming;
        talloc_steal(domain, domain->peers.peers);
        mirror->incoming = (PeerList){ 0 };
        mirror->synced = true;
        for (size_t i = 0; i < before.n; i++) {
                if (!same_peer(before.peers[i], peerlist_find(&domain->peers, before.peers[i]->vm_id))) {
                        tell_left(domain, before.peers[i], "the server was restarted");
                }
        }
        for (size_t i = 0; i < domain->peers.n; i++) {
                if (!same_peer(domain->peers.peers[i],
                               peerlist_find(&before, domain->peers.peers[i]->vm_id))) {
                        tell_joined(domain, domain->peers.peers[i]);
                }
        }
        peerlist_clear(&before);
        /* How many there are counts among them, and may have been told before the picture was whole. */
        manager_tell(domain, DOMAIN_CHANGED_COUNTERS);
        return 0;
}

static int add_peer(Mirror *mirror, PeerList *list, void *ctx, const ControlPeer *peer) {
        const Definition *definition = mirror->domain->definition;
        uint32_t max = definition && definition->max_peers > PEERS_BELIEVED ? definition->max_peers
                                                                            : PEERS_BELIEVED;
        int r = list->n < max ? peerlist_add(ctx, list, peer) : -EBADMSG;

        return r == -EEXIST ? -EBADMSG : r;
}

static int take_peer(Mirror *mirror, const ControlRecord *record) {
        return mirror->synced ? -EBADMSG : add_peer(mirror, &mirror->incoming, mirror, &record->peer);
}

static int take_joined(Mirror *mirror, const ControlRecord *record) {
        Domain *domain = mirror->domain;
        int r = mirror->synced ? add_peer(mirror, &domain->peers, domain, &record->peer) : -EBADMSG;

        if (r == 0) {
                tell_joined(domain, &record->peer);
        }
        return r;
}

/* Who leaves while the picture is still being told has never been there to our observer. */
static int take_left(Mirror *mirror, const ControlRecord *record) {
        Domain *domain = mirror->domain;
        PeerList *list = mirror->synced ? &domain->peers : &mirror->incoming;

        if (!peerlist_find(list, record->peer.vm_id)) {
                return -EBADMSG;
        }
        peerlist_remove(list, record->peer.vm_id);
        if (mirror->synced) {
                tell_left(domain, &record->peer, record->text);
        }
        return 0;
}

static int take_refused(Mirror *mirror, const ControlRecord *record) {
        const ManagerOps *observer = &mirror->domain->manager->observer;

        if (observer->peer_refused) {
                observer->peer_refused(mirror->domain, &record->peer, record->refusal, record->text,
                                       observer->userdata);
        }
        return 0;
}

static int take_domain(Mirror *mirror, const ControlRecord *record) {
        Domain *domain = mirror->domain;
        DefinitionState before = domain_definition_state(domain);
        DomainChanges changes = DOMAIN_CHANGED_COUNTERS;
        int r;

        if (strcmp(record->domain.name, domain->name) != 0) {
                return -EBADMSG;
        }
        r = domain_take_status(domain, record->text, &changes);
        if (r < 0) {
                return r;
        }
        domain->counters = record->domain;
        if (domain_definition_state(domain) != before) {
                changes |= DOMAIN_CHANGED_DEFINITION;
        }
        manager_tell(domain, changes);
        return 0;
}

static int on_record(const ControlRecord *record, void *userdata) {
        static int (*const takers[_CONTROL_KIND_MAX])(Mirror *, const ControlRecord *) = {
                [CONTROL_DOMAIN] = take_domain, [CONTROL_PEER] = take_peer, [CONTROL_SYNCED] = take_synced,
                [CONTROL_JOINED] = take_joined, [CONTROL_LEFT] = take_left, [CONTROL_REFUSED] = take_refused,
        };
        Mirror *mirror = talloc_get_type_abort(userdata, Mirror);

        return takers[record->kind] ? takers[record->kind](mirror, record) : -EBADMSG;
}

static void on_begun(void *userdata) {
        Mirror *mirror = talloc_get_type_abort(userdata, Mirror);

        mirror->synced = false;
        peerlist_clear(&mirror->incoming);
}

/* A server of another user cannot be signalled, but it is there. */
static bool on_alive(void *userdata) {
        const Mirror *mirror = talloc_get_type_abort(userdata, Mirror);
        pid_t pid = (pid_t) mirror->domain->main_pid;

        return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* ---- Beginning and end ---- */

int mirror_start(Domain *domain) {
        Mirror *mirror = talloc_zero(domain, Mirror);
        LinkParts parts = {
                .event = domain->manager->event,
                .reply_usec = LINK_REPLY_USEC,
                .path = domain->control_path,
                .name = domain->name,
                .alive = on_alive,
                .begun = on_begun,
                .record = on_record,
                .userdata = mirror,
        };
        int r;

        if (!mirror) {
                return -ENOMEM;
        }
        mirror->domain = domain;
        r = link_new(mirror, &parts, &mirror->link);
        if (r < 0) {
                talloc_free(mirror);
                return r;
        }
        domain->mirror = mirror;
        return 0;
}

static void forget_peers(Domain *domain) {
        PeerList peers = domain->peers;

        domain->peers = (PeerList){ 0 };
        for (size_t i = 0; i < peers.n; i++) {
                tell_left(domain, peers.peers[i], "the server has ended");
        }
        peerlist_clear(&peers);
}

void mirror_stop(Domain *domain, bool over) {
        Mirror *mirror = domain->mirror;
        bool changed = mirror || (over && domain->peers.n > 0);

        domain->mirror = NULL;
        domain->counters = (ControlDomain){ 0 };
        if (mirror) {
                link_close(mirror->link);
                manager_discard(domain->manager, mirror);
        }
        if (over) {
                forget_peers(domain);
        }
        manager_tell(domain, changed ? DOMAIN_CHANGED_COUNTERS : 0);
}

int mirror_request(Domain *domain, const ControlRecord *request, LinkDone done, void *userdata,
                   Failure *ret_failure) {
        if (!domain->mirror) {
                return failure_set(ret_failure, FAILURE_NOT_RUNNING,
                                   "Domain \"%s\" does not run; start it first", domain->name);
        }
        return link_request(domain->mirror->link, request, done, userdata, ret_failure);
}
