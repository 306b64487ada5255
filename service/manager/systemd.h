/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the systemd launcher: the connection, what is known of units, and jobs. For these files only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "service/base/list.h"
#include "service/manager/launcher.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_UNIT_PATH SYSTEMD_PATH "/unit"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define SYSTEMD_UNIT "org.freedesktop.systemd1.Unit"
#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"

#define UNIT_PREFIX "ivshmem@"
#define UNIT_SUFFIX ".service"

typedef struct Slot Slot;
typedef struct Systemd Systemd;
typedef struct Unit Unit;
typedef struct Units Units;

/* The service of a domain, as systemd tells of it. */
struct Unit {
        char *name;         /* of the domain */
        char *active_state; /* "active", "failed", ... */
        char *result;       /* "success", "exit-code", ... */
        char *status_text;
        uint32_t main_pid;
        uint64_t active_enter; /* CLOCK_REALTIME, microseconds */
        uint64_t state_change;
        uint32_t job; /* of systemd's, queued or under way; 0: none */
        bool listed;  /* in the list that is being read */
};

struct Systemd {
        Event *event;
        LauncherObserver observer;
        sd_bus *bus;    /* NULL: not connected */
        void *slots;    /* what hangs on the connection */
        char *owner;    /* who systemd is on the bus; NULL: not known yet */
        bool reloading; /* it takes all units down, and up again */
        EventSource *retry;
        uint64_t retry_usec;
        Units *units;
        List jobs;
        List waiting; /* calls */
        size_t n_asked;
};

/* ---- systemd-bus.c ---- */

/* Connects, asks for signals, and reads how all units are: waiting for the answer, or later. Negative errno. */
int systemd_connect(Systemd *systemd, bool wait);
void systemd_disconnect(Systemd *systemd);

/* Calls a method of the manager object; `types` and what follows as sd_bus_message_append(3). The callback hangs on `ctx`;
 * NULL: on the connection. Calls wait for each other when they are many. */
int systemd_call(Systemd *systemd, void *ctx, sd_bus_message_handler_t callback, void *userdata,
                 const char *member, const char *types, ...);

/* ---- systemd-units.c ---- */

int units_new(void *ctx, Units **ret);

/* The domain of a unit's name or object path. False: it is no service of ours. */
bool units_domain_of_name(const char *unit, char *ret, size_t size);
bool units_domain_of_path(const char *path, char *ret, size_t size);

Unit *units_find(const Units *units, const char *domain);

/* The unit is a chunk of `units`. NULL: no memory. */
Unit *units_get(Units *units, const char *domain);
void units_remove(Units *units, const char *domain);
size_t units_count(const Units *units);
Unit *units_at(const Units *units, size_t i);

/* Reads an a{sv} of properties that a unit has now. */
int unit_take_properties(Unit *unit, sd_bus_message *message);

/* Reads the variant of one property. */
int unit_take_property(Unit *unit, const char *property, sd_bus_message *message);

/* The properties that are read one by one of units that run when the manager comes: the i-th, NULL behind the last. */
const char *unit_property(size_t i, const char **ret_interface);

/* systemd has been told to forget that it failed. -ENOMEM. */
int unit_forget_failure(Unit *unit);

/* Whether it neither runs nor is on the way to or from there. */
bool unit_has_ended(const Unit *unit);

/* What that is to the manager. */
LauncherState unit_state(const Unit *unit);

/* Why a unit failed, in words. */
const char *unit_why(const Unit *unit);

/* ---- launcher-systemd.c ---- */

/* Not while a job is about to take it elsewhere: a unit that is restarted is inactive for a moment. */
void systemd_tell(Systemd *systemd, const Unit *unit);

/* A job has left systemd's queue. */
void systemd_job_removed(Systemd *systemd, const char *path, const char *result);

/* Nothing more will be heard of jobs. */
void systemd_fail_jobs(Systemd *systemd);
