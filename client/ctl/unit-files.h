/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What systemd starts at boot: the sockets of domains. */
#pragma once

#include "client/ctl/ctl.h"

/* Enables or disables the sockets of all domains that are arguments. Systemd, not the manager, decides who may. */
ExitStatus unit_files_change(Ctl *ctl, bool enable);
