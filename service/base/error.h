/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two-channel error convention.
 *
 * An int result below zero is a negative errno: fatal for the operation, it only travels up. Zero is success. A
 * result above zero belongs to an enum of the module that returns it: an expected outcome, which the direct caller
 * handles and never passes on.
 */
#pragma once

#include <errno.h>

/* The negative errno of the libc call that just failed. -EIO when libc forgot to set one, so that a failure can
 * never turn into a success. */
static inline int errno_negative(void) {
        return errno > 0 ? -errno : -EIO;
}

/* A libc result ("-1 and errno") as a negative errno, or the result itself. */
static inline int errno_or(int result) {
        return result < 0 ? errno_negative() : result;
}
