/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bar. It is as wide as the terminal leaves room. */

#include "client/ctl/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "client/ctl/terminal.h"

#define BAR_MAX 40U

/* What stands beside the bar: name, colon, words, brackets, percent. */
#define BESIDE 60U

void progress_draw(Progress *progress, const char *name, uint64_t percent) {
        static const char full[] = "########################################";
        static const char empty[] = "........................................";
        unsigned columns = terminal_columns();
        unsigned width = columns > BESIDE + BAR_MAX ? BAR_MAX
                         : columns > BESIDE + 10    ? columns - BESIDE
                                                    : 10;
        unsigned filled = (unsigned) ((percent > 100 ? 100 : percent) * width / 100);

        if (!progress->on) {
                return;
        }
        fprintf(stderr, "\r%s: preparing memory [%.*s%.*s] %" PRIu64 "%%\x1b[K", name, (int) filled, full,
                (int) (width - filled), empty, percent);
        fflush(stderr);
        progress->drawn = true;
}

void progress_clear(Progress *progress) {
        if (progress->drawn) {
                fputs("\r\x1b[K", stderr);
                fflush(stderr);
                progress->drawn = false;
        }
}
