/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the first inputs of the ledger's fuzzer into a folder: lives of a domain as its server would have left them.
 * For when the ledger's format changes: `make-ledger-corpus tests/fuzz/corpus/ledger`. */

#include <stdbool.h>
#include <string.h>
#include <talloc.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ledger-input.h"

typedef struct Domain {
        Seats *seats;
        Ledger *ledger;
        uint32_t max_peers;
        uint8_t sent;
        uint64_t serial;
} Domain;

static Domain domain_new(uint32_t max_peers, uint32_t vectors, Topology topology) {
        const LedgerShape shape = {
                .memory_size = 1 << 20, .max_peers = max_peers, .vectors = vectors, .topology = topology
        };
        Domain domain = { .max_peers = max_peers };

        FUZZ_CHECK(seats_new(NULL, max_peers, vectors, topology, &domain.seats) == 0);
        domain.ledger = talloc_zero_size(domain.seats, ledger_size(max_peers));
        FUZZ_CHECK(domain.ledger);
        ledger_format(domain.ledger, &shape);
        return domain;
}

static Feed take(Domain *domain, uint32_t vm_id, const char *identity) {
        LedgerConnection connection = {
                .serial = ++domain->serial,
                .since = UINT64_C(1700000000000000),
                .credentials = { .uid = 1000, .gid = 100, .pid = 4711, .unit = "u.service", .machine = "m" },
        };

        FUZZ_CHECK(seats_take(domain->seats, vm_id, identity) == 0);
        connection.feed = feed_begin(domain->seats, vm_id);
        ledger_take(domain->ledger, domain->seats, &connection);
        return connection.feed;
}

static void leave(Domain *domain, uint32_t vm_id) {
        seats_leave(domain->seats, vm_id);
        ledger_leave(domain->ledger, domain->seats, vm_id);
}

static void retire(Domain *domain, uint32_t vm_id) {
        seats_retire(domain->seats, vm_id);
        ledger_leave(domain->ledger, domain->seats, vm_id);
}

/* A batch of which `sent` went. Without `ended` the server died right then. */
static void send_batch(Domain *domain, Feed *feed, size_t max, uint8_t sent, bool ended) {
        FeedMessage messages[LEDGER_BATCH_MAX];
        size_t n = feed_peek(domain->seats, feed, messages, max);

        FUZZ_CHECK(sent <= n);
        ledger_batch_begin(domain->ledger, feed, messages, n);
        if (!ended) {
                domain->sent = sent;
                return;
        }
        if (sent > 0) {
                feed->cursor = messages[sent - 1].next;
        }
        ledger_batch_end(domain->ledger, feed);
}

/* ---- The lives ---- */

static Domain nobody(void) {
        return domain_new(1, 1, TOPOLOGY_MESH);
}

static Domain newcomer(void) {
        Domain domain = domain_new(1, 8, TOPOLOGY_MESH);

        take(&domain, 0, "uid:1000");
        return domain;
}

static Domain told(void) {
        Domain domain = domain_new(1, 8, TOPOLOGY_MESH);
        Feed feed = take(&domain, 0, "uid:1000");

        send_batch(&domain, &feed, LEDGER_BATCH_MAX, 11, /* ended= */ true);
        return domain;
}

static Domain vacant(void) {
        Domain domain = domain_new(1, 2, TOPOLOGY_MESH);

        take(&domain, 0, "machine:m");
        leave(&domain, 0);
        return domain;
}

static Domain retaken(void) {
        Domain domain = domain_new(2, 2, TOPOLOGY_MESH);

        take(&domain, 1, "machine:m");
        leave(&domain, 1);
        take(&domain, 0, "unit:u.service");
        take(&domain, 1, "uid:5");
        return domain;
}

static Domain retired_alone(void) {
        Domain domain = domain_new(1, 2, TOPOLOGY_MESH);

        take(&domain, 0, "uid:1000");
        retire(&domain, 0);
        return domain;
}

static Domain retired_in_the_middle(void) {
        Domain domain = domain_new(3, 3, TOPOLOGY_MESH);
        Feed feed;

        take(&domain, 2, "uid:2");
        feed = take(&domain, 0, "uid:0");
        send_batch(&domain, &feed, LEDGER_BATCH_MAX, 4, /* ended= */ true);
        retire(&domain, 2);
        return domain;
}

