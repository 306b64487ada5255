/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What peers that do not read cost the others: how long newcomers wait to be set up while none, some or all of 50 other
 * peers are stuck. The number of peers is the same in each row; the newcomers are 40, one after another, five times
 * over. What is unread is bounded by the limit of descriptors, so it is done under lower ones too; the reference server
 * runs as root, for whom the kernel does not count.
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
#define IDS (OTHERS + NEWCOMERS + 2)

typedef struct Setting {
        uint32_t nofile; /* 0: this machine's */
        uint32_t n_stuck;
} Setting;

static const Setting settings[] = {
        { 0, 0 }, { 0, 10 }, { 0, 50 }, { 4096, 0 }, { 4096, 50 }, { 1200, 0 }, { 1200, 50 },
};

typedef struct Samples {
        uint64_t nsec[RUNS * NEWCOMERS];
        uint32_t n;
} Samples;

/* When a reader that came last is set up, those before it have as much as they take: nobody is measured while the server
 * is still busy with them. */
static void join_others(Crowd *readers, Crowd *sleepers, uint32_t n_stuck, CrowdReport *report) {
        must(crowd_join(sleepers, CROWD_STUCK, n_stuck, report), "joining");
        must(crowd_join(readers, CROWD_AT_ONCE, OTHERS - n_stuck, report), "joining");
        must(crowd_join(readers, CROWD_ONE_BY_ONE, 1, report), "joining");
        must(crowd_complete(readers, OTHERS + 1, report), "counting");
        must(crowd_stand_back(readers), "standing back");
}

static void run_once(SubjectKind kind, const Setting *setting, Samples *samples) {
        CrowdReport *report = talloc_zero(NULL, CrowdReport);
        Crowd *readers, *sleepers, *newcomers;
        Subject *subject;

        must(subject_start_limited(report, kind, VECTORS, setting->nofile, &subject), "starting the server");
        must(crowd_start(subject, subject->socket, VECTORS, IDS, &readers), "starting a crowd");
        must(crowd_start(subject, subject->socket, VECTORS, IDS, &sleepers), "starting a crowd");
        must(crowd_start(subject, subject->socket, VECTORS, IDS, &newcomers), "starting a crowd");
        join_others(readers, sleepers, setting->n_stuck, report);
        *report = (CrowdReport){ .nsec = 0 };
        must(crowd_join(newcomers, CROWD_ONE_BY_ONE, NEWCOMERS, report), "joining");
        memcpy(samples->nsec + samples->n, report->samples, report->n_samples * sizeof(*report->samples));
        samples->n += report->n_samples;
        talloc_free(readers);
        talloc_free(sleepers);
        talloc_free(newcomers);
        talloc_free(report);
}

static void print_row(SubjectKind kind, const Setting *setting) {
        Samples samples = { .n = 0 };

        for (size_t i = 0; i < RUNS; i++) {
                run_once(kind, setting, &samples);
        }
        if (setting->nofile) {
                printf("%8u", setting->nofile);
        } else {
                printf("%8s", "highest");
        }
        printf("  %3u of %u  %-9s  %3u of %u  %9.1f  %9.1f\n", setting->n_stuck, OTHERS, subject_names[kind],
               samples.n, RUNS * NEWCOMERS, usec_percentile(samples.nsec, samples.n, 50),
               usec_percentile(samples.nsec, samples.n, 99));
        fflush(stdout);
}

int main(void) {
        printf("Newcomers beside stuck peers, %u vectors, microseconds\n\n%-8s  %-9s  %-9s  %-10s  %9s  %9s\n",
               VECTORS, "   limit", "stuck", "server", "set up", "median", "p99");
        for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
                print_row(SUBJECT_OURS, &settings[i]);
                if (subject_exists(SUBJECT_REFERENCE) && settings[i].nofile == 0) {
                        print_row(SUBJECT_REFERENCE, &settings[i]);
                }
        }
        return EXIT_SUCCESS;
}
