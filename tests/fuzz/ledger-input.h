/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An input of the ledger's fuzzer: how many messages of a batch went, how to take the rest, and a ledger without the
 * 4 KiB of message headers, which the reader of a ledger never looks at.
 */
#pragma once

#include <stddef.h>

#include "service/core/ledger-layout.h"

enum {
        LEDGER_INPUT_SENT,
        LEDGER_INPUT_MODE,
        LEDGER_INPUT_HEAD, /* the bytes up to the headers, then those behind them */
};

/* The ledger is as long as the input; else it is cut or filled with zeroes to have 1 + mode / 2 % 3 seats. */
#define LEDGER_INPUT_EXACT 1U

#define LEDGER_INPUT_SEATS_MAX 3U

/* How many bytes there are before the headers, and where the rest goes on. */
#define LEDGER_INPUT_SKIP offsetof(Ledger, batch.headers)
#define LEDGER_INPUT_RESUME offsetof(Ledger, seats)
