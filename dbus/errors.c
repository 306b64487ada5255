/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Failures as errors of the bus. Nothing is decided or logged here. */

#include "dbus/errors.h"

#include <stdbool.h>

#include "dbus/names.h"

static const char *const error_table[_FAILURE_KIND_MAX] = {
        [FAILURE_NO_SUCH_DOMAIN] = BUS_ERROR_NO_SUCH_DOMAIN,
        [FAILURE_DOMAIN_EXISTS] = BUS_ERROR_DOMAIN_EXISTS,
        [FAILURE_DOMAIN_RUNNING] = BUS_ERROR_DOMAIN_RUNNING,
        [FAILURE_NOT_RUNNING] = BUS_ERROR_NOT_RUNNING,
        [FAILURE_INVALID_NAME] = BUS_ERROR_INVALID_NAME,
        [FAILURE_INVALID_SETTING] = BUS_ERROR_INVALID_SETTING,
        [FAILURE_FIXED_SETTING] = BUS_ERROR_FIXED_SETTING,
        [FAILURE_NOT_OURS] = BUS_ERROR_NOT_OURS,
        [FAILURE_LIMIT_EXCEEDED] = BUS_ERROR_LIMIT_EXCEEDED,
        [FAILURE_START_FAILED] = BUS_ERROR_START_FAILED,
        [FAILURE_STOP_FAILED] = BUS_ERROR_STOP_FAILED,
        [FAILURE_NO_SUCH_PEER] = BUS_ERROR_NO_SUCH_PEER,
        [FAILURE_NO_SUCH_VECTOR] = BUS_ERROR_NO_SUCH_VECTOR,
        [FAILURE_BUSY] = BUS_ERROR_BUSY,
        [FAILURE_SERVER_LOST] = BUS_ERROR_SERVER_LOST,
        [FAILURE_NOT_SUPPORTED] = SD_BUS_ERROR_NOT_SUPPORTED,
        [FAILURE_NO_MEMORY] = SD_BUS_ERROR_NO_MEMORY,
        [FAILURE_SYSTEM] = SD_BUS_ERROR_FAILED,
};

const char *bus_error_name(FailureKind kind) {
        bool known = kind >= 0 && kind < _FAILURE_KIND_MAX && error_table[kind];

        return known ? error_table[kind] : SD_BUS_ERROR_FAILED;
}

int bus_error_set(sd_bus_error *error, const Failure *failure) {
        return sd_bus_error_set(error, bus_error_name(failure->kind), failure->text);
}
