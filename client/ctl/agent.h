/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program that asks for a password on a terminal when polkit wants one: pkttyagent. */
#pragma once

#include "client/ctl/ctl.h"

/* Starts it for what the manager may ask, if there is one and somebody to answer. Once. */
void agent_open(Ctl *ctl);
void agent_close(Ctl *ctl);
