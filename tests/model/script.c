/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Steps of a domain's life, drawn from a seed or from bytes. */

#include "tests/model/script.h"

Source source_from_seed(uint64_t seed) {
        return (Source){ .state = seed };
}

Source source_from_bytes(const uint8_t *bytes, size_t n_bytes) {
        return (Source){ .bytes = bytes ?: (const uint8_t *) "", .n_bytes = n_bytes };
}

bool source_is_dry(const Source *source) {
        return source->bytes && source->n_bytes == 0;
}

static uint32_t next_byte(Source *source) {
        if (source->n_bytes == 0) {
                return 0;
        }
        source->n_bytes--;
        return *source->bytes++;
}

/* As many bytes as the bound needs, so that a fuzzer's bytes mean something each. */
static uint32_t draw_bytes(Source *source, uint32_t bound) {
        uint32_t value = 0;

        for (uint32_t rest = bound - 1; rest > 0; rest >>= 8) {
                value = value << 8 | next_byte(source);
        }
        return value % bound;
}

/* The generator is splitmix64's: a counter whose bits are mixed. */
static uint64_t next_mixed(Source *source) {
        uint64_t mixed = source->state += UINT64_C(0x9e3779b97f4a7c15);

        mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
        return mixed ^ mixed >> 31;
}

uint32_t source_draw(Source *source, uint32_t bound) {
        return source->bytes ? draw_bytes(source, bound) : (uint32_t) (next_mixed(source) % bound);
}

DriverConfig source_draw_config(Source *source, uint32_t seats_max, uint32_t identities_max) {
        static const uint32_t vectors[] = { 1, 2, 3, 8, 64 };
        DriverConfig config = { 0 };

        config.topology = source_draw(source, 2) > 0 ? TOPOLOGY_STAR : TOPOLOGY_MESH;
        config.vectors = vectors[source_draw(source, sizeof(vectors) / sizeof(*vectors))];
        config.max_peers = 1 + source_draw(source, seats_max);
        config.identities = 1 + source_draw(source, identities_max);
        return config;
}

static bool step_join(Driver *driver, Source *source) {
        return driver_join(driver, (int) source_draw(source, driver->config.identities));
}

static bool step_join_at(Driver *driver, Source *source) {
        uint32_t vm_id = source_draw(source, driver->config.max_peers);

        return driver_join_at(driver, vm_id, (int) source_draw(source, driver->config.identities));
}

static bool step_leave(Driver *driver, Source *source) {
        return driver->n_peers == 0 || driver_leave(driver, source_draw(source, driver->n_peers));
}

/* A VM that comes back: its identity joins again at once. */
static bool step_reboot(Driver *driver, Source *source) {
        uint32_t peer;
        int identity;

        if (driver->n_peers == 0) {
                return true;
        }
        peer = source_draw(source, driver->n_peers);
        identity = driver->peers[peer]->identity;
        return driver_leave(driver, peer) && driver_join(driver, identity);
}

static bool step_leave_all(Driver *driver, Source *source) {
        /* Rarer than the rest, or no domain would grow. */
        if (source_draw(source, 16) > 0) {
                return true;
        }
        while (driver->n_peers > 0) {
                if (!driver_leave(driver, source_draw(source, driver->n_peers))) {
                        return false;
                }
        }
        return true;
}

/* A domain of which most is retired has little left to tell, so that becomes rare. */
static bool retire_unless(Driver *driver, Source *source, uint32_t vm_id) {
        uint32_t n_retired = 0;

        if (driver->model->seats[vm_id].retired) {
                return true;
        }
        for (uint32_t i = 0; i < driver->model->n_opened; i++) {
                n_retired += driver->model->seats[driver->model->opened[i]].retired;
        }
        if (n_retired >= driver->config.max_peers / 2 && source_draw(source, 16) > 0) {
                return true;
        }
        return driver_retire(driver, vm_id);
}

static bool step_retire(Driver *driver, Source *source) {
        uint32_t n_opened = driver->model->n_opened;

        return n_opened == 0 ||
               retire_unless(driver, source, driver->model->opened[source_draw(source, n_opened)]);
}

/* A peer is told a little more, and the seat that it was told of last is retired: in the middle of its doorbells. */
static bool step_retire_told(Driver *driver, Source *source) {
        const ModelView *told;
        uint32_t peer, window;

        if (driver->n_peers == 0) {
                return true;
        }
        peer = source_draw(source, driver->n_peers);
        window = 1 + source_draw(source, driver->config.vectors);
        if (!driver_deliver(driver, peer, window, /* part= */ 100)) {
                return false;
        }
        told = &driver->peers[peer]->model->told;
        return told->n_messages <= 3 ||
               retire_unless(driver, source, told->messages[told->n_messages - 1].vm_id);
}

static bool step_reserve(Driver *driver, Source *source) {
        uint32_t vm_id = source_draw(source, driver->config.max_peers);

        return driver_reserve(driver, vm_id, !driver->model->seats[vm_id].reserved);
}

