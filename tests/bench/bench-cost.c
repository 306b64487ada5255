/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a domain costs that nobody uses: memory that this server alone costs (smaps_rollup, Private_Dirty), without peers
 * and for each peer, and processor time and wake-ups in some seconds in which nothing happens.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <talloc.h>

#include "tests/bench/crowd.h"
#include "tests/bench/figures.h"

#define IDLE_MSEC 5000

typedef struct Setting {
        uint32_t peers;
        uint32_t vectors;
} Setting;

static const Setting settings[] = { { 16, 1 }, { 100, 8 }, { 1000, 1 } };

static uint64_t private_bytes(const Subject *subject) {
        uint64_t bytes = 0;

        must(process_private_bytes(subject->server->pid, &bytes), "reading smaps_rollup");
        return bytes;
}

/* Nothing happens but that the server might end, which would be the end of this. */
static void wait_idle(const Subject *subject) {
        struct pollfd process = { .fd = fd_get(subject->server->process), .events = POLLIN };

        if (poll(&process, 1, IDLE_MSEC) != 0) {
                must(-EPIPE, "waiting beside the server");
        }
}

static void print_setting(const Setting *setting, SubjectKind kind) {
        CrowdReport *report = talloc_zero(NULL, CrowdReport);
        uint64_t empty, full;
        Subject *subject;
        ProcessCpu cpu;
        Crowd *crowd;

        must(subject_start(report, kind, setting->vectors, &subject), "starting the server");
        empty = private_bytes(subject);
        must(crowd_start(subject, subject->socket, setting->vectors, setting->peers + 1, &crowd),
             "starting a crowd");
        must(crowd_join(crowd, CROWD_ONE_BY_ONE, setting->peers, report), "joining");
        must(crowd_complete(crowd, setting->peers, report), "counting");
        printf("%5u x %-2u  %-9s", setting->peers, setting->vectors, subject_names[kind]);
        if (server_has_ended(subject->server)) {
                printf("  the server ended, status %d\n", subject->server->status);
        } else {
                full = private_bytes(subject);
                /* What is still to be said of the last join - a status line - is said in the first wait. */
                wait_idle(subject);
                (void) subject_cpu(subject);
                wait_idle(subject);
                cpu = subject_cpu(subject);
                printf("  %9llu  %9.0f  %9.3f  %9llu  %s\n", (unsigned long long) empty / 1024,
                       full > empty ? (double) (full - empty) / setting->peers : 0,
                       (double) cpu.total_nsec / 1e6, (unsigned long long) cpu.switches,
                       report->lost ? "(not all of them were told everything)" : "");
        }
        fflush(stdout);
        talloc_free(crowd);
        talloc_free(report);
}

int main(void) {
        printf("Idle domains: private memory, and %d seconds in which nothing happens\n\n%-10s  %-9s  %9s  %9s  %9s  %9s\n",
               IDLE_MSEC / 1000, "peers", "server", "empty KiB", "B a peer", "cpu ms", "wake-ups");
        for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
                if (!descriptors_suffice(settings[i].peers, settings[i].vectors)) {
                        continue;
                }
                for (SubjectKind kind = SUBJECT_OURS; kind < _SUBJECT_MAX; kind++) {
                        if (subject_exists(kind)) {
                                print_setting(&settings[i], kind);
                        }
                }
        }
        return EXIT_SUCCESS;
}
