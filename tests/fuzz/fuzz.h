/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each fuzzer has: the entry that libFuzzer and the corpus runner call, and checks that are never compiled out. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Takes one input; returns 0, or ends the process when something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(expression)                                                                     \
        do {                                                                                       \
                if (!(expression)) {                                                               \
                        fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expression); \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)
