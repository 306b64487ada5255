/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether there is room for a domain: descriptors, and places in systemd's fd store. What there is too little room for does
 * not start, for it would refuse its last peers some day.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Definition Definition;
typedef struct Room Room;

struct Room {
        uint64_t nofile;   /* RLIMIT_NOFILE */
        uint32_t fd_store; /* places in the store; 0: there is none */
        bool is_running;   /* the domain goes on */
};

/* -ENOSPC or -EMFILE with *ret_error, a chunk of `ctx`, that says what is too large, and what to do. */
int room_check(void *ctx, const Room *room, const Definition *definition, char **ret_error);
