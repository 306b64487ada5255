/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The distance of words (Damerau and Levenshtein, neighbours swapped once), without allocation. */

#include "client/ctl/guess.h"

#include <string.h>

#define WORD_MAX 24U

static size_t least(size_t a, size_t b) {
        return a < b ? a : b;
}

/* For words of less than WORD_MAX letters. */
static size_t distance(const char *a, const char *b) {
        size_t rows[WORD_MAX + 1][WORD_MAX + 1], n = strlen(a), m = strlen(b);

        for (size_t i = 0; i <= n; i++) {
                for (size_t j = 0; j <= m; j++) {
                        size_t d;

                        if (i == 0 || j == 0) {
                                rows[i][j] = i + j;
                                continue;
                        }
                        d = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
                        d = least(d, least(rows[i - 1][j], rows[i][j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                                d = least(d, rows[i - 2][j - 2] + 1);
                        }
                        rows[i][j] = d;
                }
        }
        return rows[n][m];
}

void guess_try(Guess *guess, const char *word) {
        size_t d;

        if (strlen(guess->typed) > WORD_MAX || strlen(word) > WORD_MAX) {
                return;
        }
        d = distance(guess->typed, word);
        /* Short words are near to everything: less than half of the letters may differ, and no more than three. */
        if (d <= 3 && d * 2 < strlen(word) && (!guess->best || d < guess->distance)) {
                guess->best = word;
                guess->distance = d;
        }
}
