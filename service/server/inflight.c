/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors in flight, as arithmetic: no system calls here. */

#include "service/server/inflight.h"

/* What the kernel charges a send buffer for one of our messages: 768 bytes on 64-bit machines (an sk_buff with a
 * one-cache-line head). setsockopt() doubles the value that it is given. */
#define MESSAGE_CHARGE 768U

/* Below the charge, so that a kernel that charges less does not make us count too few. */
#define MESSAGE_CHARGE_LEAST 512U

/* What is left for windows above the least, even with as many peers as the descriptors suffice for. */
#define BUDGET_LEAST (4 * WINDOW_MIN)

/* What part of what is left a connection gets at first, and at most when it reads. */
#define FIRST_SHARE 64U
#define NEXT_SHARE 8U

/* A socket is writable again when a quarter of its send buffer is in use (unix_writable() of net/unix/af_unix.c). */
#define WRITABLE_SHARE 4U

Inflight inflight_begin(uint64_t nofile, uint32_t max_peers) {
        uint64_t budget = nofile / 4 * 3, reserve = (uint64_t) max_peers * WINDOW_MIN;

        budget = budget > reserve + BUDGET_LEAST ? budget - reserve : BUDGET_LEAST;
        return (Inflight){ .budget = budget, .remeasure = budget / 4 };
}

uint64_t inflight_least(uint32_t max_peers) {
        return ((uint64_t) max_peers * WINDOW_MIN + BUDGET_LEAST) * 4 / 3 + 4;
}

static uint64_t left(const Inflight *inflight) {
        return inflight->budget > inflight->unread ? inflight->budget - inflight->unread : 0;
}

/* The largest power of two that is neither above `window` nor above `most`, but at least WINDOW_MIN. */
static uint32_t window_at_most(uint64_t window, uint32_t most) {
        uint32_t result = WINDOW_MIN;

        while (result * 2 <= window && result * 2 <= most) {
                result *= 2;
        }
        return result;
}

uint32_t inflight_first_window(const Inflight *inflight) {
        return window_at_most(left(inflight) / FIRST_SHARE, WINDOW_FIRST_MAX);
}

uint32_t inflight_next_window(const Inflight *inflight, uint32_t window) {
        return window_at_most(left(inflight) / NEXT_SHARE,
                              window < WINDOW_MAX / 2 ? window * 2 : WINDOW_MAX);
}

void inflight_add(Inflight *inflight, uint32_t n) {
        inflight->unread += n;
}

void inflight_remove(Inflight *inflight, uint32_t n) {
        inflight->unread -= n;
}

bool inflight_is_worth_measuring(const Inflight *inflight) {
        return inflight->unread >= inflight->remeasure;
}

/* Measured again after a quarter of what is left, so that windows are never much smaller than they need be. */
void inflight_measured(Inflight *inflight) {
        uint64_t quarter = left(inflight) / 4;

        inflight->remeasure = inflight->unread + (quarter > WINDOW_MAX ? quarter : WINDOW_MAX);
}

int inflight_send_buffer(uint32_t window) {
        return (int) (window * MESSAGE_CHARGE / 2);
}

uint32_t inflight_unread(uint32_t outq) {
        return (outq + MESSAGE_CHARGE_LEAST - 1) / MESSAGE_CHARGE_LEAST;
}

uint32_t inflight_unread_when_writable(uint32_t window) {
        return inflight_unread(window * MESSAGE_CHARGE / WRITABLE_SHARE);
}
