/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What somebody may have meant who mistyped a word. */
#pragma once

#include <stddef.h>

typedef struct Guess Guess;

/* The best candidate so far. Begins as { .typed = WORD }. */
struct Guess {
        const char *typed;
        const char *best; /* NULL: nothing is near enough */
        size_t distance;
};

/* One more word that it may be. */
void guess_try(Guess *guess, const char *word);
