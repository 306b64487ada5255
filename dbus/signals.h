/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes, told to those who subscribed and may see it: each signal is addressed to one client, for a broadcast
 * would tell everybody. Changes of properties are gathered, so that a domain costs one signal a turn of the event loop.
 */
#pragma once

#include "service/manager/manager.h"

typedef struct Bus Bus;
typedef struct Client Client;
typedef struct Signals Signals;

/* Observes the bus's manager. Negative errno. */
int signals_new(Bus *bus, Signals **ret);
