/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager with many domains, without bus and systemd: making them, finding them again as a new manager does, hearing
 * of each, adding up what is in use, a start and a stop of a real one, and what all of it costs in memory.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/figures.h"
#include "tests/lib/process.h"
#include "tests/manager/staged.h"
#include "tests/unit/testing.h"

#define DOMAINS 1000U
#define USAGES_ASKED 1000U
#define STARTS 20U

static uint64_t now(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static void print_each(const char *what, uint64_t nsec, uint64_t n) {
        printf("%-52s %10.1f us each\n", what, usec_each(nsec, n));
}

static uint64_t private_bytes(void) {
        uint64_t bytes = 0;

        must(process_private_bytes(getpid(), &bytes), "measuring memory");
        return bytes;
}

static void create_all(Staged *staged) {
        for (unsigned i = 0; i < DOMAINS; i++) {
                char name[32];

                snprintf(name, sizeof(name), "bench-%u", i);
                if (staged_create(staged, name, 0, /* persistent= */ false,
                                  (const char *const[]){ "Size=1M", "Vectors=4", "User=root", NULL })) {
                        fprintf(stderr, "%s\n", staged->managed->failure.text);
                        exit(EXIT_FAILURE);
                }
        }
}

static void tell_all(Staged *staged, DomainState state) {
        for (unsigned i = 0; i < DOMAINS; i++) {
                char name[32];

                snprintf(name, sizeof(name), "bench-%u", i);
                staged_tell(staged, name, state, "0 of 16 peers");
        }
}

/* The observer's record of what it heard would be most of it. */
static void look_away(Staged *staged) {
        managed_forget(staged->managed);
        manager_observe(staged->managed->manager, &(ManagerOps){ 0 });
}

static void many(void) {
        Staged *staged = staged_new(NULL);
        uint64_t began, before = private_bytes();
        Usage usage[USAGES];

        look_away(staged);
        began = now();
        create_all(staged);
        print_each("making a domain of 1,000, its file synced", now() - began, DOMAINS);
        printf("%-52s %10.1f KiB\n", "memory of each", (double) (private_bytes() - before) / 1024 / DOMAINS);
        began = now();
        staged_restart(staged);
        print_each("a new manager finding a domain of 1,000", now() - began, DOMAINS);
        look_away(staged);
        began = now();
        for (unsigned i = 0; i < USAGES_ASKED; i++) {
                manager_usage(staged->managed->manager, 0, usage);
        }
        print_each("adding up what 1,000 domains use", now() - began, USAGES_ASKED);
        began = now();
        tell_all(staged, DOMAIN_STARTING);
        tell_all(staged, DOMAIN_STOPPED);
        print_each("a change of state", now() - began, 2 * DOMAINS);
        staged_free(staged);
}

static void real(void) {
        Managed *managed = managed_new(NULL);
        uint64_t start[STARTS], stop[STARTS];

        managed_create(managed, "bench", (const char *const[]){ "Size=1M", NULL });
        for (unsigned i = 0; i < STARTS; i++) {
                uint64_t began = now();

                must(managed_start(managed, "bench") ? 0 : -EIO, "starting a domain");
                start[i] = now() - began;
                began = now();
                must(managed_stop(managed, "bench") ? 0 : -EIO, "stopping a domain");
                stop[i] = now() - began;
        }
        printf("%-52s %10.1f us\n", "start of a real domain, embedded (median)",
               usec_percentile(start, STARTS, 50));
        printf("%-52s %10.1f us\n", "its stop (median)", usec_percentile(stop, STARTS, 50));
        managed_free(managed);
}

int main(void) {
        many();
        real();
        return EXIT_SUCCESS;
}
