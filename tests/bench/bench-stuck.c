/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What peers that do not read cost the others: how long newcomers wait to be set up while none, one, some or all of 50
 * other peers are stuck. The number of peers is the same in each row; the newcomers are 40, one after another, five
 * times over.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <talloc.h>

#include "tests/bench/crowd.h"
#include "tests/bench/figures.h"

#define RUNS 5U
#define NEWCOMERS 40U
#define OTHERS 50U
#define VECTORS 8U
#define IDS (OTHERS + NEWCOMERS + 1)

static const uint32_t stuck[] = { 0, 1, 10, 50 };

typedef struct Samples {
        uint64_t nsec[RUNS * NEWCOMERS];
        uint32_t n;
} Samples;

static void run_once(SubjectKind kind, uint32_t n_stuck, Samples *samples) {
        CrowdReport *report = talloc_zero(NULL, CrowdReport);
        Crowd *readers, *sleepers, *newcomers;
        Subject *subject;

        must(subject_start(report, kind, VECTORS, &subject), "starting the server");
        must(crowd_start(subject, subject->socket, VECTORS, IDS, &readers), "starting a crowd");
        must(crowd_start(subject, subject->socket, VECTORS, IDS, &sleepers), "starting a crowd");
        must(crowd_start(subject, subject->socket, VECTORS, IDS, &newcomers), "starting a crowd");
        must(crowd_join(sleepers, CROWD_STUCK, n_stuck, report), "joining");
        must(crowd_join(readers, CROWD_AT_ONCE, OTHERS - n_stuck, report), "joining");
        *report = (CrowdReport){ .nsec = 0 };
        must(crowd_stand_back(readers), "standing back");
        must(crowd_join(newcomers, CROWD_ONE_BY_ONE, NEWCOMERS, report), "joining");
        memcpy(samples->nsec + samples->n, report->samples, report->n_samples * sizeof(*report->samples));
        samples->n += report->n_samples;
        talloc_free(readers);
        talloc_free(sleepers);
        talloc_free(newcomers);
        talloc_free(report);
}

static void print_row(SubjectKind kind, uint32_t n_stuck) {
        Samples samples = { .n = 0 };

        for (size_t i = 0; i < RUNS; i++) {
                run_once(kind, n_stuck, &samples);
        }
        printf("%3u of %u  %-9s  %3u of %u  %9.1f  %9.1f\n", n_stuck, OTHERS, subject_names[kind], samples.n,
               RUNS * NEWCOMERS, usec_percentile(samples.nsec, samples.n, 50),
               usec_percentile(samples.nsec, samples.n, 99));
        fflush(stdout);
}

int main(void) {
        printf("Newcomers beside stuck peers, %u vectors, microseconds\n\n%-9s  %-9s  %-10s  %9s  %9s\n",
               VECTORS, "stuck", "server", "set up", "median", "p99");
        for (SubjectKind kind = SUBJECT_OURS; kind < _SUBJECT_MAX; kind++) {
                for (size_t i = 0; subject_exists(kind) && i < sizeof(stuck) / sizeof(*stuck); i++) {
                        print_row(kind, stuck[i]);
                }
        }
        return EXIT_SUCCESS;
}