static Domain mesh(void) {
        Domain domain = domain_new(3, 64, TOPOLOGY_MESH);
        Feed feed;

        take(&domain, 1, "uid:1");
        feed = take(&domain, 2, "uid:2");
        take(&domain, 0, "uid:0");
        send_batch(&domain, &feed, LEDGER_BATCH_MAX, 64, /* ended= */ true);
        send_batch(&domain, &feed, LEDGER_BATCH_MAX, 64, /* ended= */ true);
        return domain;
}

static Domain star(void) {
        Domain domain = domain_new(3, 2, TOPOLOGY_STAR);
        Feed leaf, hub;

        take(&domain, 2, "uid:2");
        leaf = take(&domain, 1, "uid:1");
        hub = take(&domain, 0, "uid:0");
        send_batch(&domain, &hub, LEDGER_BATCH_MAX, 9, /* ended= */ true);
        send_batch(&domain, &leaf, LEDGER_BATCH_MAX, 6, /* ended= */ true);
        return domain;
}

static Domain batch_begun(void) {
        Domain domain = domain_new(1, 4, TOPOLOGY_MESH);
        Feed feed = take(&domain, 0, "uid:1000");

        send_batch(&domain, &feed, LEDGER_BATCH_MAX, 0, /* ended= */ false);
        return domain;
}

static Domain batch_in_part(void) {
        Domain domain = domain_new(2, 4, TOPOLOGY_MESH);
        Feed feed = take(&domain, 0, "uid:1000");

        take(&domain, 1, "uid:1001");
        send_batch(&domain, &feed, 5, 5, /* ended= */ true);
        send_batch(&domain, &feed, LEDGER_BATCH_MAX, 3, /* ended= */ false);
        return domain;
}

static Domain batch_of_leaf(void) {
        Domain domain = domain_new(3, 2, TOPOLOGY_STAR);
        Feed feed;

        take(&domain, 0, "uid:0");
        take(&domain, 1, "uid:1");
        feed = take(&domain, 2, "uid:2");
        send_batch(&domain, &feed, LEDGER_BATCH_MAX, 7, /* ended= */ false);
        return domain;
}

/* A successor that would believe it. */
static Domain batch_too_long(void) {
        Domain domain = batch_begun();

        domain.sent = LEDGER_BATCH_MAX + 1;
        return domain;
}

static Domain file(void) {
        Domain domain = told();

        ledger_set_file(domain.ledger, LEDGER_FILE_OURS);
        return domain;
}

/* As the version before had it. */
static Domain version_1(void) {
        Domain domain = mesh();

        domain.ledger->version = 1;
        return domain;
}

static Domain version_to_come(void) {
        Domain domain = told();

        domain.ledger->version = LEDGER_VERSION + 1;
        return domain;
}

static const struct {
        const char *name;
        Domain (*live)(void);
} lives[] = {
        { "nobody", nobody },
        { "newcomer", newcomer },
        { "told", told },
        { "vacant", vacant },
        { "retaken", retaken },
        { "retired-alone", retired_alone },
        { "retired-in-the-middle", retired_in_the_middle },
        { "mesh", mesh },
        { "star", star },
        { "batch-begun", batch_begun },
        { "batch-in-part", batch_in_part },
        { "batch-of-leaf", batch_of_leaf },
        { "batch-too-long", batch_too_long },
        { "file", file },
        { "version-1", version_1 },
        { "version-to-come", version_to_come },
};

static void write_input(const char *folder, const char *name, const Domain *domain) {
        const uint8_t head[LEDGER_INPUT_HEAD] = { domain->sent, (uint8_t) ((domain->max_peers - 1) * 2) };
        const uint8_t *bytes = (const uint8_t *) domain->ledger;
        size_t rest = ledger_size(domain->max_peers) - LEDGER_INPUT_RESUME;
        char *path = talloc_asprintf(NULL, "%s/%s", folder, name);
        FILE *file;

        FUZZ_CHECK(path);
        file = fopen(path, "we");
        FUZZ_CHECK(file);
        FUZZ_CHECK(fwrite(head, sizeof(head), 1, file) == 1);
        FUZZ_CHECK(fwrite(bytes, LEDGER_INPUT_SKIP, 1, file) == 1);
        FUZZ_CHECK(fwrite(bytes + LEDGER_INPUT_RESUME, rest, 1, file) == 1);
        FUZZ_CHECK(fclose(file) == 0);
        talloc_free(path);
}

int main(int argc, char **argv) {
        if (argc != 2) {
                fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < sizeof(lives) / sizeof(*lives); i++) {
                Domain domain = lives[i].live();

                write_input(argv[1], lives[i].name, &domain);
                talloc_free(domain.seats);
        }
        return EXIT_SUCCESS;
}
