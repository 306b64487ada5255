/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIGTERM and SIGINT while a server starts: what it made until then has to be removed before they end it. */
#pragma once

#include <stdbool.h>

/* From here on they wait. Threads that are made later hold them as well. Negative errno. */
int stop_signals_hold(void);

/* Whether one of them waits. */
bool stop_signals_came(void);

/* They take their course: one that waits ends the process. */
void stop_signals_let_go(void);
