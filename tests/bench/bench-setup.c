/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long a newcomer waits: from connecting until it was told its last own doorbell, which is when its guest could
 * begin, in a domain in which many are connected already. Each newcomer takes a seat that is new, so that all the
 * others have to be told of it too; the newcomers stay. `set up` of all tried: the reference server loses messages when
 * somebody's socket is full; then some are never set up, and its run ends.
 */

#include <stdio.h>
#include <stdlib.h>
#include <talloc.h>

#include "tests/bench/crowd.h"
#include "tests/bench/figures.h"

#define RUNS 20U
#define NEWCOMERS 10U

typedef struct Setting {
        uint32_t peers;
        uint32_t vectors;
} Setting;

static const Setting settings[] = { { 10, 8 }, { 100, 1 }, { 100, 8 }, { 500, 8 } };

typedef struct Samples {
        uint64_t nsec[RUNS * NEWCOMERS];
        uint32_t n;
} Samples;

/* The next one comes when everybody knows of the last one, so that no newcomer waits for what another one caused. Ends
 * when somebody was not told. */
static void join_in_turn(const Setting *setting, Crowd *others, Crowd *newcomers, CrowdReport *report,
                         Samples *samples) {
        for (uint32_t i = 0; i < NEWCOMERS; i++) {
                must(crowd_join(newcomers, CROWD_ONE_BY_ONE, 1, report), "joining");
                if (report->n_samples == 0) {
                        return;
                }
                samples->nsec[samples->n++] = report->samples[0];
                must(crowd_complete(others, setting->peers + i + 1, report), "counting");
                if (report->lost > 0) {
                        return;
                }
        }
}

static void run_once(const Setting *setting, SubjectKind kind, Samples *samples) {
        uint32_t ids = setting->peers + NEWCOMERS + 1;
        CrowdReport *report = talloc_zero(NULL, CrowdReport);
        Crowd *others, *newcomers;
        Subject *subject;

        must(subject_start(report, kind, setting->vectors, &subject), "starting the server");
        must(crowd_start(subject, subject->socket, setting->vectors, ids, &others), "starting a crowd");
        must(crowd_start(subject, subject->socket, setting->vectors, ids, &newcomers), "starting a crowd");
        must(crowd_join(others, CROWD_AT_ONCE, setting->peers, report), "joining");
        must(crowd_complete(others, setting->peers, report), "counting");
        must(crowd_stand_back(others), "standing back");
        join_in_turn(setting, others, newcomers, report, samples);
        talloc_free(others);
        talloc_free(newcomers);
        talloc_free(report);
}

static double print_setting(const Setting *setting, SubjectKind kind, double ours) {
        Samples samples = { .n = 0 };
        double p50, p99;

        for (size_t i = 0; i < RUNS; i++) {
                run_once(setting, kind, &samples);
        }
        p50 = usec_percentile(samples.nsec, samples.n, 50);
        p99 = usec_percentile(samples.nsec, samples.n, 99);
        printf("%5u x %-2u  %-9s  %4u of %u  %9.1f  %9.1f", setting->peers, setting->vectors,
               subject_names[kind], samples.n, RUNS * NEWCOMERS, p50, p99);
        if (kind != SUBJECT_OURS && p50 > 0) {
                printf("   ours: %.2f of it", ours / p50);
        }
        printf("\n");
        fflush(stdout);
        return p50;
}

int main(void) {
        printf("Set-up of a newcomer, microseconds\n\n%-10s  %-9s  %-11s  %9s  %9s\n", "peers", "server",
               "set up", "median", "p99");
        for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
                double ours;

                if (!descriptors_suffice(settings[i].peers + NEWCOMERS, settings[i].vectors)) {
                        continue;
                }
                ours = print_setting(&settings[i], SUBJECT_OURS, 0);
                if (subject_exists(SUBJECT_REFERENCE)) {
                        (void) print_setting(&settings[i], SUBJECT_REFERENCE, ours);
                }
        }
        return EXIT_SUCCESS;
}
