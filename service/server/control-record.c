/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is in a domain, as records. */

#include "service/server/control-record.h"

#include "service/server/memory.h"
#include "service/server/status.h"

ControlRecord control_domain_record(const Domain *domain) {
        ControlRecord record = {
                .kind = CONTROL_DOMAIN,
                .domain = {
                        .memory_size = memory_size(domain->memory),
                        .huge_pages = (uint32_t) domain->definition->huge_pages,
                        .vectors = seats_vectors(domain->seats),
                        .max_peers = seats_max(domain->seats),
                        .topology = seats_topology(domain->seats),
                        .n_peers = seats_taken(domain->seats),
                        .n_seats = seats_opened(domain->seats),
                        .joins = domain->counters.joins,
                        .leaves = domain->counters.leaves,
                        .refusals = domain->counters.refusals,
                        .evictions = domain->counters.evictions,
                        .messages_sent = domain->counters.messages_sent,
                        .definition_removed = domain->definition_removed,
                },
        };
        char status[STATUS_TEXT_MAX];

        status_format(domain, status);
        control_text_set(record.domain.name, sizeof(record.domain.name), domain->name);
        control_text_set(record.text, sizeof(record.text), status);
        return record;
}

static void describe(ControlPeer *ret, const Credentials *credentials, const char *identity) {
        ret->uid = credentials->uid;
        ret->gid = credentials->gid;
        ret->pid = credentials->pid;
        control_text_set(ret->identity, sizeof(ret->identity), identity);
        control_text_set(ret->unit, sizeof(ret->unit), credentials->unit);
        control_text_set(ret->machine, sizeof(ret->machine), credentials->machine);
        control_text_set(ret->label, sizeof(ret->label), credentials->label);
}

/* The seat has its occupant's name also when that has just left. */
ControlRecord control_peer_record(ControlKind kind, const Domain *domain, const Peer *peer) {
        uint32_t vm_id = peer->feed.vm_id;
        ControlRecord record = { .kind = kind, .peer = { .vm_id = vm_id, .since = peer->since } };

        describe(&record.peer, peer->credentials, seats_get(domain->seats, vm_id)->identity);
        return record;
}

ControlRecord control_refused_record(const Credentials *credentials, const char *identity, Refusal refusal,
                                     const char *reason) {
        ControlRecord record = { .kind = CONTROL_REFUSED, .refusal = refusal };

        describe(&record.peer, credentials, identity);
        control_text_set(record.text, sizeof(record.text), reason);
        return record;
}
