/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A systemd that does what a test says, on a bus of the test's own: as much of org.freedesktop.systemd1 as the launcher
 * uses. Bus and systemd are processes of their own, so that each can be ended.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/lib/scratch.h"

typedef struct FakeSystemd FakeSystemd;

/* Makes the bus, and $DBUS_SYSTEM_BUS_ADDRESS name it, though neither bus nor systemd runs yet. -ENOENT: there is no
 * dbus-daemon. */
int fake_systemd_new(const void *ctx, FakeSystemd **ret);

void fake_bus_start(FakeSystemd *fake);
void fake_bus_stop(FakeSystemd *fake);

/* Returns when it has its name. */
void fake_systemd_start(FakeSystemd *fake);
void fake_systemd_stop(FakeSystemd *fake);

/* How the next jobs end: a result of JobRemoved; "hold": not; "denied", "no-unit", "masked", "no-polkit", "broken": an error instead. */
void fake_plan(FakeSystemd *fake, const char *how);

/* A unit is in this state now, and it is told. */
void fake_set(FakeSystemd *fake, const char *unit, const char *active, const char *status,
              const char *result, uint32_t pid);

/* It is, and nothing is told. */
void fake_set_quietly(FakeSystemd *fake, const char *unit, const char *active);

/* The server of a unit dies, and systemd says both that the unit failed and that it starts it again. */
void fake_crash(FakeSystemd *fake, const char *unit);

/* The unit has a job (0: none) that is told with what is told next; the job is done. */
void fake_set_job(FakeSystemd *fake, const char *unit, uint32_t job);
void fake_end_job(FakeSystemd *fake, const char *unit);

/* The unit is unloaded. */
void fake_forget(FakeSystemd *fake, const char *unit);

/* Reloads: takes all units down, as it says, and up again, and says that it has reloaded. */
void fake_reload(FakeSystemd *fake);

/* What was called since the last time, a call a line. A chunk of `fake`. */
char *fake_calls(FakeSystemd *fake);
