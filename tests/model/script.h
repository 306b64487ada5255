/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to a domain, one step at a time: joins, leaves, evictions, stalls, partial reads, reservations. Each
 * decision is drawn from a source, which is either a seed (the model tests) or a string of bytes (the fuzzer).
 */
#pragma once

#include "tests/model/driver.h"

typedef struct Script Script;
typedef struct Source Source;

struct Source {
        const uint8_t *bytes; /* NULL: drawn from the seed */
        size_t n_bytes;
        uint64_t state;
};

Source source_from_seed(uint64_t seed);
Source source_from_bytes(const uint8_t *bytes, size_t n_bytes);

/* A number below `bound` (1 .. 2^32-1); 0 once the bytes are used up. Not two in one initializer or list of arguments:
 * their order is the compiler's, and a seed must mean the same with each. */
uint32_t source_draw(Source *source, uint32_t bound);

/* Whether bytes are used up; never with a seed. */
bool source_is_dry(const Source *source);

/* A domain of at most so many seats and identities. */
DriverConfig source_draw_config(Source *source, uint32_t seats_max, uint32_t identities_max);

/* Does one step of the script to both. Draws the kind of step evenly. */
bool script_step(Driver *driver, Source *source);

/* One in which kinds of steps differ in weight; which ones is drawn, so that some runs grow, some shrink, some only
 * churn. */
struct Script {
        uint32_t weights[16];
};

Script script_draw(Source *source);
bool script_weighted_step(const Script *script, Driver *driver, Source *source);

/* Nobody stalls any more and everything is delivered: the end of a run. */
bool script_finish(Driver *driver);
