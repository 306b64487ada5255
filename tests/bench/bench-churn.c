/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM that leaves and comes back again and again while the others stay, each of which is a process of its own, as VMs
 * are: how often a second, and what each return costs the server and the others together. A VM that comes back to ours
 * takes its seat again, of which nobody else is told; the reference server tells everybody that it left, and that
 * somebody new came. Beside the ratio stands what bounds it: whoever comes back has to be told of all seats, and these
 * messages alone take the floor's time, with nothing accepted and nobody known.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <talloc.h>

#include "tests/bench/crowd.h"
#include "tests/bench/figures.h"
#include "tests/bench/floor.h"

#define RETURNS 2000U

/* So that what is measured is long enough. */
#define FLOOR_TIMES 20U

typedef struct Setting {
        uint32_t peers;
        uint32_t vectors;
} Setting;

typedef struct Result {
        double per_second;
        double usec_server; /* processor time for each return */
        double usec_others;
} Result;

static const Setting settings[] = { { 20, 1 }, { 20, 8 }, { 100, 1 }, { 100, 8 } };

static uint64_t others_cpu(Crowd *const *others, uint32_t n) {
        uint64_t sum = 0;

        for (uint32_t i = 0; i < n; i++) {
                sum += crowd_cpu(others[i]);
        }
        return sum;
}

/* One peer a process. */
static Crowd **start_others(Subject *subject, const Setting *setting, uint32_t n, uint32_t ids,
                            CrowdReport *report) {
        Crowd **others = talloc_zero_array(subject, Crowd *, n);

        must(others ? 0 : -ENOMEM, "starting peers");
        for (uint32_t i = 0; i < n; i++) {
                must(crowd_start(others, subject->socket, setting->vectors, ids, &others[i]),
                     "starting a crowd");
                must(crowd_join(others[i], CROWD_ONE_BY_ONE, 1, report), "joining");
        }
        for (uint32_t i = 0; i < n; i++) {
                must(crowd_complete(others[i], n, report), "counting");
                if (report->lost > 0) {
                        break;
                }
        }
        return others;
}

static Result run(const Setting *setting, SubjectKind kind) {
        uint32_t n_others = setting->peers - 1, ids = setting->peers + RETURNS + 1;
        CrowdReport *report = talloc_zero(NULL, CrowdReport);
        Crowd **others, *crowd;
        Subject *subject;
        uint64_t before;
        Result result;

        must(subject_start(report, kind, setting->vectors, &subject), "starting the server");
        others = start_others(subject, setting, n_others, ids, report);
        must(crowd_start(subject, subject->socket, setting->vectors, ids, &crowd), "starting a crowd");
        must(crowd_join(crowd, CROWD_ONE_BY_ONE, 1, report), "joining");
        before = others_cpu(others, n_others);
        (void) subject_cpu(subject);
        *report = (CrowdReport){ .nsec = 0 };
        must(crowd_return(crowd, RETURNS, report), "coming back");
        result = (Result){
                .per_second = report->nsec ? report->set_up * 1e9 / (double) report->nsec : 0,
                .usec_server = usec_each(subject_cpu(subject).total_nsec, report->set_up),
                .usec_others = usec_each(others_cpu(others, n_others) - before, report->set_up),
        };
        printf("%5u x %-2u  %-9s  %4u of %u  %9.0f  %9.1f  %9.1f  %9.1f  %9.1f", setting->peers,
               setting->vectors, subject_names[kind], report->set_up, RETURNS, result.per_second,
               usec_percentile(report->samples, report->n_samples, 50),
               usec_percentile(report->samples, report->n_samples, 99), result.usec_server,
               result.usec_others);
        talloc_free(crowd);
        talloc_free(others);
        talloc_free(report);
        return result;
}

/* What sending the messages of one return takes at least, and receiving them, in microseconds. */
static void measure_floor(const Setting *setting, double *ret_send, double *ret_receive) {
        uint32_t messages = FLOOR_TIMES * (3 + setting->peers * setting->vectors);
        uint64_t receiver_nsec, n = (uint64_t) setting->peers * FLOOR_TIMES;
        ProcessCpu cpu;

        must(floor_measure(setting->peers, messages, 64, &cpu, &receiver_nsec), "measuring the floor");
        *ret_send = usec_each(cpu.total_nsec, n);
        *ret_receive = usec_each(receiver_nsec, n);
}

static void print_ratio(const Setting *setting, const Result *ours, const Result *theirs) {
        double us = ours->usec_server + ours->usec_others, them = theirs->usec_server + theirs->usec_others;
        double send, receive, most;

        measure_floor(setting, &send, &receive);
        if (theirs->per_second > 0) {
                most = 1e6 / theirs->per_second / (send > receive ? send : receive);
                printf("   ours: %.1f times as often, for %.2f of the cpu; the messages alone: %.0f us to send, "
                       "%.0f to receive, so %.1f times at most",
                       ours->per_second / theirs->per_second, us / them, send, receive, most);
        }
        printf("\n");
}

int main(void) {
        printf("A VM that comes back\n\n%-10s  %-9s  %-12s  %9s  %9s  %9s  %9s  %9s\n", "peers", "server",
               "set up", "a second", "median us", "p99 us", "server us", "others us");
        for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
                Result ours, theirs;

                if (!descriptors_suffice(settings[i].peers, settings[i].vectors)) {
                        continue;
                }
                ours = run(&settings[i], SUBJECT_OURS);
                printf("\n");
                if (subject_exists(SUBJECT_REFERENCE)) {
                        theirs = run(&settings[i], SUBJECT_REFERENCE);
                        print_ratio(&settings[i], &ours, &theirs);
                }
                fflush(stdout);
        }
        return EXIT_SUCCESS;
}
