/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why something was not done, as the bus says it: one table from kinds of failure to names of errors. */
#pragma once

#include <systemd/sd-bus.h>

#include "service/manager/failure.h"

/* The name of the error; total: a kind that is none has the name of all that is not foreseen. */
const char *bus_error_name(FailureKind kind);

/* Sets the error to what the failure says. The negative errno that a handler of sd-bus returns. */
int bus_error_set(sd_bus_error *error, const Failure *failure);
