/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many peers in one process of its own, which reads all the time what they are told, counts it and checks it. Commands
 * go to it one at a time. A crowd never waits for ever: when nothing arrives for CROWD_STALL_MSEC, what is missing is
 * lost.
 */
#pragma once

#include <stdint.h>

#define CROWD_STALL_MSEC 3000

#define SAMPLES_MAX 4000U

typedef struct Crowd Crowd;
typedef struct CrowdReport CrowdReport;

typedef enum CrowdJoin {
        CROWD_ONE_BY_ONE, /* each is set up before the next one connects */
        CROWD_AT_ONCE,
        CROWD_STUCK, /* connects and never reads */
} CrowdJoin;

struct CrowdReport {
        uint64_t nsec;     /* until the last message arrived */
        uint64_t messages; /* that all peers received since they joined */
        uint64_t lost;     /* doorbells that they should have been told of and were not */
        uint64_t surplus;  /* that they were told of and should not have been */
        uint32_t set_up;   /* peers that were told all they need, of this command */
        uint32_t n_samples;
        uint64_t samples
                [SAMPLES_MAX]; /* nanoseconds until a peer was set up; of CROWD_ONE_BY_ONE and of returns */
};

/* For a server at `path`, whose VM IDs are below `ids` and have `vectors` vectors. */
int crowd_start(const void *ctx, const char *path, uint32_t vectors, uint32_t ids, Crowd **ret);

/* From here on the crowd yields to everybody else: a stand-in for peers that have processors of their
 * own, on a machine that has few. */
int crowd_stand_back(Crowd *crowd);

/* `n` more peers join. */
int crowd_join(Crowd *crowd, CrowdJoin how, uint32_t n, CrowdReport *ret);

/* Waits until each peer that reads was told of `seats` VM IDs, and checks that it was exactly that. */
int crowd_complete(Crowd *crowd, uint32_t seats, CrowdReport *ret);

/* Peers leave and come back, one after the other, `n` times in all; each is set up before the next one goes. */
int crowd_return(Crowd *crowd, uint32_t n, CrowdReport *ret);

/* The processor time that the crowd has used since it began, in nanoseconds. */
uint64_t crowd_cpu(const Crowd *crowd);
