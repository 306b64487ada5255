/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* States of domains, and which domains are meant by a verb's arguments. */
#pragma once

#include <stdbool.h>

#include "client/ctl/options.h"
#include "client/ctl/terminal.h"

#define STATES "running, stopped, starting, stopping and failed"

bool state_exists(const char *state);
Colour state_colour(const char *state);

/* Whether a name matches one of the arguments, which are patterns of the shell, or there are none. */
bool names_match(const Options *options, const char *name);
