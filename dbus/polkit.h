/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking polkit, without ever waiting for it. So many questions of a user are before polkit at a time, and of all; the next
 * ones wait here for their turn, as long as they are not too large together. A question is called off when whoever wanted
 * to know is freed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "service/base/event.h"

typedef struct Polkit Polkit;
typedef struct PolkitQuery PolkitQuery;

#define POLKIT_QUERIES_PER_USER_MAX 32U
#define POLKIT_QUERIES_MAX 256U

/* Bytes that may be kept for answers, for one user and for all. */
#define POLKIT_COST_PER_USER_MAX (4U << 20)
#define POLKIT_COST_MAX (64U << 20)

typedef enum PolkitAnswer {
        POLKIT_YES,
        POLKIT_NO,
        POLKIT_CHALLENGE, /* if somebody had authenticated; and we were not to ask for that */
        POLKIT_ABSENT,    /* there is no polkit */
        POLKIT_GONE,      /* it went away while it was asked */
        POLKIT_FAILED,    /* it did not answer, or with an error */
        _POLKIT_ANSWER_MAX,
} PolkitAnswer;

typedef struct PolkitQuestion {
        const char *subject; /* unique name on the bus */
        uid_t uid;           /* of the subject, for the count */
        size_t cost;         /* bytes that are kept until it is answered, about */
        const char *action;
        const char *domain; /* details for rules and for the dialogue; NULL: none */
        const char *unit;   /* NULL: none */
        uint32_t owner;     /* UINT32_MAX: none */
        bool interactive;   /* somebody may be asked to authenticate, which takes as long as it takes */
} PolkitQuestion;

/* `text` says what went wrong with POLKIT_GONE and POLKIT_FAILED. The query is freed afterwards. */
typedef void (*PolkitDone)(PolkitAnswer answer, const char *text, void *userdata);

/* `changed` (rules have changed, what was granted may not be so any more) gets `userdata`. Negative errno. */
int polkit_new(void *ctx, Event *event, sd_bus *sd, void (*changed)(void *userdata), void *userdata,
               Polkit **ret);

/* The query is a chunk of `ctx`. `done` is called later, unless the query is freed before. -EBUSY when too much is kept
 * already; negative errno. */
int polkit_ask(Polkit *polkit, void *ctx, const PolkitQuestion *question, PolkitDone done, void *userdata,
               PolkitQuery **ret);
