/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why something that was asked of the manager was not done: a kind, which the bus has an error name for, and words. */
#pragma once

typedef struct Failure Failure;

typedef enum FailureKind {
        FAILURE_NO_SUCH_DOMAIN,
        FAILURE_DOMAIN_EXISTS,
        FAILURE_DOMAIN_RUNNING, /* it has to be stopped for this */
        FAILURE_NOT_RUNNING,
        FAILURE_INVALID_NAME,
        FAILURE_INVALID_SETTING,
        FAILURE_FIXED_SETTING, /* a running domain cannot change it */
        FAILURE_NOT_OURS,      /* a definition of the administrator or of a package */
        FAILURE_LIMIT_EXCEEDED,
        FAILURE_START_FAILED,
        FAILURE_STOP_FAILED,
        FAILURE_NO_SUCH_PEER,
        FAILURE_NO_SUCH_VECTOR,
        FAILURE_BUSY,          /* another job of the domain runs, or too much is pending */
        FAILURE_SERVER_LOST,   /* the server went away before it answered */
        FAILURE_NOT_SUPPORTED, /* by this launcher, or for this kind of memory */
        FAILURE_NO_MEMORY,
        FAILURE_SYSTEM, /* an errno of the system, in words */
        _FAILURE_KIND_MAX,
        _FAILURE_KIND_INVALID = -22,
} FailureKind;

/* The text is for people: what failed, on what, why, what to do. */
struct Failure {
        FailureKind kind;
        char text[512];
};

extern const char *const failure_kind_names[_FAILURE_KIND_MAX];

/* Fills *ret and returns -EREMOTEIO, the errno of operations whose failure says why. */
int failure_set(Failure *ret, FailureKind kind, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The same for a negative errno of the system: "WHAT: No space left on device". One that has a failure already keeps it. */
int failure_errno(Failure *ret, int r, const char *what);

/* Puts '?' in the place of what is no UTF-8 or cannot be seen, as texts of servers and files may have it. */
void text_make_plain(char *text);
