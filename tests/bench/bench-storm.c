/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Join storms: so many peers with so many vectors join, one after another or all at once, until each was told of all the
 * others, exactly. What a server's processor time is for each message, beside the floor: the same number of messages,
 * each with a descriptor, from one bare process to another by sendmmsg.
 *
 *   lost      doorbells that peers were not told of; anything but 0 is wrong
 *   wall      until all peers are told everything
 *   cpu       the server's processor time for each message
 *   /floor    that as a multiple of the floor's, for the same messages in batches of the same shape
 *   a join    microseconds of processor time above the floor for each peer: to accept it, know it, give it a seat
 *   user      share of it that is spent in the program, not in the kernel
 *
 * The shape: all at once, batches of 64 are possible. Who joins one by one is told all in batches of 64 too, but is
 * announced to each of the others by as many messages as it has vectors, so that nobody can send more at once. The floor
 * of that is what these messages cost in such batches, and the others in batches of 64.
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

/* Microseconds a message. */
typedef struct Floor {
        double announced; /* in batches of as many as there are vectors */
        double batched;   /* in batches of 64 */
} Floor;

static const char *const join_names[] = {
        [CROWD_ONE_BY_ONE] = "one by one",
        [CROWD_AT_ONCE] = "at once",
};

/* What one peer is told. */
static uint32_t messages_each(const Storm *storm) {
        return 3 + storm->peers * storm->vectors;
}

static uint64_t messages_of(const Storm *storm) {
        return (uint64_t) storm->peers * messages_each(storm);
}

/* What the messages of a storm cost at least, in microseconds. */
static double floor_of(const Storm *storm, CrowdJoin how, const Floor *floor) {
        uint64_t all = messages_of(storm), announced = 0;

        if (how == CROWD_ONE_BY_ONE) {
                announced = (uint64_t) storm->peers * (storm->peers - 1) / 2 * storm->vectors;
        }
        return (double) announced * floor->announced + (double) (all - announced) * floor->batched;
}

static void print_share(const ProcessCpu *cpu) {
        int share = user_share(cpu);

        if (share < 0) {
                printf("      -");
        } else {
                printf("  %4d%%", share);
        }
}

static void print_result(const Storm *storm, CrowdJoin how, const Subject *subject,
                         const CrowdReport *report, const ProcessCpu *cpu, const Floor *floor) {
        double usec = (double) cpu->total_nsec / 1000, least = floor_of(storm, how, floor);

        if (cpu->total_nsec == 0) {
                printf("  the server ended, status %d\n", subject->server->status);
                return;
        }
        printf("  %6.2f", usec_each(cpu->total_nsec, report->messages));
        if (report->messages == messages_of(storm)) {
                printf("  %6.2f  %6.1f", usec / least, (usec - least) / storm->peers);
        } else {
                printf("  %6s  %6s", "-", "-");
        }
        print_share(cpu);
        printf("\n");
}

static void run_storm(const Storm *storm, SubjectKind kind, CrowdJoin how, const Floor *floor) {
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
        print_result(storm, how, subject, report, &cpu, floor);
        talloc_free(crowd);
        talloc_free(report);
}

static double print_floor(const Storm *storm, uint32_t batch) {
        uint64_t receiver_nsec;
        ProcessCpu cpu;
        double usec;

        must(floor_measure(storm->peers, messages_each(storm), batch, &cpu, &receiver_nsec),
             "measuring the floor");
        usec = usec_each(cpu.total_nsec, messages_of(storm));
        printf("%5u x %-2u  batch %-4u  %-9s  %9llu  %8s  %8s  %6.2f  %6s  %6s", storm->peers,
               storm->vectors, batch, "floor", (unsigned long long) messages_of(storm), "", "", usec, "",
               "");
        print_share(&cpu);
        printf("\n");
        return usec;
}

static Floor measure_floor(const Storm *storm) {
        Floor floor;

        floor.batched = print_floor(storm, 64);
        floor.announced = storm->vectors < 64 ? print_floor(storm, storm->vectors) : floor.batched;
        return floor;
}

int main(void) {
        printf("Join storms: peers x vectors\n\n%-10s  %-10s  %-9s  %9s  %8s  %8s  %6s  %6s  %6s  %5s\n",
               "storm", "", "server", "messages", "lost", "wall s", "cpu us", "/floor", "a join", "user");
        for (size_t i = 0; i < sizeof(storms) / sizeof(*storms); i++) {
                const Storm *storm = &storms[i];
                Floor floor;

                if (!descriptors_suffice(storm->peers, storm->vectors)) {
                        continue;
                }
                floor = measure_floor(storm);
                for (SubjectKind kind = SUBJECT_OURS; kind < _SUBJECT_MAX; kind++) {
                        if (subject_exists(kind)) {
                                run_storm(storm, kind, CROWD_ONE_BY_ONE, &floor);
                                run_storm(storm, kind, CROWD_AT_ONCE, &floor);
                        }
                        fflush(stdout);
                }
        }
        return EXIT_SUCCESS;
}
