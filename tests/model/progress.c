/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The seed that is running, told by the handler of SIGABRT. */

#include "tests/model/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct {
        const char *program;
        uint64_t seed;
        uint32_t step;
} progress;

/* The signal is the program's own, out of abort(), so that snprintf() is in nobody's middle. */
static void tell(int signal_number) {
        char text[160];
        int n = snprintf(text, sizeof(text),
                         "aborted with seed %" PRIu64 ", step %u; replay with: %s %" PRIu64 " %u\n",
                         progress.seed, progress.step, progress.program, progress.seed, progress.step + 1);

        if (write(STDERR_FILENO, text, n) < 0) {
                return; /* the abort goes on, told or not */
        }
}

void progress_begin(const char *program) {
        const struct sigaction action = { .sa_handler = tell };

        progress.program = program;
        sigaction(SIGABRT, &action, NULL);
}

void progress_set(uint64_t seed, uint32_t step) {
        progress.seed = seed;
        progress.step = step;
}
