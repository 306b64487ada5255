/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The peers of a crowd, within its process. See crowd.h for what the commands mean. */
#pragma once

#include "tests/bench/crowd.h"

typedef struct BenchPeers BenchPeers;

int peers_new(void *ctx, const char *path, uint32_t vectors, uint32_t ids, BenchPeers **ret);

int peers_join(BenchPeers *peers, CrowdJoin how, uint32_t n, CrowdReport *ret);
int peers_complete(BenchPeers *peers, uint32_t seats, CrowdReport *ret);
int peers_return(BenchPeers *peers, uint32_t n, CrowdReport *ret);

/* Reads what the peers are told until `fd` has input. */
int peers_read_until_input(BenchPeers *peers, int fd);