/* Reservations are all lifted now and then, else they would only pile up. */
static bool step_unreserve(Driver *driver, Source *source) {
        for (uint32_t id = 0; id < driver->config.max_peers; id++) {
                if (driver->model->seats[id].reserved && source_draw(source, 2) > 0 &&
                    !driver_reserve(driver, id, false)) {
                        return false;
                }
        }
        return true;
}

static bool step_stall(Driver *driver, Source *source) {
        DriverPeer *peer;

        if (driver->n_peers > 0) {
                peer = driver->peers[source_draw(source, driver->n_peers)];
                peer->stalled = !peer->stalled;
        }
        return true;
}

static bool step_deliver(Driver *driver, Source *source) {
        static const uint32_t windows[] = { 1, 2, 3, 5, 16, 64, 256, 0 };
        uint32_t peer, window;

        if (driver->n_peers == 0) {
                return true;
        }
        peer = source_draw(source, driver->n_peers);
        window = windows[source_draw(source, sizeof(windows) / sizeof(*windows))];
        return driver->peers[peer]->stalled ||
               driver_deliver(driver, peer, window,
                              source_draw(source, 2) > 0 ? 100 : source_draw(source, 101));
}

/* Each peer that does not stall reads what there is. */
static bool step_deliver_all(Driver *driver, Source *source) {
        (void) source;
        for (uint32_t i = 0; i < driver->n_peers; i++) {
                if (!driver->peers[i]->stalled && !driver_deliver_all(driver, i)) {
                        return false;
                }
        }
        return true;
}

/* A feed as a ledger could have it that somebody tampered with, out of the air or from that of a peer. */
static Feed draw_feed(const Driver *driver, Source *source) {
        Feed feed = { 0 };

        feed.vm_id = source_draw(source, driver->config.max_peers + 1);
        feed.joined = source_draw(source, driver->model->n_opened + 3);
        feed.cursor = source_draw(source, driver->model->n_opened * driver->config.vectors + 6);
        if (driver->n_peers > 0 && source_draw(source, 2) > 0) {
                feed.vm_id = driver->peers[source_draw(source, driver->n_peers)]->feed.vm_id;
        }
        if (feed.joined < 2) {
                feed.joined = driver->model->n_opened + feed.joined;
        }
        return feed;
}

static bool step_foreign(Driver *driver, Source *source) {
        Feed feed = draw_feed(driver, source);

        switch (source_draw(source, 16)) {
        case 0:
                feed.vm_id = UINT32_MAX - feed.vm_id;
                break;
        case 1:
                feed.joined = UINT32_MAX - feed.joined;
                break;
        case 2:
                feed.cursor = UINT64_MAX - feed.cursor;
                break;
        default:
                break;
        }
        return driver_foreign(driver, &feed);
}

/* The corpus of the fuzzer means these numbers: new ones go to the end. */
enum {
        STEP_JOIN,
        STEP_JOIN_AT,
        STEP_LEAVE,
        STEP_REBOOT,
        STEP_LEAVE_ALL,
        STEP_RETIRE,
        STEP_RETIRE_TOLD,
        STEP_RESERVE,
        STEP_UNRESERVE,
        STEP_STALL,
        STEP_DELIVER,
        STEP_DELIVER_ALL,
        STEP_FOREIGN,
        N_STEPS,
};

static bool (*const steps[N_STEPS])(Driver *driver, Source *source) = {
        [STEP_JOIN] = step_join,
        [STEP_JOIN_AT] = step_join_at,
        [STEP_LEAVE] = step_leave,
        [STEP_REBOOT] = step_reboot,
        [STEP_LEAVE_ALL] = step_leave_all,
        [STEP_RETIRE] = step_retire,
        [STEP_RETIRE_TOLD] = step_retire_told,
        [STEP_RESERVE] = step_reserve,
        [STEP_UNRESERVE] = step_unreserve,
        [STEP_STALL] = step_stall,
        [STEP_DELIVER] = step_deliver,
        [STEP_DELIVER_ALL] = step_deliver_all,
        [STEP_FOREIGN] = step_foreign,
};

bool script_step(Driver *driver, Source *source) {
        return steps[source_draw(source, N_STEPS)](driver, source);
}

Script script_draw(Source *source) {
        static const uint32_t choices[] = { 0, 1, 1, 4, 16 };
        Script script = { 0 };

        for (size_t i = 0; i < N_STEPS; i++) {
                script.weights[i] = choices[source_draw(source, sizeof(choices) / sizeof(*choices))];
        }
        script.weights[STEP_JOIN] += 4; /* or there would be nothing to see */
        script.weights[STEP_DELIVER] += 8;
        return script;
}

bool script_weighted_step(const Script *script, Driver *driver, Source *source) {
        uint32_t total = 0, drawn;

        for (size_t i = 0; i < N_STEPS; i++) {
                total += script->weights[i];
        }
        drawn = source_draw(source, total);
        for (size_t i = 0; i < N_STEPS; i++) {
                if (drawn < script->weights[i]) {
                        return steps[i](driver, source);
                }
                drawn -= script->weights[i];
        }
        return true;
}

bool script_finish(Driver *driver) {
        for (uint32_t i = 0; i < driver->n_peers; i++) {
                if (!driver_deliver_all(driver, i)) {
                        return false;
                }
        }
        return driver_check(driver);
}
