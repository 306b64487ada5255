/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIGTERM and SIGINT before there is an event loop that could take them. */

#include "service/server/stop-signals.h"

#include <signal.h>

#include "service/base/error.h"

static void stop_signals(sigset_t *ret) {
        sigemptyset(ret);
        sigaddset(ret, SIGTERM);
        sigaddset(ret, SIGINT);
}

int stop_signals_hold(void) {
        sigset_t signals;

        stop_signals(&signals);
        return errno_or(sigprocmask(SIG_BLOCK, &signals, NULL));
}

bool stop_signals_came(void) {
        sigset_t pending;

        return sigpending(&pending) >= 0 &&
               (sigismember(&pending, SIGTERM) > 0 || sigismember(&pending, SIGINT) > 0);
}

void stop_signals_let_go(void) {
        sigset_t signals;

        stop_signals(&signals);
        (void) sigprocmask(SIG_UNBLOCK, &signals, NULL);
}
