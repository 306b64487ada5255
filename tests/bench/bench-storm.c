/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Join storms: so many peers with so many vectors join, one after another or all at once, until each was told of all the
 * others, exactly. What a server's processor time is for each message, beside the floor: the same number of messages,
 * each with a descriptor, from one bare process to another by sendmmsg in batches of 64.
 *
 *   lost      doorbells that peers were not told of; anything but 0 is wrong
 *   wall      until all peers are told everything
 *   cpu       the server's processor time for each message
 *   /floor    that as a multiple of the floor's
 *   user      share of it that is spent in the program, not in the kernel
 *
 * One by one ends with the first peer that is never set up; all the others are missing then. Two processes and the
 * server share the processors of this machine, so wall is as much the peers' as the server's.
 */

#include <stdio.h>
#include <stdlib.h>
#include <talloc.h>

#include "tests/bench/crowd.h"
#include "tests/bench/figures.h"
#include "tests/bench/floor.h"

typedef struct Storm {
        uint32_t peers;
        uint32_t vectors;
} Storm;

static const Storm storms[] = {
        { 10, 1 },  { 10, 8 },  { 10, 64 },  { 100, 1 },  { 100, 8 },  { 100, 64 },
        { 500, 1 }, { 500, 8 }, { 500, 64 }, { 2000, 1 }, { 1000, 8 }, { 200, 64 },
};

static const char *const join_names[] = {
        [CROWD_ONE_BY_ONE] = "one by one",
        [CROWD_AT_ONCE] = "at once",
};

/* What one peer is told. */
static uint32_t messages_each(const Storm *storm) {
        return 3 + storm->peers * storm->vectors;
}

static void print_share(const ProcessCpu *cpu) {
        int share = user_share(cpu);

        if (share < 0) {
                printf("      -");
        } else {
                printf("  %4d%%", share);
        }
}

static void print_result(const Subject *subject, const CrowdReport *report, const ProcessCpu *cpu,
                         double floor_usec) {
        double usec = usec_each(cpu->total_nsec, report->messages);

        if (cpu->total_nsec == 0) {
                printf("  the server ended, status %d\n", subject->server->status);
                return;
        }
        printf("  %6.2f  %6.2f", usec, usec / floor_usec);
        print_share(cpu);
        printf("\n");
}

static void run_storm(const Storm *storm, SubjectKind kind, CrowdJoin how, double floor_usec) {
        CrowdReport *report = talloc_zero(NULL, CrowdReport);
        uint64_t nsec, wrong;
        Subject *subject;
        ProcessCpu cpu;
        Crowd *crowd;

        must(subject_start(report, kind, storm->vectors, &subject), "starting the server");
        must(crowd_start(subject, subject->socket, storm->vectors, storm->peers + 1, &crowd),
             "starting a crowd");
        must(crowd_join(crowd, how, storm->peers, report), "joining");
        nsec = report->nsec;
        must(crowd_complete(crowd, storm->peers, report), "counting");
        nsec += report->nsec;
        wrong = report->lost + report->surplus;
        cpu = subject_cpu(subject);
        printf("%5u x %-2u  %-10s  %-9s  %9llu  %8llu  %8.3f", storm->peers, storm->vectors, join_names[how],
               subject_names[kind], (unsigned long long) report->messages, (unsigned long long) wrong,
               (double) nsec / 1e9);
        print_result(subject, report, &cpu, floor_usec);
        talloc_free(crowd);
        talloc_free(report);
}

static double print_floor(const Storm *storm, uint32_t batch) {
        uint32_t messages = messages_each(storm);
        ProcessCpu cpu;
        double usec;

        must(floor_measure(storm->peers, messages, batch, &cpu), "measuring the floor");
        usec = usec_each(cpu.total_nsec, (uint64_t) storm->peers * messages);
        printf("%5u x %-2u  batch %-4u  %-9s  %9llu  %8s  %8s  %6.2f  %6s", storm->peers, storm->vectors,
               batch, "floor", (unsigned long long) storm->peers * messages, "", "", usec, "");
        print_share(&cpu);
        printf("\n");
        return usec;
}

/* Who joins one by one is announced to each of the others by as many messages as it has vectors, so that a server cannot
 * send more at once: that floor is shown too, but ratios are to the lower one. */
static double floor_of(const Storm *storm) {
        if (storm->vectors < 64) {
                (void) print_floor(storm, storm->vectors);
        }
        return print_floor(storm, 64);
}

int main(void) {
        printf("Join storms: peers x vectors\n\n%-10s  %-10s  %-9s  %9s  %8s  %8s  %6s  %6s  %5s\n", "storm",
               "", "server", "messages", "lost", "wall s", "cpu us", "/floor", "user");
        for (size_t i = 0; i < sizeof(storms) / sizeof(*storms); i++) {
                const Storm *storm = &storms[i];
                double floor_usec;

                if (!descriptors_suffice(storm->peers, storm->vectors)) {
                        continue;
                }
                floor_usec = floor_of(storm);
                for (SubjectKind kind = SUBJECT_OURS; kind < _SUBJECT_MAX; kind++) {
                        if (subject_exists(kind)) {
                                run_storm(storm, kind, CROWD_ONE_BY_ONE, floor_usec);
                                run_storm(storm, kind, CROWD_AT_ONCE, floor_usec);
                        }
                        fflush(stdout);
                }
        }
        return EXIT_SUCCESS;
}
