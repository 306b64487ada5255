/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a test of many seeds is, so that it can say so even when an assertion of the engine ends it. */
#pragma once

#include <stdint.h>

/* From now on an abort prints seed, step and the command that replays them. */
void progress_begin(const char *program);

void progress_set(uint64_t seed, uint32_t step);
